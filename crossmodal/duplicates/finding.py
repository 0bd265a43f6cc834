"""Finds the duplicates of a collection at three levels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_array  # type: ignore[import-untyped]
from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

from crossmodal.core.batched import batched
from crossmodal.duplicates.alignment import Alignments, align
from crossmodal.duplicates.candidates import INVERSES, Pairs, Rows, candidate_pairs, neighbours
from crossmodal.duplicates.fingerprints import Fingerprints, of_thumbnails, squares
from crossmodal.duplicates.groups import (
    Group,
    Level,
    Member,
    VersionComparison,
    differences,
    files_by_id,
    group_of,
    identical,
    in_order,
)
from crossmodal.duplicates.hashing import ORIENTATIONS, Squares, distances, oriented
from crossmodal.duplicates.proposal import sharpness
from crossmodal.duplicates.scenes import Cosines, colours_of, cosines_of, scene_groups, times_of
from crossmodal.index.vector_replica import VectorReplica
from crossmodal.store.known_folders import FolderStates
from crossmodal.store.protocol import Store
from crossmodal.store.source_files import SourceFile
from crossmodal.store.where import parse

_AT_ONCE = 1_024
Progress = Callable[[float], None]
"""Called with the part that is done, 0 to 1."""
_HASHED, _SEARCHED, _ALIGNED = 0.5, 0.75, 0.95
"""The parts that are done after each step, roughly."""


@dataclass(frozen=True)
class DuplicateGroups:
    """The duplicates in a state of a collection."""

    n_pictures: int
    n_plain: int
    """Pictures that levels 2 and 3 leave out, because they are nearly of one colour."""
    cosines: Cosines | None
    """Of level 3, None if it was not asked for."""
    groups: Mapping[Level, Sequence[Group]]
    prints: Fingerprints


def find(
    store: Store,
    open_index: Callable[[], VectorReplica],
    prints: Fingerprints,
    *,
    folders: FolderStates | None = None,
    where: str = "",
    up_to: Level = 3,
    progress: Progress = lambda _: None,
) -> DuplicateGroups:
    """The duplicates of a collection.

    Args:
        store: The store of the collection.
        open_index: Opens its index of pictures; not called for level 1.
        prints: Fingerprints of an earlier state, or none; those of the result are of this one.
        folders: The folders that pictures were indexed from on this machine, of `known_folders.all_folders`. A file
            that is certainly gone from one of them is left out if another file of the picture is there.
        where: A condition on the pictures, empty for all.
        up_to: The last level to find. Level 1 compares no pictures.
        progress: Called as the work goes on.

    Raises:
        InputError: `where` is not a condition.
        StateError: The collection can't be read.
    """
    condition = parse(where) if where else None
    keys = store.keys("image") if condition is None else store.keys_where(condition, "image")
    files = files_by_id(store, folders)
    if condition is not None:
        ids = {document.id for document in store.by_keys(keys.tolist()).values()}
        files = {picture: found for picture, found in files.items() if picture in ids}
    groups: dict[Level, list[Group]] = {1: identical(files, store)}
    if up_to == 1 or not len(keys):
        return DuplicateGroups(len(keys), 0, None, groups, prints)
    prints = prints.followed(store, _steps(progress, 0, _HASHED, len(keys)))
    chosen = prints.among(keys)
    near = neighbours(store, open_index(), chosen.keys, condition, _steps(progress, _HASHED, _SEARCHED, len(keys)))
    finder = _Finder(store, chosen, files)
    pairs, compared = finder.same(candidate_pairs(chosen, near), progress)
    groups[2], stands_for = finder.edited(pairs, compared)
    cosines = None
    if up_to == 3:
        cosines, times = cosines_of(store, chosen.keys), times_of(store, chosen.keys)
        scenes = scene_groups(
            near, times, cosines, stands_for, chosen.is_plain, lambda rows: colours_of(store, chosen.keys[rows])
        )
        groups[3] = finder.scenes(scenes)
    progress(1.0)
    return DuplicateGroups(len(keys), int(chosen.is_plain.sum()), cosines, groups, prints)


def _steps(progress: Progress, start: float, end: float, n: int) -> Callable[[int], None]:
    """Counts items, and tells the progress between two parts."""
    done = 0

    def advance(more: int) -> None:
        nonlocal done
        done += more
        progress(start + (end - start) * min(1.0, done / max(1, n)))

    return advance


class _Finder:
    """Compares pictures and makes groups of their rows."""

    def __init__(self, store: Store, prints: Fingerprints, files: Mapping[str, Sequence[SourceFile]]) -> None:
        self._store, self._prints, self._files = store, prints, files

    def same(self, pairs: Pairs, progress: Progress) -> tuple[Pairs, Alignments]:
        """The pairs that are versions of one picture, and how they are aligned.

        The most similar pairs come first. Pairs of pictures that others connect already are left out.
        """
        hashes, n = self._prints.hashes, len(self._prints.keys)
        pairs = pairs.part(np.argsort(distances(hashes[pairs.ones], hashes[pairs.others]), kind="stable"))
        total = len(pairs.ones)
        kept: list[Pairs] = []
        found: list[Alignments] = []
        while len(pairs.ones):
            labels = self._labels(Pairs.joined(kept))
            low, high = np.sort([labels[pairs.ones], labels[pairs.others]], axis=0)
            pairs, joint = pairs.part(np.flatnonzero(low != high)), (low * n + high)[low != high]
            chosen = np.sort(np.unique(joint, return_index=True)[1])[:_AT_ONCE]  # one for each two groups
            part, pairs = pairs.part(chosen), pairs.part(np.delete(np.arange(len(joint)), chosen))
            aligned = self._aligned(part)
            same = np.flatnonzero(aligned.are_same)
            kept.append(part.part(same))
            found.append(aligned.part(same))
            progress(_ALIGNED - (_ALIGNED - _SEARCHED) * len(pairs.ones) / total)
        return Pairs.joined(kept), Alignments.joined(found)

    def _labels(self, pairs: Pairs) -> Rows:
        """A number for each picture (n,) that is the same for those that pairs connect."""
        n = len(self._prints.keys)
        edges = coo_array((np.ones(len(pairs.ones), bool), (pairs.ones, pairs.others)), shape=(n, n))
        labels: Rows = connected_components(edges, directed=False)[1].astype(np.int64)
        return labels

    def _aligned(self, pairs: Pairs) -> Alignments:
        rows, places = np.unique(np.concatenate([pairs.ones, pairs.others]), return_inverse=True)
        known = squares(self._store, self._prints.keys[rows])
        ones, others = known[places[: len(pairs.ones)]], known[places[len(pairs.ones) :]]
        return align(ones, _turned(others, pairs))

    def edited(self, pairs: Pairs, found: Alignments) -> tuple[list[Group], Rows]:
        """The groups of level 2; and for each picture the row of the one to keep of its group, or its own."""
        labels = self._labels(pairs)
        order = np.argsort(labels, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
        grouped = [part.tolist() for part in parts if len(part) > 1]
        groups, kept_first = self._groups(2, grouped)
        stands_for = np.arange(len(labels))
        for rows in kept_first:
            stands_for[rows] = rows[0]
        known = self._comparisons(pairs, found, kept_first)
        groups = [_with_differences(group, rows, known) for group, rows in zip(groups, kept_first, strict=True)]
        return in_order(groups), stands_for

    def scenes(self, grouped: Iterable[list[int]]) -> list[Group]:
        """The groups of level 3."""
        return in_order(self._groups(3, list(grouped))[0])

    def _groups(self, level: Level, grouped: list[list[int]]) -> tuple[list[Group], list[list[int]]]:
        """The groups, and the rows of each in the order of its members."""
        groups, rows_of_groups = [], []
        for part in batched(grouped, _AT_ONCE):
            keys = {row: int(self._prints.keys[row]) for rows in part for row in rows}
            documents = self._store.by_keys(keys.values())
            sharp = dict(zip(keys, of_thumbnails(self._store, [*keys.values()], sharpness), strict=True))
            for rows in part:
                row_of = {documents[keys[row]].id: row for row in rows if keys[row] in documents}
                members = [
                    Member(documents[keys[row]], tuple(self._files.get(picture, ())), sharp[row])
                    for picture, row in row_of.items()
                ]
                if len(members) > 1:  # others were removed meanwhile
                    groups.append(group_of(level, members))
                    rows_of_groups.append([row_of[member.document.id] for member in groups[-1].members])
        return groups, rows_of_groups

    def _comparisons(
        self, pairs: Pairs, found: Alignments, kept_first: list[list[int]]
    ) -> dict[tuple[int, int], VersionComparison]:
        """How each version of a picture shows the one to keep, by their rows (kept, other)."""
        wanted = {(rows[0], other) for rows in kept_first for other in rows[1:]}
        known = _comparisons_of(pairs, found)
        missing = sorted(wanted - known.keys())
        if missing:
            ones, others = np.array(missing).T
            hashes = self._prints.hashes
            bits = [distances(hashes[ones], oriented(hashes[others], orientation)) for orientation in ORIENTATIONS]
            turns = Pairs(ones, others, np.argmin(bits, axis=0).astype(np.int8))
            known |= _comparisons_of(turns, self._aligned(turns))
        return {pair: known[pair] for pair in wanted}


def _turned(others: Squares, pairs: Pairs) -> Squares:
    """The squares of the second pictures in their orientations."""
    turned = others.copy()
    for number in np.unique(pairs.orientations).tolist():
        rows = pairs.orientations == number
        turned[rows] = ORIENTATIONS[number].of(others[rows])
    return turned


def _comparisons_of(pairs: Pairs, found: Alignments) -> dict[tuple[int, int], VersionComparison]:
    """The comparisons of pairs in both directions; of several orientations the one with the best score."""
    known: dict[tuple[int, int], VersionComparison] = {}
    degrees, are_same = found.degrees.tolist(), found.are_same.tolist()
    for place in np.argsort(found.scores).tolist():
        one, other, number = int(pairs.ones[place]), int(pairs.others[place]), int(pairs.orientations[place])
        score, (of_one, of_other) = float(found.scores[place]), found.shares[place].tolist()
        rest = degrees[place], are_same[place]
        known[one, other] = VersionComparison(ORIENTATIONS[number], score, of_one, of_other, *rest)
        known[other, one] = VersionComparison(ORIENTATIONS[INVERSES[number]], score, of_other, of_one, *rest)
    return known


def _with_differences(group: Group, rows: list[int], known: Mapping[tuple[int, int], VersionComparison]) -> Group:
    kept, *others = group.members
    compared = [
        replace(member, differences=differences(kept.document, member.document, known[rows[0], row]))
        for member, row in zip(others, rows[1:], strict=True)
    ]
    return replace(group, members=(kept, *compared))
