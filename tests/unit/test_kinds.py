"""The kinds of index: names, recall, files, copies."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossmodal.core.errors import InputError
from crossmodal.core.types import Vectors
from crossmodal.index import kinds
from crossmodal.index.config import IndexConfig
from crossmodal.index.kinds import ALL_KINDS, FLAT, HNSW_FP16, IVF_PQ, REPLACED, IndexKind, copied
from crossmodal.index.rows import Rows

N, DIM, K = 2000, 16, 10


@cache
def clustered(n: int, seed: int = 0) -> Vectors:
    """Unit vectors round 30 centres, as embeddings lie. Uniformly random ones have no neighbours to be found."""
    centres = np.random.default_rng(99).normal(size=(30, DIM))
    rng = np.random.default_rng(seed)
    rows = centres[rng.integers(0, 30, n)] + 0.5 * rng.normal(size=(n, DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@cache
def built(kind: IndexKind) -> Any:
    return kind.build(DIM, N, lambda rows: clustered(N)[rows])


def nearest(queries: Vectors, k: int) -> Rows:
    return np.argsort(-(queries @ clustered(N).T), axis=1)[:, :k]


def share_found(expected: Rows, found: Rows) -> float:
    return float(np.mean([np.isin(row, others).mean() for row, others in zip(expected, found, strict=True)]))


each_kind = pytest.mark.parametrize("kind", ALL_KINDS, ids=str)


@each_kind
def test_text_and_back(kind: IndexKind) -> None:
    assert IndexKind.parse(str(kind)) == kind


def test_the_names() -> None:
    assert [str(kind) for kind in ALL_KINDS] == ["flat", "hnsw-fp16", "ivf-pq"]
    assert IndexKind() == FLAT


@pytest.mark.parametrize("text", ["", "hnsw", "flat-", "hnsw_fp16", "HNSW-fp16", "ivf-pq ", "hnsw-pq", "flat-fp16"])
def test_no_such_kind(text: str) -> None:
    with pytest.raises(InputError) as caught:
        IndexKind.parse(text)
    message = str(caught.value)
    assert repr(text) in message
    assert all(str(kind) in message for kind in ALL_KINDS)


@each_kind
def test_the_best_are_among_the_candidates(kind: IndexKind) -> None:
    queries = clustered(100, seed=1)
    _, rows = kind.search(built(kind), queries, kind.candidates(K))
    assert rows.shape == (100, kind.candidates(K))
    assert share_found(nearest(queries, K), rows) >= (1 if kind == FLAT else 0.97)


@each_kind
def test_more_is_looked_at_where_more_is_wanted(kind: IndexKind) -> None:
    queries, k = clustered(5, seed=2), 1000
    _, rows = kind.search(built(kind), queries, k)
    assert (rows >= 0).all()
    assert share_found(nearest(queries, k), rows) >= 0.9


@each_kind
def test_a_copy_of_a_mapped_file_can_be_added_to(kind: IndexKind, tmp_path: Path) -> None:
    path = tmp_path / "a"
    kind.write(built(kind), path)
    content = path.read_bytes()
    mapped = kind.read(path)
    copy = copied(mapped)
    copy.add(clustered(20, seed=3))
    assert (mapped.ntotal, copy.ntotal) == (N, N + 20)
    assert path.read_bytes() == content
    queries = clustered(20, seed=4)
    assert np.array_equal(kind.search(mapped, queries, K)[1], kind.search(built(kind), queries, K)[1])
    _, rows = kind.search(copy, clustered(20, seed=3), kind.candidates(K))
    assert share_found(np.arange(N, N + 20)[:, None], rows) >= 0.9


@pytest.mark.parametrize("of", [FLAT, HNSW_FP16], ids=str)
def test_a_file_of_another_kind(of: IndexKind, tmp_path: Path) -> None:
    of.write(built(of), tmp_path / "a")
    with pytest.raises(RuntimeError, match=r"expected IndexIVFPQ, found Index|not recognized"):
        IVF_PQ.read(tmp_path / "a")


def test_a_graph_is_no_flat_index(tmp_path: Path) -> None:
    HNSW_FP16.write(built(HNSW_FP16), tmp_path / "a")
    with pytest.raises(ValueError, match=r"pickled|magic"):
        FLAT.read(tmp_path / "a")


@pytest.mark.parametrize("kind", [FLAT, HNSW_FP16], ids=str)
def test_the_memory_foretold_is_about_the_size_of_the_file(kind: IndexKind, tmp_path: Path) -> None:
    kind.write(built(kind), tmp_path / "a")
    keys_and_lives = 9 * N
    size = (tmp_path / "a").stat().st_size + keys_and_lives
    assert kind.resident_bytes(N, DIM) == pytest.approx(size, rel=0.1)


@pytest.mark.parametrize(("dim", "code"), [(512, 64), (1024, 128), (100, 100), (24, 24)])
def test_the_memory_of_product_quantisation(dim: int, code: int) -> None:
    n = 1_000_000
    assert IVF_PQ.resident_bytes(n, dim) == n * (code + 8 + 9) + 4 * dim * 4_000


def test_what_is_trained_and_what_is_scored_again() -> None:
    assert [kind for kind in ALL_KINDS if kind.is_trained] == [IVF_PQ]
    assert [kind for kind in ALL_KINDS if not kind.keeps_rows] == [IVF_PQ]
    assert FLAT.candidates(K) == HNSW_FP16.candidates(K) == K
    assert all(IVF_PQ.candidates(k) >= 2 * k for k in (1, 10, 1000))


@pytest.mark.parametrize("name", REPLACED)
def test_a_kind_that_is_no_longer_built_is_replaced_by_the_nearest(name: str) -> None:
    choice = IndexConfig(name).choice(10, DIM)
    assert choice.kind == IndexKind.parse(REPLACED[name])
    assert name in choice.why


def test_vectors_are_taken_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "BLOCK", 700)
    asked: list[int] = []

    def take(rows: Rows) -> Vectors:
        asked.append(len(rows))
        return clustered(N)[rows]

    index = FLAT.build(DIM, N, take)
    assert asked == [700, 700, 600]
    assert np.array_equal(index.rows, clustered(N))


@pytest.mark.parametrize("kind", [kind for kind in ALL_KINDS if not kind.is_trained], ids=str)
@pytest.mark.parametrize("n", [0, 1])
def test_none_and_one(kind: IndexKind, n: int) -> None:
    index = kind.build(DIM, n, lambda rows: clustered(N)[rows])
    _, rows = kind.search(index, clustered(2), 3)
    assert rows.tolist() == [[0 if n else -1, -1, -1]] * 2
