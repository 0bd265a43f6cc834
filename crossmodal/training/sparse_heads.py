"""Heads that give pictures and queries weights of words, trained on vectors of a frozen encoder.

The vectors are made once and stay in memory, so an epoch takes seconds. Two recipes:

`thesis`          image vector - linear - ReLU - linear, told by cross-entropy which words the captions have.
`dense-to-sparse` image vector - linear - log(1 + ReLU), and a weight for each word of a query, told by a
                  contrastive loss on the sparse dot products and by the dense scores.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from crossmodal.core.errors import InputError, StateError
from crossmodal.core.types import ModelSpec, Vectors
from crossmodal.lexical.model import Heads, QueryWeights, SparseConfig, SparseModel
from crossmodal.lexical.terms import TermVocabulary

LEAST_WORD_WEIGHT = 1e-3


@dataclass(frozen=True)
class Features:
    """A split, encoded once.

    Attributes:
        images: (n, dim) unit vectors.
        texts: (m, dim) unit vectors of the captions, or None where the encoder knows pictures only.
        captions: m texts.
        image_of: (m,) int64, which picture each is of.
    """

    images: Vectors
    texts: Vectors | None
    captions: list[str]
    image_of: NDArray[np.int64]

    def caption_sets(self) -> list[str]:
        """The captions of each picture as one text, in the order of the pictures."""
        told: list[list[str]] = [[] for _ in range(len(self.images))]
        for caption, image in zip(self.captions, self.image_of, strict=True):
            told[image].append(caption)
        return [" ".join(captions) for captions in told]


Measure = Callable[[SparseModel, Features], dict[str, Any]]
"""The evaluation of an epoch; its `MRR` chooses."""
Report = Callable[[str], None]


@dataclass(frozen=True)
class ThesisTraining:
    """The thesis's recipe. `positive_weight` 0 is the ratio of absent to present words, 200 on Flickr30k.

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


