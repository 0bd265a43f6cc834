"""Compares two copies of a collection: documents, numbers, files beside them, and the results of searches."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np

from crossmodal.collection.collection import Collection
from crossmodal.collection.generations import read_current
from crossmodal.collection.places import workspace_at
from crossmodal.collection.random_conditions import random_condition
from crossmodal.collection.shared_state import MANIFEST, SHARED
from crossmodal.collection.store_ids import with_store_id
from crossmodal.collection.verification import Inconsistency
from crossmodal.core.errors import StateError
from crossmodal.core.types import MODALITIES, Document, Modality, Vectors
from crossmodal.index.vector_replica import VectorReplica
from crossmodal.store.copying import comparable, digest_blocks, files_by_path, reading_blocks
from crossmodal.store.protocol import Store
from crossmodal.store.where import parse

Name = TypeVar("Name", int, str)
SAMPLED = 100
"""Vectors and conditions that are searched for in both copies."""
K = 10
SCORE_TOLERANCE = 1e-5


def compare(collection: Collection, place: str, progress: Callable[[int], None]) -> list[Inconsistency]:
    """All differences from the collection with the same name in another workspace or database.

    Args:
        collection: The collection.
        place: postgresql://USER@HOST/DATABASE, or the path of a workspace.
        progress: Called with the number of further documents that were compared.

    Raises:
        InputError: The URL is invalid, or has a password.
        StateError: There is no such collection, or it can't be read.
    """
    with workspace_at(place) as workspace:
        other = Collection.open(workspace / collection.root.name)
        return list(differences(collection, other, progress))


def states(collection: Collection) -> list[Collection]:
    """The state before the last `reindex`, if there is one, and the current one."""
    previous = read_current(collection.root).get("previous")
    if previous is None or not (collection.root / previous / MANIFEST).exists():
        return [collection]
    return [Collection.open_generation(collection.root, previous), collection]


def n_documents(collection: Collection) -> int:
    """The number of documents in all states."""
    total = 0
    for state in states(collection):
        with state.store() as store:
            total += sum(store.counts().values())
    return total


def differences(one: Collection, other: Collection, progress: Callable[[int], None]) -> Iterator[Inconsistency]:
    """The differences of two copies: of their states, numbers and documents; if they are equal, of search results.

    Changes during the comparison may appear as differences.
    """
    if (names := read_current(one.root)) != (found := read_current(other.root)):
        yield Inconsistency(one.root.name, f"its current and previous state are {names} here, {found} there")
        return
    if (one.model, one.made_with) != (other.model, other.made_with):
        yield Inconsistency(one.root.name, f"has {one.model} in {one.made_with.precision} here, {other.model} there")
        return
    is_equal = True
    for state in states(one):
        same = Collection.open_generation(other.root, state.generation)
        with state.store() as here, same.store() as there:
            for problem in chain(_in_documents(here, there, progress), _in_files(state.folder, same.folder)):
                is_equal = False
                yield problem
    if is_equal:
        with one.store() as here, other.store() as there:
            yield from _in_searches(here, there, one.model.dim)


def _in_documents(here: Store, there: Store, progress: Callable[[int], None]) -> Iterator[Inconsistency]:
    if here.counts() != there.counts():
        yield Inconsistency(here.name, f"has {here.counts()}, {there.name} has {there.counts()}")
    numbers, others = here.copying.numbers(), there.copying.numbers()
    if (numbers, here.copying.removals()) != (others, there.copying.removals()):
        yield Inconsistency(here.name, f"has other numbers or removals: {numbers} here, {others} there")
    for ours, theirs in digest_blocks(here, there, max(numbers.last_key, others.last_key)):
        yield from (_explained(key, here, there) for key in _differing(ours, theirs))
        progress(len(ours))
    yield from _in_tables(here, there, max(numbers.last_key, others.last_key))


def _in_tables(here: Store, there: Store, last_key: int) -> Iterator[Inconsistency]:
    """The differences of the tables beside the documents."""
    for ours, theirs in reading_blocks(here, there, last_key):
        for key in _differing(ours, theirs):
            yield Inconsistency((ours.get(key) or theirs[key]).image_id, "the text read in it differs")
    for name in _differing(here.searches.all(), there.searches.all()):
        yield Inconsistency(name, "the saved search of this name differs")
    for path in _differing(files_by_path(here), files_by_path(there)):
        yield Inconsistency(path, "its record as a source file differs")


def _differing(ours: Mapping[Name, object], theirs: Mapping[Name, object]) -> list[Name]:
    """The keys, rising, whose values differ or are only on one side."""
    return sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))


def _explained(key: int, here: Store, there: Store) -> Inconsistency:
    """What differs in the document with this key."""
    documents = [store.by_keys([key]).get(key) for store in (here, there)]
    ours, theirs = documents
    if ours is None or theirs is None:
        known = ours or theirs
        return Inconsistency(known.id if known else str(key), f"has the key {key} only {'here' if ours else 'there'}")
    if ours.id != theirs.id:
        return Inconsistency(ours.id, f"has the key {key}, which is that of {theirs.id} there")
    fields = [name for name, value in vars(ours).items() if comparable(value) != comparable(vars(theirs)[name])]
    return Inconsistency(ours.id, f"differs in {', '.join(fields or _other_parts(key, here, there))}")


def _other_parts(key: int, here: Store, there: Store) -> list[str]:
    try:
        [ours], [theirs] = here.copying.documents([key]), there.copying.documents([key])
    except (StateError, ValueError):
        return ["its vector, which is missing"]
    parts = {
        "sequence number": ours.seq == theirs.seq,
        "vector": np.array_equal(ours.item.vector, theirs.item.vector),
        "thumbnail": ours.item.thumbnail == theirs.item.thumbnail,
        "embedded picture": ours.item.content == theirs.item.content,
    }
    return [name for name, is_equal in parts.items() if not is_equal]


def _in_files(here: Path, there: Path) -> Iterator[Inconsistency]:
    for name in SHARED:
        contents = [path.read_bytes() if path.exists() else b"" for path in (here / name, there / name)]
        if contents[0] != contents[1] and with_store_id(contents[0], "") != with_store_id(contents[1], ""):
            yield Inconsistency(str(here / name), "differs")


def _in_searches(here: Store, there: Store, dim: int) -> Iterator[Inconsistency]:
    """Differences in the results of exact searches for sampled vectors, and of random conditions."""
    rng = random.Random(0)
    documents: list[Document] = []
    for modality in MODALITIES:
        keys = here.keys(modality).tolist()
        sampled = [item for _, _, item in here.copying.documents(sorted(rng.sample(keys, min(SAMPLED, len(keys)))))]
        documents += [item.document for item in sampled]
        if sampled:
            queries = np.stack([item.vector for item in sampled])
            ours, theirs = _scores(here, modality, dim, queries), _scores(there, modality, dim, queries)
            for place in np.flatnonzero((np.abs(ours - theirs) > SCORE_TOLERANCE).any(axis=1)):
                yield Inconsistency(sampled[place].document.id, "a search for its vector has other results there")
    for _ in range(SAMPLED if documents else 0):
        condition = random_condition(rng, documents)
        if here.ids_where(parse(condition)) != there.ids_where(parse(condition)):
            yield Inconsistency(condition, "selects other documents there")


def _scores(store: Store, modality: Modality, dim: int, queries: Vectors) -> Vectors:
    """The scores (n, K) of an exact search; it reads all vectors from the store."""
    with TemporaryDirectory() as no_snapshot:
        return VectorReplica(store, modality, Path(no_snapshot), dim).search(queries, K)[0]
