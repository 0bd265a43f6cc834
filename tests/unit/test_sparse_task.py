"""train, evaluate, analyse and tune with -m sparse, on real pictures and the bundled encoder."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cli import sparse_model
from cli.main import main
from crossmodal.core.errors import InputError
from crossmodal.core.settings import Settings
from crossmodal.datasets.scenes import write_scenes
from crossmodal.encoders import registry
from crossmodal.evaluation.fusion_tuning import caption_positions
from crossmodal.evaluation.term_ranking import epoch_figures, sparse_figures
from crossmodal.lexical.encoder import SparseEncoder, load_model, resolve
from crossmodal.lexical.encoder import load as load_sparse
from crossmodal.search.fusion import FUSION_NAME
from crossmodal.training.trainer import HISTORY

QUICK = ("epochs=4", "batch_size=32", "warm_up=0")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty scenes with captions, forty to train on, ten to choose by, ten to find."""
    folder = tmp_path_factory.mktemp("sparse") / "pictures"
    write_scenes(folder, "train", 60)
    names = sorted(path.name for path in (folder / "images").iterdir())
    splits = [f"{name},{'train' if i < 40 else 'dev' if i < 50 else 'test'}" for i, name in enumerate(names)]
    (folder / "splits.csv").write_text("\n".join(["image,split", *splits]) + "\n")
    return folder


@pytest.fixture(scope="module")
def settings(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    workspace = tmp_path_factory.mktemp("workspace")
    return Settings(data_set=str(pictures), split="test", weights="clip:scenes", workspace=workspace, threads=1)


@pytest.fixture(scope="module")
def trained(settings: Settings) -> Settings:
    """The settings with the weights of a trained model."""
    folder = sparse_model.train(settings, None, QUICK, lambda line: None)
    return replace(settings, weights=str(folder))


def test_training_leaves_a_folder_that_loads_as_an_encoder(trained: Settings) -> None:
    assert trained.weights is not None
    history = json.loads((Path(trained.weights) / HISTORY).read_text())
    assert len(history) == 4
    assert {"R@1", "R@100", "MRR", "terms_per_image"} <= set(history[0])
    spec = resolve(trained.weights)
    encoder = load_sparse(spec, ("image", "text"), threads=1)
    assert isinstance(encoder, SparseEncoder)
    side = spec.preprocessing.size_px
    vectors = encoder.encode_images(np.zeros((2, side, side, 3), np.uint8))
    assert vectors.shape == (2, spec.dim)
    assert np.diff(load_model(spec).image_weights(vectors).indptr).max() <= 64


def test_the_encoder_underneath_comes_with_it(trained: Settings) -> None:
    assert trained.weights is not None
    model, encoder = sparse_model.load(trained)
    assert model.config.base == encoder.spec == registry.resolve("clip", "scenes")


def test_evaluation_has_the_dense_and_the_sparse_row(trained: Settings) -> None:
    found = sparse_model.evaluate(trained)
    dense, words = found["rows"].values()
    assert dense["R@1"] > 0.9
    assert {"R@50", "MRR", "postings", "terms_per_query", "p50_ms", "empty_lists"} <= set(words)
    assert words["images"] == 10


def test_the_index_ranks_as_the_matrix_product_does(trained: Settings) -> None:
    model, encoder = sparse_model.load(trained)
    split = sparse_model.captioned_split(encoder, trained)
    through, exact = sparse_figures(model, split, "dot"), epoch_figures(model, split)
    assert {name: through[name] for name in exact} == exact


def test_the_thesis_s_recipe_is_evaluated_with_its_own_scoring(settings: Settings, tmp_path: Path) -> None:
    given = ("recipe=thesis", "hidden=64", "epochs=2", "min_df=1")
    weights = sparse_model.train(settings, tmp_path / "thesis", given, lambda line: None)
    rows = sparse_model.evaluate(replace(settings, weights=str(weights)))["rows"]
    assert list(rows)[1] == "sparse thesis"
    assert rows["sparse thesis"]["R@100"] == 1


def test_analysis_tells_lists_and_words_of_pictures(trained: Settings) -> None:
    found = sparse_model.analyse(trained, n_pictures=3, n_words=4)
    assert len(found["pictures"]) == 3
    assert all(0 < len(words) <= 4 for words in found["pictures"].values())
    lengths = list(found["words"].values())
    assert lengths == sorted(lengths, reverse=True)
    assert sum(lengths) == found["figures"]["postings"]


def test_analysis_is_printed_as_tables_or_as_json(trained: Settings) -> None:
    chosen = ("analyse", trained.data_set, "--split", "test", "--weights", str(trained.weights), "--threads", "1")
    found = sparse_model.analyse(trained)
    as_json = CliRunner().invoke(main, [*chosen, "--json"])
    assert json.loads(as_json.stdout) == json.loads(json.dumps(found))
    printed = CliRunner().invoke(main, chosen).stdout
    word, n_images = next(iter(found["words"].items()))
    assert re.search(rf"^ *postings +{found['figures']['postings']} *$", printed, re.MULTILINE)
    assert re.search(rf"^ *{word} +{n_images} *$", printed, re.MULTILINE)
    picture, [(strongest, weight), *_] = next(iter(found["pictures"].items()))
    assert f"{picture}: {strongest} {weight:.2f}" in printed


def test_tuning_is_at_least_as_good_as_every_part(trained: Settings, tmp_path: Path) -> None:
    found = sparse_model.tune(replace(trained, split="dev"), tmp_path)
    assert found["parts"] == ["dense", "sparse", "bm25"]
    best = found["rows"][f"best: {found['best']}"]
    assert all(best["R@10"] >= found["rows"][part]["R@10"] for part in found["parts"])
    assert json.loads((tmp_path / FUSION_NAME).read_text()) == {"fusion": found["best"], "parts": found["parts"]}


def test_a_caption_is_not_found_by_itself() -> None:
    position = caption_positions(np.array([0, 0, 0, 1, 1, 2]))
    assert position.tolist() == [0, 1, 2, 0, 1, 0]


def test_what_can_t_be_trained_or_loaded_is_told(settings: Settings) -> None:
    with pytest.raises(InputError, match="unknown recipe 'magic': choose one of thesis, dense-to-sparse"):
        sparse_model.train(settings, None, ("recipe=magic",), print)
    with pytest.raises(InputError, match="'epoch=3': give NAME=VALUE with a name of query, hidden"):
        sparse_model.train(settings, None, ("epoch=3",), print)
    with pytest.raises(InputError, match="give the folder of the sparse model"):
        sparse_model.evaluate(replace(settings, weights=None))
    with pytest.raises(InputError, match="is not a sparse model"):
        sparse_model.evaluate(replace(settings, weights="nowhere"))