@dataclass(frozen=True)
class DenseToSparseTraining:
    """The distilled recipe.

    Attributes:
        query: `words`, `text` or `expanded`, see `crossmodal.lexical.model.QueryWeights`.
        hidden: Width of a hidden layer in the heads; 0 is none.
        epochs: Passes over all captions.
        batch_size: Captions, at most one a picture.
        learning_rate: Of Adam; falls to 0 along a cosine.
        distillation: Share of the loss that is the dense scores'; the rest is the captions' own pictures.
        temperature: What dense scores are divided by to be imitated.
        flops: Weight of the FLOPS term at its full height; for the pictures, and for expanded queries.
        warm_up: Share of the run over which it rises, with the square of the step.
        max_terms: Words a picture keeps.
        max_query_terms: Words an expanded query keeps.
        patience: Epochs without a better MRR that end the run; 0 never does. Counted after the warm-up.
        seed: Of the first weights and the order.

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


def train_thesis(
    own: ThesisTraining,
    base: ModelSpec,
    vocabulary: TermVocabulary,
    train: Features,
    dev: Features,
    measure: Measure,
    report: Report,
) -> tuple[SparseModel, list[dict[str, Any]]]:
    """The model of the epoch that did best on dev, and the history, an entry an epoch.

    The loss of a picture is the mean over words of the weighted cross-entropy of its captions' words, plus
    `sparsity` times the sum of its activations after ReLU.

    Raises:
        InputError: A split is empty.
        StateError: The loss is not finite.
    """
    _check(train, dev)
    torch.manual_seed(own.seed)
    n_terms, dim = len(vocabulary), train.images.shape[1]
    head = torch.nn.Sequential(
        torch.nn.Linear(dim, own.hidden), torch.nn.ReLU(), torch.nn.Linear(own.hidden, n_terms)
    )  # fmt: skip
    optimizer = torch.optim.SGD(head.parameters(), own.learning_rate)
    targets = vocabulary.encode(train.caption_sets())
    targets.data[:] = 1
    ratio = own.positive_weight or (len(train.images) * n_terms - targets.nnz) / max(targets.nnz, 1)
    weight = torch.tensor(ratio)
    scale = dim**0.5  # unit vectors to values of about 1, as a CNN's features are; else the rate is far too low
    images = torch.from_numpy(train.images) * scale
    config = SparseConfig("thesis", base, "vocabulary", own.max_terms)

    def steps(epoch: int) -> Iterator[float]:
        order = np.random.default_rng([own.seed, epoch]).permutation(len(images))
        for start in range(0, len(order), own.batch_size):
            rows = order[start : start + own.batch_size]
            logits = head(images[rows])
            wanted = torch.from_numpy(targets[rows].toarray())
            loss = F.binary_cross_entropy_with_logits(logits, wanted, pos_weight=weight)
            loss = loss + own.sparsity * F.relu(logits).sum(dim=1).mean()
            yield _step(loss, optimizer)

    def made() -> SparseModel:
        heads = _linear_layers("image", head)
        heads["image.0.weight"] *= scale
        return SparseModel(config, vocabulary, heads)

    return _epochs(steps, made, dev, own.epochs, own.patience, 0, measure, report)


def train_dense_to_sparse(
    own: DenseToSparseTraining,
    base: ModelSpec,
    vocabulary: TermVocabulary,
    train: Features,
    dev: Features,
    measure: Measure,
    report: Report,
) -> tuple[SparseModel, list[dict[str, Any]]]:
    """The model of the epoch that did best on dev, and the history, an entry an epoch.

    Raises:
        InputError: A split is empty, an unknown `query`, or one that needs a text encoder where there is none.
        StateError: The loss is not finite.
    """
    _check(train, dev)
    query = _query_of(own.query, train.texts)
    torch.manual_seed(own.seed)
    heads = _Heads(train.images.shape[1], own.hidden, vocabulary, query)
    optimizer = torch.optim.Adam(heads.parameters(), own.learning_rate)
    present = vocabulary.encode(train.captions)
    present.data[:] = 1
    images = torch.from_numpy(train.images)
    texts = None if train.texts is None else torch.from_numpy(train.texts)
    batches = [_batches(train.image_of, own.batch_size, own.seed, epoch) for epoch in range(own.epochs)]
    n_steps = sum(map(len, batches))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    config = SparseConfig("dense-to-sparse", base, query, own.max_terms, own.max_query_terms)
    done = 0

    def steps(epoch: int) -> Iterator[float]:
        nonlocal done
        for rows in batches[epoch]:
            pictures = images[train.image_of[rows]]
            told = None if texts is None else texts[rows]
            of_images = heads.image_weights(pictures)
            of_texts = heads.text_weights(torch.from_numpy(present[rows].toarray()), told)
            loss = matching_loss(of_texts @ of_images.T, _teacher(told, pictures, own), own.distillation)
            rising = min(1.0, (done / n_steps / own.warm_up) ** 2) if own.warm_up else 1.0
            loss = loss + own.flops * rising * flops(of_images)
            if query == "expanded":
                loss = loss + own.flops * rising * flops(of_texts)
            done += 1
            yield _step(loss, optimizer)
            schedule.step()

    def made() -> SparseModel:
        return SparseModel(config, vocabulary, heads.arrays())

    return _epochs(steps, made, dev, own.epochs, own.patience, round(own.warm_up * own.epochs), measure, report)


def flops(weights: Tensor) -> Tensor:
    """The expected multiplications of a dot product of two rows of (n, V) weights: sum of squared column means.

    Source: Paria et al. 2020, arXiv 2004.05665, equation 4; Formal et al. 2021, arXiv 2107.05720, equation 4.
    """
    return weights.mean(dim=0).square().sum()


def matching_loss(scores: Tensor, teacher: Tensor | None, distillation: float) -> Tensor:
    """Cross-entropy of who belongs to whom, both ways, mixed with the divergence from a teacher's scores.

    Args:
        scores: (n, n), text i and picture j; i belongs to i.
        teacher: (n, n) scores to imitate, as logits, or None.
        distillation: Share of the teacher, 0 to 1; without one it is 0.
    """
    own = torch.arange(len(scores))
    loss = (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2
    if teacher is None or not distillation:
        return loss
    imitated = [
        F.kl_div(F.log_softmax(ours, dim=1), F.log_softmax(theirs, dim=1), log_target=True, reduction="batchmean")
        for ours, theirs in ((scores, teacher), (scores.T, teacher.T))
    ]
    return (1 - distillation) * loss + distillation * (imitated[0] + imitated[1]) / 2


class _Heads(torch.nn.Module):
    """The heads of the distilled recipe while they learn."""

    def __init__(self, dim: int, hidden: int, vocabulary: TermVocabulary, query: QueryWeights) -> None:
        super().__init__()
        self.query = query
        self.image = _head(dim, hidden, len(vocabulary))
        if query == "words":
            self.words = torch.nn.Parameter(torch.full((len(vocabulary),), 0.5413))  # softplus of it is 1
        else:
            self.text = _head(dim, hidden, len(vocabulary))

    def image_weights(self, vectors: Tensor) -> Tensor:
        """(n, dim) to (n, V)."""
        return torch.log1p(F.relu(self.image(vectors)))

    def text_weights(self, present: Tensor, vectors: Tensor | None) -> Tensor:
        """The words that are in each text, (n, V) of 0 and 1, and its vector to (n, V)."""
        if self.query == "words":
            return present * F.softplus(self.words)
        found = torch.log1p(F.relu(self.text(vectors)))
        return found if self.query == "expanded" else present * found

    def arrays(self) -> Heads:
        """What is saved."""
        heads = _linear_layers("image", self.image)
        if self.query == "words":
            weights = F.softplus(self.words).detach().numpy()
            return {**heads, "words": np.maximum(weights, LEAST_WORD_WEIGHT).astype(np.float32)}
        return {**heads, **_linear_layers("text", self.text)}


def _head(dim: int, hidden: int, n_terms: int) -> torch.nn.Sequential:
    """Its last layer begins with positive biases, so that every word can learn."""
    last = torch.nn.Linear(hidden or dim, n_terms)
    torch.nn.init.constant_(last.bias, 0.5)
    if not hidden:
        return torch.nn.Sequential(last)
    return torch.nn.Sequential(torch.nn.Linear(dim, hidden), torch.nn.ReLU(), last)


def _linear_layers(name: str, head: torch.nn.Sequential) -> Heads:
    layers = [layer for layer in head if isinstance(layer, torch.nn.Linear)]
    heads: Heads = {}
    for number, layer in enumerate(layers):
        heads[f"{name}.{number}.weight"] = layer.weight.detach().numpy().copy()
        heads[f"{name}.{number}.bias"] = layer.bias.detach().numpy().copy()
    return heads


def _teacher(texts: Tensor | None, pictures: Tensor, own: DenseToSparseTraining) -> Tensor | None:
    return None if texts is None else texts @ pictures.T / own.temperature


def _batches(image_of: NDArray[np.int64], batch_size: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """Every caption once, in batches that have no picture twice; a batch of one is left out."""
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
        raise InputError(f"query={name} needs an encoder of texts, and this one knows pictures only: take query=words")
    return kinds[name]


def _check(train: Features, dev: Features) -> None:
    for name, features in (("train", train), ("dev", dev)):
        if not len(features.images) or not features.captions:
            raise InputError(f"the {name} split has no pictures with captions: nothing to train with")


def _step(loss: Tensor, optimizer: torch.optim.Optimizer) -> float:
    value = float(loss.item())
    if not np.isfinite(value):
        raise StateError(f"the loss is {value}: choose a lower learning_rate with --set")
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return value


def _epochs(
    steps: Callable[[int], Iterator[float]],
    made: Callable[[], SparseModel],
    dev: Features,
    epochs: int,
    patience: int,
    earliest: int,
    measure: Measure,
    report: Report,
) -> tuple[SparseModel, list[dict[str, Any]]]:
    """Trains; keeps the model of the best MRR from epoch `earliest` on, when the pictures are sparse."""
    history: list[dict[str, Any]] = []
    best, best_mrr, best_epoch = made(), -1.0, -1
    for epoch in range(epochs):
        began = time.monotonic()
        loss = float(np.mean(list(steps(epoch))))
        model = made()
        figures = measure(model, dev)
        history.append({"epoch": epoch, "loss": loss, "seconds": round(time.monotonic() - began, 2), **figures})
        report(f"epoch {epoch}: loss {loss:.4f}  dev {_told(figures)}")
        if figures["MRR"] > best_mrr or epoch <= earliest:
            best, best_mrr, best_epoch = copy.copy(model), figures["MRR"], epoch
        if patience and epoch - max(best_epoch, earliest) >= patience:
            report(f"no better MRR for {patience} epochs: stopped early")
            break
    return best, history


def _told(figures: dict[str, Any]) -> str:
    return "  ".join(f"{name} {value}" for name, value in figures.items() if not isinstance(value, (dict, list)))
