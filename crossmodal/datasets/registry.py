"""Data sets by name, and the location of each. Modules that read data sets are imported when one is read."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha1
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from crossmodal.core.errors import InputError
from crossmodal.core.resources import data_folder, is_installed

if TYPE_CHECKING:
    from crossmodal.datasets.folder import Records

T = TypeVar("T")
ALIASES = {"8k": "f8k", "30k": "f30k", "toy": "toy-data"}
CAPTION_FILES = {
    "toy-data": ("captions.txt",),
    "f8k": ("captions.txt", "dataset_flickr8k.json", "Flickr8k.token.txt"),
    "f30k": ("dataset_flickr30k.json", "results.csv", "captions.txt"),
    "coco": ("dataset_coco.json", "captions_val2017.json", "annotations/captions_val2017.json"),
}
FETCHED = ("f8k", "f30k")
N_SCENES = 1000


def canonical(name: str) -> str:
    """The canonical name of a data set (`8k` is `f8k`); a path is returned unchanged.

    Raises:
        InputError: The name is empty, or not text: a path with bytes that are not UTF-8.
    """
    if not name.strip():
        raise InputError("the name of the data set is empty: give a data set, or `.` for this folder")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InputError(f"{name}: the name is not UTF-8: rename the folder") from None
    return ALIASES.get(name, name)


def source_name(name: str) -> str:
    """The name that identifies a data set in a collection: that of a known set, or its path with links resolved.

    It does not depend on whether the path exists: its disk may be away.
    """
    name = canonical(name)
    return name if _is_known(name) else source_of_path(name)


def is_data_set(name: str) -> bool:
    """Whether a name is that of a known data set, or an existing path."""
    return _is_known(canonical(name)) or os.path.exists(name)


def _is_known(name: str) -> bool:
    return name in CAPTION_FILES or name == "scenes"


def source_of_path(path: str | Path) -> str:
    """As `source_name`, of a folder or a caption file, also one that has the name of a known data set."""
    return os.path.realpath(path)  # Path.resolve fails for links that form a loop


def collection_name(name: str) -> str:
    """The default collection of a data set; folders of the same name in different places get different collections."""
    source = source_name(name)
    if not os.path.isabs(source):
        return source
    slug = re.sub(r"[^A-Za-z0-9]+", "-", Path(source).stem).strip("-").lower() or "folder"
    return f"{slug[:60]}-{sha1(source.encode(), usedforsecurity=False).hexdigest()[:8]}"


def read(
    name: str,
    split: str | None = None,
    columns: Iterable[tuple[str, str]] = (),
    exclude: Sequence[str] = (),
    progress: Callable[[int], None] = lambda _: None,
) -> Records:
    """The records of a data set.

    Args:
        name: `toy-data`, `f8k`, `f30k`, `coco`, `scenes`, or a path.
        split: The split to read; None for all.
        columns: Columns of the caption file, as (`image`, NAME), (`caption`, NAME) and (`split`, NAME).
        exclude: Patterns of files to leave out, as in a .gitignore file.
        progress: Called with the number of pictures so far while a folder is listed.

    Raises:
        InputError: A pattern is invalid, or the data set does not exist; the message says how to get it.
    """
    from crossmodal.datasets.columns import Columns
    from crossmodal.datasets.folder import read_folder, read_path

    name = canonical(name)
    if name == "scenes":
        return read_path(scenes_folder(split or "test"), exclude=exclude, progress=progress)
    if name not in CAPTION_FILES:
        return read_path(Path(name), split, Columns.of_pairs(columns), exclude, progress=progress)
    folder = data_folder(name)
    files = [folder / file for file in CAPTION_FILES[name] if (folder / file).is_file()]
    if not files:
        is_fetched = name in FETCHED and not is_installed()  # a wheel has no get_data.sh
        how = f"run `./get_data.sh {name}`" if is_fetched else f"put {CAPTION_FILES[name][0]} and images/ there"
        if Path(name).is_dir():
            how += f"; or, for the folder {name} in the current directory, write ./{name}"
        raise InputError(f"{folder} has no {' or '.join(CAPTION_FILES[name])}: {how}")
    return read_folder(folder, files[0], split, Columns.of_pairs(columns), exclude, progress=progress)


def scenes_folder(split: str, n_scenes: int = N_SCENES) -> Path:
    """The folder of a split's generated scenes, drawn on first use (about ten seconds).

    Raises:
        InputError: The split does not exist.
    """
    from crossmodal.datasets import scenes
    from crossmodal.scenes.world import SPLITS

    matching = [name for name in SPLITS if name == split]
    if not matching:
        raise InputError(f"scenes has no split {split!r}: it has {', '.join(SPLITS)}")
    folder = data_folder("scenes") / split
    if not (folder / "recipe.json").exists():
        # Draw into a temporary folder, since another process may be drawing or reading the same split.
        drawn = folder.with_name(f".{split}.{os.getpid()}")
        scenes.write_scenes(drawn, matching[0], n_scenes)
        if not (folder / "recipe.json").exists():
            shutil.rmtree(folder, ignore_errors=True)
        try:
            drawn.rename(folder)
        except OSError:
            shutil.rmtree(drawn)
    return folder


def limited(records: Iterable[T], picture: type, at_most: int | None) -> Iterator[T]:
    """The records up to the last of `at_most` pictures, which are instances of `picture`; None means all."""
    n_images = 0
    for record in records:
        n_images += isinstance(record, picture)
        if at_most is not None and n_images > at_most:
            return
        yield record
