"""The sparse model: what pictures and queries weigh, the folder it lives in, and folders that are broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from crossmodal.core.errors import InputError, StateError
from crossmodal.core.types import ModelSpec, Pixels, Preprocessing, Vectors
from crossmodal.lexical.encoder import SparseEncoder, resolve
from crossmodal.lexical.model import (
    CONFIG_NAME,
    HEADS_NAME,
    TERMS_NAME,
    QueryWeights,
    Recipe,
    SparseConfig,
    SparseModel,
    spoken_part,
    strongest_words,
)  # fmt: skip
from crossmodal.lexical.terms import TermVocabulary

BASE = ModelSpec("clip", "scenes", "hash", 3, Preprocessing(size_px=8))
WORDS = TermVocabulary.fit(["red heart", "blue star", "red star"])  # blue, heart, red, star


def model_of(recipe: Recipe = "dense-to-sparse", query: QueryWeights = "words", **limits: int) -> SparseModel:
    rng = np.random.default_rng(0)
    heads = {
        "image.0.weight": rng.standard_normal((4, 3)).astype(np.float32),
        "image.0.bias": np.full(4, 0.5, np.float32),
        "text.0.weight": rng.standard_normal((4, 3)).astype(np.float32),
        "text.0.bias": np.full(4, 0.5, np.float32),
        "words": np.array([2, 0.5, 1, 4], np.float32),
    }
    return SparseModel(SparseConfig(recipe, BASE, query, **limits), WORDS, heads)


def vectors(n: int) -> Vectors:
    found = np.random.default_rng(1).standard_normal((n, 3)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


class FakeEncoder:
    spec = BASE

    def encode_images(self, pixels: Pixels) -> Vectors:
        return vectors(len(pixels))

    asked: list[str]

    def encode_texts(self, texts: Any) -> Vectors:
        self.asked = list(texts)
        return vectors(len(texts))


def test_weights_are_what_the_heads_say() -> None:
    model, given = model_of(), vectors(5)
    activation = np.maximum(given @ model.heads["image.0.weight"].T + 0.5, 0)
    np.testing.assert_allclose(model.image_weights(given).toarray(), np.log1p(activation), rtol=1e-6)
    np.testing.assert_allclose(model_of("thesis").image_weights(given).toarray(), activation, rtol=1e-6)


def test_a_picture_keeps_its_strongest_words() -> None:
    every, two = model_of().image_weights(vectors(20)).toarray(), model_of(max_terms=2).image_weights(vectors(20))
    assert np.diff(two.indptr).max() == 2
    for row, kept in zip(every, two.toarray(), strict=True):
        assert sorted(kept[kept > 0]) == sorted(sorted(row[row > 0])[-2:])


def test_batch_equals_single_and_the_empty_batch_is_fine() -> None:
    model, given = model_of(), vectors(6)
    singly = np.concatenate([model.image_weights(given[i : i + 1]).toarray() for i in range(6)])
    np.testing.assert_allclose(model.image_weights(given).toarray(), singly, rtol=1e-6)
    assert model.image_weights(given[:0]).shape == (0, 4)
    assert model.text_weights([]).shape == (0, 4)


def test_a_query_has_its_own_words_only() -> None:
    assert model_of().text_weights(["red stars, red"]).toarray().tolist() == [[0, 0, 1, 4]]
    assert model_of(query="vocabulary").text_weights(["red stars"]).toarray().tolist() == [[0, 0, 1, 1]]
    by_text = model_of(query="text").text_weights(["red stars"], vectors(1)).toarray()[0]
    expanded = model_of(query="expanded").text_weights(["red stars"], vectors(1)).toarray()[0]
    assert not by_text[:2].any()
    np.testing.assert_allclose(by_text[2:], expanded[2:])


def test_a_person_weighs_words() -> None:
    model = model_of()
    assert model.query_weights("red^3 star").toarray().tolist() == [[0, 0, 3, 4]]
    assert model.query_weights("red star -blue").toarray().tolist() == [[-2.5, 0, 1, 4]]  # the mean of 1 and 4
    assert model.query_weights("zebra").nnz == 0


def test_what_is_spoken_has_no_weights_and_nothing_to_avoid() -> None:
    assert spoken_part("big dog^2.5 on sand -cat moon^0") == "big dog on sand"


def test_its_vectors_are_those_of_the_encoder_underneath() -> None:
    fake = FakeEncoder()
    encoder = SparseEncoder(BASE, fake, needs_text_vectors=False)
    assert encoder.encode_images(np.zeros((2, 8, 8, 3), np.uint8)).shape == (2, 3)
    assert encoder.encode_texts(["red^2", "blue"]).shape == (2, 3)
    assert fake.asked == ["red^2", "blue"]
    encoder.encode_queries(["red^2 -blue", "star"])
    assert fake.asked == ["red", "star"]


def test_a_picture_says_its_strongest_words() -> None:
    model, (vector,) = model_of(), vectors(1)
    weights = model.image_weights(vector[None]).toarray()[0]
    found = model.strongest_words(vector, 2)
    assert [weight for _, weight in found] == sorted(weights[weights > 0], reverse=True)[:2]
    assert all(weights[WORDS.words.index(word)] == weight for word, weight in found)
    assert len(model_of(max_terms=1).strongest_words(vector, 5)) == 1


def test_equally_strong_words_are_in_alphabetical_order() -> None:
    weights = csr_matrix(np.array([[1, 0, 2, 1]], np.float32))
    assert strongest_words(weights, ("b", "x", "c", "a"), 2) == [("c", 2.0), ("a", 1.0)]


@pytest.mark.parametrize("query", ["words", "text", "expanded"])
def test_what_is_saved_is_loaded(tmp_path: Path, query: QueryWeights) -> None:
    model = model_of(query=query, max_terms=3)
    model.save(tmp_path)
    loaded = SparseModel.load(tmp_path)
    assert loaded.config == model.config
    assert loaded.vocabulary.words == WORDS.words
    texts = ["a red heart", "stars"]
    assert (loaded.image_weights(vectors(9)) != model.image_weights(vectors(9))).nnz == 0
    assert (loaded.text_weights(texts, vectors(2)) != model.text_weights(texts, vectors(2))).nnz == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([CONFIG_NAME, TERMS_NAME, HEADS_NAME])


def test_saving_that_fails_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model_of().save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        if target.name == HEADS_NAME:
            raise OSError(28, "No space left on device", str(self))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        model_of(max_terms=2).save(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_its_spec_names_what_makes_weights_comparable(tmp_path: Path) -> None:
    model_of().save(tmp_path)
    spec = resolve(str(tmp_path))
    assert (spec.family, spec.dim, spec.preprocessing, spec.base) == ("sparse", 3, BASE.preprocessing, BASE)
    assert ModelSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert str(spec).endswith("on clip scenes (hash)")
    model_of(max_terms=2).save(tmp_path)
    assert resolve(str(tmp_path)).weights_hash != spec.weights_hash


def test_an_encoder_of_pictures_only_can_t_be_indexed_with(tmp_path: Path) -> None:
    base = ModelSpec("timm", "resnet101", "hash", 3, Preprocessing(size_px=8))
    model = model_of()
    SparseModel(SparseConfig("thesis", base, "words"), WORDS, model.heads).save(tmp_path)
    with pytest.raises(InputError, match=r"timm resnet101 \(hash\), which encodes images only"):
        resolve(str(tmp_path))


def test_a_checkpoint_for_another_vocabulary_is_refused(tmp_path: Path) -> None:
    model_of().save(tmp_path)
    WORDS.save(tmp_path / "same.json")
    assert SparseModel.load(tmp_path, tmp_path / "same.json").vocabulary.words == WORDS.words
    TermVocabulary.fit(["red heart", "blue moon", "red moon"]).save(tmp_path / TERMS_NAME)
    with pytest.raises(
        StateError, match=r"terms\.json \(4 words\) is not the vocabulary the model in .* was trained with"
    ):
        SparseModel.load(tmp_path)


def test_heads_of_another_width_are_refused() -> None:
    model = model_of()
    with pytest.raises(StateError, match="has 4 words, the vocabulary 2: this is a checkpoint for another vocabulary"):
        SparseModel(model.config, TermVocabulary.fit(["red heart"]), model.heads)
    wider = SparseConfig("dense-to-sparse", ModelSpec("clip", "x", "y", 5, BASE.preprocessing), "words")
    with pytest.raises(StateError, match=r"head image\.0 does not fit 5 inputs"):
        SparseModel(wider, WORDS, model.heads)
    broken = {**model.heads, "words": np.array([1, np.nan, 1, 1], np.float32)}
    with pytest.raises(StateError, match="not finite"):
        SparseModel(model.config, WORDS, broken)
    images_only = {name: array for name, array in model.heads.items() if not name.startswith("text")}
    with pytest.raises(StateError, match="the text head has 0 words"):
        SparseModel(SparseConfig("dense-to-sparse", BASE, "text"), WORDS, images_only)


def test_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a sparse model"):
        SparseModel.load(tmp_path / "nowhere")
    model_of().save(tmp_path)
    told = json.loads((tmp_path / CONFIG_NAME).read_text())
    for broken in ("{", "[]", json.dumps({**told, "format": 9}), json.dumps({**told, "query": "loud"})):
        (tmp_path / CONFIG_NAME).write_text(broken)
        with pytest.raises(StateError, match="is damaged"):
            SparseModel.load(tmp_path)
    (tmp_path / CONFIG_NAME).write_text(json.dumps(told))
    (tmp_path / HEADS_NAME).write_bytes(b"no tensors")
    with pytest.raises(StateError, match="can't be read"):
        SparseModel.load(tmp_path)


def test_text_vectors_are_asked_for_where_they_are_needed() -> None:
    assert not model_of().needs_text_vectors
    with pytest.raises(ValueError, match="need the text's dense vectors"):
        model_of(query="text").text_weights(["red"])
