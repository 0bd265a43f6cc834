"""Rankings and judgements of an evaluation as TREC run and qrels files, which ir_measures and trec_eval read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.files import atomic_writer
from crossmodal.evaluation.evaluation_set import EvaluationSet
from crossmodal.evaluation.outcomes import DEPTH, Ranking

Scores = NDArray[np.float32]
Lines = Callable[[Ranking, list[str], list[str]], Iterator[str]]
"""The lines of a file from a ranking, the ids of its queries, and those of its candidates."""


def file_of(path: Path, direction: str) -> Path:
    """The file of a direction: `runs/clip.trec` is `runs/clip.t2i.trec` for text to image."""
    return path.with_name(f"{path.stem}.{direction}{path.suffix}")


def names(subject: EvaluationSet) -> tuple[list[str], list[str]]:
    """The ids of the images and of the captions of a set: `1000268201_693b08cb0e.jpg`, `1000268201_693b08cb0e.jpg#0`.

    An image's id is its path below the folder of all images. Characters that end a field of a TREC file are
    percent-encoded, and a path that occurs again gets `~2`.
    """
    paths = [record.path for record in subject.records]
    root = os.path.commonpath([path.parent for path in paths])
    seen: Counter[str] = Counter()
    images = []
    for path in paths:
        name = quote(os.fsencode(os.path.relpath(path, root)), safe="/!$&'()*+,;=:@")
        seen[name] += 1
        images.append(name if seen[name] == 1 else f"{name}~{seen[name]}")
    of_image: Counter[int] = Counter()
    captions = []
    for image in subject.image_of.tolist():
        captions.append(f"{images[image]}#{of_image[image]}")
        of_image[image] += 1
    return images, captions


def write_run(path: Path, subject: EvaluationSet, rankings: Sequence[Ranking], tag: str) -> list[Path]:
    """Writes a run file for each direction, atomically, and returns them.

    A line is `query Q0 document rank score tag`, for the `DEPTH` best results of each query. Of candidates with equal
    scores, those that are not relevant come first, as in the evaluation; each next score is then one step of float32
    lower, so that the order does not depend on how a program breaks ties.
    """
    tag = quote(tag, safe=":/")

    def lines(ranking: Ranking, queries: list[str], candidates: list[str]) -> Iterator[str]:
        query = iter(queries)
        for block, relevant in ranking.scored():
            for scores, rows in zip(*_best(block, relevant), strict=True):
                name, found = next(query), zip(scores.tolist(), rows.tolist(), strict=True)
                for rank, (score, row) in enumerate(found, 1):
                    if score > -np.inf:
                        yield f"{name} Q0 {candidates[row]} {rank} {score:.9g} {tag}\n"

    return _write(path, subject, rankings, lines)


def write_qrels(path: Path, subject: EvaluationSet, rankings: Sequence[Ranking]) -> list[Path]:
    """Writes a qrels file for each direction, atomically, and returns them; a line is `query 0 document 1`."""

    def lines(ranking: Ranking, queries: list[str], candidates: list[str]) -> Iterator[str]:
        relevant = (row for _, block in ranking.scored() for row in block)
        for query, of_query in zip(queries, relevant, strict=True):
            for row in np.flatnonzero(of_query).tolist():
                yield f"{query} 0 {candidates[row]} 1\n"

    return _write(path, subject, rankings, lines)


def _best(scores: Scores, relevant: NDArray[np.bool_]) -> tuple[Scores, NDArray[np.int64]]:
    """The best scores of each query, strictly decreasing, and their rows: two arrays (n, at most DEPTH)."""
    rows = np.lexsort((relevant, -scores), axis=1)[:, :DEPTH]
    best = np.take_along_axis(scores, rows, axis=1)
    for place in range(1, best.shape[1]):
        best[:, place] = np.minimum(best[:, place], np.nextafter(best[:, place - 1], np.float32(-np.inf)))
    return best, rows


def _write(path: Path, subject: EvaluationSet, rankings: Sequence[Ranking], lines: Lines) -> list[Path]:
    images, captions = names(subject)
    path.parent.mkdir(parents=True, exist_ok=True)
    written = []
    for ranking in rankings:
        queries = captions if ranking.direction == "t2i" else images
        candidates = captions if ranking.direction == "i2t" else images
        written.append(file_of(path, ranking.direction))
        with atomic_writer(written[-1]) as file:
            file.writelines(line.encode() for line in lines(ranking, queries, candidates))
    return written
