"""The distilled recipe for sparse heads: image vector, linear, log(1 + ReLU), and a weight for each word of a query.

The loss is contrastive on the sparse dot products, mixed with distillation from the dense scores.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from crossmodal.core.errors import InputError
from crossmodal.core.types import ModelSpec, Vectors
from crossmodal.evaluation.encoding import EncodedSplit
from crossmodal.lexical.model import Heads, QueryWeights, SparseConfig, SparseModel
from crossmodal.lexical.terms import TermVocabulary
from crossmodal.training.head_training import HeadTraining, Measure, check_splits, linear_layers, step, train_heads
from crossmodal.training.losses import flops, matching_loss
from crossmodal.training.trainer import History, Report, Selection, Trainer

LEAST_WORD_WEIGHT = 1e-3


@dataclass(frozen=True)
class DenseToSparseTraining:
    """Settings of the distilled recipe.

    Attributes:
        query: `words`, `text` or `expanded`, see `crossmodal.lexical.model.QueryWeights`.
        hidden: Width of a hidden layer in the heads; 0 for none.
        epochs: Passes over all captions.
        batch_size: Captions per batch, at most one per image.
        learning_rate: Of Adam; falls to 0 along a cosine.
        distillation: Weight of the distillation loss, 0 to 1; the contrastive loss has the rest.
        temperature: Divides the dense scores before they are imitated.
        flops: Weight of the FLOPS regulariser after the warm-up, on images and on expanded queries.
        warm_up: Share of the run over which `flops` rises from 0, with the square of the step.
        max_terms: Terms kept per image.
        max_query_terms: Terms kept per expanded query.
        patience: Epochs without a better MRR that end the run, counted after the warm-up; 0 never ends it.
        seed: Of the initial weights and the order of the captions.

    Source: Nguyen, Hendriksen, Yates, de Rijke 2024, arXiv 2402.17535 (Multimodal Learned Sparse Retrieval),
        frozen dense vectors to sparse ones; Formal et al. 2021, arXiv 2109.10086 (SPLADE v2), FLOPS with a
        quadratic warm-up and distillation.
    """

    query: str = "words"
    hidden: int = 0
    epochs: int = 8
    batch_size: int = 256
    learning_rate: float = 3e-3
    distillation: float = 0.5
    temperature: float = 0.05
    flops: float = 0.1
    warm_up: float = 0.4
    max_terms: int = 64
    max_query_terms: int = 32
    patience: int = 4
    seed: int = 0


def train_dense_to_sparse(
    recipe: DenseToSparseTraining,
    base: ModelSpec,
    vocabulary: TermVocabulary,
    train: EncodedSplit,
    dev: EncodedSplit,
    measure: Measure,
    report: Report,
) -> tuple[SparseModel, History]:
    """The model of the epoch with the best MRR on dev, and the history.

    Raises:
        InputError: A split is empty, `query` is unknown, or it needs a text encoder and the base model has none.
        StateError: The loss is not finite.
    """
    check_splits(train, dev)
    query = _query_of(recipe.query, train.texts)
    torch.manual_seed(recipe.seed)
    heads = DistilledHeads(train.images.shape[1], recipe.hidden, vocabulary, query)
    optimizer = torch.optim.Adam(heads.parameters(), recipe.learning_rate)
    present = vocabulary.encode(train.captions)
    present.data[:] = 1
    images = torch.from_numpy(train.images)
    texts = None if train.texts is None else torch.from_numpy(train.texts)
    batches = [_batches(train.image_of, recipe.batch_size, recipe.seed, epoch) for epoch in range(recipe.epochs)]
    n_steps = sum(map(len, batches))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    config = SparseConfig("dense-to-sparse", base, query, recipe.max_terms, recipe.max_query_terms)
    done = 0

    def steps(epoch: int) -> Iterator[float]:
        nonlocal done
        for rows in batches[epoch]:
            pictures = images[train.image_of[rows]]
            captions = None if texts is None else texts[rows]
            of_images = heads.image_weights(pictures)
            of_texts = heads.text_weights(torch.from_numpy(present[rows].toarray()), captions)
            teacher = _teacher(captions, pictures, recipe.temperature)
            loss = matching_loss(of_texts @ of_images.T, teacher, recipe.distillation)
            ramp = min(1.0, (done / n_steps / recipe.warm_up) ** 2) if recipe.warm_up else 1.0
            loss = loss + recipe.flops * ramp * flops(of_images)
            if query == "expanded":
                loss = loss + recipe.flops * ramp * flops(of_texts)
            done += 1
            yield step(loss, optimizer)
            schedule.step()

    def exported() -> SparseModel:
        return SparseModel(config, vocabulary, heads.arrays())

    first_epoch = round(recipe.warm_up * recipe.epochs)  # before it, image vectors are not sparse yet
    trainer = Trainer(recipe.epochs, report, Selection("MRR", recipe.patience, first_epoch))
    return train_heads(trainer, HeadTraining(steps, exported, dev, measure))


class DistilledHeads(torch.nn.Module):
    """The heads of the distilled recipe as a trainable module."""

    def __init__(self, dim: int, hidden: int, vocabulary: TermVocabulary, query: QueryWeights) -> None:
        super().__init__()
        self.query = query
        self.image = _head(dim, hidden, len(vocabulary))
        if query == "words":
            self.words = torch.nn.Parameter(torch.full((len(vocabulary),), 0.5413))  # softplus(0.5413) = 1
        else:
            self.text = _head(dim, hidden, len(vocabulary))

    def image_weights(self, vectors: Tensor) -> Tensor:
        """Image vectors (n, dim) to term weights (n, V)."""
        return torch.log1p(F.relu(self.image(vectors)))

    def text_weights(self, present: Tensor, vectors: Tensor | None) -> Tensor:
        """Term weights (n, V) of texts, from the words each contains, (n, V) of 0 and 1, and the vectors (n, dim)."""
        if self.query == "words":
            return present * F.softplus(self.words)
        weights = torch.log1p(F.relu(self.text(vectors)))
        return weights if self.query == "expanded" else present * weights

    def arrays(self) -> Heads:
        """The arrays of a `SparseModel`."""
        heads = linear_layers("image", self.image)
        if self.query == "words":
            weights = F.softplus(self.words).detach().numpy()
            return {**heads, "words": np.maximum(weights, LEAST_WORD_WEIGHT).astype(np.float32)}
        return {**heads, **linear_layers("text", self.text)}


def _head(dim: int, hidden: int, n_terms: int) -> torch.nn.Sequential:
    """A head with positive initial biases in its last layer, so that ReLU passes a gradient for every term."""
    last = torch.nn.Linear(hidden or dim, n_terms)
    torch.nn.init.constant_(last.bias, 0.5)
    if not hidden:
        return torch.nn.Sequential(last)
    return torch.nn.Sequential(torch.nn.Linear(dim, hidden), torch.nn.ReLU(), last)


def _teacher(texts: Tensor | None, pictures: Tensor, temperature: float) -> Tensor | None:
    """The dense scores (n, n) as logits, or None without text vectors."""
    return None if texts is None else texts @ pictures.T / temperature


def _batches(image_of: NDArray[np.int64], batch_size: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """Batches with every caption once and no image twice; a batch of a single caption is dropped."""
    order = np.random.default_rng([seed, epoch]).permutation(len(image_of))
    turns: dict[int, int] = {}
    rounds: list[list[int]] = []
    for row in order.tolist():
        turn = turns.get(int(image_of[row]), 0)
        turns[int(image_of[row])] = turn + 1
        if turn == len(rounds):
            rounds.append([])
        rounds[turn].append(row)
    parts = [np.array(rows[i : i + batch_size]) for rows in rounds for i in range(0, len(rows), batch_size)]
    return [rows for rows in parts if len(rows) > 1]


def _query_of(name: str, texts: Vectors | None) -> QueryWeights:
    kinds: dict[str, QueryWeights] = {"words": "words", "text": "text", "expanded": "expanded"}
    if name not in kinds:
        raise InputError(f"there are no queries of the kind {name!r}: choose one of {', '.join(kinds)}")
    if name != "words" and texts is None:
        raise InputError(
            f"query={name} needs an encoder of texts, and this model encodes images only: choose query=words"
        )
    return kinds[name]
