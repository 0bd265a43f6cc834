"""A folder of pictures, with captions from a file, from `.txt` files beside the pictures, or with none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from pathlib import Path, PurePosixPath

from crossmodal.core.errors import InputError
from crossmodal.core.types import Failure, ImageRecord, Record
from crossmodal.datasets.attribution import ATTRIBUTION, with_credit
from crossmodal.datasets.captions import READERS, SPLITS, read_captions
from crossmodal.datasets.columns import Columns
from crossmodal.datasets.names import PictureNames, difference, fold, listed
from crossmodal.datasets.selection import Selection, select
from crossmodal.datasets.table import CaptionTable
from crossmodal.datasets.text import Unusable, as_utf8, captions_in, read_text, split_lines
from crossmodal.images.decode import EXTENSIONS

Records = Iterator[Record]


def read_path(path: Path, split: str | None = None, columns: Columns | None = None) -> Records:
    """The pictures of a folder, or of a caption file, with their captions.

    Args:
        path: A folder (searched recursively; a caption file called captions.* in it is used), or a
            caption file (its pictures are in it, or in `images/` beside it, or beside it).
        split: Keep only the pictures of that split.
        columns: The caption file's columns, where they are not called as usual.

    Raises:
        InputError: No such path, no pictures, or no such split.
    """
    try:
        if not path.exists():
            raise InputError(f"{path} is neither a data set nor a folder nor a caption file")
        if path.is_dir():
            return read_folder(path, _caption_file(path), split, columns)
        return read_folder(path.parent, path, split, columns, only_embedded=True)
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror or error}") from error


def _caption_file(folder: Path) -> Path | None:
    found = (file for file in sorted(folder.iterdir()) if file.stem.lower() == "captions" and not file.is_dir())
    return next((file for file in found if file.suffix.lower() in READERS), None)


def read_folder(
    folder: Path,
    caption_file: Path | None,
    split: str | None = None,
    columns: Columns | None = None,
    *,
    only_embedded: bool = False,
) -> Records:
    """The pictures under `folder` (under its `images/` where there is one and captions name pictures).

    With `only_embedded`, a caption file that holds all of its pictures itself is read alone.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist")
    if columns is not None and columns != Columns() and caption_file is None:
        raise InputError(f"{folder} has no caption file that could have columns: name one with -d")
    table = read_captions(caption_file, columns) if caption_file else CaptionTable()
    images = folder / "images" if caption_file is not None and (folder / "images").is_dir() else folder
    if only_embedded and table.pictures and not table.captions:
        chosen = Selection(images)
    else:
        chosen = select(images, folder / ATTRIBUTION, *([caption_file, folder / SPLITS] if caption_file else []))
        _beside(folder, images, chosen)
    if not chosen.pictures and not table.captions and not table.pictures:
        raise InputError(_nothing(chosen, table))
    _require_split(folder, table, split)
    if caption_file is None:
        records = _with_side_files(chosen)
    else:
        for text in chosen.texts:
            chosen.skip("files ending in .txt", text)
        records = _with_table(folder, chosen, table, split)
    return chain(chosen.failures, with_credit(records, chosen.root, chosen.pictures, folder))


def _nothing(chosen: Selection, table: CaptionTable) -> str:
    """What to say where there is no picture."""
    found = [str(chosen)] if str(chosen) else []
    if table.failures:
        first = table.failures[0]
        found.append(f"{len(table.failures)} rows of captions can't be read, first {first.path}: {first.reason}")
    told = f"; found: {'; '.join(found)}" if found else ""
    return f"no pictures in {chosen.root}: looked for {', '.join(sorted(EXTENSIONS))}{told}"


def _beside(folder: Path, images: Path, chosen: Selection) -> None:
    """Counts what is not searched where the pictures are in `images/`."""
    if images == folder:
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path != images and not path.name.startswith("."):
            chosen.skip("folders beside images/, which is the one searched", path.name)
        elif path.suffix.lower() in EXTENSIONS:
            chosen.skip("pictures beside images/, which is the folder searched", path.name)


