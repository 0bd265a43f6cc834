"""Encoding, relevance and AUROC for benchmarks/cutoff.py."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import common  # noqa: F401  adds the project to the path
import numpy as np
from PIL import Image

from crossmodal.core.types import Vectors
from crossmodal.encoders import registry as models
from crossmodal.images.geometry import fit
from crossmodal.relevance import calibration as calibrating
from crossmodal.relevance.calibration import Sample
from crossmodal.relevance.rules import Background, Fitted, Rule

BATCH = 64
Figures = dict[str, float]


class Model:
    """A CLIP model that encodes pictures and texts in batches."""

    def __init__(self, weights: str) -> None:
        self._encoder = models.load(models.resolve("clip", weights))

    def images(self, pictures: list[Image.Image]) -> Vectors:
        """The unit vectors of pictures: (n, dim)."""
        preprocessing = self._encoder.spec.preprocessing
        batches = [pictures[i : i + BATCH] for i in range(0, len(pictures), BATCH)]
        return np.concatenate(
            [self._encoder.encode_images(np.stack([fit(p, preprocessing) for p in batch])) for batch in batches]
        )

    def texts(self, texts: list[str]) -> Vectors:
        """The unit vectors of texts: (n, dim)."""
        return np.concatenate([self._encoder.encode_texts(texts[i : i + 256]) for i in range(0, len(texts), 256)])


def sample_of(model: Model, images: Vectors, captions: list[list[str]]) -> Sample:
    texts = [caption for of_picture in captions for caption in of_picture]
    image_of = np.repeat(np.arange(len(captions)), [len(of_picture) for of_picture in captions])
    vectors = model.texts(texts) if texts else np.empty((0, images.shape[1]), np.float32)
    return Sample(images, vectors, texts, image_of.astype(np.int64))


def relevances(rule: Fitted | Background, queries: Vectors, best: np.ndarray) -> np.ndarray:
    """(q,) the relevance of each query's best result, by a rule that needs only its score."""
    return np.array([rule.of(query, np.array([score]))[0] for query, score in zip(queries, best, strict=True)])


@dataclass
class Ranked:
    """The best pictures of a query, in the form that a rule takes."""

    pictures: Vectors
    nearest: np.ndarray

    def vectors(self) -> Vectors:
        """(k, dim) the pictures' vectors."""
        return self.pictures

    def captions(self) -> np.ndarray:
        """(k,) the query's cosine with each picture's nearest caption."""
        return self.nearest


def greatest(rule: Rule, sample: Sample, queries: Vectors, scores: Vectors) -> np.ndarray:
    """(q,) the greatest relevance among the ten best pictures of each query."""
    everything = np.full(len(queries), -1)
    near = calibrating.nearest_captions(queries, sample, everything) if len(sample.texts) else scores
    best = np.argsort(-scores, axis=1)[:, : calibrating.NEAREST]
    return np.array([
        rule.of(query, scores[i, best[i]], Ranked(sample.images[best[i]], near[i, best[i]])).max()
        for i, query in enumerate(queries)
    ])  # fmt: skip


def auroc(values: np.ndarray, is_true: np.ndarray) -> float:
    """Area under the ROC curve: the share of (true, false) pairs with the greater value for true; ties count half."""
    true, false = values[is_true][:, None], values[~is_true][None, :]
    return float((true > false).mean() + (true == false).mean() / 2)


def means(runs: Iterable[Figures]) -> Figures:
    by_name: dict[str, list[float]] = defaultdict(list)
    for figures in runs:
        for name, value in figures.items():
            by_name[name].append(value)
    return {name: float(np.mean(values)) for name, values in by_name.items()}
