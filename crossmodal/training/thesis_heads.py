"""The thesis's recipe for sparse heads: image vector, linear, ReLU, linear; cross-entropy on the captions' words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from crossmodal.core.types import ModelSpec
from crossmodal.evaluation.encoding import EncodedSplit
from crossmodal.lexical.model import SparseConfig, SparseModel
from crossmodal.lexical.terms import TermVocabulary
from crossmodal.training.head_training import HeadTraining, Measure, check_splits, linear_layers, step, train_heads
from crossmodal.training.trainer import History, Report, Selection, Trainer


@dataclass(frozen=True)
class ThesisTraining:
    """Settings of the thesis's recipe. `positive_weight` 0 uses the ratio of absent to present words, 200 on Flickr30k.

    Source: a master's thesis on learned sparse image embeddings, 2021.
    """

    hidden: int = 4096
    epochs: int = 20
    batch_size: int = 16
    learning_rate: float = 0.5
    positive_weight: float = 0.0
    sparsity: float = 1e-3
    max_terms: int = 0
    patience: int = 3
    seed: int = 0


def train_thesis(
    recipe: ThesisTraining,
    base: ModelSpec,
    vocabulary: TermVocabulary,
    train: EncodedSplit,
    dev: EncodedSplit,
    measure: Measure,
    report: Report,
) -> tuple[SparseModel, History]:
    """The model of the epoch with the best MRR on dev, and the history.

    The loss of an image is the weighted binary cross-entropy of its captions' words, averaged over the vocabulary, plus
    `sparsity` times the sum of its activations after ReLU.

    Raises:
        InputError: A split is empty.
        StateError: The loss is not finite.
    """
    check_splits(train, dev)
    torch.manual_seed(recipe.seed)
    n_terms, dim = len(vocabulary), train.images.shape[1]
    head = torch.nn.Sequential(
        torch.nn.Linear(dim, recipe.hidden), torch.nn.ReLU(), torch.nn.Linear(recipe.hidden, n_terms)
    )  # fmt: skip
    optimizer = torch.optim.SGD(head.parameters(), recipe.learning_rate)
    targets = vocabulary.encode(train.caption_sets())
    targets.data[:] = 1
    ratio = recipe.positive_weight or (len(train.images) * n_terms - targets.nnz) / max(targets.nnz, 1)
    weight = torch.tensor(ratio)
    scale = dim**0.5  # brings unit vectors to the scale of CNN features, which the learning rate assumes
    images = torch.from_numpy(train.images) * scale
    config = SparseConfig("thesis", base, "vocabulary", recipe.max_terms)

    def steps(epoch: int) -> Iterator[float]:
        order = np.random.default_rng([recipe.seed, epoch]).permutation(len(images))
        for start in range(0, len(order), recipe.batch_size):
            rows = order[start : start + recipe.batch_size]
            logits = head(images[rows])
            present = torch.from_numpy(targets[rows].toarray())
            loss = F.binary_cross_entropy_with_logits(logits, present, pos_weight=weight)
            loss = loss + recipe.sparsity * F.relu(logits).sum(dim=1).mean()
            yield step(loss, optimizer)

    def exported() -> SparseModel:
        heads = linear_layers("image", head)
        heads["image.0.weight"] *= scale
        return SparseModel(config, vocabulary, heads)

    trainer = Trainer(recipe.epochs, report, Selection("MRR", recipe.patience))
    return train_heads(trainer, HeadTraining(steps, exported, dev, measure))
