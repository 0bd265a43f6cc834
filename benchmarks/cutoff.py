"""Whether queries with nothing to find are told from those with something: the area under the ROC curve.

    python benchmarks/cutoff.py [--pictures 300] [--collections 4] [--weights scenes] [--json PATH]
    python benchmarks/cutoff.py --photographs FOLDER [--split dev] [--weights photos] [--json PATH]

Scenes, where the truth is known: a collection is drawn from 1,000 held-out scenes, without one shape, one colour
and one background, so that also "hearts" can be a query with nothing to find. It is calibrated as `-t index`
does, with its own five captions a picture. Half of the queries are full captions, in words that are not in the
collection, half of pictures in it and half of others. The other half are short ("red circle", "hearts", "three small
green stars"), of eleven kinds, and of each kind as many are true of some picture as of none: what kind a query is
says nothing. `auroc` is of both together, by the relevance of the best result. Beside it, on the same queries,
stand the greatest cosine by itself (`cosine_...`), the same by its distance from the query's other scores
(`z_score_...`), and the relevance of a collection without captions (`no_captions_...`). `right_...` is how often `fits`
(0.5 and more) says the truth. `auroc_picture` is of pictures that ask for captions: scenes of the collection drawn
anew, and others. The figures are means over the collections.

`--photographs` takes a folder of photographs instead. With captions, half of its pictures are the collection; the
queries are the first captions of all, which it is not calibrated with: those whose picture is there against those whose
picture was left out (`auroc_photographs`). Without captions, half of its class folders are the collection; the queries
are the names of all classes, by themselves, as "a X" and as "a photo of a X" (`auroc_no_captions`). What is compared is
the greatest relevance among the ten best pictures; `auroc_cosine` is by the greatest cosine.
"""

from __future__ import annotations

import argparse
import io
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import numpy as np
from common import write_figures
from PIL import Image

from crossmodal.core.types import ImageRecord, Vectors
from crossmodal.datasets import registry as data_sets
from crossmodal.encoders import registry as models
from crossmodal.images.decode import decode
from crossmodal.images.geometry import fit
from crossmodal.images.sources import of_record
from crossmodal.relevance import calibration as calibrating
from crossmodal.relevance.calibration import Sample
from crossmodal.relevance.phrases import general_phrases
from crossmodal.relevance.rules import FITS_FROM, Background, Fitted, Rule
from crossmodal.scenes import language
from crossmodal.scenes.language import ATTRIBUTE_SETS, describe, pattern_of
from crossmodal.scenes.render import render
from crossmodal.scenes.world import BACKGROUNDS, COLOURS, SHAPES, Pattern, Scene, is_named, make_scene

FIRST, N_SCENES = 2000, 1000  # the method was chosen on earlier ones
BATCH, OF_A_KIND = 64, 16
Figures = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--collections", type=int, default=4)
    parser.add_argument("--photographs", type=Path)
    parser.add_argument("--split")
    parser.add_argument("--weights", help="by default scenes, or photos for photographs")
    parser.add_argument("--json")
    given = parser.parse_args()
    model = Model(given.weights or ("photos" if given.photographs else models.BUNDLED))
    if given.photographs:
        figures = on_photographs(model, given.photographs, given.split, given.collections)
    else:
        figures = on_scenes(model, given.collections, given.pictures)
    write_figures(given.json, figures)


class Model:
    """A CLIP: pictures and texts to vectors."""

    def __init__(self, weights: str) -> None:
        self._encoder = models.load(models.resolve("clip", weights))

    def images(self, pictures: list[Image.Image]) -> Vectors:
        """(n, dim) unit vectors."""
        wanted = self._encoder.spec.preprocessing
        batches = [pictures[i : i + BATCH] for i in range(0, len(pictures), BATCH)]
        return np.concatenate(
            [self._encoder.encode_images(np.stack([fit(p, wanted) for p in batch])) for batch in batches]
        )

    def texts(self, texts: list[str]) -> Vectors:
        """(n, dim) unit vectors."""
        return np.concatenate([self._encoder.encode_texts(texts[i : i + 256]) for i in range(0, len(texts), 256)])


@dataclass
class Queries:
    """Texts, whether each has something to find, and whether it is a short one."""

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
    found = []
    for number in range(n_collections):
        rng = Random(f"collection-{number}")
        inside, outside = split(scenes, n_pictures, rng)
        captions = [language.captions(scenes[i], rng) for i in inside]
        sample = sample_of(model, images[inside], captions)
        queries = scene_queries([scenes[i] for i in inside], [scenes[i] for i in outside], rng)
        figures = measured(sample, model, queries)
        anew = model.images([drawn(replace(scenes[i], seed=scenes[i].seed + 1)) for i in inside])
        figures["auroc_picture"] = of_pictures(sample, anew, images[outside])
        found.append(figures)
    return means(found)


