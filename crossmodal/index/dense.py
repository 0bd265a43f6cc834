"""Nearest neighbours of unit vectors by inner product (their cosine)."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from crossmodal.core.errors import InputError, StateError
from crossmodal.core.files import atomic_path, atomic_writer
from crossmodal.core.os_errors import read_failure
from crossmodal.core.types import Keys, Vectors
from crossmodal.index.flat import FlatIndex, Rows
from crossmodal.index.kinds import BLOCK, FLAT, GROWTH_UNTIL_RETRAINED, LEAST_TO_TRAIN, IndexKind
from crossmodal.index.rows import FileRows, Scores, merged
from crossmodal.index.segment import Segment

UNIT_TOLERANCE = 1e-3


class DenseIndex:
    """Two segments: a frozen one of some kind, and a tail of later vectors, which are compared one by one.

    The frozen segment is immutable: it may be a mapped file that other processes use. A removed vector is marked dead,
    is never found again, and disappears when the index is frozen again.
    Scores are cosines, of the vectors themselves for `flat`, else of vectors rounded to float16:
    measured over 4 million pairs, off by 6e-5 at most with 512 numbers, 1e-4 with 128, 3e-4 with 16.
    """

    def __init__(self, dim: int, kind: IndexKind | None = None) -> None:
        """An empty index.

        Args:
            dim: Length of a vector.
            kind: The kind that `extended` freezes the added vectors into; flat by default.
        """
        self.dim, self.kind = dim, kind or FLAT
        self._frozen, self._tail = _empty(dim), _empty(dim)

    @classmethod
    def _of(cls, dim: int, frozen: Segment) -> DenseIndex:
        index = cls(dim, frozen.kind)
        index._frozen = frozen
        return index

    def __len__(self) -> int:
        return len(self._frozen) + len(self._tail)

    @property
    def n_dead(self) -> int:
        """Removed vectors that still take memory."""
        return self._frozen.n_dead + self._tail.n_dead

    @property
    def n_tail(self) -> int:
        """Vectors in the tail, removed ones included."""
        return self._tail.n

    def add(self, keys: Keys, vectors: Vectors) -> None:
        """Adds (n, dim) float32 rows of length 1 under n keys to the tail.

        Raises:
            ValueError: Rows have another dim or another length than 1 (encoders normalise, the index does not), or
                keys do not ascend above every key that was ever added.
        """
        if vectors.shape != (len(keys), self.dim):
            raise ValueError(f"expected ({len(keys)}, {self.dim}) vectors, found {vectors.shape}")
        if not len(keys):
            return
        lengths = np.linalg.norm(vectors, axis=1)
        if not np.all(np.abs(lengths - 1) < UNIT_TOLERANCE):
            raise ValueError(f"vectors must have length 1, found {lengths.min():.4f} to {lengths.max():.4f}")
        last = max([-1, *self._frozen.keys[-1:].tolist(), *self._tail.keys[-1:].tolist()])
        if keys[0] <= last or not (np.diff(keys) > 0).all():
            raise ValueError(f"expected ascending keys beyond {last}, found {keys[0]} to {keys[-1]}")
        self._tail.add(keys, np.ascontiguousarray(vectors, np.float32))

    def remove(self, keys: Keys) -> int:
        """Removes the rows of these keys; returns how many there were."""
        keys = _ascending(keys)
        return self._frozen.remove(keys) + self._tail.remove(keys)

    def search(self, queries: Vectors, k: int, allowed: Keys | None = None) -> tuple[Scores, Keys]:
        """The k best of each of (n, dim) float32 queries.

        Args:
            queries: Vectors of length 1.
            k: At least 1.
            allowed: Only these keys are searched, in any order; unknown and removed ones are ignored.

        Returns:
            Scores (n, k), falling, and keys (n, k). With fewer than k matches the rest of a row is -1 with a score
            of -inf. The order of equal scores is not defined.
        """
        queries = np.ascontiguousarray(queries, np.float32)
        if allowed is not None:
            allowed = _ascending(allowed)
        if not self._tail.n:
            return self._frozen.search(queries, k, allowed)
        tail = self._tail.search(queries, k, allowed)
        return merged(*self._frozen.search(queries, k, allowed), *tail) if self._frozen.n else tail

    def frozen(self, kind: IndexKind) -> DenseIndex:
        """A new index of all vectors that are not removed, frozen into that kind.

        With fewer than LEAST_TO_TRAIN vectors a kind that must be trained is replaced by flat.
        """
        if kind.is_trained and len(self) < LEAST_TO_TRAIN:
            kind = FLAT
        parts = self._frozen, self._tail
        living = [np.flatnonzero(part.alive) for part in parts]
        n_first = len(living[0])

        def take(rows: Rows) -> Vectors:
            split = rows.searchsorted(n_first)
            chosen = living[0][rows[:split]], living[1][rows[split:] - n_first]
            return np.concatenate([part.vectors(some) for part, some in zip(parts, chosen, strict=True)])

        keys = np.concatenate([part.keys[rows] for part, rows in zip(parts, living, strict=True)])
        return DenseIndex._of(self.dim, Segment.build(kind, self.dim, keys, take))

    def extended(self) -> DenseIndex:
        """A new index of the same kind, with the tail added to a copy of the frozen segment.

        The index is frozen again instead if nothing is frozen yet, or if the kind is trained and the index would be
        GROWTH_UNTIL_RETRAINED times as large as at its training.
        """
        n = self._frozen.n + len(self._tail)
        if not self._frozen.n or (self.kind.is_trained and n > GROWTH_UNTIL_RETRAINED * self._frozen.n_trained):
            return self.frozen(self.kind)
        part, rows = self._frozen.copy(), np.flatnonzero(self._tail.alive)
        part.add(self._tail.keys[rows], self._tail.vectors(rows))
        return DenseIndex._of(self.dim, part)

    def save(self, folder: Path, stem: str) -> list[str]:
        """Writes the frozen segment; returns the names of its files.

        `STEM.faiss` is the index, `STEM.rows.npz` the keys and the removed rows, `STEM.vectors.npy` the vectors,
        (n, dim): float32 for `flat`, which has no other file, float16 for `ivf-pq`. Each file is replaced atomically,
        but not all of them together: commit them by a last file with their names.

        Raises:
            ValueError: The tail is not empty: call `extended` or `frozen` first.
        """
        if self.n_tail:
            raise ValueError(f"{self.n_tail} vectors are not frozen yet")
        part = self._frozen
        names = [f"{stem}{part.kind.suffix}"]
        with atomic_path(folder / names[0]) as temporary:
            part.kind.write(part.index, temporary)
        if not part.kind.keeps_rows:
            names.append(f"{stem}.vectors.npy")
            with atomic_writer(folder / names[1]) as file:
                header = {"descr": "<f2", "fortran_order": False, "shape": (part.n, self.dim)}
                np.lib.format.write_array_header_1_0(file, header)
                for start in range(0, part.n, BLOCK):
                    file.write(part.rows.take(np.arange(start, min(start + BLOCK, part.n))).tobytes())
        sizes = [(folder / name).stat().st_size for name in names]
        names.append(f"{stem}.rows.npz")
        with atomic_writer(folder / names[-1]) as file:
            dead = np.flatnonzero(~part.alive)
            np.savez(file, keys=part.keys, dead=dead, kind=str(part.kind), n_trained=part.n_trained, sizes=sizes)
        return names

    @classmethod
    def load(cls, folder: Path, stem: str, dim: int) -> DenseIndex:
        """Opens what `save` wrote. The files may be replaced or removed while it is open.

        The index is mapped, and the vectors beside it are read as needed: opening takes milliseconds, and its memory
        is shared with other processes.

        Raises:
            StateError: A file is missing or truncated, or the files do not belong together. Changed bytes in a file
                of the right size are not noticed, and FAISS may abort the process over them: keep checksums.
        """
        with _read(folder / f"{stem}.rows.npz") as path, path.open("rb") as raw, np.load(raw) as file:
            kind, n_trained = IndexKind.parse(str(file["kind"])), int(file["n_trained"])
            keys, sizes = file["keys"], file["sizes"].tolist()
            dead = keys[file["dead"]]
        expected = len(keys), dim
        with _read(folder / f"{stem}{kind.suffix}", sizes[0]) as path:
            index = kind.read(path)
            _check(expected, (index.ntotal, index.d))
        rows = None
        if not kind.keeps_rows:
            with _read(folder / f"{stem}.vectors.npy", sizes[1]) as path:
                rows = FileRows(path)
                _check(expected, rows.shape)
        part = Segment(kind, index, rows, keys, n_trained)
        part.remove(dead)
        return cls._of(dim, part)


def _empty(dim: int) -> Segment:
    return Segment(FLAT, FlatIndex(np.empty((0, dim), np.float32)), None, np.empty(0, np.int64))


def _ascending(keys: Keys) -> Keys:
    """The same keys, ascending, each once."""
    if (np.diff(keys) > 0).all():
        return keys
    keys = np.sort(keys)
    once: Keys = keys[np.append(True, np.diff(keys) > 0)]
    return once


@contextmanager
def _read(path: Path, size: int | None = None) -> Iterator[Path]:
    """Turns the errors that readers raise over a damaged file into a StateError that names it."""
    try:
        if size is not None:
            _check(size, path.stat().st_size)
        yield path
    except FileNotFoundError as error:
        raise StateError(f"{path} is missing") from error
    except (OSError, EOFError, ValueError, LookupError, RuntimeError, zipfile.BadZipFile, InputError) as error:
        raise StateError(f"{path} {read_failure(error, path)}") from error


def _check(expected: object, found: object) -> None:
    if found != expected:
        raise ValueError(f"expected {expected}, found {found}")
