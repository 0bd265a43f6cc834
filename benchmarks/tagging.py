"""Accuracy and calibration of zero-shot labels: `python benchmarks/tagging.py --classes FOLDER [--json PATH]`.

FOLDER has one folder of pictures per class. The labels are the names of the classes, with the weights `photos`, and the
shapes of generated scenes, with the weights `scenes`. As the constants of `crossmodal.collection.labels` were fitted to
25 classes, `split_*` fits them again to random halves of the classes, and measures the other halves.

- top1: share of pictures whose most certain label is right.
- precision, recall: of all pairs of a picture and a label whose certainty reaches 0.5.
- ece: expected calibration error in ten bins of all pairs; `ece_above_.05` of those with a certainty above 0.05.
- rule_*: the same pairs by the relevance of a search.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from common import write_figures
from numpy.typing import NDArray

from crossmodal.collection import labels as labelling
from crossmodal.collection.phrase_vectors import general_vectors
from crossmodal.core.types import ImageRecord, Vectors
from crossmodal.datasets import registry as data_sets
from crossmodal.datasets.scenes import write_scenes
from crossmodal.encoders import registry
from crossmodal.evaluation.classes import name_query
from crossmodal.evaluation.encoding import encode_images
from crossmodal.relevance.calibration import beside_phrases, phrases
from crossmodal.relevance.labels import LabelRule
from crossmodal.relevance.rules import logistic
from crossmodal.scenes.world import SHAPES, make_scene

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
BINS, SPLITS, N_SCENES = 10, 20, 300


def ece(certainties: Floats, is_true: Bools) -> float:
    """The expected calibration error. Source: Naeini, Cooper, Hauskrecht 2015, equation 3."""
    bins = np.minimum((certainties * BINS).astype(int), BINS - 1)
    gaps = [
        abs(certainties[bins == b].mean() - is_true[bins == b].mean()) * (bins == b).mean()
        for b in range(BINS)
        if (bins == b).any()
    ]
    return float(sum(gaps))


def figures(certainties: Floats, is_true: Bools) -> dict[str, float]:
    chosen = certainties >= labelling.THRESHOLD
    n_right, likely = (chosen & is_true).sum(), certainties > 0.05
    best = certainties.argmax(axis=1)
    return {
        "top1": float(is_true[np.arange(len(best)), best].mean()),
        "precision": float(n_right / max(1, chosen.sum())),
        "recall": float(n_right / is_true.sum()),
        "ece": ece(certainties.ravel(), is_true.ravel()),
        "ece_above_.05": ece(certainties[likely], is_true[likely]),
    }


def print_reliability(name: str, certainties: Floats, is_true: Bools) -> None:
    print(f"{name}: certainty, share that is right, pairs")
    bins = np.minimum((certainties * BINS).astype(int), BINS - 1)
    for b in range(BINS):
        if (inside := bins == b).any():
            print(f"  {certainties[inside].mean():.2f}  {is_true[inside].mean():.2f}  {inside.sum():6}")


def fitted(z: Floats, is_true: Bools) -> tuple[float, float]:
    """The scale and the threshold of a logistic regression on z-scores, by Newton's method."""
    features, beta = np.stack([z, np.ones_like(z)], 1), np.zeros(2)
    for _ in range(50):
        chance = logistic(features @ beta)
        curvature = (features * (chance * (1 - chance))[:, None]).T @ features
        beta -= np.linalg.solve(curvature + 1e-9 * np.eye(2), features.T @ (chance - is_true))
    return float(beta[0]), float(-beta[1] / beta[0])


def z_scores(rule: LabelRule, pictures: Vectors, texts: Vectors) -> Floats:
    return rule.background.z((texts @ pictures.T).astype(np.float64), pictures).T