def _require_split(folder: Path, table: CaptionTable, split: str | None) -> None:
    known = {*table.splits.values(), *(picture.tags["split"] for picture in table.pictures if "split" in picture.tags)}
    if split is not None and split not in known:
        raise InputError(f"{folder} has no split {split!r}: it has {', '.join(sorted(known)) or 'none'}")


def _with_table(folder: Path, chosen: Selection, table: CaptionTable, split: str | None) -> Records:
    yield from table.failures
    yield from chosen.skipped
    found, refused = PictureNames(chosen.pictures, chosen.root, folder).resolve(
        dict.fromkeys([*table.captions, *table.splits]), table.loose
    )
    names: dict[int, list[str]] = defaultdict(list)
    for name, picture in found.items():
        names[picture].append(name)
    for picture, path in enumerate(chosen.pictures):
        splits = {table.splits[name] for name in names[picture] if name in table.splits}
        if len(splits) > 1:
            yield Failure(str(chosen.root / path), f"it is in several splits, so in none: {', '.join(sorted(splits))}")
        own_split = splits.pop() if len(splits) == 1 else None
        if split is None or own_split == split:
            captions = dict.fromkeys(caption for name in names[picture] for caption in table.captions.get(name, ()))
            yield ImageRecord(chosen.root / path, tuple(captions), _tags(path, own_split))
    yield from (picture for picture in table.pictures if split is None or picture.tags.get("split") == split)
    for name, reason in refused.items():
        if split is not None and table.splits.get(name) != split:
            continue
        if name in table.captions:
            n_captions = len(table.captions[name]) or int(name not in table.given_up)
            yield from [Failure(name, f"the captions name it, but {reason}", "text")] * n_captions
        else:
            yield Failure(name, f"{SPLITS} names it, but {reason}")


def _with_side_files(chosen: Selection) -> Records:
    """Pictures with the lines of `photo.txt` or `photo.jpg.txt` beside them."""
    by_name, by_stem = _by_name(chosen.pictures), _by_name(chosen.pictures, without_suffix=True)
    captions: dict[str, dict[str, None]] = defaultdict(dict)
    for text in chosen.texts:
        bare = str(PurePosixPath(text).with_suffix(""))
        fits = _most_alike(bare, by_name) or _most_alike(bare, by_stem)
        if not fits:
            chosen.skip("files ending in .txt without a picture of that name", text)
            continue
        side = chosen.root / text
        for caption in _lines(side):
            if isinstance(caption, Unusable):
                yield Failure(as_utf8(str(side)), f"the caption {caption.reason}", "text")
            elif len(fits) > 1:
                yield Failure(as_utf8(str(side)), f"it may be of several pictures: {listed(fits)}", "text")
            else:
                captions[fits[0]][caption] = None
    yield from chosen.skipped
    for path in chosen.pictures:
        yield ImageRecord(chosen.root / path, tuple(captions[path]), _tags(path, None))


def _by_name(pictures: list[str], *, without_suffix: bool = False) -> dict[str, list[tuple[str, str]]]:
    """Pictures under what their names have in common, each with the name it is compared by."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for path in pictures:
        name = str(PurePosixPath(path).with_suffix("")) if without_suffix else path
        found[fold(name)].append((name, path))
    return found


def _most_alike(written: str, names: dict[str, list[tuple[str, str]]]) -> list[str]:
    fits = [(difference(written, name), path) for name, path in names.get(fold(written), ())]
    return [path for level, path in fits if level == min(fits)[0]]


def _lines(side: Path) -> list[str | Unusable]:
    try:
        lines = [line for line in split_lines(read_text(side)) if line.strip("\ufeff \t")]
    except (OSError, ValueError) as error:
        return [Unusable(f"can't be read: {error}")]
    return [*captions_in(lines)] or [Unusable("is empty")]


def _tags(path: str, split: str | None) -> dict[str, str]:
    parent, _, name = path.rpartition("/")
    tags = {"filename": name}
    if parent:
        tags["folder"] = parent
    if split is not None:
        tags["split"] = split
    return tags
