"""A history of changes to a collection that follows from a seed: what was done until step n is known exactly.

Run as a program, it does the steps to a real collection and says, before and after each, that it does:

    python benchmarks/crash_steps.py FOLDER SEED FIRST
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, Literal

import common  # noqa: F401  puts the project on the path
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
    """One change."""

    kind: Kind
    documents: tuple[Document, ...] = ()
    patches: tuple[tuple[str, dict[str, Any]], ...] = ()
    ids: tuple[str, ...] = field(default=())


def make_step(seed: int, number: int, state: State) -> Step:
    """Step `number`, given what is there before it."""
    rng = Random(f"{seed}-{number}")
    names = sorted(state)
    draw = rng.random()
    if draw < 0.45 or not names:
        images = [name for name in names if state[name].modality == "image"]
        documents = []
        for j in range(rng.randint(1, 20)):
            # Now and then one that was removed long ago comes back.
            own = f"d{rng.randrange(number * 20 + 1)}" if rng.random() < 0.2 else f"d{number * 20 + j}"
            if own in state or any(own == document.id for document in documents):
                continue
            is_caption = bool(images) and rng.random() < 0.6
            documents.append(
                Document(own, "text", text=f"caption {own}", image_id=rng.choice(images))
                if is_caption
                else Document(own, "image", uri=f"/{own}.jpg", tags={"n": number})
            )
        return Step("put", documents=tuple(documents))
    if draw < 0.65:
        patches = tuple((rng.choice(names), {"n": number, f"t{rng.randrange(3)}": rng.random()}) for _ in range(5))
        return Step("update", patches=patches)
    if draw < 0.85:
        return Step("remove", ids=tuple(rng.sample(names, min(len(names), rng.randint(1, 8)))))
    return Step(rng.choices(("snapshot", "compact", "rebuild"), (6, 2, 2))[0])


def after(step: Step, state: State) -> State:
    """What is there after a step."""
    state = dict(state)
    state.update((document.id, document) for document in step.documents)
    for own, patch in step.patches:
        before = state[own]
        state[own] = Document(**{**vars(before), "tags": merged(before.tags, patch)})
    for own in step.ids:
        state.pop(own, None)
        for caption in [name for name, document in state.items() if document.image_id == own]:
            del state[caption]
    return state


def vector_of(document_id: str) -> np.ndarray:
    """(DIM,) a unit vector that follows from the id."""
    vector = np.random.default_rng(list(sha256(document_id.encode()).digest())).normal(size=DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def do(step: Step, collection: Collection, store: DocumentStore) -> None:
    """Does a step to a collection."""
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
        go_on(folder, seed, first)
    except StateError as error:
        print("failed", first, error, flush=True)
        sys.exit(FAILED)


def go_on(folder: Path, seed: int, first: int) -> None:
    """Does one step after the other, for ever."""
    collection = Collection.create(folder, MODEL)
    state: State = {}
    for number in range(first):
        state = after(make_step(seed, number, state), state)
    with collection.store(writable=True) as store:
        number = first
        while True:
            step = make_step(seed, number, state)
            print("begin", number, flush=True)
            do(step, collection, store)
            print("done", number, flush=True)
            state, number = after(step, state), number + 1


if __name__ == "__main__":
    main()
