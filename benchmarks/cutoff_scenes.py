"""Queries with and without a matching scene, and their figures, for benchmarks/cutoff.py."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random

import numpy as np
from cutoff_measures import Figures, Model, auroc, greatest, means, relevances, sample_of
from PIL import Image

from crossmodal.core.types import Vectors
from crossmodal.relevance import calibration as calibrating
from crossmodal.relevance.calibration import Sample
from crossmodal.relevance.rules import FITS_FROM
from crossmodal.scenes import language
from crossmodal.scenes.language import ATTRIBUTE_SETS, describe, pattern_of
from crossmodal.scenes.render import render
from crossmodal.scenes.world import BACKGROUNDS, COLOURS, SHAPES, Pattern, Scene, is_named, make_scene

FIRST, N_SCENES = 2000, 1000  # the method was chosen on earlier ones
OF_A_KIND = 16


@dataclass
class Queries:
    """Query texts, whether each matches a picture of the collection, and whether it is short."""

    texts: list[str]
    is_true: list[bool]
    is_short: list[bool]

    def add(self, text: str, is_true: bool, is_short: bool) -> None:
        """One more."""
        self.texts.append(text)
        self.is_true.append(is_true)
        self.is_short.append(is_short)


def on_scenes(model: Model, n_collections: int, n_pictures: int) -> Figures:
    scenes = [make_scene("test", FIRST + i) for i in range(N_SCENES)]
    images = model.images([drawn(scene) for scene in scenes])
    runs = []
    for number in range(n_collections):
        rng = Random(f"collection-{number}")
        inside, outside = split(scenes, n_pictures, rng)
        captions = [language.captions(scenes[i], rng) for i in inside]
        sample = sample_of(model, images[inside], captions)
        queries = scene_queries([scenes[i] for i in inside], [scenes[i] for i in outside], rng)
        figures = measured(sample, model, queries)
        redrawn = model.images([drawn(replace(scenes[i], seed=scenes[i].seed + 1)) for i in inside])
        figures["auroc_picture"] = picture_auroc(sample, redrawn, images[outside])
        runs.append(figures)
    return means(runs)


def drawn(scene: Scene) -> Image.Image:
    """The scene's picture after JPEG compression, as in a collection."""
    buffer = io.BytesIO()
    render(scene).save(buffer, "JPEG", quality=88)
    return Image.open(buffer).convert("RGB")


def split(scenes: list[Scene], n: int, rng: Random) -> tuple[list[int], list[int]]:
    """Indices of the scenes in the collection and of the others; the former lack one shape, colour and background."""
    shape, colour, background = rng.choice(SHAPES), rng.choice(COLOURS), rng.choice(BACKGROUNDS)
    order = rng.sample(range(len(scenes)), len(scenes))
    lacking = (Pattern(shape=shape), Pattern(colour=colour), Pattern(background=background))
    inside = [i for i in order if not any(pattern.matches(scenes[i]) for pattern in lacking)][:n]
    if len(inside) < n:
        raise SystemExit(f"--pictures: at most {len(inside)} are available")
    return inside, [i for i in order if i not in set(inside)]


def scene_queries(inside: list[Scene], outside: list[Scene], rng: Random) -> Queries:
    queries = Queries([], [], [])
    # Scenes of the train split have the colour-shape pairs that no held-out scene has.
    strangers = [scene for i in range(2000) if all_named(scene := make_scene("train", i))]
    for kind in ATTRIBUTE_SETS:
        true = patterns(inside, kind, rng, lambda _: True)
        false = patterns(outside + strangers, kind, rng, lambda p: not any(p.matches(scene) for scene in inside))
        n = OF_A_KIND if true and false else 0
        for choices, is_true in ((true, True), (false, False)):
            for i in range(n):
                queries.add(describe(choices[i % len(choices)], rng).text, is_true, True)
    n_captions = min(len(queries.texts) // 2, len(inside), len(outside))
    for choices, is_true in ((inside, True), (outside, False)):
        for scene in choices[:n_captions]:
            queries.add(language.caption(scene, rng.randrange(language.CAPTION_STYLES), rng), is_true, False)
    return queries


def all_named(scene: Scene) -> bool:
    return all(is_named(thing.colour) and is_named(thing.shape) for thing in scene.things)


def patterns(
    scenes: list[Scene], kind: tuple[str, ...], rng: Random, is_usable: Callable[[Pattern], bool]
) -> list[Pattern]:
    """Distinct usable patterns of the scenes' things that have all attributes of a kind."""
    chosen: dict[Pattern, None] = {}
    for scene in rng.sample(scenes, len(scenes)):
        pattern = pattern_of(rng.choice(scene.things), scene, kind)
        if all(getattr(pattern, name) is not None for name in kind) and pattern not in chosen and is_usable(pattern):
            chosen[pattern] = None
        if len(chosen) == OF_A_KIND:
            break
    return list(chosen)


def measured(sample: Sample, model: Model, queries: Queries) -> Figures:
    """The figures of one collection."""
    vectors = model.texts(queries.texts)
    scores = vectors @ sample.images.T
    best = scores.max(axis=1)
    start = time.perf_counter()
    phrases = calibrating.phrases(sample.captions)
    phrase_vectors = model.texts(list(phrases))
    plain = calibrating.fit_text_to_image(sample, phrases, phrase_vectors)
    rule = plain and calibrating.fit_with_captions(sample, phrases, phrase_vectors, plain)
    seconds = time.perf_counter() - start
    without = calibrating.background(sample.images, len(sample.images))
    if plain is None or rule is None or without is None:
        raise SystemExit("calibration failed: the model's scores are unrelated to the captions; choose other --weights")
    start = time.perf_counter()
    relevance = greatest(rule, sample, vectors, scores)
    per_query_ms = (time.perf_counter() - start) * 1e3 / len(best)
    figures = {
        **by_kind("auroc", queries, relevance),
        **by_kind("cosine_auroc", queries, best),
        **by_kind("z_score_auroc", queries, (best - scores.mean(axis=1)) / scores.std(axis=1)),
        **by_kind("no_captions_auroc", queries, relevances(without, vectors, best)),
    }
    is_right = (relevance >= FITS_FROM) == np.array(queries.is_true)
    for name, chosen in kinds(queries):
        figures[f"right{name}"] = float(is_right[chosen].mean())
    return {**figures, "queries": len(best), "calibrating_s": seconds, "per_query_ms": per_query_ms}


def kinds(queries: Queries) -> Iterator[tuple[str, np.ndarray]]:
    """(name suffix, mask) of all queries and, if there are both kinds, of captions and short queries."""
    short = np.array(queries.is_short)
    yield "", np.ones(len(short), bool)
    if short.any() and not short.all():
        yield "_captions", ~short
        yield "_short", short


def by_kind(name: str, queries: Queries, values: np.ndarray) -> Figures:
    is_true = np.array(queries.is_true)
    return {f"{name}{kind}": auroc(values[chosen], is_true[chosen]) for kind, chosen in kinds(queries)}


def picture_auroc(sample: Sample, known: Vectors, others: Vectors) -> float:
    rule = calibrating.fit_image_to_text(sample)
    if rule is None:
        raise SystemExit("calibration failed: the model's scores are unrelated to the captions; choose other --weights")
    queries = np.concatenate([known, others])
    values = relevances(rule, queries, (queries @ sample.texts.T).max(axis=1))
    return auroc(values, np.arange(len(queries)) < len(known))
