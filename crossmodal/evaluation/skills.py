"""Skills that recall does not show: positions (left and right), binding of colours to shapes, and short queries.

They are measured on scenes, whose content is known exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import numpy as np

from crossmodal.core.types import Vectors
from crossmodal.evaluation.outcomes import Outcome
from crossmodal.scenes import language, world
from crossmodal.scenes.world import Pattern, Scene

Encode = Callable[[Sequence[str]], Vectors]

QUERY_ATTRIBUTES = (
    ("shape",),
    ("colour", "shape"),
    ("size", "colour", "shape"),
    ("count", "colour", "shape"),
    ("texture", "colour", "shape"),
    ("count", "size", "colour", "shape"),
)
MIN_RELEVANT = 10
QUERIES_A_SET = 40


def skill_outcomes(scenes: Sequence[Scene], images: Vectors, encode: Encode) -> dict[str, Outcome]:
    """The skills of a model, fractions in [0, 1], clustered by scene or by query.

    Args:
        scenes: The scenes that the images show.
        images: (n, dim) unit vectors of the images, in the order of the scenes.
        encode: Encodes texts as unit vectors.

    Returns:
        Skills that need more scenes are missing.

        `flip`: how often a caption scores higher than the same caption with left and right, or above and below, swapped
        (0.5 by chance); `colour_swap`: the same with the colours of two things swapped; `short_query_p10` and
        `synonym_p10`: precision at 10 of short queries, averaged over the kinds of queries, with usual words and with
        synonyms.
    """
    measured = {
        "flip": _preferred(scenes, images, encode, _flips),
        "colour_swap": _preferred(scenes, images, encode, _swaps),
        "short_query_p10": _precision_at_10(scenes, images, encode, synonyms=False),
        "synonym_p10": _precision_at_10(scenes, images, encode, synonyms=True),
    }
    return {name: outcome for name, outcome in measured.items() if outcome is not None}


def _flips(scene: Scene, index: int) -> list[tuple[str, str]]:
    return [
        pair
        for style in language.PLACED_STYLES
        for axis in ("x", "y")
        for pair in _pair(scene, world.flipped(scene, axis), style, index)
    ]


def _swaps(scene: Scene, index: int) -> list[tuple[str, str]]:
    swapped = world.swapped(scene, "colour")
    return [pair for style in range(language.CAPTION_STYLES) for pair in _pair(scene, swapped, style, index)]


def _pair(scene: Scene, other: Scene, style: int, index: int) -> list[tuple[str, str]]:
    """The captions of both scenes with the same choice of words; empty if they are equal."""
    seed = f"skill-{index}-{style}"
    true = language.caption(scene, style, Random(seed))
    false = language.caption(other, style, Random(seed))
    return [(true, false)] if true != false else []


def _preferred(
    scenes: Sequence[Scene], images: Vectors, encode: Encode, pairs_of: Callable[[Scene, int], list[tuple[str, str]]]
) -> Outcome | None:
    rows, true, false = [], [], []
    for index, scene in enumerate(scenes):
        for right, wrong in pairs_of(scene, index):
            rows.append(index)
            true.append(right)
            false.append(wrong)
    if not rows:
        return None
    described = images[rows]
    margin = (described * encode(true)).sum(axis=1) - (described * encode(false)).sum(axis=1)
    return Outcome.of(margin > 0, np.unique(rows, return_inverse=True)[1])


def _precision_at_10(scenes: Sequence[Scene], images: Vectors, encode: Encode, *, synonyms: bool) -> Outcome | None:
    precisions: list[float] = []
    weights: list[float] = []  # every kind of query counts equally
    for attributes in QUERY_ATTRIBUTES:
        words = Random(f"{attributes}-{synonyms}")
        patterns = _patterns(scenes, attributes)
        chosen = words.sample(patterns, min(QUERIES_A_SET, len(patterns)))
        texts = [language.describe(pattern, words, synonyms).text for pattern in chosen]
        if not texts:
            continue
        best = np.argsort(-(encode(texts) @ images.T), axis=1, kind="stable")[:, :10]
        hits = [[p.matches(scenes[i]) for i in row] for p, row in zip(chosen, best.tolist(), strict=True)]
        precisions += [float(np.mean(of_query)) for of_query in hits]
        weights += [1 / len(texts)] * len(texts)
    return Outcome.of(precisions, np.arange(len(precisions)), weights) if precisions else None


def _patterns(scenes: Sequence[Scene], attributes: tuple[str, ...]) -> list[Pattern]:
    """The patterns of these attributes that match at least `MIN_RELEVANT` scenes, in a fixed order."""
    counts: dict[Pattern, int] = {}
    for scene in scenes:
        patterns = {
            language.pattern_of(thing, scene, attributes)
            for thing in scene.things
            if "texture" not in attributes or thing.texture != "plain"
        }
        for pattern in patterns:
            counts[pattern] = counts.get(pattern, 0) + 1
    return sorted((p for p, n in counts.items() if n >= MIN_RELEVANT), key=repr)
