"""Evaluation of an encoder by exact scores: recall by the standard protocol, or precision by class folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.errors import InputError
from crossmodal.core.protocols import Encoder
from crossmodal.core.types import Vectors
from crossmodal.evaluation import classes, recall
from crossmodal.evaluation.encoding import Advance, encode_images, encode_texts
from crossmodal.evaluation.evaluation_set import EvaluationSet
from crossmodal.evaluation.misses import ClassesRanked, Direction, Ranked
from crossmodal.evaluation.outcomes import Outcome, Ranking, of_captions, of_classes
from crossmodal.evaluation.skills import skill_outcomes
from crossmodal.scenes.world import Scene, make_scene

BATCH = 32
COCO_5K, COCO_FOLDS = 5000, 5


@dataclass(frozen=True)
class Evaluation:
    """What an encoder achieved on a set.

    Attributes:
        figures: With captions `images`, `captions`, `t2i`, `i2t`, `rsum`, `folds_1k` with folds of 1,000, and `skills`
            for scenes. Without captions `images`, `classes` and, if the encoder encodes texts, the precision at 10 of
            each class name in `class_names` and its mean in `class_name_p10`.
        ranked: The ranks that the figures are computed from.
        outcomes: The measures of the single queries.
        skills: The skills, as outcomes; empty unless the set consists of scenes.
        rankings: What was ranked, by direction.
    """

    figures: dict[str, Any]
    ranked: Ranked | ClassesRanked
    outcomes: Mapping[str, Outcome]
    rankings: list[Ranking]
    skills: Mapping[str, Outcome] = field(default_factory=dict)


def check(subject: EvaluationSet, n_folds: int) -> None:
    """Checks that the set has captions or classes, and that the folds fit it.

    Raises:
        InputError: It does not; the message says what to change.
    """
    if not subject.captions:
        if n_folds:
            raise InputError(f"{subject.name} has no captions, and --folds needs captions: remove it")
        classes.number_classes(subject.class_names)
    elif n_folds:
        recall.fold_size(len(subject.records), n_folds)


def evaluate_encoder(encoder: Encoder, subject: EvaluationSet, n_folds: int, advance: Advance) -> Evaluation:
    """The evaluation of an encoder.

    Args:
        encoder: An encoder with the towers that the set needs.
        subject: A set that `check` accepts.
        n_folds: Number of folds to rank in addition; 0 for COCO's five if there are 5,000 images, else none.
        advance: Called with the number of images encoded since the last call.

    Raises:
        InputError: An image can't be read.
    """
    images = encode_images(encoder, subject.records, advance, BATCH)
    return _by_captions(encoder, subject, images, n_folds) if subject.captions else _by_class(encoder, subject, images)


def _by_class(encoder: Encoder, subject: EvaluationSet, images: Vectors) -> Evaluation:
    names, class_of = classes.number_classes(subject.class_names)
    hits = classes.hits_among_best(images, class_of)
    figures: dict[str, Any] = {"images": len(images), "classes": classes.figures(hits, names, class_of)}
    if "text" in encoder.spec.modalities:
        texts = encode_texts(encoder, [classes.name_query(name) for name in names])
        precisions = classes.name_precisions(images, texts, class_of)
        figures["class_name_p10"] = round(float(precisions.mean()), 4)
        by_name = zip(names, precisions, strict=True)
        figures["class_names"] = {name: round(float(value), 4) for name, value in by_name}
    ranking = Ranking("i2i", images, images, class_of, class_of, classes.CHUNK)
    ranked = ClassesRanked(hits, lambda i: _nearest(images, i))
    return Evaluation(figures, ranked, of_classes(hits, ranking), [ranking])


def _by_captions(encoder: Encoder, subject: EvaluationSet, images: Vectors, n_folds: int) -> Evaluation:
    texts, image_of = encode_texts(encoder, subject.captions), subject.image_of
    t2i = recall.text_to_image_ranks(images, texts, image_of)
    i2t = recall.image_to_text_ranks(images, texts, image_of)
    figures: dict[str, Any] = {"images": len(images), "captions": len(texts)}
    figures |= recall.figures(recall.summarise(t2i), recall.summarise(i2t))
    n_folds = n_folds or (COCO_FOLDS if len(images) == COCO_5K else 0)
    if n_folds:
        size = len(images) // n_folds
        by_fold = recall.figures(*recall.in_folds(images, texts, image_of, n_folds))
        figures["folds_1k" if size == 1000 else f"folds_{size}"] = {"folds": n_folds, **by_fold}
    scenes = _scenes_of(subject)
    skills = skill_outcomes(scenes, images, lambda captions: encode_texts(encoder, captions)) if scenes else {}
    if scenes:
        figures["skills"] = {name: round(skill.value, 4) for name, skill in skills.items()}
    ranked = Ranked(
        Direction(t2i, lambda j: _best_but(images @ texts[j], np.arange(len(images)) == image_of[j])),
        Direction(i2t, lambda i: _best_but(texts @ images[i], image_of == i)),
    )
    each = np.arange(len(images))
    rankings = [Ranking("t2i", texts, images, image_of, each), Ranking("i2t", images, texts, each, image_of)]
    return Evaluation(figures, ranked, of_captions(t2i, i2t, rankings), rankings, skills)


def _best_but(scores: Vectors, excluded: NDArray[np.bool_]) -> int:
    """The index of the best score that is not excluded; -1 if all are."""
    return -1 if excluded.all() else int(np.where(excluded, -np.inf, scores).argmax())


def _nearest(images: Vectors, picture: int) -> list[int]:
    scores = images @ images[picture]
    scores[picture] = -np.inf
    return [int(i) for i in np.argsort(-scores, kind="stable")[:-1]]


def _scenes_of(subject: EvaluationSet) -> list[Scene]:
    """The scenes of the images; empty if the data set does not consist of scenes."""
    recipe_file = subject.records[0].path.parent.parent / "recipe.json"
    if not recipe_file.exists():
        return []
    recipe = json.loads(recipe_file.read_text("utf8"))
    return [make_scene(recipe["split"], int(r.path.stem.rsplit("-", 1)[1]), recipe["seed"]) for r in subject.records]
