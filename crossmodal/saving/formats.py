"""What can be saved of some pictures, as the parts of one file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

from crossmodal.core.errors import PictureError
from crossmodal.saving.archive import Entry, zipped
from crossmodal.saving.chosen import Chosen, original
from crossmodal.saving.lists import Link, csv_of, json_of
from crossmodal.saving.names import UniqueNames
from crossmodal.saving.sheets import pdf_of
from crossmodal.saving.sidecar import keywords_of, sidecar, sidecar_name
from crossmodal.store.protocol import Store

Format = Literal["zip", "csv", "json", "pdf", "xmp"]
MISSING = "missing.txt"
"""The file of an archive that lists what is not in it."""


@dataclass(frozen=True)
class Saving:
    """How some pictures are saved.

    Attributes:
        format: `zip` for the originals, `xmp` for a zip archive of sidecars, or a `csv` or `json` list, or a `pdf`.
        place: The name of the column, in a list, that says where a picture is.
        link: Its value for a picture.
        title: The title of a contact sheet.
        keywords: Keywords of sidecars, besides the picture's own.
        has_captions: Whether sidecars have the captions as description.
        strip: Replaces an original by a JPEG without metadata; None to save originals as they are.
    """

    format: Format
    place: str
    link: Link
    title: str = "Pictures"
    keywords: Sequence[str] = ()
    has_captions: bool = False
    strip: Callable[[bytes], bytes] | None = None


def parts(store: Store, pictures: Sequence[Chosen], unknown: Sequence[str], saving: Saving) -> Iterator[bytes]:
    """The parts of the file; `unknown` are ids without a picture, which an archive lists."""
    if saving.format == "csv":
        return csv_of(pictures, saving.place, saving.link)
    if saving.format == "json":
        return json_of(pictures, saving.place, saving.link)
    if saving.format == "pdf":
        return pdf_of(pictures, store.thumbnail, saving.title)
    entries = _originals if saving.format == "zip" else _sidecars
    return zipped(entries(store, pictures, unknown, saving))


def _originals(store: Store, pictures: Sequence[Chosen], unknown: Sequence[str], saving: Saving) -> Iterator[Entry]:
    """Each original, or the thumbnail of one that is gone, and the list of these at the end."""
    missing = [f"{name}: the collection has no such picture" for name in unknown]
    names = UniqueNames()
    for picture in pictures:
        name, taken = picture.filename, picture.text("taken")
        try:
            content = original(store, picture.document)
            if saving.strip is not None:
                content, name = saving.strip(content), f"{PurePath(name).stem}.jpg"
            yield Entry(names.of(name), content, taken)
        except PictureError as error:
            fault = f"{name} ({picture.document.id}): the original {error}"
            thumbnail = store.thumbnail(picture.document.id)
            if thumbnail is None:
                missing.append(f"{fault}; it has no thumbnail either")
                continue
            saved_as = names.of(f"{PurePath(name).stem}.thumbnail.jpg")
            missing.append(f"{fault}; here is its thumbnail, {saved_as}")
            yield Entry(saved_as, thumbnail, taken)
    if missing:
        yield Entry(names.of(MISSING), ("\n".join(missing) + "\n").encode("utf8", "replace"))


def _sidecars(_: Store, pictures: Sequence[Chosen], unknown: Sequence[str], saving: Saving) -> Iterator[Entry]:
    """The sidecar of each picture, for the name that it has in an archive of the same pictures."""
    files, names = UniqueNames(), UniqueNames()
    for picture in pictures:
        file = files.of(picture.filename)
        content = sidecar(
            keywords_of(picture, saving.keywords), "\n".join(picture.captions) if saving.has_captions else ""
        )
        yield Entry(names.of(sidecar_name(file)), content, picture.text("taken"))
    if unknown:
        lines = [f"{name}: the collection has no such picture\n" for name in unknown]
        yield Entry(names.of(MISSING), "".join(lines).encode("utf8", "replace"))
