"""Experiments for the tests of the playground: drawn pictures in classes, with made-up features searched exactly.

The folders are as `crossmodal experiment` writes them: neighbours, scores and positions agree with each other.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

CLASSES = ("circle", "cross", "ring", "square", "star", "triangle")
METRICS = ("cosine", "euclidean")
N_NEAREST = 15
WEIGHTS = (N_NEAREST - np.arange(N_NEAREST)) / N_NEAREST
SKIPPED = [{"path": "star/broken.jpg", "reason": "truncated"}]
CUTOFFS = (1, 5, 10, 15)
COLOURS = ("#c0392b", "#2471a3", "#1e8449", "#b7950b", "#7d3c98", "#ca6f1e", "#117a65", "#566573")


class Model(NamedTuple):
    """A model of an experiment: how well each of its layers tells the classes apart, from 0."""

    name: str
    strengths: tuple[float, ...]
    trained: bool = True


MODELS = (
    Model("lite0", (0.3, 0.8, 1.3)),
    Model("tiny-vit", (0.2, 1.0, 2.0)),
    Model("resnet-untrained", (0.15, 0.2, 0.1), trained=False),
)


def write_playground(data: Path, *names: str, live: bool = False, **options: Any) -> Path:
    """Writes experiments of these names and the list of them into a folder, which is returned."""
    told = [write_experiment(data / name, name, **options) for name in names]
    entries = [
        {"name": name, "title": name, "n": one["set"]["n"], "comparison": False}
        for name, one in zip(names, told, strict=True)
    ]
    (data / "index.json").write_text(json.dumps({"format": 1, "live": live, "experiments": entries}))
    return data


def write_experiment(
    folder: Path,
    name: str,
    classes: Sequence[str] = CLASSES,
    per_class: int = 10,
    models: Sequence[Model] = MODELS,
    metrics: Sequence[str] = METRICS,
    has_recall: bool = False,
) -> dict[str, Any]:
    """Writes an experiment and returns its experiment.json. Without classes there are 30 pictures of none."""
    dice = np.random.default_rng(0)
    for part in ("pictures", "neighbours", "umap"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    of = np.repeat(np.arange(len(classes) or 1), per_class if classes else 30)
    pictures = []
    for n, place in enumerate(of):
        kind = classes[place] if classes else CLASSES[n % len(CLASSES)]
        picture = drawn(kind, n)
        picture.save(folder / "pictures" / f"{n}.jpg", quality=85)
        pictures.append(
            {
                "id": f"{n:04x}{hashlib.sha1(f'{kind} {n}'.encode()).hexdigest()[4:]}",
                "path": f"{kind}/{kind}-{n:03}.jpg" if classes else f"{n:03}.jpg",
                "class": int(place) if classes else None,
                "width": picture.width,
                "height": picture.height,
            }
        )
    results = []
    for m, model in enumerate(models):
        for layer, strength in enumerate(model.strengths):
            features = made_up(dice, of, strength)
            (folder / "umap" / f"{m}-{layer}.json").write_text(json.dumps(positions(dice, of, strength)))
            for k, metric in enumerate(metrics):
                order, distances = searched(features, metric)
                measured, scores = measures(order, of if classes else None, len(classes))
                write_neighbours(folder / "neighbours" / f"{m}-{layer}-{k}.json", order, distances, scores)
                recall = {"t2i": {"1": 0.31, "5": 0.62, "10": 0.8}, "i2t": {"1": 0.42, "5": 0.7, "10": 0.9}}
                is_last = has_recall and m == 1 and layer == len(model.strengths) - 1
                results.append(
                    {"model": m, "layer": layer, "metric": k, **measured, **({"recall": recall} if is_last else {})}
                )
    told = {
        "format": 1, "created": "2026-11-28T12:00:00Z", "seconds": 71.5, "seed": 0, "versions": {"torch": "2.13.0"},
        "set": {"name": name, "n": len(of), "classes": list(classes), "skipped": SKIPPED},
        "pictures": pictures,
        "models": [
            {
                "name": model.name, "family": "timm", "weights": f"{model.name}.pth", "weights_hash": f"{m}" * 64,
                "trained": model.trained, "terms": "Apache-2.0",
                "layers": [{"name": f"block{n}", "dim": 32 * 2**n} for n in range(1, len(model.strengths) + 1)],
                "encode_s": 4.2 + m,
            }
            for m, model in enumerate(models)
        ],
        "metrics": list(metrics),
        "results": results,
    }  # fmt: skip
    (folder / "experiment.json").write_text(json.dumps(told))
    return told


def drawn(kind: str, n: int) -> Image.Image:
    """A drawing of a class, of a colour, size and place that depend on n."""
    dice = np.random.default_rng(n)
    width, height = ((192, 144), (144, 192), (176, 176))[n % 3]
    picture = Image.new("RGB", (width, height), tuple(int(value) for value in dice.integers(215, 250, 3)))
    draw = ImageDraw.Draw(picture)
    x, y = width / 2 + dice.uniform(-20, 20), height / 2 + dice.uniform(-16, 16)
    r, colour, turn = dice.uniform(30, 54), COLOURS[dice.integers(len(COLOURS))], dice.uniform(0, math.tau)
    box = (x - r, y - r, x + r, y + r)

    def corners(count: int, inner: float = 1.0) -> list[tuple[float, float]]:
        angles = [turn + i * math.tau / count for i in range(count)]
        reach = [r * (inner if i % 2 else 1) for i in range(count)]
        return [(x + far * math.cos(a), y + far * math.sin(a)) for far, a in zip(reach, angles, strict=True)]

    if kind == "circle":
        draw.ellipse(box, fill=colour)
    elif kind == "ring":
        draw.ellipse(box, outline=colour, width=round(r / 3))
    elif kind == "cross":
        for at in (0, 1):
            (ax, ay), _, (bx, by), _ = corners(4) if at == 0 else corners(4)[1:] + corners(4)[:1]
            draw.line((ax, ay, bx, by), fill=colour, width=round(r / 2.5))
    else:
        draw.polygon({"square": corners(4), "triangle": corners(3)}.get(kind, corners(10, 0.45)), fill=colour)
    return picture


def made_up(dice: np.random.Generator, of: NDArray[np.int64], strength: float) -> NDArray[np.float64]:
    """Features (n, 32): a direction of the class by its strength, and noise."""
    centres = dice.standard_normal((of.max() + 1, 32)) / math.sqrt(32)
    return strength * centres[of] * 3 + dice.standard_normal((len(of), 32)) / 3


def positions(dice: np.random.Generator, of: NDArray[np.int64], strength: float) -> dict[str, list[float]]:
    """Places from 0 to 1, in clusters that are the closer the stronger the layer is."""
    angle = of * math.tau / (of.max() + 1)
    spread = 0.16 / (0.5 + strength)
    near = np.stack([np.cos(angle), np.sin(angle)]) * 0.36 * min(1, strength) + 0.5
    x, y = np.clip(near + dice.normal(0, spread, near.shape), 0, 1).round(4)
    return {"x": x.tolist(), "y": y.tolist()}


def searched(features: NDArray[np.float64], metric: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """All others of each picture by distance, and their distances, both (n, n - 1)."""
    if metric == "cosine":
        unit = features / np.linalg.norm(features, axis=1, keepdims=True)
        distances = 1 - unit @ unit.T
    else:
        distances = np.linalg.norm(features[:, None] - features[None], axis=2)
    np.fill_diagonal(distances, -1)
    order = np.argsort(distances, axis=1, kind="stable")[:, 1:]
    return order, np.take_along_axis(distances, order, axis=1)


def measures(
    order: NDArray[np.int64], of: NDArray[np.int64] | None, n_classes: int
) -> tuple[dict[str, Any], list[float | None]]:
    """The measures of a result, and the search score of each picture."""
    if of is None:
        return {"search_score": None, "search_score_std": None, "precision": {}, "map": None, "classes": []}, [
            None
        ] * len(order)
    right = of[order] == of[:, None]
    scores = 100 * (right[:, :N_NEAREST] * WEIGHTS).sum(1) / WEIGHTS.sum()
    ranks = np.arange(1, order.shape[1] + 1)
    precision = (np.cumsum(right, 1) / ranks * right).sum(1) / right.sum(1)
    by_class = [{"search_score": scores[of == c].mean(), "map": precision[of == c].mean()} for c in range(n_classes)]
    measured = {
        "search_score": scores.mean(), "search_score_std": scores.std(), "map": precision.mean(),
        "precision": {str(k): right[:, :k].mean() for k in CUTOFFS}, "classes": by_class,
    }  # fmt: skip
    return measured, scores.tolist()


def write_neighbours(
    path: Path, order: NDArray[np.int64], distances: NDArray[np.float64], scores: Sequence[float | None]
) -> None:
    told = {
        "neighbours": order[:, :N_NEAREST].tolist(),
        "distances": distances[:, :N_NEAREST].round(5).tolist(),
        "scores": list(scores),
    }
    path.write_text(json.dumps(told))
