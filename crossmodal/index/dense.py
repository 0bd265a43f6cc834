"""Nearest-neighbour search of unit vectors by inner product, which is their cosine."""

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
    """An index of two segments: a frozen one of any kind, and a flat tail of later vectors.

    The frozen segment is immutable, and may be a mapped file that other processes use. A removed vector is marked dead
    and no longer returned; its memory is freed when the index is frozen again.

    Scores are cosines of the original vectors for `flat`, and of vectors rounded to float16 for the other kinds. Over 4
    million pairs, the rounding error was at most 6e-5 for dimension 512, 1e-4 for 128, and 3e-4 for 16.
    """

    def __init__(self, dim: int, kind: IndexKind | None = None) -> None:
        """An empty index.

        Args:
            dim: Dimension of the vectors.
            kind: The kind into which `extended` freezes added vectors; None for flat.
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
        """Adds unit vectors (n, dim) float32 with n keys to the tail.

        Raises:
            ValueError: Vectors have another dimension, or a length other than 1 (encoders normalise, the index does
                not), or keys don't ascend, or are not greater than all keys that were ever added.
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
        """Removes the rows with these keys; returns how many were in the index."""
        keys = _ascending(keys)
        return self._frozen.remove(keys) + self._tail.remove(keys)

    def search(
        self, queries: Vectors, k: int, allowed: Keys | None = None, n_visited: int | None = None
    ) -> tuple[Scores, Keys]:
        """The k best of each of (n, dim) float32 queries.

        Args:
            queries: Unit vectors.
            k: Number of results, at least 1.
            allowed: If given, only these keys are searched; in any order, unknown and removed keys are ignored.
            n_visited: As for `IndexKind.search`, if all keys are allowed.

        Returns:
            Scores (n, k), falling, and keys (n, k); missing results have the key -1 and the score -inf. The order of
            equal scores is undefined.
        """
        queries = np.ascontiguousarray(queries, np.float32)
        if allowed is not None:
            allowed = _ascending(allowed)
        if not self._tail.n:
            return self._frozen.search(queries, k, allowed, n_visited)
        tail = self._tail.search(queries, k, allowed)
        return merged(*self._frozen.search(queries, k, allowed, n_visited), *tail) if self._frozen.n else tail

    def frozen(self, kind: IndexKind) -> DenseIndex:
        """A new index of all vectors that are not removed, frozen into `kind`.

        With fewer than LEAST_TO_TRAIN vectors, flat replaces a kind that needs training.
        """
        if kind.is_trained and len(self) < LEAST_TO_TRAIN:
            kind = FLAT
        parts = self._frozen, self._tail
        living = [np.flatnonzero(part.alive) for part in parts]
        n_first = len(living[0])

        def take(rows: Rows) -> Vectors:
            split = rows.searchsorted(n_first)
            chosen = living[0][rows[:split]], living[1][rows[split:] - n_first]
            return np.concatenate([part.vectors(part_rows) for part, part_rows in zip(parts, chosen, strict=True)])

        keys = np.concatenate([part.keys[rows] for part, rows in zip(parts, living, strict=True)])
        return DenseIndex._of(self.dim, Segment.build(kind, self.dim, keys, take))

    def extended(self) -> DenseIndex:
        """A new index of the same kind, with the tail added to a copy of the frozen segment.

        Instead, all vectors are frozen again if the frozen segment is empty, or if the kind is trained and the index
        would be more than GROWTH_UNTIL_RETRAINED times as large as at its training.
        """
        n = self._frozen.n + len(self._tail)
        if not self._frozen.n or (self.kind.is_trained and n > GROWTH_UNTIL_RETRAINED * self._frozen.n_trained):
            return self.frozen(self.kind)
        part, rows = self._frozen.copy(), np.flatnonzero(self._tail.alive)
        part.add(self._tail.keys[rows], self._tail.vectors(rows))
        return DenseIndex._of(self.dim, part)

    def save(self, folder: Path, stem: str) -> list[str]:
        """Writes the frozen segment; returns the names of its files.

        `STEM.faiss` is the index (not for `flat`), `STEM.rows.npz` has the keys and the removed rows, and
        `STEM.vectors.npy` the vectors (n, dim), float32 for `flat` and float16 for `ivf-pq`. Each file is replaced
        atomically, but not all of them together: commit them by writing a file with their names last.

        Raises:
            ValueError: The tail is not empty; call `extended` or `frozen` first.
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
        """Opens an index that `save` wrote. The files may be replaced or removed while it is open.

        The index is memory-mapped and separate vectors are read on demand, so opening takes milliseconds, and processes
        share the memory.

        Raises:
            StateError: A file is missing or truncated, or the files don't belong together. Changed bytes in a file of
                the right size are not detected and may make FAISS abort the process, so verify checksums first.
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
    """The distinct keys, ascending."""
    if (np.diff(keys) > 0).all():
        return keys
    keys = np.sort(keys)
    distinct: Keys = keys[np.append(True, np.diff(keys) > 0)]
    return distinct


@contextmanager
def _read(path: Path, size: int | None = None) -> Iterator[Path]:
    """Converts the errors of reading a damaged or missing file into a StateError with its path."""
    try:
        if size is not None:
            _check(size, path.stat().st_size)
        yield path
    except FileNotFoundError as error:
        raise StateError(f"{path} is missing") from error
    except (OSError, EOFError, ValueError, LookupError, RuntimeError, zipfile.BadZipFile, InputError) as error:
        raise StateError(f"{path} {read_failure(error, path)}") from error


def _check(expected: object, actual: object) -> None:
    if actual != expected:
        raise ValueError(f"expected {expected}, found {actual}")
