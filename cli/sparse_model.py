"""train, evaluate, analyse and tune with -m sparse, whose images are weighted terms."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from cli.progress import Meter
from cli.recipe_settings import with_settings
from crossmodal.core.errors import InputError
from crossmodal.core.files import write_output
from crossmodal.core.os_errors import why_not_writable
from crossmodal.core.protocols import Encoder
from crossmodal.core.settings import Settings
from crossmodal.core.types import ImageRecord, Modality, Vectors
from crossmodal.datasets import registry as data_sets
from crossmodal.encoders import registry as models
from crossmodal.evaluation.encoding import EncodedSplit, encode_images, encode_split
from crossmodal.evaluation.evaluation_set import EvaluationSet, read_set
from crossmodal.evaluation.fusion_tuning import matches_of_parts
from crossmodal.evaluation.fusion_tuning import tune as tune_fusion
from crossmodal.evaluation.term_ranking import analysis, model_figures
from crossmodal.lexical.model import SparseModel
from crossmodal.lexical.scoring import Scoring
from crossmodal.lexical.terms import TermVocabulary
from crossmodal.search.fusion import FUSION_NAME

BATCH = 64

Report = Callable[[str], None]


@dataclass(frozen=True)
class TrainingOptions:
    """The recipe and its vocabulary, set by `--set`.

    `recipe` is `thesis` or `dense-to-sparse`. `n_scenes` are drawn for `-d scenes`. The vocabulary has the words that
    occur in at least `min_df` captions and in at most the share `max_df` of them.
    """

    recipe: str = "dense-to-sparse"
    n_scenes: int = 8000
    min_df: int = 2
    max_df: float = 1.0


def train(settings: Settings, out: Path | None, assignments: Sequence[str], report: Report) -> Path:
    """Trains heads on an encoder and returns the folder, which `-m sparse --weights FOLDER` loads.

    Args:
        settings: `data_set`; `weights` names the encoder, FAMILY:WEIGHTS, by default the data set's CLIP;
            `vocabulary` is a file of words, by default those of the training captions.
        out: The folder to write; by default one in the workspace.
        assignments: `NAME=VALUE` of `TrainingOptions`, and of `ThesisTraining` or `DenseToSparseTraining`.
        report: Called with lines of progress.

    Raises:
        InputError: An unknown recipe or setting, or a data set without captions or splits.
    """
    from crossmodal.training import term_weights as training

    names = {field.name for field in fields(TrainingOptions)}
    of_options = [item for item in assignments if item.partition("=")[0] in names]
    options = with_settings(TrainingOptions(), of_options)
    if options.recipe not in training.RECIPES:
        raise InputError(f"unknown recipe {options.recipe!r}: choose one of {', '.join(training.RECIPES)}")
    recipe = with_settings(training.RECIPES[options.recipe], [item for item in assignments if item not in of_options])
    name = data_sets.collection_name(data_sets.canonical(settings.data_set))
    folder = out or settings.workspace / "training" / f"sparse-{name}"
    encoder = base_encoder(settings)
    split, dev = training_splits(encoder, settings, options.n_scenes, folder.parent / "pool")
    if settings.vocabulary:
        vocabulary = TermVocabulary.load(settings.vocabulary)
    else:
        vocabulary = TermVocabulary.fit(split.captions, options.min_df, options.max_df)
    report(f"{len(split.images)} pictures, {len(split.captions)} captions, {len(vocabulary)} words")
    began = time.monotonic()
    model, history = training.train_model(recipe, encoder, vocabulary, split, dev, report)
    training.save(model, history, folder)
    best = max(history, key=lambda entry: float(entry["MRR"]))
    report(f"best: epoch {best['epoch']} with MRR {best['MRR']} on dev, {time.monotonic() - began:.0f} s")
    return folder


def evaluate(settings: Settings, scoring: Scoring | None = None) -> dict[str, Any]:
    """Text-to-image recall of a sparse model on a data set and a split, compared with its dense encoder.

    Args:
        settings: `weights` is the folder that training wrote.
        scoring: The scoring of the inverted index; by default that of this model's collections.

    Returns:
        `{"data_set", "split", "rows"}`: a row for the dense vectors and one for the terms, each with `R@k`,
        `MRR`, and of the terms the posting figures and the latency of a search.
    """
    model, encoder = load(settings)
    rows = model_figures(model, captioned_split(encoder, settings), scoring or model.config.scoring)
    return {"data_set": settings.data_set, "split": settings.split, "rows": rows}


def analyse(settings: Settings, n_pictures: int = 10, n_words: int = 10) -> dict[str, Any]:
    """The posting lists of a data set's images, and the strongest words of the first `n_pictures`, by path."""
    model, encoder = load(settings, ("image",))
    subject = _read_set(settings)
    images = model.image_weights(_encoded_images(encoder, subject.records))
    names = [str(record.path) for record in subject.records[:n_pictures]]
    return analysis(model, images, subject.captions, names, n_words)


