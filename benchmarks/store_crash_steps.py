"""The processes of store_crash.py: a writer, and a node that searches. Each prints when it began what has succeeded.

    python benchmarks/store_crash_steps.py write COLLECTION LOG NUMBER
    python benchmarks/store_crash_steps.py search COLLECTION LOG...

SIGTERM ends a process: a writer after its current change, a node after a comparison of its index with the store.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import IO, Any

import numpy as np
from crash_steps import MODEL, vector_of

from crossmodal.collection.collection import Collection
from crossmodal.core.errors import StateError
from crossmodal.core.types import Document, Pixels, Vectors
from crossmodal.search.query import Query, SearchOptions
from crossmodal.search.service import SearchService
from crossmodal.store.protocol import Store
from crossmodal.store.records import NewDocument, merged

NAME = "crashing"
PAUSE_S = 0.02
Change = dict[str, Any]


class IdEncoder:
    """Encodes the id of a document as its vector."""

    spec = MODEL

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """As `Encoder.encode_texts`."""
        return np.stack([vector_of(text) for text in texts])

    def encode_images(self, pixels: Pixels) -> Vectors:
        """As `Encoder.encode_images`, which no query needs."""
        raise NotImplementedError

    def unread(self, text: str) -> str:
        """As `Encoder.unread`."""
        return ""


def thumbnail_of(document_id: str) -> bytes:
    return sha256(document_id.encode()).digest() * 30


def make_change(rng: Random, number: int, writer: str, ids: list[str]) -> Change:
    """A change by a writer, given the ids of its documents; the newest are never removed."""
    kind, old = rng.random(), ids[:-50]
    if kind < 0.15 and old:
        return {"remove": rng.sample(old, min(len(old), rng.randint(1, 8)))}
    if kind < 0.3 and ids:
        return {
            "update": rng.sample(ids, min(len(ids), 5)),
            "tags": {"updated": number, f"t{number % 3}": rng.random()},
        }
    return {"put": [f"w{writer}-{number}-{n}" for n in range(rng.randint(1, 20))], "tags": {"number": number}}


def document_of(document_id: str, tags: dict[str, Any]) -> Document:
    return Document(document_id, "image", f"/{document_id}.jpg", "image/jpeg", tags=tags)


def after(change: Change, documents: dict[str, Document]) -> None:
    """Applies a change to the expected documents."""
    for name in change.get("put", ()):
        documents[name] = document_of(name, change["tags"])
    for name in change.get("update", ()):
        documents[name] = document_of(name, merged(documents[name].tags, change["tags"]))
    for name in change.get("remove", ()):
        del documents[name]


def expected_documents(log: Path) -> list[Document]:
    """The documents of a writer after its acknowledged changes."""
    documents: dict[str, Document] = {}
    for line in log.read_text().splitlines():
        after(json.loads(line), documents)
    return [*documents.values()]


def apply(change: Change, store: Store) -> None:
    if "put" in change:
        documents = [document_of(name, change["tags"]) for name in change["put"]]
        store.put([NewDocument(each, vector_of(each.id), thumbnail_of(each.id)) for each in documents])
    elif "update" in change:
        store.update([(name, change["tags"]) for name in change["update"]])
    else:
        store.remove(change["remove"])


def write(folder: Path, log: Path, writer: str) -> None:
    """Applies changes until SIGTERM, and logs each when it is acknowledged; repeats one that fails."""
    documents: dict[str, Document] = {}
    rng, number = Random(f"writer {writer}"), 0
    with Collection.open(folder).store(writable=True) as store, log.open("w") as file:
        while not stopped():
            change = make_change(rng, number, writer, [*documents])
            repeated(apply, change, store)
            file.write(json.dumps(change) + "\n")
            file.flush()
            os.fsync(file.fileno())
            after(change, documents)
            number += 1


def search(folder: Path, logs: list[Path]) -> None:
    """Searches for the newest acknowledged document until SIGTERM; prints what it did not find, and what it has."""
    collection = Collection.open(folder)
    lost = 0
    newest = [newest_ids(log) for log in logs]
    with SearchService(collection, IdEncoder()) as service, collection.store() as store:
        while not stopped():
            for ids in newest:
                lost += repeated(is_lost, service, store, next(ids))
            time.sleep(PAUSE_S)
        known = [item.document.id for _, item in store.everything(0, 10_000_000)]
        lost += sum(is_lost(service, store, name) for name in known)
        resurrected = len(service._index("image")) - len(known)
        print(json.dumps({"lost": lost, "resurrected": resurrected}), flush=True)


def is_lost(service: SearchService, store: Store, document_id: str) -> bool:
    """Whether a search for the vector of a document does not find it, and it has not been removed meanwhile."""
    results = service.search(Query(document_id, options=SearchOptions(1, "image")))
    is_found = bool(results.matches) and results.matches[0].document.id == document_id
    return not is_found and store.document(document_id) is not None


def newest_ids(log: Path) -> Iterator[str]:
    """At each call an id of the newest change that added documents."""
    name = ""
    with log.open() as file:
        while True:
            for change in map(json.loads, whole_lines(file)):
                name = change["put"][-1] if "put" in change else name
            yield name


def whole_lines(file: IO[str]) -> list[str]:
    start = file.tell()
    text = file.read()
    end = text.rfind("\n") + 1
    file.seek(start + len(text[:end].encode()))
    return text[:end].splitlines()


def repeated(action: Any, *arguments: Any) -> Any:
    """The result of a call, which is repeated while it fails because of the server; prints when it began."""
    while True:
        began_s = time.monotonic()
        try:
            result = action(*arguments)
        except StateError:
            time.sleep(PAUSE_S)
        else:
            print(began_s, flush=True)
            return result


_STOPPED: list[int] = []


def stopped() -> bool:
    return bool(_STOPPED)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda number, _: _STOPPED.append(number))
    kind, folder, *rest = sys.argv[1:]
    if kind == "write":
        write(Path(folder), Path(rest[0]), rest[1])
    else:
        search(Path(folder), [Path(log) for log in rest])


if __name__ == "__main__":
    main()
