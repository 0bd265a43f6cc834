"""Any sequence of puts leaves the store as a dictionary would have it."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import NewStore

from crossmodal.core.types import Document
from crossmodal.store.records import NewDocument

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)
NAMES = st.sampled_from([f"id-{n}" for n in range(8)])
TAGS = st.dictionaries(TEXT, st.one_of(st.integers(-9, 9), TEXT, st.none()), max_size=2)


def modality_of(name: str) -> str:
    return "image" if int(name[-1]) % 2 else "text"


@st.composite
def documents(draw: st.DrawFn) -> Document:
    name = draw(NAMES)
    return Document(name, modality_of(name), uri=draw(TEXT), tags=draw(TAGS))  # type: ignore[arg-type]


def vector_of(name: str) -> np.ndarray:
    return np.eye(8, dtype=np.float32)[int(name[-1])]


@given(st.lists(st.lists(documents(), max_size=5), max_size=6))
@settings(max_examples=40)
def test_puts_agree_with_a_dictionary(new_store: NewStore, batches: list[list[Document]]) -> None:
    with new_store()(writable=True) as store:
        model: dict[str, Document] = {}
        for batch in batches:
            expected = []
            for document in batch:
                expected.append("unchanged" if document.id in model else "indexed")
                model[document.id] = document
            assert store.put([NewDocument(d, vector_of(d.id)) for d in batch]) == expected
        assert store.known([f"id-{n}" for n in range(8)]) == model
        assert store.last_seq() == len(model)
        for modality in ("image", "text"):
            wanted = [name for name in model if modality_of(name) == modality]
            found = store.changes_after(modality, 0)  # type: ignore[arg-type]
            assert found is not None
            keys, vectors = found.added, found.vectors
            assert store.counts()[modality] == len(wanted)  # type: ignore[index]
            documents_found = store.by_keys(keys.tolist())
            assert [documents_found[key].id for key in keys.tolist()] == wanted
            assert [int(row.argmax()) for row in vectors] == [int(name[-1]) for name in wanted]