def drawn(scene: Scene) -> Image.Image:
    """The scene after JPEG, as a collection has it."""
    buffer = io.BytesIO()
    render(scene).save(buffer, "JPEG", quality=88)
    return Image.open(buffer).convert("RGB")


def split(scenes: list[Scene], n: int, rng: Random) -> tuple[list[int], list[int]]:
    """Which scenes are in the collection, and which are not; what it lacks is in none of the former."""
    shape, colour, background = rng.choice(SHAPES), rng.choice(COLOURS), rng.choice(BACKGROUNDS)
    order = rng.sample(range(len(scenes)), len(scenes))
    lacking = (Pattern(shape=shape), Pattern(colour=colour), Pattern(background=background))
    inside = [i for i in order if not any(pattern.matches(scenes[i]) for pattern in lacking)][:n]
    if len(inside) < n:
        raise SystemExit(f"--pictures: at most {len(inside)} can be had")
    return inside, [i for i in order if i not in set(inside)]


def sample_of(model: Model, images: Vectors, captions: list[list[str]]) -> Sample:
    texts = [caption for of_picture in captions for caption in of_picture]
    image_of = np.repeat(np.arange(len(captions)), [len(of_picture) for of_picture in captions])
    vectors = model.texts(texts) if texts else np.empty((0, images.shape[1]), np.float32)
    return Sample(images, vectors, texts, image_of.astype(np.int64))


