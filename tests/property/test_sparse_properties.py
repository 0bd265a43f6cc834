"""Whatever is added, removed, compacted and saved: the index equals a dictionary and a plain product."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from scipy.sparse import csr_matrix

from crossmodal.core.errors import StateError
from crossmodal.lexical.inverted import SparseIndex

N_TERMS = 6
SCORINGS = ("dot", "activation-idf", "tf-idf")
Picture = tuple[float, ...]

# Few values, so that scores are often equal, and fractions that are rounded.
WEIGHTS = st.sampled_from([0.0, 0.0, 0.0, 0.1, 0.7, 1.0, 2.0, 3.3])
PICTURES = st.tuples(*[WEIGHTS] * N_TERMS)
QUERIES = st.tuples(*[st.sampled_from([0.0, 0.0, 0.5, 1.0, 2.0, -1.0])] * N_TERMS)


def matrix(rows: list[Picture]) -> csr_matrix:
    return csr_matrix(np.array(rows, np.float32).reshape(-1, N_TERMS))


def reference(pictures: Mapping[int, Picture], query: Picture, scoring: str) -> dict[int, float]:
    """The score of every picture that shares a word, from the formulas alone, in float64."""
    n, weights = len(pictures), np.array(list(pictures.values())).reshape(-1, N_TERMS)
    asked = np.array(query)
    if scoring == "dot":
        scores = weights @ asked
    elif scoring == "activation-idf":
        active = np.maximum((weights > 0).sum(axis=1, keepdims=True), 1)
        scores = weights / active @ (asked * np.log(n / (1 + weights.sum(axis=0)))) if n else np.zeros(0)
    else:
        idf = np.log((1 + n) / (1 + (weights > 0).sum(axis=0))) + 1
        vectors, asked = weights * idf, asked * idf
        lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(asked)
        scores = np.divide(vectors @ asked, lengths, out=np.zeros(n), where=lengths > 0)
    shares = (weights[:, np.array(query) > 0] > 0).any(axis=1)
    return {key: float(score) for key, score, found in zip(pictures, scores, shares, strict=True) if found}


def check(index: SparseIndex, pictures: Mapping[int, Picture], query: Picture, k: int, scoring: str) -> None:
    scores, keys = index.search(matrix([query]), k, scoring=scoring)
    expected = reference(pictures, query, scoring)
    n_found = min(k, len(expected))
    found = dict(zip(keys[0, :n_found].tolist(), scores[0, :n_found].tolist(), strict=True))
    assert (keys[0, n_found:] == -1).all()
    assert np.isneginf(scores[0, n_found:]).all()
    assert len(found) == n_found
    assert found == pytest.approx({key: expected[key] for key in found}, rel=1e-5, abs=1e-5)
    best = sorted(expected.values(), reverse=True)[:n_found]
    assert scores[0, :n_found].tolist() == pytest.approx(best, rel=1e-5, abs=1e-5)
    pairs = list(zip((-scores[0, :n_found]).tolist(), keys[0, :n_found].tolist(), strict=True))
    assert pairs == sorted(pairs), "falling, equal ones by ascending key"
    of_found = np.array(sorted(found), np.int64)
    terms, contributions = index.contributions(matrix([query]), of_found, scoring)
    sums = dict(zip(of_found.tolist(), contributions.sum(axis=1).tolist(), strict=True))
    assert sums == pytest.approx(found, rel=1e-5, abs=1e-5)
    assert terms.tolist() == [term for term in range(N_TERMS) if query[term]]
    for key, parts in zip(of_found.tolist(), contributions, strict=True):
        assert not parts[[pictures[key][term] == 0 for term in terms]].any()


class IndexAgainstDictionary(RuleBasedStateMachine):
    """Any order of changes; after each, the index holds what a dictionary holds."""

    @initialize()
    def start(self) -> None:
        self.index, self.pictures, self.last = SparseIndex(N_TERMS), dict[int, Picture](), 0

    @rule(pictures=st.lists(PICTURES, max_size=8), gap=st.integers(1, 3))
    def add(self, pictures: list[Picture], gap: int) -> None:
        keys = self.last + gap * np.arange(1, len(pictures) + 1, dtype=np.int64)
        self.index.add(keys, matrix(pictures))
        self.pictures.update(zip(keys.tolist(), pictures, strict=True))
        self.last += gap * len(pictures)

    @rule(keys=st.lists(st.integers(0, 40), max_size=6))
    def remove(self, keys: list[int]) -> None:
        there = {key for key in keys if self.pictures.pop(key, None)}
        assert self.index.remove(np.array(keys, np.int64)) == len(there)

    @rule()
    def compact(self) -> None:
        self.index = self.index.compacted()
        assert self.index.n_tail == self.index.n_dead == 0

    @rule()
    def save_and_load(self) -> None:
        with TemporaryDirectory() as folder:
            self.index.save(Path(folder), "a")
            self.index = SparseIndex.load(Path(folder), "a")

    @rule(query=QUERIES, k=st.integers(1, 12), scoring=st.sampled_from(SCORINGS))
    def search(self, query: Picture, k: int, scoring: str) -> None:
        check(self.index, self.pictures, query, k, scoring)

    @rule(query=QUERIES, allowed=st.lists(st.integers(0, 40), max_size=12))
    def search_among(self, query: Picture, allowed: list[int]) -> None:
        _, keys = self.index.search(matrix([query]), 12, np.array(allowed, np.int64))
        assert set(keys[keys >= 0].tolist()) <= set(allowed)
        some = {key: self.pictures[key] for key in sorted(set(allowed) & set(self.pictures))}
        assert len(reference(some, query, "dot")) == np.count_nonzero(keys >= 0)

    @invariant()
    def holds_the_same(self) -> None:
        weights = np.array([self.pictures[key] for key in sorted(self.pictures)], np.float32).reshape(-1, N_TERMS)
        assert len(self.index) == len(self.pictures)
        assert self.index.active_terms().tolist() == (weights > 0).sum(axis=1).tolist()
        known = np.array(sorted(self.pictures), np.int64)
        assert self.index.weights_of(known, np.arange(N_TERMS)).tolist() == weights.tolist()
        for term in range(N_TERMS):
            rows, of_term = self.index.posted_rows(term)
            assert (np.diff(rows) > 0).all()
            assert of_term.tolist() == weights[weights[:, term] > 0, term].tolist()


TestIndexAgainstDictionary = IndexAgainstDictionary.TestCase
TestIndexAgainstDictionary.settings = settings(max_examples=60, stateful_step_count=15)


@given(st.lists(PICTURES, min_size=65, max_size=200), QUERIES, st.integers(1, 4), st.sampled_from(SCORINGS))
@settings(max_examples=40)
def test_many_pictures_with_equal_scores(rows: list[Picture], query: Picture, k: int, scoring: str) -> None:
    """Enough of them that the best are chosen through blocks."""
    index = SparseIndex(N_TERMS)
    index.add(np.arange(len(rows)), matrix(rows))
    check(index, dict(enumerate(rows)), query, k, scoring)


@given(st.lists(PICTURES, max_size=30), st.data())
@settings(max_examples=40)
def test_how_pictures_came_in_makes_no_difference(rows: list[Picture], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(rows)))
    whole, parts = SparseIndex(N_TERMS), SparseIndex(N_TERMS)
    whole.add(np.arange(len(rows)), matrix(rows))
    parts.add(np.arange(cut), matrix(rows[:cut]))
    parts = parts.compacted()
    parts.add(np.arange(cut, len(rows)), matrix(rows[cut:]))
    query = matrix([data.draw(QUERIES)])
    for scoring in SCORINGS:
        for one, other in zip(
            whole.search(query, 9, None, scoring), parts.search(query, 9, None, scoring), strict=True
        ):
            assert np.array_equal(one, other)


@given(st.integers(0, 5), st.floats(0, 1, exclude_max=True), st.integers(0, 7))
@settings(max_examples=60)
def test_a_changed_bit_is_never_served(which: int, where: float, bit: int) -> None:
    index = SparseIndex(N_TERMS)
    index.add(np.arange(4), matrix([(1.0, 0.0, 2.0, 0.0, 0.0, 0.0)] * 4))
    with TemporaryDirectory() as folder:
        path = Path(folder) / index.save(Path(folder), "a")[which]
        content = bytearray(path.read_bytes())
        content[int(where * len(content))] ^= 1 << bit
        path.write_bytes(content)
        try:
            loaded = SparseIndex.load(Path(folder), "a")
        except StateError:
            return
        query = matrix([(1.0,) * N_TERMS])
        assert loaded.search(query, 5)[1].tolist() == index.search(query, 5)[1].tolist()
