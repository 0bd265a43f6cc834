"""The map of a collection: a point in the plane for each image, with similar images close together.

It is a file beside the store, and current while the store has the same images: a key never gets another vector.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from crossmodal.collection.shared_state import MAP
from crossmodal.core.arrays import arrays_in
from crossmodal.core.errors import StateError
from crossmodal.core.os_errors import read_failure
from crossmodal.core.types import Keys, Vectors
from crossmodal.store.protocol import Store

N_NEIGHBOURS = 15
"""UMAP's default. With at most this number of images, there are no separate neighbourhoods."""
_SAME = 1e-5
"""Coordinates that differ by less are equal except for rounding."""

Method = Literal["umap", "pca"]
Points = NDArray[np.float32]  # (n, 2)


@dataclass(frozen=True)
class PictureMap:
    """Images by key with their points; the longer side of the bounding box goes from -1 to 1."""

    keys: Keys  # (n,), ascending
    points: Points
    method: Method
    last_seq: int
    store_id: str

    def is_current(self, store: Store) -> bool:
        """Whether the store has the images of the map and no others; captions and text in pictures don't matter."""
        if self.store_id != store.store_id() or self.last_seq > store.last_seq():
            return False
        return np.array_equal(self.keys, store.keys("image"))

    def to_bytes(self) -> bytes:
        """The content of the map's file."""
        content = io.BytesIO()
        np.savez_compressed(
            content,
            keys=self.keys,
            points=self.points,
            method=np.array(self.method),
            last_seq=np.array(self.last_seq),
            store_id=np.array(self.store_id),
        )
        return content.getvalue()


def read_map(folder: Path) -> PictureMap:
    """The map in a collection's folder.

    Raises:
        StateError: The map is missing or damaged.
    """
    try:
        arrays = arrays_in((folder / MAP).read_bytes())
        method: Method = "umap" if str(arrays["method"]) == "umap" else "pca"
        keys, points = arrays["keys"].astype(np.int64), arrays["points"].astype(np.float32)
        if points.shape != (len(keys), 2):
            raise ValueError(f"{len(keys)} keys and points of shape {points.shape}")
        return PictureMap(keys, points, method, int(arrays["last_seq"]), str(arrays["store_id"]))
    except FileNotFoundError as error:
        raise StateError("there is no map of this collection: make one with `python app.py -t map`") from error
    except (ValueError, KeyError, OSError) as error:
        raise StateError(
            f"{folder / MAP} {read_failure(error, folder / MAP)}: make it again with `python app.py -t map`"
        ) from error


def make_map(store: Store) -> PictureMap:
    """Computes the map of all images of a store."""
    changes = store.changes_after("image", 0, limit=2**31 - 1)
    assert changes is not None, "changes from sequence number 0 on are always complete"
    points, method = laid_out(changes.vectors)
    return PictureMap(changes.added, points, method, changes.last_seq, store.store_id())


def laid_out(vectors: Vectors) -> tuple[Points, Method]:
    """Points (n, 2) in the plane for vectors (n, dim), and the method; reproducible.

    UMAP keeps neighbours together. For at most N_NEIGHBOURS vectors, or equal ones, the points are the first two
    principal components.

    Source: McInnes, Healy, Melville 2018, arXiv 1802.03426 (UMAP).
    """
    if len(vectors) <= N_NEIGHBOURS or np.ptp(vectors, axis=0).max() < _SAME:
        return _scaled(_principal(vectors)), "pca"
    umap = _umap_compiled_once()(n_neighbors=N_NEIGHBOURS, metric="cosine", random_state=0, n_jobs=1)
    return _scaled(np.asarray(umap.fit_transform(vectors))), "umap"


def _umap_compiled_once() -> type[Any]:
    """UMAP with numba's compiled functions cached on disk, which saves half a minute in later processes."""
    import numba  # takes seconds, so it is only imported here
    from numba.core.dispatcher import Dispatcher

    try:
        import umap.umap_
    except RuntimeError:  # neither the folder of the modules nor a home folder is writable
        numba.config.CACHE_DIR = _temporary_cache().name  # type: ignore[attr-defined]
        import umap.umap_
    import umap.layouts

    for module in (umap.umap_, umap.layouts):
        for function in vars(module).values():
            if isinstance(function, Dispatcher):
                function.enable_caching()
    umap_class: type[Any] = umap.umap_.UMAP
    return umap_class


@cache
def _temporary_cache() -> TemporaryDirectory[str]:
    """A folder that is deleted when the process ends."""
    return TemporaryDirectory(prefix="crossmodal-compiled-")


def _principal(vectors: Vectors) -> NDArray[np.float64]:
    """The first two principal components (n, 2), 0 if there are fewer."""
    points = np.zeros((len(vectors), 2))
    if len(vectors) > 1:
        u, s, _ = np.linalg.svd(np.asarray(vectors, float) - vectors.mean(axis=0), full_matrices=False)
        n = min(2, len(s))
        points[:, :n] = u[:, :n] * s[:n]
    return points


def _scaled(points: NDArray[np.floating]) -> Points:
    """The points with the bounding box centred at 0 and its longer side from -1 to 1."""
    if not len(points):
        return np.empty((0, 2), np.float32)
    low, high = points.min(axis=0), points.max(axis=0)
    half = float((high - low).max()) / 2
    if half < _SAME:
        return np.zeros(points.shape, np.float32)
    scaled: Points = ((points - (low + high) / 2) / half).astype(np.float32)
    return scaled
