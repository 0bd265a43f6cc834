"""Operations on existing collections: delete, compact, rebuild, describe, list, draw the map."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossmodal.collection.collection import Collection, collections
from crossmodal.collection.indexes import every_index
from crossmodal.collection.linked_workspace import linked_url
from crossmodal.collection.picture_map import PictureMap, make_map, read_map
from crossmodal.collection.shared_state import MAP
from crossmodal.core.errors import InputError, NotWritableError, StateError
from crossmodal.core.slices import WHOLE, Slice
from crossmodal.index.config import PGVECTOR, IndexConfig
from crossmodal.index.replica import StoreReplica
from crossmodal.store.condition import Comparison, Condition, Field, Joined
from crossmodal.store.locks import check_writable
from crossmodal.store.protocol import Store
from crossmodal.store.where import parse


@dataclass(frozen=True)
class Deletion:
    """The numbers of removed documents, and the requested ids that are not in the collection."""

    images: int
    captions: int
    unknown: list[str]


@dataclass(frozen=True)
class Compaction:
    """The size on disk in bytes, before and after."""

    store_before: int
    store_after: int
    index_before: int
    index_after: int

    @property
    def freed(self) -> int:
        """Bytes freed by the store and the indexes together."""
        return self.store_before + self.index_before - self.store_after - self.index_after


@dataclass(frozen=True)
class IndexDescription:
    """The number of vectors of an index, its kind, and the reason for the kind or a summary of the content."""

    vectors: int
    kind: str
    why: str


@dataclass(frozen=True)
class CollectionSummary:
    """The entry of a collection in a list."""

    name: str
    model: str
    images: int
    captions: int


def delete(
    collection: Collection, *, ids: Sequence[str] = (), uri: str | None = None, where: str | None = None
) -> Deletion:
    """Removes documents, and the captions of removed images. Exactly one of the three arguments selects them.

    Args:
        collection: The collection.
        ids: The ids of documents.
        uri: The file of an image, or a folder for all images in it.
        where: A condition in the syntax of `crossmodal.store.where`.

    Raises:
        InputError: None or several of the three are given, the condition is invalid, or no image matches `uri`.
        StateError: Another process writes to the collection.
    """
    if sum(map(bool, (ids, uri, where))) != 1:
        raise InputError("delete takes exactly one of ids, uri and where")
    with collection.store(writable=True) as store:
        known = store.known(ids)
        unknown = [document_id for document_id in ids if document_id not in known]
        selected = [*ids] if ids else store.ids_where(parse(where) if where else _at_or_below(str(uri)))
        if uri and not selected:
            raise InputError(f"the collection has no pictures from {uri}")
        removed = Counter(document.modality for document in store.remove(selected))
    return Deletion(removed["image"], removed["text"], unknown)


def _at_or_below(uri: str) -> Condition:
    """A condition for the image of a file, or for all images in a folder; removing an image removes its captions."""
    path = os.path.realpath(os.path.expanduser(uri))
    field = Field("uri")
    is_there = (Comparison(field, "in", (uri, path)), Comparison(field, "starts with", (path.rstrip("/") + "/",)))
    is_no_caption = (Comparison(Field("modality"), "=", ("image",)), Comparison(Field("image_id"), "=", ("",)))
    return Joined("and", (Joined("or", is_there), Joined("or", is_no_caption)))


def compact(collection: Collection) -> Compaction:
    """Frees the disk space of removed documents.

    Raises:
        StateError: Another process writes to the collection, or the disk is full.
    """
    index_before = _index_bytes(collection)
    with collection.store(writable=True) as store:
        _for_each_index(collection, store, lambda index: index.compact())
        store_before, store_after = store.compact()
    return Compaction(store_before, store_after, index_before, _index_bytes(collection))


def rebuild(
    collection: Collection, index_config: IndexConfig | None = None, part: Slice = WHOLE
) -> dict[str, IndexDescription]:
    """Builds all indexes again from the store, without encoding; returns them by name.

    Args:
        collection: The collection.
        index_config: A new index configuration; None for the one in the manifest.
        part: The slice to build the indexes of.

    Raises:
        InputError: The collection can't be divided into slices.
        StateError: Another process writes to the collection, or the folder can't be written to.
    """
    collection.check_slice(part)
    collection = collection.with_index_config(index_config or collection.index_config)
    with _store_for_indexes(collection) as store:
        if store.sql_vectors is not None and collection.index_config.kind != PGVECTOR:
            store.sql_vectors.drop()
        return _for_each_index(collection, store, lambda index: index.rebuild(), part)


def _store_for_indexes(collection: Collection) -> Store:
    """The store, of which no other process of this machine writes indexes; a standby is only read."""
    try:
        return collection.store(writable=True)
    except NotWritableError:
        if linked_url(collection.root.parent) is None:
            raise
        return collection.store()


def describe_indexes(collection: Collection) -> dict[str, IndexDescription]:
    """The indexes of a collection by name."""
    with collection.store() as store:
        return _for_each_index(collection, store, lambda _: None)


def _for_each_index(
    collection: Collection, store: Store, action: Callable[[StoreReplica[Any]], None], part: Slice = WHOLE
) -> dict[str, IndexDescription]:
    descriptions = {}
    for name, index in every_index(collection, store, part).items():
        action(index)
        descriptions[name] = IndexDescription(len(index), *index.description())
    return descriptions


def _index_bytes(collection: Collection) -> int:
    return sum(path.stat().st_size for path in collection.index_folder.glob("*"))


def draw_map(collection: Collection, before_work: Callable[[int], None]) -> tuple[PictureMap, bool]:
    """The map of a collection, and whether it was computed now; computes and writes it if it is missing or outdated.

    Args:
        collection: The collection.
        before_work: Called with the number of images before the computation, which can take minutes.
    """
    with collection.store() as store:
        try:
            existing = read_map(collection.folder)
        except StateError:  # missing or damaged
            existing = None
        if existing is not None and existing.is_current(store):
            return existing, False
        check_writable(collection.folder)
        before_work(store.counts()["image"])
        drawn = make_map(store)
    collection.write(MAP, drawn.to_bytes())
    return drawn, True


def n_documents(collection: Collection) -> int:
    """The number of documents."""
    with collection.store() as store:
        return sum(store.counts().values())


def summaries(workspace: Path) -> list[CollectionSummary]:
    """Summaries of the collections in a workspace, in alphabetical order."""
    entries = []
    for name in collections(workspace):
        collection = Collection.open(workspace / name)
        with collection.store() as store:
            counts = store.counts()
        entries.append(CollectionSummary(name, str(collection.model), counts["image"], counts["text"]))
    return entries
