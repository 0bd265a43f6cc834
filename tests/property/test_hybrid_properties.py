"""Whatever comes and goes, the indexes of words say what a dictionary of pictures and captions says."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
from hybrid_world import DIM, WORDS, World, caption, picture
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from crossmodal.core.types import Vectors
from crossmodal.lexical.bm25 import Bm25

NAMES = st.sampled_from([f"p{i}" for i in range(6)])
TEXTS = st.lists(st.sampled_from([*WORDS, "zebra", "of"]), max_size=5).map(" ".join)
QUERY = "red^2 dog star zebra -cat"


def ranked(scores: np.ndarray, keys: np.ndarray) -> dict[int, float]:
    return {int(key): round(float(score), 4) for key, score in zip(keys[0], scores[0], strict=True) if key >= 0}


class Changes(RuleBasedStateMachine):
    """Pictures and captions come, go, and come before each other; the indexes are written, lost and opened again."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.world = World(self.folder)
        self.pictures: dict[str, Vectors] = {}
        self.captions: dict[str, dict[str, None]] = {}
        self.opened = self.world.indexes()

    @rule(name=NAMES, seed=st.integers(0, 99))
    def add_picture(self, name: str, seed: int) -> None:
        vector = np.random.default_rng(seed).normal(size=DIM).astype(np.float32)
        vector /= np.linalg.norm(vector)
        self.world.store.put([picture(name, vector)])
        self.pictures.setdefault(name, vector)

    @rule(name=NAMES, text=TEXTS)
    def add_caption(self, name: str, text: str) -> None:
        self.world.store.put([caption(text, name)])
        self.captions.setdefault(name, {})[text] = None

    @rule(name=NAMES)
    def remove_picture(self, name: str) -> None:
        self.world.store.remove([name])
        self.pictures.pop(name, None)
        self.captions.pop(name, None)

    @precondition(lambda self: any(self.captions.values()))
    @rule(data=st.data())
    def remove_caption(self, data: st.DataObject) -> None:
        name, text = data.draw(st.sampled_from([(n, t) for n, texts in self.captions.items() for t in texts]))
        self.world.store.remove([f"{name}: {text}"])
        del self.captions[name][text]

    @rule()
    def snapshot(self) -> None:
        self.opened.words.refresh()
        self.opened.captions.refresh()
        self.opened.words.snapshot()
        self.opened.captions.snapshot()

    @rule()
    def compact(self) -> None:
        self.opened.words.compact()
        self.opened.captions.compact()
        self.world.store.compact()

    @rule()
    def open_again(self) -> None:
        self.opened = self.world.indexes()

    @rule()
    def lose_the_files(self) -> None:
        shutil.rmtree(self.world.collection.folder / "index", ignore_errors=True)
        self.opened = self.world.indexes()

    @invariant()
    def words_are_those_of_the_pictures(self) -> None:
        model, keys = self.opened.model, self._keys()
        query = model.query_weights(QUERY)
        expected = {}
        for name, vector in self.pictures.items():
            weights = model.image_weights(vector[None]).toarray()[0]
            if weights[query.indices[query.data > 0]].any():
                expected[keys[name]] = round(float(weights[query.indices] @ query.data), 4)
        found = ranked(*self.opened.words.search(query, 10))
        assert found == expected
        assert len(self.opened.words) == len(self.pictures)

    @invariant()
    def captions_are_ranked_as_bm25_made_anew_ranks_them(self) -> None:
        keys = self._keys()
        told = {name: " ".join(texts) for name, texts in self.captions.items() if name in self.pictures and texts}
        query = [("dog", 1.0), ("zebra", 2.0), ("cat", -1.0)]
        found = ranked(*self.opened.captions.search(query, 10))
        expected = {}
        if any(text.replace("of", "").split() for text in told.values()):
            bm25 = Bm25.fit(list(told.values()))
            weights = bm25.encode(list(told.values())).toarray()
            place = {word: i for i, word in enumerate(bm25.vocabulary.words)}
            for row, name in enumerate(told):
                gains = {word: weights[row, place[word]] for word, _ in query if word in place}
                if gains.get("dog") or gains.get("zebra"):
                    score = sum(weight * gains.get(word, 0.0) for word, weight in query)
                    expected[keys[name]] = round(float(score), 4)
        assert found.keys() == expected.keys()
        np.testing.assert_allclose([found[key] for key in expected], list(expected.values()), atol=2e-4)

    def _keys(self) -> dict[str, int]:
        return {d.id: key for key, d in self.world.store.by_keys(range(1, 1000)).items()}

    def teardown(self) -> None:
        self.world.store.close()
        shutil.rmtree(self.folder)


TestChanges = Changes.TestCase
TestChanges.settings = settings(max_examples=25, stateful_step_count=15)
