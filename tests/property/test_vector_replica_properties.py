"""However a snapshot's bytes are changed, what is opened is what the store has."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossmodal.core.types import Document
from crossmodal.index.vector_replica import VectorReplica
from crossmodal.store.sqlite import DocumentStore, NewDocument

DIM, COUNT = 8, 12


def _items() -> list[NewDocument]:
    rows = np.random.default_rng(0).normal(size=(COUNT, DIM)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return [NewDocument(Document(f"t{i}", "text"), row) for i, row in enumerate(rows)]


FILES = st.sampled_from(["*.vectors.npy", "*.rows.*", "*.json"])


@given(FILES, st.floats(0, 1, exclude_max=True), st.integers(0, 7), st.booleans())
@settings(max_examples=60)
def test_damage_is_never_served(
    tmp_path_factory: pytest.TempPathFactory, which: str, where: float, bit: int, cut: bool
) -> None:
    place_of_store = tmp_path_factory.mktemp("store")
    with DocumentStore(place_of_store, writable=True) as store:
        folder = place_of_store / "index"
        store.put(_items())
        VectorReplica(store, "text", folder, DIM).snapshot()
        path = max(folder.glob(which))
        content = bytearray(path.read_bytes())
        place = int(where * len(content))
        if cut:
            del content[place:]
        else:
            content[place] ^= 1 << bit
        path.write_bytes(content)
        index = VectorReplica(store, "text", folder, DIM)
        changes = store.changes_after("text", 0)
        assert changes is not None
        assert index.search(changes.vectors, 1)[1][:, 0].tolist() == changes.added.tolist()
        assert len(index) == COUNT
