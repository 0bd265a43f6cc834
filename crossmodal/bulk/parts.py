"""Parts of a bulk encoding: a Parquet file for each, named by the content of its list of pictures.

The list of pictures is cut after a picture whose name hashes to a chosen value. So a picture that is added or removed
changes the part around it only, and all other parts keep their names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crossmodal.bulk.inputs import Input
from crossmodal.collection.parquet_file import ParquetFile
from crossmodal.core.errors import InputError, StateError
from crossmodal.core.files import write_atomically
from crossmodal.core.os_errors import reason
from crossmodal.core.settings import MetadataChoice
from crossmodal.core.types import Failure

PART_SIZE = 1_000
"""Pictures per part, on average."""
_KEY = "encoded"


@dataclass(frozen=True)
class Part:
    """Pictures that are encoded into one file, and which of their metadata becomes tags."""

    inputs: tuple[Input, ...]
    metadata: MetadataChoice = "all"

    @property
    def name(self) -> str:
        """The file's name: a hash of all that the part is made from, except the model."""
        digest = hashlib.sha1(f"{self.metadata}\n".encode(), usedforsecurity=False)
        for item in self.inputs:
            digest.update(json.dumps([item.uri, item.state, item.captions, item.tags], sort_keys=True).encode() + b"\n")
        return f"part-{digest.hexdigest()[:20]}.parquet"


@dataclass(frozen=True)
class Summary:
    """The outcome of a part.

    `images` and `captions` are the numbers of its documents, `copies` that of pictures with the content of another one.
    `is_complete` is False if a picture could not be read, which another run may be able to do.
    """

    images: int
    captions: int
    copies: int
    failures: tuple[Failure, ...]
    notes: tuple[Failure, ...]
    is_complete: bool

    def to_dict(self) -> dict[str, Any]:
        """The values for the manifest of the part's file."""
        return {_KEY: asdict(self)}

    @classmethod
    def of(cls, path: Path) -> Summary | None:
        """The summary of a complete part; None if the file is missing, damaged, or not complete."""
        if not path.exists():
            return None
        try:
            with ParquetFile(path) as file:
                values = file.manifest[_KEY]
            listed = {name: tuple(Failure(**item) for item in values[name]) for name in ("failures", "notes")}
            summary = cls(**{**values, **listed})
        except (InputError, KeyError, TypeError):
            return None
        return summary if summary.is_complete else None


@dataclass(frozen=True)
class EncodedPart:
    """The content of a part's file, and its summary."""

    content: bytes
    summary: Summary


def cut(inputs: Iterable[Input], size: int = PART_SIZE, metadata: MetadataChoice = "all") -> Iterator[Part]:
    """Parts of about `size` pictures, at most twice as many, in the order of the pictures."""
    part: list[Input] = []
    for item in inputs:
        part.append(item)
        digest = hashlib.sha1(item.uri.encode("utf8", "surrogateescape"), usedforsecurity=False).digest()
        if len(part) == 2 * size or int.from_bytes(digest[:8], "big") % size == 0:
            yield Part(tuple(part), metadata)
            part = []
    if part:
        yield Part(tuple(part), metadata)


def write(folder: Path, part: Part, encoded: EncodedPart) -> None:
    """Writes the file of a part, under a temporary name that is then changed.

    Raises:
        StateError: The file can't be written.
    """
    try:
        write_atomically(folder / part.name, encoded.content)
    except OSError as error:
        raise StateError(f"{folder / part.name} can't be written: {reason(error, folder)}") from error
