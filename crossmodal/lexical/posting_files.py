"""The files of an inverted index: five arrays and their checksums."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.errors import StateError
from crossmodal.core.files import atomic_writer, checksum, write_atomically
from crossmodal.core.types import Keys
from crossmodal.lexical.postings import Weights


class PostingArrays(NamedTuple):
    """A compacted index of n pictures: `keys` (n,) int64, `active` (n,) int32, and the arrays of `Postings`."""

    keys: Keys
    active: NDArray[np.int32]
    starts: NDArray[np.int64]
    rows: NDArray[np.int32]
    weights: Weights

    def save(self, folder: Path, stem: str) -> list[str]:
        """Writes each array to `STEM.NAME.npy`, then `STEM.json` with the checksums; returns the names of the files.

        Each file is written atomically. Use a new stem for each save, to keep the files of the previous one intact.
        """
        folder.mkdir(parents=True, exist_ok=True)
        checksums = {}
        for name, array in self._asdict().items():
            path = folder / f"{stem}.{name}.npy"
            with atomic_writer(path) as file:
                np.save(file, array)
            checksums[path.name] = checksum(path)
        write_atomically(folder / f"{stem}.json", json.dumps(checksums, indent=1).encode())
        return [*checksums, f"{stem}.json"]

    @classmethod
    def load(cls, folder: Path, stem: str) -> PostingArrays:
        """Memory-maps the arrays that `save` wrote.

        Raises:
            StateError: A file is missing or damaged.
        """
        path = folder / f"{stem}.json"
        names = [f"{stem}.{name}.npy" for name in cls._fields]
        try:
            checksums = json.loads(path.read_bytes())
            expected = [checksums[name] for name in names]
        except OSError as error:
            raise StateError(f"{path} can't be read: {error.strerror}; index the pictures again") from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise StateError(f"{path} is damaged; index the pictures again") from error
        return cls(*(_read(folder / name, digest) for name, digest in zip(names, expected, strict=True)))


def _read(path: Path, expected: str) -> NDArray[Any]:
    try:
        actual = checksum(path)
    except OSError as error:
        raise StateError(f"{path} can't be read: {error.strerror}; index the pictures again") from error
    if actual != expected:
        raise StateError(f"{path} is damaged: its checksum is {actual}, not {expected}; index the pictures again")
    array: NDArray[Any] = np.load(path, mmap_mode="r")
    return array
