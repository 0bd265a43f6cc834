"""The worst-ranked queries of an evaluation, with their images, for the report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from crossmodal.evaluation.classes import Hits, number_classes, search_score
from crossmodal.evaluation.evaluation_set import EvaluationSet
from crossmodal.evaluation.recall import NOT_FOUND, Ranks
from crossmodal.evaluation.report import Miss, Section, Shown

N_MISSES = 12
N_NEAREST = 5


@dataclass(frozen=True)
class Direction:
    """The ranks of one direction: `ranks` (n,) of each query's match, `instead(i)` its best other candidate or -1."""

    ranks: Ranks
    instead: Callable[[int], int]


@dataclass(frozen=True)
class Ranked:
    """The ranks of both directions: images ranked for captions, captions ranked for images."""

    t2i: Direction
    i2t: Direction


@dataclass(frozen=True)
class ClassesRanked:
    """Whether each result was of the query's class, and `nearest(i)`, the other images of query i, best first."""

    hits: Hits
    nearest: Callable[[int], list[int]]


def worst_misses(subject: EvaluationSet, ranked: Ranked | ClassesRanked, n: int = N_MISSES) -> list[Section]:
    """The n queries with the worst ranks of each direction, or with the worst search scores, as report sections."""
    if isinstance(ranked, ClassesRanked):
        return [_of_classes(subject, ranked, n)]
    n_images, n_texts = len(subject.records), len(subject.captions)
    of_picture = [np.flatnonzero(subject.image_of == i).tolist() for i in _worst(ranked.i2t.ranks, n)]
    return [
        Section(
            "Captions whose picture ranks lowest",
            tuple(
                Miss(
                    _rank(ranked.t2i.ranks[j], n_images),
                    Shown(subject.captions[j]),
                    (_picture(subject, int(subject.image_of[j])),),
                    _first_picture(subject, ranked.t2i.instead(j)),
                )
                for j in _worst(ranked.t2i.ranks, n)
            ),
        ),
        Section(
            "Pictures whose captions rank lowest",
            tuple(
                Miss(
                    _rank(ranked.i2t.ranks[i], n_texts),
                    _picture(subject, i),
                    tuple(Shown(subject.captions[j]) for j in captions),
                    _first_caption(subject, ranked.i2t.instead(i)),
                )
                for i, captions in zip(_worst(ranked.i2t.ranks, n), of_picture, strict=True)
            ),
        ),
    ]


def _worst(ranks: Ranks, n: int) -> list[int]:
    """The queries with the worst ranks above 1, worst first; ties in order of the queries."""
    return [i for i in np.argsort(-ranks, kind="stable")[:n].tolist() if ranks[i] > 1]


def _rank(rank: np.int64, n_candidates: int) -> str:
    return "not among the results" if rank == NOT_FOUND else f"rank {rank} of {n_candidates}"


def _picture(subject: EvaluationSet, i: int, label: str = "") -> Shown:
    return Shown(label or subject.records[i].path.name, subject.thumbnail(i))


def _first_picture(subject: EvaluationSet, i: int) -> tuple[Shown, ...]:
    return () if i < 0 else (_picture(subject, i, next(iter(subject.records[i].captions), "")),)


def _first_caption(subject: EvaluationSet, j: int) -> tuple[Shown, ...]:
    if j < 0:
        return ()
    return (Shown(subject.captions[j], subject.thumbnail(int(subject.image_of[j]))),)


def _of_classes(subject: EvaluationSet, ranked: ClassesRanked, n: int) -> Section:
    scores, names = search_score(ranked.hits), subject.class_names
    _, class_of = number_classes(names)
    is_query = np.bincount(class_of)[class_of] > 1
    worst = [i for i in np.argsort(scores, kind="stable").tolist() if is_query[i]][:n]
    misses = [
        Miss(
            f"search score {scores[i]:.1f}",
            _picture(subject, i, names[i]),
            (),
            tuple(_picture(subject, other, names[other]) for other in ranked.nearest(i)[:N_NEAREST]),
        )
        for i in worst
        if scores[i] < 100
    ]
    return Section("Pictures with the lowest search scores", tuple(misses))
