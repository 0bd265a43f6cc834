"""Slices of the keys, and indexes that have one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossmodal.core.errors import InputError
from crossmodal.core.slices import WHOLE, Slice
from crossmodal.core.types import Document, Vectors
from crossmodal.index.vector_replica import VectorReplica
from crossmodal.store.sqlite import DocumentStore, NewDocument

DIM, N = 16, 400


@pytest.mark.parametrize("text", ["5/4", "0/4", "2", "2/", "/4", "-1/4", "2/4/8", "a/b", " 2/4", "1/1025", "02/4", ""])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"expected I/N, as in 2/4, with I from 1 to N, up to 1024"):
        Slice.parse(text)


@given(st.integers(1, 20), st.lists(st.integers(0, 2**62), max_size=50))
def test_each_key_is_in_one_slice(of: int, keys: list[int]) -> None:
    parts = [Slice(part, of).has(np.array(keys, np.int64)) for part in range(1, of + 1)]
    assert (np.sum(parts, axis=0) == 1).all()
    assert all(Slice.parse(str(Slice(part, of))) == Slice(part, of) for part in range(1, of + 1))


@pytest.mark.parametrize("step", [1, 2, 4, 6])
def test_slices_are_of_about_the_same_size(step: int) -> None:
    keys = np.arange(0, 40_000, step)
    sizes = [int(Slice(part, 4).has(keys).sum()) for part in range(1, 5)]
    assert max(sizes) < 1.02 * min(sizes)


def test_the_whole_is_one_slice() -> None:
    assert WHOLE.is_whole
    assert WHOLE.has(np.arange(9)).all()


def _filled(store: DocumentStore) -> Vectors:
    vectors = np.random.default_rng(0).normal(size=(N, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    store.put([NewDocument(Document(f"{n}", "image"), vector) for n, vector in enumerate(vectors)])
    return vectors


def test_slices_and_shards_answer_as_one_index(tmp_path: Path) -> None:
    with DocumentStore(tmp_path, writable=True) as store:
        vectors = _filled(store)
        whole = VectorReplica(store, "image", tmp_path / "index", DIM)
        whole.rebuild()
        parts = [
            VectorReplica(store, "image", tmp_path / "index", DIM, shard, 2, part=Slice(part, 4))
            for part in range(1, 5)
            for shard in range(2)
        ]
        for part in parts:
            part.rebuild()  # beside the snapshots of the others
        store.remove(["3", "5"])
        assert sum(map(len, parts)) == N  # not yet refreshed
        queries = vectors[:20]
        expected = whole.search(queries, 10)
        found = [part.search(queries, 10) for part in parts]
        assert sum(map(len, parts)) == N - 2
        scores, keys = (np.concatenate(columns, axis=1) for columns in zip(*found, strict=True))
        best = np.argsort(-scores, axis=1)[:, :10]
        np.testing.assert_array_equal(np.take_along_axis(keys, best, 1), expected[1])
        np.testing.assert_allclose(np.take_along_axis(scores, best, 1), expected[0], atol=1e-6)
        again = VectorReplica(store, "image", tmp_path / "index", DIM, 1, 2, part=Slice(3, 4))
        assert again.n_unsaved < 5  # opened from its snapshot
        assert len(VectorReplica(store, "image", tmp_path / "index", DIM)) == N - 2
