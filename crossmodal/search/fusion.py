"""Fusion of several rankings into one: of dense vectors, of learned words, and of the words of captions.

A ranking is a pair of arrays, scores and keys, with a row per query as an index returns them: best first, padded with
the key -1. A match that a part did not return has no score from that part.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.errors import InputError, StateError
from crossmodal.core.os_errors import read_failure
from crossmodal.core.settings import MAX_MATCHES
from crossmodal.core.types import Keys, ModelSpec

Method = Literal["rrf", "weighted"]
PARTS = ("dense", "sparse", "bm25")
"""The parts of a search that can be fused, in the order of their weights."""
DEPTH = 100
"""Minimum number of matches of each part that are fused."""
Scores = NDArray[np.float32]
ScoredKeys = tuple[Scores, Keys]  # (q, k) each
RRF_K = 60
FUSION_NAME = "fusion.json"
"""The file of the tuned fusion in a sparse model's folder; it is not part of the hash of the weights."""


def depth_for(k: int) -> int:
    """The number of matches of each part to fuse for the best `k`: 100, 1,000, or `MAX_MATCHES`.

    The fused order depends on the depth. Few distinct depths keep the order the same from page to page.
    """
    return next((depth for depth in (DEPTH, 10 * DEPTH) if k <= depth), max(k, MAX_MATCHES))


