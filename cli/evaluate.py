"""evaluate: recall by the field's protocol or precision by class folder, of one model or of several."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cli.evaluate_flow import captions_through_flow, classes_through_flow
from cli.evaluation_set import EvaluationSet, read_set
from cli.misses import ClassesRanked, Direction, Ranked, worst_misses
from cli.progress import Meter
from crossmodal.core.errors import InputError, PictureError
from crossmodal.core.protocols import Encoder
from crossmodal.core.settings import Settings
from crossmodal.core.types import Pixels, Vectors
from crossmodal.datasets import registry as data_sets
from crossmodal.encoders import registry as models
from crossmodal.evaluation import classes, recall
from crossmodal.evaluation.report import html_report
from crossmodal.evaluation.skills import measure_skills
from crossmodal.images.decode import decode
from crossmodal.images.geometry import fit
from crossmodal.scenes.world import Scene, make_scene

BATCH = 32
COCO_5K, COCO_FOLDS = 5000, 5


@dataclass(frozen=True)
class Options:
    """How to evaluate: `compare` names further models, FAMILY:WEIGHTS; 0 folds are COCO's where they fit."""

    through: Literal["exact", "flow"] = "exact"
    compare: tuple[str, ...] = ()
    folds: int = 0
    report: Path | None = None


def run(settings: Settings, options: Options | None = None) -> dict[str, Any]:
    """Evaluates on a data set and a split, and writes the report where one is asked for.

    Returns:
        With captions `{"model", "images", "captions", "t2i", "i2t", "rsum"}`, `"folds_1k"` where there are
        folds, and `"skills"` on scenes. Without captions `{"model", "images", "classes"}` with the figures
        by class folder and, of a model that knows texts, `"class_name_p10"`, the mean of `"class_names"`:
        precision at 10 of the pictures that the name of each class finds. Where several models are compared,
        `"models"` has these keys of each, the first too.

    Raises:
        InputError: Nothing to evaluate on, one class only, a picture that can't be read, an unknown model.
        StateError: Through the Flow: not indexed, or with another model.
    """
    options = options or Options()
    subject = read_set(settings)
    _check(subject, options)
    if options.through == "flow":
        figures, ranked = _through_flow(settings, subject)
        told = [figures]
    else:
        weights = settings.weights or models.default_weights(settings.model, data_sets.canonical(settings.data_set))
        names = [(settings.model, weights), *(_parse(one, settings) for one in options.compare)]
        for family, _ in names:
            subject.check_family(family)
        specs = [models.resolve(family, name) for family, name in names]  # a wrong name is told before the work
        told, rankings = [], []
        for spec in specs:
            towers = spec.modalities
            encoder = models.load(spec, towers, threads=settings.threads or None, precision=settings.precision)
            figures, ranking = _exactly(encoder, subject, options)
            told.append({"model": str(spec), **figures})
            rankings.append(ranking)
        ranked = rankings[0]
    described = {"data_set": subject.name, "split": subject.split, "left_out": subject.left_out}
    result = {**told[0], **described, **({"models": told} if len(told) > 1 else {})}
    if options.report is not None:
        page = html_report(result, worst_misses(subject, ranked))
        options.report.parent.mkdir(parents=True, exist_ok=True)
        options.report.write_text(page, "utf8")
    return result


def _check(subject: EvaluationSet, options: Options) -> None:
    if options.through == "flow" and options.compare:
        raise InputError("a collection has one model: --compare goes with exact scoring, without --through flow")
    if options.through == "flow" and options.folds:
        raise InputError(
            "an index ranks all pictures together: --folds goes with exact scoring, without --through flow"
        )
    if not subject.captions and options.folds:
        raise InputError(f"{subject.name} has no captions, and --folds are of the captions' protocol: leave it away")
    if options.folds:
        recall.fold_size(len(subject.records), options.folds)
    if not subject.captions:
        classes.number_classes(subject.class_names)


def _parse(name: str, settings: Settings) -> tuple[str, str]:
    family, _, weights = name.partition(":")
    return family, weights or models.default_weights(family, data_sets.canonical(settings.data_set))


