"""Reader of a folder of pictures with captions from a caption file or from `.txt` files, or without captions."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path, PurePosixPath

from crossmodal.core.errors import InputError
from crossmodal.core.types import Failure, ImageRecord, Record
from crossmodal.datasets.attribution import ATTRIBUTION, with_credit
from crossmodal.datasets.captions import READERS, SPLITS, read_captions
from crossmodal.datasets.columns import Columns
from crossmodal.datasets.ignore import IgnoreRules
from crossmodal.datasets.names import PictureNames, difference, fold, listed
from crossmodal.datasets.selection import Progress, Selection, select
from crossmodal.datasets.table import CaptionTable
from crossmodal.datasets.text import Unusable, as_utf8, captions_in, read_text, split_lines
from crossmodal.images.decode import EXTENSIONS

Records = Iterator[Record]


def read_path(
    path: Path,
    split: str | None = None,
    columns: Columns | None = None,
    exclude: Sequence[str] = (),
    *,
    may_be_empty: bool = False,
    progress: Progress = lambda _: None,
) -> Records:
    """The records of a folder or of a caption file.

    Args:
        path: A folder, which is searched recursively and may contain a caption file named captions.*; or a caption
            file whose pictures are embedded, in `images/` beside it, or beside it.
        split: The split to read; None for all.
        columns: The caption file's columns, if not the default names.
        exclude: Patterns of files to leave out, as in a .gitignore file, relative to the folder.
        may_be_empty: Whether a folder may have no pictures.
        progress: Called with the number of pictures so far while a folder is listed.

    Raises:
        InputError: The path or the split does not exist, a pattern is invalid, or there are no pictures.
    """
    try:
        if not path.exists():
            raise InputError(f"{path} is neither a data set nor a folder nor a caption file: check the spelling")
        if path.is_dir():
            file = _caption_file(path)
            return read_folder(path, file, split, columns, exclude, may_be_empty=may_be_empty, progress=progress)
        if path.suffix.lower() in EXTENSIONS:
            raise InputError(f"{path} is a picture: give its folder, {path.parent}")
        return read_folder(path.parent, path, split, columns, exclude, only_embedded=True, progress=progress)
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror or error}") from error


def _caption_file(folder: Path) -> Path | None:
    files = (file for file in sorted(folder.iterdir()) if file.stem.lower() == "captions" and not file.is_dir())
    return next((file for file in files if file.suffix.lower() in READERS), None)


def read_folder(
    folder: Path,
    caption_file: Path | None,
    split: str | None = None,
    columns: Columns | None = None,
    exclude: Sequence[str] = (),
    *,
    only_embedded: bool = False,
    may_be_empty: bool = False,
    progress: Progress = lambda _: None,
) -> Records:
    """The records of `folder`; with a caption file, pictures are searched in `images/` if that exists.

    With `only_embedded`, a caption file that embeds all of its pictures is read without searching the folder.

    Raises:
        InputError: As `read_path`.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist")
    if columns is not None and columns != Columns() and caption_file is None:
        raise InputError(f"{folder} has no caption file for --columns: name the file with -d, or remove --columns")
    table = read_captions(caption_file, columns) if caption_file else CaptionTable()
    images = folder / "images" if caption_file is not None and (folder / "images").is_dir() else folder
    if only_embedded and table.pictures and not table.captions:
        selection = Selection(images)
    else:
        beside = [folder / ATTRIBUTION, *([caption_file, folder / SPLITS] if caption_file else [])]
        selection = select(images, *beside, rules=IgnoreRules(folder, exclude), progress=progress)
        _count_beside(folder, images, selection)
    if not selection.pictures and not table.captions and not table.pictures and not may_be_empty:
        raise InputError(_no_pictures(selection, table))
    _require_split(folder, table, split)
    if caption_file is None:
        records = _with_side_files(selection)
    else:
        for text in selection.texts:
            selection.skip("files ending in .txt", text)
        records = _with_table(folder, selection, table, split)
    return chain(selection.failures, with_credit(records, selection.root, selection.pictures, folder))


def _no_pictures(selection: Selection, table: CaptionTable) -> str:
    """The error message for a folder without pictures."""
    contents = [str(selection)] if str(selection) else []
    if table.failures:
        first = table.failures[0]
        contents.append(f"{len(table.failures)} rows of captions can't be read, first {first.path}: {first.reason}")
    other_files = f"; found: {'; '.join(contents)}" if contents else ""
    return f"no pictures in {selection.root}: looked for {', '.join(sorted(EXTENSIONS))}{other_files}"


def _count_beside(folder: Path, images: Path, selection: Selection) -> None:
    """Counts folders and pictures beside `images/` as skipped."""
    if images == folder:
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path != images and not path.name.startswith("."):
            selection.skip("folders beside images/ (only images/ is searched)", path.name)
        elif path.suffix.lower() in EXTENSIONS:
            selection.skip("pictures beside images/ (only images/ is searched)", path.name)


