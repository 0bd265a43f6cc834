"""Whatever is done to a collection, in whatever order, it is what a dictionary would be."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from crossmodal.collection.collection import Collection
from crossmodal.core.types import Document, ModelSpec, Preprocessing
from crossmodal.store.sqlite import NewDocument, merged

DIM = 8
MODEL = ModelSpec("clip", "test", "0" * 40, DIM, Preprocessing(8))
PICTURES = st.integers(0, 5).map(lambda n: f"p{n}")
CAPTIONS = st.integers(0, 7).map(lambda n: f"t{n}")
NAMES = st.one_of(PICTURES, CAPTIONS)
TAGS = st.dictionaries(st.sampled_from("abc"), st.one_of(st.none(), st.integers(0, 3)), max_size=3)


def vector_of(name: str) -> np.ndarray:
    vector = np.random.default_rng([ord(c) for c in name]).normal(size=DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


class CollectionMachine(RuleBasedStateMachine):
    @initialize()
    def make(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.collection = Collection.create(self.folder / "c", MODEL)
        self.model: dict[str, Document] = {}
        self.open()

    def open(self) -> None:
        self.store = self.collection.store(writable=True)
        self.indexes = {m: self.collection.index(self.store, m) for m in ("image", "text")}

    @rule(names=st.lists(PICTURES, max_size=4), tags=TAGS)
    def put_pictures(self, names: list[str], tags: dict[str, object]) -> None:
        self.put([Document(name, "image", tags=tags) for name in names])

    @rule(names=st.lists(CAPTIONS, max_size=4), picture=PICTURES)
    def put_captions(self, names: list[str], picture: str) -> None:
        if picture in self.model:
            self.put([Document(name, "text", text=name, image_id=picture) for name in names])

    def put(self, documents: list[Document]) -> None:
        expected = []
        for document in documents:
            before = self.model.get(document.id)
            expected.append("unchanged" if before else "indexed")
            image_id = before.image_id if before else document.image_id
            self.model[document.id] = Document(**{**vars(document), "image_id": image_id})
        assert self.store.put([NewDocument(d, vector_of(d.id)) for d in documents]) == expected

    @rule(name=NAMES, patch=TAGS)
    def update(self, name: str, patch: dict[str, object]) -> None:
        before = self.model.get(name)
        assert self.store.update([(name, patch)]) == [before is not None]
        if before:
            self.model[name] = Document(**{**vars(before), "tags": merged(before.tags, patch)})

    @rule(names=st.lists(NAMES, max_size=3))
    def remove(self, names: list[str]) -> None:
        gone = {name for name, document in self.model.items() if name in names or document.image_id in names}
        assert {document.id for document in self.store.remove(names)} == gone
        for name in gone:
            del self.model[name]

    @rule()
    def snapshot(self) -> None:
        for index in self.indexes.values():
            index.refresh()
            index.snapshot()

    @rule()
    def compact(self) -> None:
        for index in self.indexes.values():
            index.compact()
        self.store.compact()

    @rule()
    def rebuild(self) -> None:
        for index in self.indexes.values():
            index.rebuild()

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.open()

    @rule()
    def crash(self) -> None:
        """What a killed process leaves: the files as they are, with nothing closed."""
        left = self.folder / "left"
        shutil.copytree(self.collection.folder, left)
        self.store.close()
        shutil.rmtree(self.collection.folder)
        left.rename(self.collection.folder)
        self.open()

    @invariant()
    def agrees(self) -> None:
        there = {item.document.id: item for _, item in self.store.everything(0, 1000)}
        assert {name: item.document for name, item in there.items()} == self.model
        for modality, index in self.indexes.items():
            names = [name for name, document in self.model.items() if document.modality == modality]
            index.refresh()
            if names:
                scores, keys = index.search(np.stack([vector_of(name) for name in names]), 1)
                found = self.store.by_keys(keys[:, 0].tolist())
                assert [found[key].id for key in keys[:, 0].tolist()] == names
                assert (scores > 0.999).all()
            assert len(index) == len(names)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.folder)


TestCollection = CollectionMachine.TestCase
TestCollection.settings = settings(max_examples=25, stateful_step_count=25)
