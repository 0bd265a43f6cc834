"""A deterministic sequence of changes to a collection, so that the content after step n follows from the seed.

Run as a program, it applies the steps to a real collection and prints a line before and after each:

    python benchmarks/crash_steps.py FOLDER SEED FIRST
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, Literal

import common  # noqa: F401  adds the project to the path
import numpy as np

from crossmodal.collection.collection import Collection
from crossmodal.core.errors import StateError
from crossmodal.core.types import MODALITIES, Document, ModelSpec, Preprocessing
from crossmodal.store.sqlite import DocumentStore, NewDocument, merged

DIM = 16
MODEL = ModelSpec("clip", "crash-test", "0" * 40, DIM, Preprocessing(8))
FAILED = 3
"""Exit status after a clear error."""

Kind = Literal["put", "update", "remove", "snapshot", "compact", "rebuild"]
State = dict[str, Document]


@dataclass(frozen=True)
class Step:
    """One change to a collection."""

    kind: Kind
    documents: tuple[Document, ...] = ()
    patches: tuple[tuple[str, dict[str, Any]], ...] = ()
    ids: tuple[str, ...] = field(default=())


def make_step(seed: int, number: int, state: State) -> Step:
    """Step `number`, given the state before it."""
    rng = Random(f"{seed}-{number}")
    names = sorted(state)
    draw = rng.random()
    if draw < 0.45 or not names:
        images = [name for name in names if state[name].modality == "image"]
        documents = []
        for j in range(rng.randint(1, 20)):
            # Sometimes add a document that was removed earlier.
            document_id = f"d{rng.randrange(number * 20 + 1)}" if rng.random() < 0.2 else f"d{number * 20 + j}"
            if document_id in state or any(document_id == document.id for document in documents):
                continue
            is_caption = bool(images) and rng.random() < 0.6
            documents.append(
                Document(document_id, "text", text=f"caption {document_id}", image_id=rng.choice(images))
                if is_caption
                else Document(document_id, "image", uri=f"/{document_id}.jpg", tags={"n": number})
            )
        return Step("put", documents=tuple(documents))
    if draw < 0.65:
        patches = tuple((rng.choice(names), {"n": number, f"t{rng.randrange(3)}": rng.random()}) for _ in range(5))
        return Step("update", patches=patches)
    if draw < 0.85:
        return Step("remove", ids=tuple(rng.sample(names, min(len(names), rng.randint(1, 8)))))
    return Step(rng.choices(("snapshot", "compact", "rebuild"), (6, 2, 2))[0])


def after(step: Step, state: State) -> State:
    """The state after a step."""
    state = dict(state)
    state.update((document.id, document) for document in step.documents)
    for document_id, patch in step.patches:
        before = state[document_id]
        state[document_id] = Document(**{**vars(before), "tags": merged(before.tags, patch)})
    for document_id in step.ids:
        state.pop(document_id, None)
        for caption in [name for name, document in state.items() if document.image_id == document_id]:
            del state[caption]
    return state


def vector_of(document_id: str) -> np.ndarray:
    """(DIM,) a unit vector determined by the id."""
    vector = np.random.default_rng(list(sha256(document_id.encode()).digest())).normal(size=DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def apply(step: Step, collection: Collection, store: DocumentStore) -> None:
    """Applies a step to a collection."""
    if step.kind == "put":
        store.put([NewDocument(document, vector_of(document.id)) for document in step.documents])
    elif step.kind == "update":
        store.update(step.patches)
    elif step.kind == "remove":
        store.remove(step.ids)
    else:
        for modality in MODALITIES:
            getattr(collection.index(store, modality), step.kind)()
        if step.kind == "compact":
            store.compact()


def main() -> None:
    folder, seed, first = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    try:
        run_steps(folder, seed, first)
    except StateError as error:
        print("failed", first, error, flush=True)
        sys.exit(FAILED)


def run_steps(folder: Path, seed: int, first: int) -> None:
    """Applies steps one after the other until the process is killed."""
    collection = Collection.create(folder, MODEL)
    state: State = {}
    for number in range(first):
        state = after(make_step(seed, number, state), state)
    with collection.store(writable=True) as store:
        number = first
        while True:
            step = make_step(seed, number, state)
            print("begin", number, flush=True)
            apply(step, collection, store)
            print("done", number, flush=True)
            state, number = after(step, state), number + 1


if __name__ == "__main__":
    main()