def _through_flow(settings: Settings, subject: EvaluationSet) -> tuple[dict[str, Any], Ranked | ClassesRanked]:
    if subject.captions:
        return captions_through_flow(settings, subject)
    return classes_through_flow(settings, subject)


def _exactly(
    encoder: Encoder, subject: EvaluationSet, options: Options
) -> tuple[dict[str, Any], Ranked | ClassesRanked]:
    images = _encode_pictures(encoder, subject)
    if not subject.captions:
        names, class_of = classes.number_classes(subject.class_names)
        hits = classes.hits_among_best(images, class_of)
        figures: dict[str, Any] = {"images": len(images), "classes": classes.figures(hits, names, class_of)}
        if "text" in encoder.spec.modalities:
            texts = _encode_texts(encoder, [classes.name_query(name) for name in names])
            precisions = classes.name_precisions(images, texts, class_of)
            figures["class_name_p10"] = round(float(precisions.mean()), 4)
            of_names = zip(names, precisions, strict=True)
            figures["class_names"] = {name: round(float(value), 4) for name, value in of_names}
        return figures, ClassesRanked(hits, lambda i: _nearest(images, i))
    texts, image_of = _encode_texts(encoder, subject.captions), subject.image_of
    t2i = recall.text_to_image_ranks(images, texts, image_of)
    i2t = recall.image_to_text_ranks(images, texts, image_of)
    figures = {"images": len(images), "captions": len(texts)}
    figures |= recall.figures(recall.summarise(t2i), recall.summarise(i2t))
    n_folds = options.folds or (COCO_FOLDS if len(images) == COCO_5K else 0)
    if n_folds:
        size = len(images) // n_folds
        of_folds = recall.figures(*recall.in_folds(images, texts, image_of, n_folds))
        figures["folds_1k" if size == 1000 else f"folds_{size}"] = {"folds": n_folds, **of_folds}
    scenes = _scenes_of(subject)
    if scenes:
        skills = measure_skills(scenes, images, lambda some: _encode_texts(encoder, some))
        figures["skills"] = {name: round(value, 4) for name, value in skills.items()}
    return figures, Ranked(
        Direction(t2i, lambda j: _best_but(images @ texts[j], np.arange(len(images)) == image_of[j])),
        Direction(i2t, lambda i: _best_but(texts @ images[i], image_of == i)),
    )


def _best_but(scores: Vectors, own: Any) -> int:
    """Which candidate scores best when the query's own are left out; -1 where there is no other."""
    return -1 if own.all() else int(np.where(own, -np.inf, scores).argmax())


def _nearest(images: Vectors, picture: int) -> list[int]:
    scores = images @ images[picture]
    scores[picture] = -np.inf
    return [int(i) for i in np.argsort(-scores, kind="stable")[:-1]]


def _encode_pictures(encoder: Encoder, subject: EvaluationSet) -> Vectors:
    """(n, dim) unit vectors of the pictures, in order."""
    n, parts = len(subject.records), []
    with Meter("pictures", n) as meter:
        for start in range(0, n, BATCH):
            batch = [_pixels(encoder, subject, i) for i in range(start, min(n, start + BATCH))]
            parts.append(encoder.encode_images(np.stack(batch)))
            meter.advance(len(batch))
    return np.concatenate(parts)


def _pixels(encoder: Encoder, subject: EvaluationSet, picture: int) -> Pixels:
    content = subject.content(picture)
    try:
        return fit(decode(content)[0], encoder.spec.preprocessing)
    except PictureError as error:
        raise InputError(subject.unreadable(picture, error)) from error


def _encode_texts(encoder: Encoder, texts: Sequence[str]) -> Vectors:
    return np.concatenate([encoder.encode_texts(texts[i : i + 256]) for i in range(0, len(texts), 256)])


def _scenes_of(subject: EvaluationSet) -> list[Scene]:
    """The scenes the pictures show, where they are scenes; else nothing."""
    recipe_file = subject.records[0].path.parent.parent / "recipe.json"
    if not recipe_file.exists():
        return []
    recipe = json.loads(recipe_file.read_text("utf8"))
    return [make_scene(recipe["split"], int(r.path.stem.rsplit("-", 1)[1]), recipe["seed"]) for r in subject.records]
