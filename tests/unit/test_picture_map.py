"""The map of a collection: places on a plane, kept beside the store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crossmodal.collection.picture_map import N_NEIGHBOURS, PictureMap, laid_out, make_map, read_map
from crossmodal.collection.shared_state import MAP
from crossmodal.core.errors import StateError
from crossmodal.core.reading import Reading
from crossmodal.core.types import Document, Vectors
from crossmodal.store.sqlite import DocumentStore, NewDocument


def unit(n: int, dim: int = 8, seed: int = 0) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def pictures(vectors: Vectors, first: int = 0) -> list[NewDocument]:
    return [NewDocument(Document(f"{first + n}", "image"), vector) for n, vector in enumerate(vectors)]


@pytest.mark.parametrize("n", [1, 2, 3, N_NEIGHBOURS])
def test_few_pictures_are_shown_by_their_principal_components(n: int) -> None:
    points, method = laid_out(unit(n))
    assert method == "pca"
    assert points.shape == (n, 2)
    assert np.isfinite(points).all()
    assert np.abs(points).max() == pytest.approx(1 if n > 1 else 0)
    assert len({tuple(point) for point in points.tolist()}) == n


def test_none_is_a_map_of_nothing() -> None:
    points, method = laid_out(np.empty((0, 0), np.float32))
    assert (points.shape, method) == ((0, 2), "pca")


def test_the_same_picture_many_times_is_one_place() -> None:
    points, _ = laid_out(np.repeat(unit(1), 40, axis=0))
    assert not points.any()


@pytest.mark.filterwarnings("ignore:Tensorflow not installed")
@pytest.mark.parametrize("n", [N_NEIGHBOURS + 1, 60])
def test_groups_stay_together(n: int) -> None:
    centres = np.eye(8, dtype=np.float32)[np.arange(n) % 2]
    vectors = centres + 0.01 * unit(n)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    points, method = laid_out(vectors)
    from umap.umap_ import smooth_knn_dist

    assert method == "umap"
    assert np.abs(points).max() == pytest.approx(1)
    assert np.array_equal(points, laid_out(vectors)[0]), "the same each time"
    assert smooth_knn_dist.stats.cache_path, "what numba has compiled is kept"
    if n > 2 * N_NEIGHBOURS:
        one, other = points[::2], points[1::2]
        within = max(np.ptp(one, axis=0).max(), np.ptp(other, axis=0).max())
        assert np.linalg.norm(one.mean(axis=0) - other.mean(axis=0)) > within / 2


def test_it_is_kept_beside_the_store_and_knows_when_it_is_old(tmp_path: Path) -> None:
    with DocumentStore(tmp_path, writable=True) as store:
        store.put(pictures(unit(5)))
        made = make_map(store)
        (tmp_path / MAP).write_bytes(made.to_bytes())
        found = read_map(tmp_path)
        assert found.keys.tolist() == sorted(found.keys.tolist())
        assert np.array_equal(found.points, made.points)
        assert found.is_current(store)
        store.readings.put([("0", Reading("test", ()))])
        store.put([NewDocument(Document("caption", "text", text="a dog", image_id="0"), unit(1)[0])])
        assert store.last_seq() > found.last_seq
        assert found.is_current(store), "no picture was added or removed"
        store.put(pictures(unit(1, seed=1), first=5))
        assert not found.is_current(store)
        store.remove(["0"])
        assert len(make_map(store).keys) == 5


def test_a_missing_and_a_damaged_map_say_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"no map of this collection.*-t map"):
        read_map(tmp_path)
    made = PictureMap(np.arange(3), np.zeros((3, 2), np.float32), "pca", 1, "s")
    (tmp_path / MAP).write_bytes(made.to_bytes())
    whole = (tmp_path / MAP).read_bytes()
    for content in (b"", b"nothing", whole[: len(whole) // 2]):
        (tmp_path / MAP).write_bytes(content)
        with pytest.raises(StateError, match=r"damaged.*-t map"):
            read_map(tmp_path)