def scene_queries(inside: list[Scene], outside: list[Scene], rng: Random) -> Queries:
    queries = Queries([], [], [])
    # Scenes of the train split have the pairs of colour and shape that no held-out scene has.
    strangers = [scene for i in range(2000) if all_named(scene := make_scene("train", i))]
    for kind in ATTRIBUTE_SETS:
        true = patterns(inside, kind, rng, lambda _: True)
        false = patterns(outside + strangers, kind, rng, lambda p: not any(p.matches(scene) for scene in inside))
        n = OF_A_KIND if true and false else 0
        for some, is_true in ((true, True), (false, False)):
            for i in range(n):
                queries.add(describe(some[i % len(some)], rng).text, is_true, True)
    n_captions = min(len(queries.texts) // 2, len(inside), len(outside))
    for some, is_true in ((inside, True), (outside, False)):
        for scene in some[:n_captions]:
            queries.add(language.caption(scene, rng.randrange(language.CAPTION_STYLES), rng), is_true, False)
    return queries


def all_named(scene: Scene) -> bool:
    return all(is_named(thing.colour) and is_named(thing.shape) for thing in scene.things)


def patterns(
    scenes: list[Scene], kind: tuple[str, ...], rng: Random, taken: Callable[[Pattern], bool]
) -> list[Pattern]:
    """Different patterns out of the scenes that have all attributes of a kind."""
    found: dict[Pattern, None] = {}
    for scene in rng.sample(scenes, len(scenes)):
        pattern = pattern_of(rng.choice(scene.things), scene, kind)
        if all(getattr(pattern, name) is not None for name in kind) and pattern not in found and taken(pattern):
            found[pattern] = None
        if len(found) == OF_A_KIND:
            break
    return list(found)


def measured(sample: Sample, model: Model, queries: Queries) -> Figures:
    """The figures of one collection."""
    vectors = model.texts(queries.texts)
    scores = vectors @ sample.images.T
    best = scores.max(axis=1)
    start = time.perf_counter()
    said = calibrating.phrases(sample.captions)
    spoken = model.texts(list(said))
    plain = calibrating.fit_text_to_image(sample, said, spoken)
    rule = plain and calibrating.fit_with_captions(sample, said, spoken, plain)
    seconds = time.perf_counter() - start
    without = calibrating.background(sample.images, len(sample.images))
    if plain is None or rule is None or without is None:
        raise SystemExit("nothing was learned from the captions: the scores of this model say nothing about them")
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


def relevances(rule: Fitted | Background, queries: Vectors, best: np.ndarray) -> np.ndarray:
    """Of the best result of each query, by a rule that looks at nothing else."""
    return np.array([rule.of(query, np.array([score]))[0] for query, score in zip(queries, best, strict=True)])


@dataclass
class Ranked:
    """The best pictures of a query, as a rule sees them."""

    pictures: Vectors
    nearest: np.ndarray

    def vectors(self) -> Vectors:
        """(k, dim) of the pictures."""
        return self.pictures

    def captions(self) -> np.ndarray:
        """(k,) the query's cosine with the nearest caption of each."""
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


def kinds(queries: Queries) -> Iterator[tuple[str, np.ndarray]]:
    """All queries, and captions and short ones by themselves, where there are both."""
    short = np.array(queries.is_short)
    yield "", np.ones(len(short), bool)
    if short.any() and not short.all():
        yield "_captions", ~short
        yield "_short", short


def by_kind(name: str, queries: Queries, values: np.ndarray) -> Figures:
    is_true = np.array(queries.is_true)
    return {f"{name}{kind}": auroc(values[chosen], is_true[chosen]) for kind, chosen in kinds(queries)}


def auroc(values: np.ndarray, is_true: np.ndarray) -> float:
    """How often a true one has the greater value, of all pairs of a true and a false one; a draw counts a half."""
    true, false = values[is_true][:, None], values[~is_true][None, :]
    return float((true > false).mean() + (true == false).mean() / 2)


def of_pictures(sample: Sample, known: Vectors, others: Vectors) -> float:
    rule = calibrating.fit_image_to_text(sample)
    if rule is None:
        raise SystemExit("nothing was learned from the pictures")
    queries = np.concatenate([known, others])
    values = relevances(rule, queries, (queries @ sample.texts.T).max(axis=1))
    return auroc(values, np.arange(len(queries)) < len(known))


def on_photographs(model: Model, folder: Path, split: str | None, n_collections: int) -> Figures:
    records = [record for record in data_sets.read(str(folder), split) if isinstance(record, ImageRecord)]
    images = model.images([decode(of_record(record))[0] for record in records])
    captioned = [len(record.captions) > 1 for record in records]
    if any(captioned):
        kept = [record for record, is_captioned in zip(records, captioned, strict=True) if is_captioned]
        return means(with_captions(model, kept, images[captioned], n_collections))
    return means(without_captions(model, records, images, n_collections))


def with_captions(model: Model, records: list[ImageRecord], images: Vectors, n_collections: int) -> Iterator[Figures]:
    queries = model.texts([record.captions[0] for record in records])
    for number in range(n_collections):
        order = Random(f"photographs-{number}").sample(range(len(records)), len(records))
        inside = order[: len(order) // 2]
        sample = sample_of(model, images[inside], [list(records[i].captions[1:]) for i in inside])
        said = calibrating.phrases(sample.captions)
        vectors = model.texts(list(said))
        plain = calibrating.fit_text_to_image(sample, said, vectors)
        rule = plain and calibrating.fit_with_captions(sample, said, vectors, plain)
        if plain is None or rule is None:
            raise SystemExit("nothing was learned from the captions: the scores of this model say nothing about them")
        is_true = np.isin(np.arange(len(records)), inside)
        yield told("photographs", sample, queries, rule, is_true)


def without_captions(
    model: Model, records: list[ImageRecord], images: Vectors, n_collections: int
) -> Iterator[Figures]:
    folders = np.array([record.path.parent.name for record in records])
    names = sorted(set(folders))
    forms = [f"{form}{name.replace('_', ' ')}" for form in ("", "a ", "a photo of a ") for name in names]
    queries, phrases = model.texts(forms), model.texts(list(general_phrases()))
    for number in range(n_collections):
        present = Random(f"classes-{number}").sample(names, len(names) // 2)
        sample = sample_of(model, images[np.isin(folders, present)], [])
        rule = calibrating.beside_phrases(sample.images, phrases, len(sample.images))
        if rule is None:
            raise SystemExit(f"there are too few pictures: {len(sample.images)}, and {calibrating.LEAST} are needed")
        yield told("no_captions", sample, queries, rule, np.isin([*names] * 3, present))


def told(name: str, sample: Sample, queries: Vectors, rule: Rule, is_true: np.ndarray) -> Figures:
    scores = queries @ sample.images.T
    relevance = greatest(rule, sample, queries, scores)
    yes = relevance >= FITS_FROM
    cosine = auroc(scores.max(axis=1), is_true)
    return {
        f"auroc_{name}": auroc(relevance, is_true), "auroc_cosine": cosine,
        "over_cosine": auroc(relevance, is_true) - cosine, "right": float((yes == is_true).mean()),
        "fits_of_present": float(yes[is_true].mean()), "fits_of_absent": float(yes[~is_true].mean()),
        "pictures": len(sample.images), "queries": len(queries),
    }  # fmt: skip


def means(found: Iterable[Figures]) -> Figures:
    by_name: dict[str, list[float]] = defaultdict(list)
    for figures in found:
        for name, value in figures.items():
            by_name[name].append(value)
    return {name: float(np.mean(values)) for name, values in by_name.items()}


if __name__ == "__main__":
    main()
