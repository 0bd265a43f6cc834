"""Distances of experiments against scipy's, rankings against a sort, average precision against its definition."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist

from crossmodal.experiment import measures
from crossmodal.experiment.measures import average_precision, neighbours
from crossmodal.experiment.metrics import Metric, Space

METRICS = ["cosine", "euclidean", "sqeuclidean", "minkowski:1", "minkowski:3", "minkowski:2.5"]
SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 9))
FLOATS = st.floats(-1000, 1000, width=32)
FEW = st.integers(-2, 2).map(np.float32)


def reference(name: str, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    kind, _, p = name.partition(":")
    options = {"p": float(p)} if p else {}
    return np.asarray(cdist(one.astype(np.float64), other.astype(np.float64), kind, **options))


@pytest.mark.parametrize("name", METRICS)
@given(st.data())
@settings(max_examples=25)
def test_distances_are_those_of_scipy(name: str, data: st.DataObject) -> None:
    n, dim = data.draw(SHAPES)
    vectors = data.draw(arrays(np.float32, (n, dim), elements=FLOATS))
    queries = data.draw(arrays(np.float32, (3, dim), elements=FLOATS))
    if name == "cosine":
        assume(np.linalg.norm(np.concatenate([vectors, queries]).astype(float), axis=1).min() > 1e-9)
    space = Space(Metric.parse(name), vectors)
    scale = 1 + np.abs(vectors).max() + np.abs(queries).max()  # of the numbers that are subtracted
    tolerance = 1e-5 * scale if name == "sqeuclidean" else 1e-5
    np.testing.assert_allclose(space.distances(queries), reference(name, queries, vectors), rtol=1e-5, atol=tolerance)
    np.testing.assert_allclose(
        space.distances_among(slice(0, n)), reference(name, vectors, vectors), rtol=1e-5, atol=tolerance
    )


@pytest.mark.parametrize("name", METRICS)
@given(st.data())
@settings(max_examples=25)
def test_neighbours_are_those_of_a_sort_with_ties_by_index(name: str, data: st.DataObject) -> None:
    n, dim = data.draw(st.tuples(st.integers(2, 25), st.integers(1, 3)))
    vectors = data.draw(arrays(np.float32, (n, dim), elements=FEW))
    if name == "cosine":
        assume(np.abs(vectors).sum(axis=1).min() > 0)
    exact = reference(name, vectors, vectors).round(6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measures, "BLOCK_BYTES", data.draw(st.integers(1, 2000)))
        found = neighbours(vectors, Metric.parse(name), None)
    for query in range(n):
        others = sorted((other for other in range(n) if other != query), key=lambda other: (exact[query, other], other))
        assert found.nearest[query].tolist() == others[:15]
        np.testing.assert_allclose(found.distances[query], exact[query, others[:15]], atol=2e-6)


@given(st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=5))
def test_average_precision_is_the_mean_at_the_hits(rows: list[list[bool]]) -> None:
    found = average_precision(np.array(rows))
    for row, value in zip(rows, found, strict=True):
        at_hits = [sum(row[: rank + 1]) / (rank + 1) for rank, hit in enumerate(row) if hit]
        assert value == pytest.approx(sum(at_hits) / len(at_hits)) if at_hits else np.isnan(value)


def test_the_cosine_distance_of_a_zero_vector_is_1() -> None:
    vectors = np.array([[0, 0], [3, 4], [0, 0]], np.float32)
    distances = Space(Metric("cosine"), vectors).distances_among(slice(0, 3))
    assert distances.tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