def _require_split(folder: Path, table: CaptionTable, split: str | None) -> None:
    splits = {*table.splits.values(), *(picture.tags["split"] for picture in table.pictures if "split" in picture.tags)}
    if split is not None and split not in splits:
        how = f"none: add a column `split` to the captions, or a file {SPLITS} with the columns image and split"
        raise InputError(f"{folder} has no split {split!r}: it has {', '.join(sorted(splits)) or how}")


def _with_table(folder: Path, selection: Selection, table: CaptionTable, split: str | None) -> Records:
    yield from table.failures
    yield from selection.skipped
    resolved, unresolved = PictureNames(selection.pictures, selection.root, folder).resolve(
        dict.fromkeys([*table.captions, *table.splits]), table.loose
    )
    names: dict[int, list[str]] = defaultdict(list)
    for name, picture in resolved.items():
        names[picture].append(name)
    real_root = os.path.realpath(selection.root)
    for picture, path in enumerate(selection.pictures):
        splits = {table.splits[name] for name in names[picture] if name in table.splits}
        if len(splits) > 1:
            reason = f"it is in several splits, so in none: {', '.join(sorted(splits))}"
            yield Failure(str(selection.root / path), reason)
        picture_split = splits.pop() if len(splits) == 1 else None
        if split is None or picture_split == split:
            captions = dict.fromkeys(caption for name in names[picture] for caption in table.captions.get(name, ()))
            yield _record(selection.root, real_root, path, tuple(captions), location_tags(path, picture_split))
    yield from (picture for picture in table.pictures if split is None or picture.tags.get("split") == split)
    for name, reason in unresolved.items():
        if split is not None and table.splits.get(name) != split:
            continue
        if name in table.captions:
            n_captions = len(table.captions[name]) or int(name not in table.with_failures)
            yield from [Failure(name, f"the captions name it, but {reason}", "text")] * n_captions
        else:
            yield Failure(name, f"{SPLITS} names it, but {reason}")


def _with_side_files(selection: Selection) -> Records:
    """The pictures with captions from the lines of `photo.txt` or `photo.jpg.txt` beside them."""
    named = selection.pictures if selection.texts else []
    by_name, by_stem = _by_name(named), _by_name(named, without_suffix=True)
    captions: dict[str, dict[str, None]] = defaultdict(dict)
    for text in selection.texts:
        bare = str(PurePosixPath(text).with_suffix(""))
        matches = _most_similar(bare, by_name) or _most_similar(bare, by_stem)
        if not matches:
            selection.skip("files ending in .txt without a picture of that name", text)
            continue
        side_file = selection.root / text
        for caption in _lines(side_file):
            if isinstance(caption, Unusable):
                yield Failure(as_utf8(str(side_file)), f"the caption {caption.reason}", "text")
            elif len(matches) > 1:
                one = PurePosixPath(matches[0]).name
                why = f"it may belong to several pictures: {listed(matches)}; name it after one, as {one}.txt"
                yield Failure(as_utf8(str(side_file)), why, "text")
            else:
                captions[matches[0]][caption] = None
    yield from selection.skipped
    real_root = os.path.realpath(selection.root)
    for path in selection.pictures:
        yield _record(selection.root, real_root, path, tuple(captions[path]), location_tags(path))


def _record(root: Path, real_root: str, path: str, captions: tuple[str, ...], tags: dict[str, str]) -> ImageRecord:
    """The record of a picture at a path relative to the folder `root`, with `/` between folders.

    `select` follows no links to folders, so below `real_root` only the file itself can be a link.
    """
    real_folder = os.path.join(real_root, path.rpartition("/")[0])
    return ImageRecord(root / path, captions, tags, real_folder=real_folder)


def _by_name(pictures: list[str], *, without_suffix: bool = False) -> dict[str, list[tuple[str, str]]]:
    """(name, path) of the pictures by folded name."""
    by_name: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for path in pictures:
        name = str(PurePosixPath(path).with_suffix("")) if without_suffix else path
        by_name[fold(name)].append((name, path))
    return by_name


def _most_similar(name: str, by_name: dict[str, list[tuple[str, str]]]) -> list[str]:
    """The paths of the pictures whose names are spelled most like `name`."""
    matches = [(difference(name, other), path) for other, path in by_name.get(fold(name), ())]
    return [path for level, path in matches if level == min(matches)[0]]


def _lines(side_file: Path) -> list[str | Unusable]:
    """The captions in a `.txt` file."""
    try:
        lines = [line for line in split_lines(read_text(side_file)) if line.strip("\ufeff \t")]
    except (OSError, ValueError) as error:
        return [Unusable(f"can't be read: {error}")]
    return [*captions_in(lines)] or [Unusable("is empty")]


def location_tags(path: str, split: str | None = None) -> dict[str, str]:
    """The tags of a picture's path relative to its data set: `filename`, `folder` and `split`, as far as known."""
    parent, _, name = path.rpartition("/")
    tags = {"filename": name}
    if parent:
        tags["folder"] = parent
    if split is not None:
        tags["split"] = split
    return tags
