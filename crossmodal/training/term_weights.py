"""Training of a sparse model: heads that predict term weights from a frozen encoder's vectors, in two recipes."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import numpy as np

from crossmodal.core.protocols import Encoder
from crossmodal.datasets.scenes import caption_seed
from crossmodal.evaluation.encoding import Advance, EncodedSplit, encode_batches, with_captions
from crossmodal.evaluation.term_ranking import epoch_figures
from crossmodal.lexical.model import SparseModel
from crossmodal.lexical.terms import TermVocabulary
from crossmodal.scenes import language
from crossmodal.training.distilled_heads import DenseToSparseTraining, train_dense_to_sparse
from crossmodal.training.scene_pool import draw_pool
from crossmodal.training.thesis_heads import ThesisTraining, train_thesis
from crossmodal.training.trainer import HISTORY, History, Report

HeadRecipe = ThesisTraining | DenseToSparseTraining
RECIPES: dict[str, HeadRecipe] = {"thesis": ThesisTraining(), "dense-to-sparse": DenseToSparseTraining()}
"""The recipes by name, with default settings."""

BATCH = 64
"""Images per encoding batch."""
SEED = 0
"""Of the drawn scenes."""


def train_model(
    recipe: HeadRecipe,
    encoder: Encoder,
    vocabulary: TermVocabulary,
    train: EncodedSplit,
    dev: EncodedSplit,
    report: Report,
) -> tuple[SparseModel, History]:
    """The model of the epoch with the best MRR on dev, and the history.

    Raises:
        InputError: A split is empty, or the recipe needs a text encoder and `encoder` has none.
        StateError: The loss is not finite.
    """
    if isinstance(recipe, ThesisTraining):
        return train_thesis(recipe, encoder.spec, vocabulary, train, dev, epoch_figures, report)
    return train_dense_to_sparse(recipe, encoder.spec, vocabulary, train, dev, epoch_figures, report)


def save(model: SparseModel, history: History, folder: Path) -> None:
    """Writes the folder that `-m sparse --weights FOLDER` loads, with the history beside the model."""
    model.save(folder)
    (folder / HISTORY).write_text(json.dumps(history, indent=2) + "\n", "utf8")


def scene_split(encoder: Encoder, n_scenes: int, pool: Path, advance: Advance) -> EncodedSplit:
    """Encoded scenes of the train split with five captions each; the images are drawn once into the folder `pool`."""
    images, scenes = draw_pool(pool, n_scenes, encoder.spec.preprocessing.size_px, SEED)
    captions = [language.captions(s, Random(caption_seed(SEED, "train", i))) for i, s in enumerate(scenes)]
    batches = (np.ascontiguousarray(images[start : start + BATCH]) for start in range(0, n_scenes, BATCH))
    vectors = encode_batches(encoder, batches, advance)
    image_of = np.repeat(np.arange(n_scenes), [len(texts) for texts in captions])
    return with_captions(encoder, vectors, [text for texts in captions for text in texts], image_of)