def halves(z: Floats, is_true: Bools) -> dict[str, float]:
    """The means over random halves of the labels, each measured with the constants of the other half."""
    rng, found = np.random.default_rng(0), []
    for _ in range(SPLITS):
        order = rng.permutation(z.shape[1])
        fit, rest = np.array_split(order, 2)
        scale, threshold = fitted(z[:, fit].ravel(), is_true[:, fit].ravel())
        found.append(figures(logistic(scale * (z[:, rest] - threshold)), is_true[:, rest]))
    return {f"split_{name}": float(np.mean([one[name] for one in found])) for name in found[0] if name != "top1"}


def images_of(folder: Path) -> list[ImageRecord]:
    return [record for record in data_sets.read(str(folder)) if isinstance(record, ImageRecord)]


def measured(name: str, rule: LabelRule, pictures: Vectors, texts: Vectors, is_true: Bools) -> dict[str, float]:
    certainties = rule.certainties(pictures, texts, range(len(texts)))
    print_reliability(name, certainties, is_true)
    z = z_scores(rule, pictures, texts)
    scale, threshold = fitted(z.ravel(), is_true.ravel())
    print(f"  fitted to these: scale {scale:.2f}, threshold {threshold:.2f}")
    return {**figures(certainties, is_true), **halves(z, is_true)}


def of_classes(folder: Path) -> dict[str, float]:
    records = images_of(folder)
    model = registry.resolve("clip", registry.PHOTOS)
    encoder = registry.load(model, ("image", "text"))
    pictures = encode_images(encoder, records, lambda _: None, 32)
    of_record = [record.path.parent.name for record in records]
    classes = sorted(set(of_record))
    texts = encoder.encode_texts([name_query(one) for one in classes])
    is_true = np.array([[name == one for one in classes] for name in of_record])
    phrase_vectors = general_vectors(model, encoder.encode_texts)
    rule = LabelRule.beside(phrase_vectors, labelling.GENERAL_SCALE, labelling.GENERAL_THRESHOLD)
    found = measured("classes", rule, pictures, texts, is_true)
    search = beside_phrases(pictures, phrase_vectors, len(pictures))
    if search is not None:
        by_rule = np.stack([search.of(text, pictures @ text, _Judged(pictures)) for text in texts], 1)
        found |= {f"rule_{name}": value for name, value in figures(by_rule, is_true).items()}
    return found


class _Judged:
    """Implements `relevance.rules.Judged` for pictures without captions."""

    def __init__(self, pictures: Vectors) -> None:
        self._pictures = pictures

    def vectors(self) -> Vectors:
        return self._pictures

    def captions(self) -> Floats:
        return np.full(len(self._pictures), np.nan)


def of_scenes() -> dict[str, float]:
    with TemporaryDirectory() as folder:
        write_scenes(Path(folder), "test", N_SCENES)
        records = images_of(Path(folder))
        encoder = registry.load(registry.resolve("clip", registry.SCENES), ("image", "text"))
        pictures = encode_images(encoder, records, lambda _: None, 32)
    captions: Sequence[str] = [caption for record in records for caption in record.captions]
    scenes = [make_scene("test", int(record.path.stem[5:])) for record in records]
    is_true = np.array([[any(thing.shape == shape for thing in one.things) for shape in SHAPES] for one in scenes])
    texts = encoder.encode_texts([name_query(shape) for shape in SHAPES])
    background = encoder.encode_texts(list(phrases(captions)))
    rule = LabelRule.beside(background, labelling.SCENES_SCALE, labelling.SCENES_THRESHOLD)
    return measured("scenes", rule, pictures, texts, is_true)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=Path, help="folder with one folder of pictures per class")
    parser.add_argument("--json", metavar="PATH", help="also write the figures")
    arguments = parser.parse_args()
    found = {f"scenes_{name}": value for name, value in of_scenes().items()}
    if arguments.classes:
        found |= {f"classes_{name}": value for name, value in of_classes(arguments.classes).items()}
    write_figures(arguments.json, found)


if __name__ == "__main__":
    main()