def tune(settings: Settings, out: Path | None = None) -> dict[str, Any]:
    """Selects the fusion of vectors, terms and captions on the dev split; see `crossmodal.evaluation.fusion_tuning`.

    The fusion is also written to `fusion.json` beside the weights, or in the folder `out`.
    """
    model, encoder = load(settings)
    path = (out or Path(settings.weights or ".")) / FUSION_NAME
    if why := why_not_writable(path):
        raise InputError(f"{path} can't be written: {why}")
    split = captioned_split(encoder, settings)
    result = tune_fusion(matches_of_parts(model, split), split.image_of, len(split.images))
    fusion = json.dumps({"fusion": result["best"], "parts": result["parts"]}, indent=2) + "\n"
    write_output(path, fusion.encode())
    return result


def load(settings: Settings, towers: tuple[Modality, ...] = ("image", "text")) -> tuple[SparseModel, Encoder]:
    """The sparse model of `settings.weights` and its encoder, with those of the given towers that it has.

    Raises:
        InputError: The settings have no weights, or there is no such folder.
        StateError: The folder is damaged, or its encoder has changed.
    """
    if not settings.weights:
        raise InputError("give the folder of the sparse model with --weights; train one with `-t train -m sparse`")
    model = SparseModel.load(Path(settings.weights), settings.vocabulary)
    base = model.config.base
    known = tuple(tower for tower in towers if tower in base.modalities)
    return model, models.load(base, known, settings.threads or None)


def base_encoder(settings: Settings) -> Encoder:
    """The encoder of `settings.weights`, FAMILY or FAMILY:WEIGHTS; by default CLIP."""
    family, _, weights = (settings.weights or "clip").partition(":")
    name = weights or models.default_weights(family, data_sets.canonical(settings.data_set))
    spec = models.resolve(family, name)
    return models.load(spec, spec.modalities, settings.threads or None)


def training_splits(
    encoder: Encoder, settings: Settings, n_scenes: int, pool: Path
) -> tuple[EncodedSplit, EncodedSplit]:
    """The train and dev splits, encoded; for scenes, `n_scenes` are drawn into `pool`."""
    from crossmodal.training.splits import captioned, train_and_dev
    from crossmodal.training.term_weights import scene_split

    name = data_sets.canonical(settings.data_set)
    if name != models.SCENES:
        records, dev = train_and_dev(name, settings.num_docs, settings.columns)
        return _encoded(encoder, records), _encoded(encoder, dev)
    n_scenes = settings.num_docs or n_scenes
    with Meter("pictures", n_scenes) as meter:
        train_split = scene_split(encoder, n_scenes, pool, meter.advance)
    return train_split, _encoded(encoder, captioned(name, "dev"))


def captioned_split(encoder: Encoder, settings: Settings) -> EncodedSplit:
    """The images of a data set and a split with up to five captions each, encoded.

    Raises:
        InputError: They have no captions.
    """
    subject = _read_set(settings)
    if not subject.captions:
        raise InputError(f"{settings.data_set} has no captions, which a sparse model is evaluated with")
    return _encoded(encoder, subject.records)


def _read_set(settings: Settings) -> EvaluationSet:
    return read_set(settings.data_set, settings.split, settings.columns, settings.num_docs)


def _encoded(encoder: Encoder, records: Sequence[ImageRecord]) -> EncodedSplit:
    with Meter("pictures", len(records)) as meter:
        return encode_split(encoder, records, meter.advance, BATCH)


def _encoded_images(encoder: Encoder, records: Sequence[ImageRecord]) -> Vectors:
    with Meter("pictures", len(records)) as meter:
        return encode_images(encoder, records, meter.advance, BATCH)
