"""delete, compact, verify, rebuild, rollback, collections: what is done to a collection that is there."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cli.index import folder_of
from crossmodal.collection.collection import Collection, collections
from crossmodal.collection.indexes import every_index
from crossmodal.collection.picture_map import make_map, read_map
from crossmodal.collection.verification import verify_collection
from crossmodal.core.errors import InputError, NotWritableError, StateError
from crossmodal.core.settings import Settings
from crossmodal.index.config import IndexConfig
from crossmodal.store.database import check_writable
from crossmodal.store.sqlite import DocumentStore
from crossmodal.store.where import Condition, parse

Figures = dict[str, Any]


def delete(settings: Settings, ids: tuple[str, ...], uri: str | None, where: str | None) -> Figures:
    """Removes documents, pictures with their captions.

    Args:
        settings: Which collection.
        ids: Documents by id.
        uri: A picture by its file, or all pictures under a folder.
        where: All documents that a condition is true of.

    Returns:
        `images` and `captions` that were removed, and `unknown`: the ids that are not there.

    Raises:
        InputError: None or more than one of the three, or nothing is there under `uri`.
    """
    if sum(map(bool, (ids, uri, where))) != 1:
        raise InputError("-t delete takes one of --ids ID, --uri FILE_OR_FOLDER and --where CONDITION")
    with Collection.open(folder_of(settings)).store(writable=True) as store:
        unknown = [own for own in ids if store.document(own) is None]
        chosen = [*ids] if ids else store.ids_where(parse(where) if where else _under(str(uri)))
        if uri and not chosen:
            raise InputError(f"nothing of {uri} is in the collection")
        removed = Counter(document.modality for document in store.remove(chosen))
    return {"images": removed["image"], "captions": removed["text"], "unknown": unknown}


def _under(uri: str) -> Condition:
    """True of the picture of a file, or of all files in a folder; captions go with their pictures."""
    path = os.path.realpath(os.path.expanduser(uri))
    below = path.rstrip("/") + "/"
    is_there = "(uri IN (?, ?) OR substr(uri, 1, ?) = ?) AND (modality = 'image' OR image_id = '')"
    return Condition(is_there, (uri, path, len(below), below))


def compact(settings: Settings) -> Figures:
    """Gives the space of removed documents back.

    Returns:
        `store_before`, `store_after`, `index_before`, `index_after`, in bytes, and `freed`, of both.
    """
    collection = Collection.open(folder_of(settings))
    index_before = _index_bytes(collection)
    with collection.store(writable=True) as store:
        _each_index(collection, store, lambda index: index.compact())
        store_before, store_after = store.compact()
    index_after = _index_bytes(collection)
    return {
        "store_before": store_before,
        "store_after": store_after,
        "index_before": index_before,
        "index_after": index_after,
        "freed": store_before + index_before - store_after - index_after,
    }


def rebuild(settings: Settings, index_config: IndexConfig | None) -> Figures:
    """Makes the indexes again from the store; nothing is encoded.

    Returns:
        For each index: `vectors`, `kind`, and `why` it is of that kind.
    """
    collection = Collection.open(folder_of(settings))
    collection = collection.with_index_config(index_config or collection.index_config)
    with collection.store(writable=True) as store:
        return _each_index(collection, store, lambda index: index.rebuild())


def describe_index(collection: Collection) -> Figures:
    """For each index: `vectors`, its `kind`, and `why` it is of that kind, or what is in it."""
    with collection.store() as store:
        return _each_index(collection, store, lambda _: None)


def _each_index(collection: Collection, store: DocumentStore, act: Callable[[Any], None]) -> Figures:
    told: Figures = {}
    for name, index in every_index(collection, store).items():
        act(index)
        kind, why = index.description()
        told[name] = {"vectors": len(index), "kind": kind, "why": why}
    return told


def _index_bytes(collection: Collection) -> int:
    return sum(path.stat().st_size for path in collection.index_folder.glob("*"))


def draw_map(settings: Settings, say: Callable[[str], None]) -> Figures:
    """Computes where each picture lies on the map of the collection, unless that is known.

    Args:
        settings: Which collection.
        say: Called with a line before the work, which can be long.

    Returns:
        `pictures`, `method`, and `outcome`: made, or unchanged where the map is of the collection as it is.
    """
    collection = Collection.open(folder_of(settings))
    with collection.store() as store:
        try:
            known = read_map(collection.folder)
        except StateError:
            known = None
        if known is not None and known.is_current(store):
            return {"pictures": len(known.keys), "method": known.method, "outcome": "unchanged"}
        check_writable(collection.folder)
        say(f"laying out {store.counts()['image']} pictures; the first time, UMAP is compiled: up to a minute more")
        made = make_map(store)
    made.write(collection.folder)
    return {"pictures": len(made.keys), "method": made.method, "outcome": "made"}


def n_documents(settings: Settings) -> int:
    """How many documents the collection has."""
    with Collection.open(folder_of(settings)).store() as store:
        return sum(store.counts().values())


def verify(settings: Settings, progress: Callable[[int], None]) -> Figures:
    """Compares store, indexes and pictures.

    Args:
        settings: Which collection.
        progress: Called with how many more documents were looked at.

    Returns:
        `images`, `captions`, and `problems`: for each the `item` and the `reason`.
    """
    collection = Collection.open(folder_of(settings))
    with _quiet_store(collection) as store:
        problems = verify_collection(collection, store, progress)
        counts = store.counts()
    return {"images": counts["image"], "captions": counts["text"], "problems": [vars(found) for found in problems]}


def _quiet_store(collection: Collection) -> DocumentStore:
    """The store with its lock, so that nobody writes meanwhile; without, where this user may only read."""
    try:
        return collection.store(writable=True)
    except NotWritableError:
        return collection.store()


def roll_back(settings: Settings) -> Collection:
    """Puts the state before the last `reindex` back; doing it again undoes it."""
    return Collection.open(folder_of(settings)).roll_back()


def listed(workspace: Path) -> list[Figures]:
    """The collections of a workspace: `name`, `model`, `images`, `captions`."""
    found = []
    for name in collections(workspace):
        collection = Collection.open(workspace / name)
        with collection.store() as store:
            counts = store.counts()
        model = str(collection.model)
        found.append({"name": name, "model": model, "images": counts["image"], "captions": counts["text"]})
    return found
