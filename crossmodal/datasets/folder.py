"""A folder of pictures, with captions from a file, from `.txt` files beside the pictures, or with none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from crossmodal.core.errors import InputError
from crossmodal.core.types import Failure, ImageRecord, Record
from crossmodal.datasets.captions import SUFFIXES, CaptionTable, read_captions
from crossmodal.images.decode import EXTENSIONS

Records = Iterator[Record]


def read_path(path: Path, split: str | None = None) -> Records:
    """The pictures of a folder, or of a caption file, with their captions.

    Args:
        path: A folder (searched recursively; a caption file called captions.* in it is used), or a
            caption file (its pictures are in `images/` beside it, or beside it).
        split: Keep only the pictures of that split.

    Raises:
        InputError: No such path, no pictures, or no such split.
    """
    if not path.exists():
        raise InputError(f"{path} is neither a data set nor a folder nor a caption file")
    if path.is_dir():
        files = sorted(f for f in path.iterdir() if f.stem == "captions" and f.suffix.lower() in SUFFIXES)
        return read_folder(path, files[0] if files else None, split)
    return read_folder(path.parent, path, split)


def read_folder(folder: Path, caption_file: Path | None, split: str | None = None) -> Records:
    """The pictures under `folder` (under its `images/` where there is one and captions name pictures)."""
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist")
    table = read_captions(caption_file) if caption_file else None
    images = folder / "images" if table is not None and (folder / "images").is_dir() else folder
    failures: list[Failure] = []
    paths = sorted(_pictures(images, failures))
    if not paths and not (table and table.captions):
        raise InputError(f"no pictures in {images}: looked for {', '.join(sorted(EXTENSIONS))}")
    if split is not None:
        known = sorted(set(table.splits.values())) if table else []
        if split not in known:
            raise InputError(f"{folder} has no split {split!r}: it has {', '.join(known) or 'none'}")
    records = _with_table(images, paths, table, split) if table else _with_side_files(images, paths)
    return chain(failures, records)


def _pictures(folder: Path, failures: list[Failure]) -> Iterator[Path]:
    """Every file with a picture's ending. Links to folders are not followed, so no loop is walked."""

    def unreadable(error: OSError) -> None:
        failures.append(Failure(_printable(str(error.filename)), f"the folder can't be read: {error.strerror}"))

    for parent, folders, files in os.walk(folder, onerror=unreadable):
        folders.sort()
        for name in files:
            if Path(name).suffix.lower() not in EXTENSIONS:
                continue
            path = Path(parent) / name
            if _printable(str(path)) != str(path):
                failures.append(Failure(_printable(str(path)), "its name is not UTF-8: rename it"))
            else:
                yield path


def _printable(name: str) -> str:
    """A file name with the bytes that are no UTF-8 written as escapes."""
    return name.encode("utf8", "backslashreplace").decode("utf8")


def _with_table(images: Path, paths: list[Path], table: CaptionTable, split: str | None) -> Records:
    yield from table.failures
    by_name = {path.name: name for name in table.captions for path in [Path(name)]}
    used = set()
    for path in paths:
        relative = path.relative_to(images).as_posix()
        name = relative if relative in table.captions else by_name.get(path.name)
        if name is not None:
            used.add(name)
        own_split = table.splits.get(name or relative, table.splits.get(path.name))
        if split is not None and own_split != split:
            continue
        own_captions = tuple(dict.fromkeys(table.captions.get(name or "", ())))
        yield ImageRecord(path, own_captions, _tags(images, path, own_split))
    for name, captions in table.captions.items():
        if name not in used and (split is None or table.splits.get(name) == split):
            reason = f"the captions name it, but there is no such picture in {images}"
            yield from [Failure(name, reason, "text")] * max(1, len(captions))


def _with_side_files(images: Path, paths: list[Path]) -> Records:
    for path in paths:
        side = path.with_suffix(".txt")
        captions: tuple[str, ...] = ()
        if side.is_file():
            try:
                lines = side.read_text("utf-8-sig").splitlines()
                captions = tuple(dict.fromkeys(" ".join(line.split()) for line in lines if line.strip()))
                if not captions:
                    yield Failure(str(side), "the caption is empty", "text")
            except (OSError, UnicodeDecodeError) as error:
                yield Failure(str(side), f"can't be read as UTF-8: {error}", "text")
        yield ImageRecord(path, captions, _tags(images, path, None))


def _tags(images: Path, path: Path, split: str | None) -> dict[str, str]:
    tags = {"filename": path.name}
    folder = path.relative_to(images).parent.as_posix()
    if folder != ".":
        tags["folder"] = folder
    if split is not None:
        tags["split"] = split
    return tags
