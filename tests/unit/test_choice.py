"""What `auto` takes."""

import pytest

from crossmodal.index.choice import FLAT_UP_TO, RECALL, choose

GB = 10**9


@pytest.mark.parametrize(
    ("n", "memory_bytes", "recall", "kind"),
    [
        (0, 8 * GB, 0.95, "flat"),
        (FLAT_UP_TO, 8 * GB, 0.95, "flat"),
        (FLAT_UP_TO, 1, 0.95, "flat"),
        (FLAT_UP_TO + 1, 8 * GB, 0.95, "hnsw-fp16"),
        (1_000_000, 8 * GB, 0.95, "hnsw-fp16"),
        (1_000_000, 8 * GB, 0.5, "hnsw-fp16"),
        (1_000_000, 1 * GB, 0.95, "ivf-pq"),
        (1_000_000, 10**6, 0.95, "ivf-pq"),
        (100_000_000, 8 * GB, 0.95, "ivf-pq"),
        (1_000_000, 8 * GB, RECALL["hnsw-fp16"], "hnsw-fp16"),
        (1_000_000, 1 * GB, RECALL["hnsw-fp16"], "flat"),
        (1_000_000, 8 * GB, 0.999, "flat"),
        (1_000_000, 8 * GB, 1.0, "flat"),
    ],
)
def test_the_kind(n: int, memory_bytes: int, recall: float, kind: str) -> None:
    assert str(choose(n, 512, memory_bytes, recall).kind) == kind


def test_a_graph_is_taken_as_long_as_it_fits() -> None:
    n = 200_000
    needed = choose(n, 512, 8 * GB).kind.resident_bytes(n, 512)
    assert str(choose(n, 512, needed).kind) == "hnsw-fp16"
    assert str(choose(n, 512, needed - 1).kind) == "ivf-pq"


def test_shorter_vectors_fit_where_longer_ones_do_not() -> None:
    assert str(choose(1_000_000, 512, GB).kind) == "ivf-pq"
    assert str(choose(1_000_000, 128, GB).kind) == "hnsw-fp16"


@pytest.mark.parametrize(
    ("n", "memory_bytes", "recall", "words"),
    [
        (5_000, 8 * GB, 0.95, ["flat", "5,000", "20,000"]),
        (1_000_000, 8 * GB, 0.95, ["hnsw-fp16", "1.30 GB", "8.00 GB", "1,000,000", "512"]),
        (1_000_000, GB, 0.95, ["ivf-pq takes", "0.09 GB", "1,000,000", "hnsw-fp16 would take 1.30 of 1.00 GB"]),
        (1_000_000, 10**7, 0.95, ["ivf-pq is the smallest kind", "0.09 GB", "0.01 GB"]),
        (1_000_000, 8 * GB, 0.999, ["only flat", "0.999", "1,000,000"]),
        (1_000_000, GB, 0.96, ["flat reaches", "0.96", "hnsw-fp16 does not fit in 1.00 GB"]),
    ],
)
def test_the_reason_says_the_numbers(n: int, memory_bytes: int, recall: float, words: list[str]) -> None:
    why = choose(n, 512, memory_bytes, recall).why
    assert all(word in why for word in words), why
    assert "\n" not in why
