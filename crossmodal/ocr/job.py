"""Reads the text in the pictures of a collection that were not read yet, and stores it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from crossmodal.core.errors import PictureError
from crossmodal.core.reading import Reading
from crossmodal.core.report import listed
from crossmodal.core.types import Document, Failure, Keys
from crossmodal.images.sources import of_document
from crossmodal.store.protocol import Store

COMMIT_EVERY_S = 5.0
AT_ONCE = 100
"""Pictures whose documents are read from the store at once."""


class Reader(Protocol):
    """Reads the text in encoded pictures."""

    def read(self, content: bytes) -> Reading:
        """The text in a picture.

        Raises:
            PictureError: It can't be read.
        """
        ...


@dataclass
class OcrReport:
    """The number of pictures that were read now, of those with text, and of those read before; and the failures."""

    read: int = 0
    with_text: int = 0
    before: int = 0
    failures: list[Failure] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        failures = [failure.to_dict() for failure in self.failures]
        return {"read": self.read, "with_text": self.with_text, "before": self.before, "failures": failures}

    def lines(self, at_most: int = 20) -> list[str]:
        """The report as text lines; at most this many failures are listed."""
        counts = f"text in pictures: {self.read} read, {self.with_text} of them with text, {self.before} read before"
        if self.failures:
            counts += f", {len(self.failures)} not read; the next run tries them again"
        return [counts, *listed("not read", self.failures, at_most, "--json lists them all")]


def pictures_to_read(store: Store, *, again: bool) -> Keys:
    """The keys (n,) of the pictures that were not read yet, or of all pictures with `again`."""
    return store.keys("image") if again else store.readings.unread()


def reads_text(store: Store) -> bool:
    """Whether pictures of a collection were read, so that new ones should be, too."""
    return store.readings.exist()[0]


def read_pictures(store: Store, keys: Keys, reader: Reader, advance: Callable[[], None]) -> OcrReport:
    """Reads pictures and stores their text, every few seconds; what is stored stays if the call is interrupted.

    Args:
        store: Open for writing.
        keys: The keys (n,) of `pictures_to_read`.
        reader: Reads a picture.
        advance: Called after each picture.

    Returns:
        The outcome; a picture that could not be read is named with the reason.
    """
    report = OcrReport(before=store.counts()["image"] - len(keys))
    batch: list[tuple[str, Reading]] = []
    committed = time.monotonic()
    try:
        for document in _documents(store, keys):
            try:
                reading = reader.read(_content(store, document))
            except PictureError as error:
                report.failures.append(Failure(document.uri or document.id, str(error)))
            else:
                batch.append((document.id, reading))
                report.read += 1
                report.with_text += bool(reading.lines)
            advance()
            if time.monotonic() - committed > COMMIT_EVERY_S:
                store.readings.put(batch)
                batch, committed = [], time.monotonic()
    finally:
        store.readings.put(batch)
    return report


def _documents(store: Store, keys: Keys) -> Iterator[Document]:
    for start in range(0, len(keys), AT_ONCE):
        yield from store.by_keys(keys[start : start + AT_ONCE].tolist()).values()


def _content(store: Store, document: Document) -> bytes:
    """The encoded bytes of a picture, from the store or from one of its files."""
    if (content := store.content(document.id)) is not None:
        return content
    return of_document(document.id, [document.uri, *store.files.paths_of(document.id)])
