"""The pictures to encode: of a data set, of a list of files, or of an object store."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from crossmodal.bulk.object_store import AWS, ObjectStore, checked_place
from crossmodal.core.errors import InputError
from crossmodal.core.types import Failure, ImageRecord, Skipped
from crossmodal.datasets import registry
from crossmodal.datasets.folder import location_tags
from crossmodal.datasets.text import as_utf8, read_text, split_lines
from crossmodal.images.decode import EXTENSIONS
from crossmodal.images.sources import from_file, is_object_url


@dataclass(frozen=True, slots=True)
class Input:
    """A picture to encode, with its captions.

    `uri` is an absolute path or the URL of an object, the same on every machine. `state` changes with the file's
    content; it is empty if the file can't be checked from this machine. `size` is in bytes, 0 if unknown.
    """

    uri: str
    captions: tuple[str, ...] = ()
    tags: dict[str, Any] = field(default_factory=dict)
    state: str = ""
    size: int = 0

    def read(self, store: ObjectStore) -> bytes:
        """The encoded bytes; `store` has the objects.

        Raises:
            PictureError: The picture can't be read or is too large.
        """
        return store.read(self.uri) if is_object_url(self.uri) else from_file(Path(self.uri))


Inputs = Iterator[Input | Failure | Skipped]


def read_inputs(
    source: str,
    store: ObjectStore = AWS,
    split: str | None = None,
    columns: Iterable[tuple[str, str]] = (),
    exclude: Sequence[str] = (),
) -> Inputs:
    """The pictures of a source; none is opened.

    Args:
        source: `s3://BUCKET/PREFIX`; a text file whose first line is the path or URL of a picture, which lists one
            picture per line; or a data set as for `registry.read`, with its captions.
        store: The object store of a URL.
        split: The split of a data set; None for all.
        columns: Columns of a data set's caption file, as for `registry.read`.
        exclude: Patterns of a folder's files to leave out, as for `registry.read`.

    Raises:
        InputError: The source does not exist, has no pictures, or embeds them in another file.
        StateError: The object store does not answer.
    """
    if is_object_url(source) or _is_list(Path(source)):
        if split is not None or columns or exclude:
            raise InputError(f"{source} is not a folder or caption file: remove --split, --columns and --exclude")
        return _of_object_store(source, store) if is_object_url(source) else _of_list(Path(source))
    return map(_of_record, registry.read(source, split, columns, exclude))


def _of_record(record: ImageRecord | Failure | Skipped) -> Input | Failure | Skipped:
    if not isinstance(record, ImageRecord):
        return record
    if record.content is not None:
        raise InputError(f"{record.path} is embedded in another file: use `python app.py -t index` for this data set")
    return _local(record.real_path, record.captions, record.tags)


def _local(path: str, captions: tuple[str, ...], tags: dict[str, Any]) -> Input:
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # the machines that encode may have it
        return Input(path, captions, tags)
    return Input(path, captions, tags, f"{status.st_size}-{status.st_mtime_ns}", status.st_size)


def _is_list(path: Path) -> bool:
    """Whether the first line of a text file is the name of a picture, without a caption."""
    if path.suffix.lower() not in (".txt", ".list", ".lst") or not path.is_file():
        return False
    with path.open(encoding="utf8", errors="replace") as file:
        first = next((line.strip() for line in file if line.strip("\ufeff \t\r\n")), "")
    return PurePosixPath(first).suffix.lower() in EXTENSIONS


def _of_list(path: Path) -> Inputs:
    """The pictures of a list; relative paths start at its folder."""
    try:
        lines = split_lines(read_text(path))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} can't be read as a list of pictures: {error}") from error
    for line in map(str.strip, lines):
        if line:
            yield _listed(path.parent, line)


def _listed(folder: Path, line: str) -> Input | Failure:
    """The picture of a line, or why it can't be one.

    Raises:
        InputError: A URL has credentials, or no bucket.
    """
    is_remote, name = is_object_url(line), PurePosixPath(line)
    if is_remote:
        checked_place(line)
    try:
        uri = line if is_remote else os.path.realpath(folder / line)
    except ValueError as error:  # a NUL in the name
        return Failure(as_utf8(line), str(error))
    if as_utf8(uri) != uri:
        return Failure(as_utf8(uri), "its name is not UTF-8: rename it")
    tags = location_tags(name.name if name.is_absolute() or is_remote else line)
    return Input(uri, (), tags) if is_remote else _local(uri, (), tags)


def _of_object_store(url: str, store: ObjectStore) -> Inputs:
    """The pictures below a prefix; other objects are counted."""
    skipped: dict[str, list[str]] = defaultdict(list)
    n_pictures = 0
    for found in store.objects(url):
        if reason := _why_skipped(found.name):
            skipped[reason].append(found.name)
        else:
            n_pictures += 1
            yield Input(found.url, (), location_tags(found.name), found.state, found.size)
    if not n_pictures:
        others = "; ".join(f"{len(names)} {reason}" for reason, names in skipped.items()) or "nothing"
        raise InputError(f"no pictures below {url}: looked for {', '.join(sorted(EXTENSIONS))}; found: {others}")
    for reason, names in skipped.items():
        yield Skipped(reason, len(names), names[0])


def _why_skipped(name: str) -> str:
    path = PurePosixPath(name)
    if any(part.startswith(".") for part in path.parts):
        return "hidden objects"
    return "" if path.suffix.lower() in EXTENSIONS else "objects that are not pictures"
