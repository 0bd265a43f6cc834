"""Reads the metadata of a collection's pictures again, and adds the tags that they lack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from crossmodal.core.ahead import map_ahead
from crossmodal.core.batched import batched
from crossmodal.core.errors import PictureError
from crossmodal.core.report import listed
from crossmodal.core.settings import MetadataChoice
from crossmodal.core.types import Document, Failure
from crossmodal.images.decode import metadata_blocks
from crossmodal.images.sources import of_document
from crossmodal.ingest.job import READ_AHEAD, READERS
from crossmodal.metadata.embedded import read_embedded
from crossmodal.metadata.tags import LOCATION_TAGS, with_metadata
from crossmodal.store.protocol import Store
from crossmodal.store.source_files import SourceFile

READ_AT_ONCE = 500


@dataclass
class MetadataReport:
    """The number of pictures whose tags have changed or not; those that could not be read keep their tags."""

    updated: int = 0
    unchanged: int = 0
    failures: list[Failure] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        failures = [failure.to_dict() for failure in self.failures]
        return {"updated": self.updated, "unchanged": self.unchanged, "failures": failures}

    def lines(self, at_most: int = 20) -> list[str]:
        """The report as text lines; at most this many failures are listed."""
        kept = "; they keep their tags" if self.failures else ""
        counts = f"images: {self.updated} updated, {self.unchanged} unchanged, {len(self.failures)} not read{kept}"
        return [counts, *listed("not read", self.failures, at_most, "--json lists them all")]


@dataclass(frozen=True)
class _Stored:
    """A picture, its encoded bytes if the store has them, and the paths of its other files."""

    document: Document
    content: bytes | None
    copies: list[str]


def add_metadata(store: Store, choice: MetadataChoice, advance: Callable[[], None]) -> MetadataReport:
    """Adds the tags of `crossmodal.metadata` to the pictures that lack them; other tags are not changed.

    Without the location, location tags that a picture has from its file are removed.

    Args:
        store: Open for writing; the pictures are committed in batches.
        choice: The metadata to use.
        advance: Called after each picture.
    """
    report = MetadataReport()
    keys = store.keys("image").tolist()

    def work(item: _Stored) -> dict[str, Any] | Failure:
        return _patch(item, choice)

    for part in batched(keys, READ_AT_ONCE):
        items = list(_stored(store, part))
        patches = {}
        results = map_ahead(work, items, threads=READERS, at_most=READ_AHEAD, size=_size)
        for item, result in zip(items, results, strict=True):
            if isinstance(result, Failure):
                report.failures.append(result)
            elif result:
                patches[item.document.id] = result
            else:
                report.unchanged += 1
            advance()
        store.update(patches.items())
        report.updated += len(patches)
    return report


def _stored(store: Store, keys: list[int]) -> Iterator[_Stored]:
    documents = store.by_keys(keys).values()
    have_file = set(store.without_content(document.id for document in documents))
    for document in documents:
        if document.id in have_file:
            yield _Stored(document, None, store.files.paths_of(document.id))
        else:
            yield _Stored(document, store.content(document.id), [])


def _patch(item: _Stored, choice: MetadataChoice) -> dict[str, Any] | Failure:
    """The merge patch of a picture's tags, or why the picture can't be read; called in several threads."""
    document = item.document
    try:
        content = item.content
        if content is None:
            content = of_document(document.id, [document.uri, *item.copies])
        embedded = read_embedded(*metadata_blocks(content))
    except PictureError as error:
        return Failure(document.uri or document.id, str(error))
    tags = with_metadata(document.tags, embedded, document.uri, choice)
    patch: dict[str, Any] = {name: value for name, value in tags.items() if name not in document.tags}
    if choice == "without-gps":
        of_file = with_metadata({}, embedded, document.uri)
        patch |= {name: None for name in LOCATION_TAGS & of_file.keys() if document.tags.get(name) == of_file[name]}
    return patch


def _size(item: _Stored) -> int:
    """The bytes that a picture holds or will read."""
    if item.content is not None:
        return len(item.content)
    file = SourceFile.on_disk(item.document.uri)
    return file.size if file is not None else 1