@dataclass(frozen=True)
class Fusion:
    """A fusion method and the weight of each part, in the order of the parts; without weights all are equal.

    With a single weight above 0, the order of that part is kept.
    """

    method: Method = "rrf"
    weights: tuple[float, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Fusion:
        """The fusion of `rrf`, `weighted`, `rrf:0.5,1` or `weighted:0.7,0.3`.

        >>> Fusion.parse("weighted:0.7,0.3")
        Fusion(method='weighted', weights=(0.7, 0.3))

        Raises:
            InputError: An unknown method, a weight that is not a number of at least 0, or all weights are 0.
        """
        name, _, numbers = text.partition(":")
        matching = [method for method in get_args(Method) if method == name]
        try:
            weights = tuple(float(number) for number in numbers.split(",")) if numbers else ()
        except ValueError:
            weights = (-1.0,)
        if not matching or any(not 0 <= weight < np.inf for weight in weights) or (weights and not any(weights)):
            raise InputError(
                f"fusion {text!r}: give rrf or weighted, optionally with the weight of each part after a colon, as in "
                "weighted:0.7,0.3"
            )
        return cls(matching[0], weights)

    def __str__(self) -> str:
        return f"{self.method}:{','.join(f'{w:g}' for w in self.weights)}" if self.weights else self.method

    def weights_for(self, n_parts: int) -> tuple[float, ...]:
        """The weight of each part.

        Raises:
            InputError: The fusion has weights for another number of parts.
        """
        if self.weights and len(self.weights) != n_parts:
            raise InputError(f"fusion {self} has {len(self.weights)} weights, and there are {n_parts} parts")
        return self.weights or (1.0,) * n_parts


def fusion_of_parts(text: str) -> Fusion:
    """The fusion of a user's text: one of `PARTS`, `rrf`, or `weighted:A,B,C` with a weight for each part.

    >>> fusion_of_parts("sparse")
    Fusion(method='weighted', weights=(0.0, 1.0, 0.0))

    Raises:
        InputError: `text` has another form.
    """
    if text in PARTS:
        return Fusion("weighted", tuple(float(part == text) for part in PARTS))
    try:
        fusion = Fusion.parse(text)
        return Fusion(fusion.method, fusion.weights_for(len(PARTS)))
    except InputError as error:
        raise InputError(
            f"fusion {text[:80]!r}: give {', '.join(PARTS)}, rrf, or weighted:A,B,C with a weight for each of the three"
        ) from error


def part_alone(fusion: Fusion) -> str | None:
    """The only one of `PARTS` with a weight above 0, None if there are several."""
    weighted = [part for part, weight in zip(PARTS, fusion.weights_for(len(PARTS)), strict=True) if weight]
    return weighted[0] if len(weighted) == 1 else None


def has_part(fusion: Fusion, part: str) -> bool:
    """Whether `part`, one of `PARTS`, has a weight above 0."""
    return fusion.weights_for(len(PARTS))[PARTS.index(part)] > 0


def name_of(fusion: Fusion) -> str:
    """The name of a fusion, the inverse of `fusion_of_parts`.

    >>> name_of(fusion_of_parts("rrf")), name_of(fusion_of_parts("bm25"))
    ('rrf', 'bm25')
    """
    return part_alone(fusion) or ("rrf" if fusion == fusion_of_parts("rrf") else str(fusion))


def read_fusion(path: Path) -> Fusion:
    """The tuned fusion in a file, `rrf` if the file does not exist.

    Raises:
        StateError: The file is damaged.
    """
    try:
        values = json.loads(path.read_bytes())
        fusion, parts = Fusion.parse(values["fusion"]), list(values["parts"])
        weights = dict(zip(parts, fusion.weights_for(len(parts)), strict=True))
        if not set(parts) <= set(PARTS):
            raise ValueError(f"its parts are {parts}")
        return Fusion(fusion.method, tuple(float(weights.get(part, 0)) for part in PARTS))
    except FileNotFoundError:
        return fusion_of_parts("rrf")
    except (OSError, InputError, ValueError, KeyError, TypeError) as error:
        raise StateError(f"{path} {read_failure(error, path)}; run `-t tune` again, or remove it") from error


def fusion_of(model: ModelSpec) -> Fusion:
    """The default fusion of collections of a sparse model: the tuned one, or `rrf`."""
    return read_fusion(Path(model.weights) / FUSION_NAME)


def shares(answer: ScoredKeys, method: Method) -> Scores:
    """The share (q, k) of each match in the fused score, before the weight of its part; 0 for padding.

    Args:
        answer: The ranking of one part.
        method: `rrf` gives 1 / (60 + rank), with ranks from 1. `weighted` scales the scores of each query to 0 to 1 by
            their minimum and maximum; equal scores become 1.

    Source: Cormack, Clarke, Buettcher 2009 (Reciprocal rank fusion outperforms Condorcet), SIGIR, section 2;
        Fox and Shaw 1994 (Combination of multiple searches), CombSUM over scores scaled by minimum and maximum.

    Example:
        >>> shares((np.array([[4.0, 3.0, 2.0]], np.float32), np.array([[7, 8, 9]])), "weighted").tolist()
        [[1.0, 0.5, 0.0]]
    """
    scores, keys = answer
    is_match = keys >= 0
    if method == "rrf":
        ranks = np.arange(1, keys.shape[1] + 1)
        return np.where(is_match, 1 / (RRF_K + ranks), 0).astype(np.float32)
    least = np.where(is_match, scores, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    greatest = np.where(is_match, scores, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    width = np.where(is_match, greatest - least, 1)
    scaled = np.divide(np.where(is_match, scores - least, 0), width, out=np.ones(scores.shape), where=width > 0)
    return np.where(is_match, scaled, 0).astype(np.float32)


def fuse(answers: Sequence[ScoredKeys], fusion: Fusion, k: int) -> ScoredKeys:
    """The k best matches by the weighted sum of the parts' shares.

    Args:
        answers: The ranking of each part for the same queries, with `depth_for(k)` matches.
        fusion: The method and the weights.
        k: Maximum number of matches to return, at least 1.

    Returns:
        Scores (q, k) float32, descending, and keys (q, k) int64; ties by ascending key; a row with fewer
        matches is padded with the key -1 and the score -inf. A part of weight 0 adds no matches.

    Example:
        >>> dense = np.array([[0.9, 0.8]], np.float32), np.array([[1, 2]])
        >>> words = np.array([[3.0, 2.0]], np.float32), np.array([[2, 3]])
        >>> fuse([dense, words], Fusion("rrf"), 3)[1].tolist()
        [[2, 1, 3]]
    """
    if not answers:
        raise ValueError("nothing to fuse: give at least one answer")
    if k < 1:
        raise ValueError(f"k must be at least 1, found {k}")
    weights = fusion.weights_for(len(answers))
    used = [(answer, weight) for answer, weight in zip(answers, weights, strict=True) if weight]
    weighted = np.concatenate([weight * shares(answer, fusion.method) for answer, weight in used], axis=1)
    keys = np.concatenate([answer[1] for answer, _ in used], axis=1)
    scores, best = np.full((len(keys), k), -np.inf, np.float32), np.full((len(keys), k), -1, np.int64)
    for row in range(len(keys)):
        distinct, columns = np.unique(keys[row], return_inverse=True)
        sums = np.bincount(columns, weighted[row], len(distinct)).astype(np.float32)
        distinct, sums = distinct[distinct >= 0], sums[distinct >= 0]
        order = np.lexsort((distinct, -sums))[:k]
        scores[row, : len(order)], best[row, : len(order)] = sums[order], distinct[order]
    return scores, best


def candidates(n_parts: int, steps: int = 10) -> list[Fusion]:
    """The fusions that tuning tries: `rrf`, and `weighted` with all weights that sum to 1 in steps of 1 / steps.

    Each part alone is among them, so the best one is at least as good as every part on the split it is chosen on.

    >>> [str(fusion) for fusion in candidates(2, steps=2)]
    ['rrf', 'weighted:1,0', 'weighted:0.5,0.5', 'weighted:0,1']
    """
    fusions = [Fusion("rrf")]
    for counts in product(range(steps, -1, -1), repeat=n_parts):
        if sum(counts) == steps:
            fusions.append(Fusion("weighted", tuple(count / steps for count in counts)))
    return fusions
