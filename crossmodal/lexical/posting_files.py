"""The files of an inverted index: five arrays, and their checksums."""

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
        """Writes each array to `STEM.NAME.npy`, and last `STEM.json` with their checksums.

        Each file gets its name once it is completely on the disk. Use a new stem for every save: the files of the
        last one then stay intact.

        Returns:
            The names of the files.
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
        """Maps the arrays of `save` into memory.

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
        return cls(*(_read(folder / name, own) for name, own in zip(names, expected, strict=True)))


def _read(path: Path, expected: str) -> NDArray[Any]:
    try:
        found = checksum(path)
    except OSError as error:
        raise StateError(f"{path} can't be read: {error.strerror}; index the pictures again") from error
    if found != expected:
        raise StateError(f"{path} is damaged: its checksum is {found}, not {expected}; index the pictures again")
    array: NDArray[Any] = np.load(path, mmap_mode="r")
    return array
