"""The map of a collection: where each picture lies on a plane, so that similar ones lie together.

It is a cache like an index: a file beside the store that knows the sequence number it was made at.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.errors import StateError
from crossmodal.core.files import write_atomically
from crossmodal.core.os_errors import read_failure, reason
from crossmodal.core.types import Keys, Vectors
from crossmodal.store.sqlite import DocumentStore

FILE = "map.npz"
N_NEIGHBOURS = 15
"""UMAP's default. With no more pictures than that, it has no neighbourhoods to tell apart."""
_SAME = 1e-5
"""Places that are no further apart than this differ by rounding."""

Method = Literal["umap", "pca"]
Points = NDArray[np.float32]  # (n, 2)


@dataclass(frozen=True)
class PictureMap:
    """Pictures by key with their places; the longer side of them all goes from -1 to 1."""

    keys: Keys  # (n,), rising
    points: Points
    method: Method
    last_seq: int
    store_id: str

    def is_current(self, store: DocumentStore) -> bool:
        """Whether nothing has come or gone since it was made."""
        return (self.last_seq, self.store_id) == (store.last_seq(), store.store_id())

    def write(self, folder: Path) -> None:
        """Writes it into the collection's folder, all or nothing.

        Raises:
            StateError: It can't be written.
        """
        content = io.BytesIO()
        np.savez_compressed(
            content,
            keys=self.keys,
            points=self.points,
            method=np.array(self.method),
            last_seq=np.array(self.last_seq),
            store_id=np.array(self.store_id),
        )
        try:
            write_atomically(folder / FILE, content.getvalue())
        except OSError as error:
            raise StateError(f"{folder / FILE} can't be written: {reason(error, folder / FILE)}") from error


def read_map(folder: Path) -> PictureMap:
    """The map of a collection, by its folder.

    Raises:
        StateError: There is none, or it is damaged.
    """
    try:
        with np.load(io.BytesIO((folder / FILE).read_bytes()), allow_pickle=False) as found:
            method: Method = "umap" if str(found["method"]) == "umap" else "pca"
            keys, points = found["keys"].astype(np.int64), found["points"].astype(np.float32)
            if points.shape != (len(keys), 2):
                raise ValueError(f"{len(keys)} keys and places of shape {points.shape}")
            return PictureMap(keys, points, method, int(found["last_seq"]), str(found["store_id"]))
    except FileNotFoundError as error:
        raise StateError("there is no map of this collection: make one with `python app.py -t map`") from error
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise StateError(
            f"{folder / FILE} {read_failure(error, folder / FILE)}: make it anew with `python app.py -t map`"
        ) from error


def make_map(store: DocumentStore) -> PictureMap:
    """Lays out all pictures of a store."""
    found = store.changes_after("image", 0, limit=2**31 - 1)
    assert found is not None, "nothing is forgotten for one who starts at 0"
    points, method = laid_out(found.vectors)
    return PictureMap(found.added, points, method, found.last_seq, store.store_id())


def laid_out(vectors: Vectors) -> tuple[Points, Method]:
    """Places vectors (n, dim) on a plane, the same ones each time.

    Returns:
        The places (n, 2), and by which method: UMAP keeps neighbours together. A few vectors have none worth the
        name, and are shown along the two directions in which they differ most.

    Source: McInnes, Healy, Melville 2018, arXiv 1802.03426 (UMAP).
    """
    if len(vectors) <= N_NEIGHBOURS or np.ptp(vectors, axis=0).max() < _SAME:
        return _fitted(_principal(vectors)), "pca"
    umap = _umap_compiled_once()(n_neighbors=N_NEIGHBOURS, metric="cosine", random_state=0, n_jobs=1)
    return _fitted(np.asarray(umap.fit_transform(vectors))), "umap"


def _umap_compiled_once() -> type[Any]:
    """UMAP, with its functions kept on disk as numba has compiled them: half a minute, once instead of each time."""
    import numba  # seconds, and nothing else needs these
    from numba.core.dispatcher import Dispatcher

    try:
        import umap.umap_
    except RuntimeError:  # numba may make files neither beside the modules nor in a home folder
        numba.config.CACHE_DIR = _for_this_run().name  # type: ignore[attr-defined]
        import umap.umap_
    import umap.layouts

    for module in (umap.umap_, umap.layouts):
        for function in vars(module).values():
            if isinstance(function, Dispatcher):
                function.enable_caching()
    found: type[Any] = umap.umap_.UMAP
    return found


@cache
def _for_this_run() -> TemporaryDirectory[str]:
    """A folder that is gone when the program ends."""
    return TemporaryDirectory(prefix="crossmodal-compiled-")


def _principal(vectors: Vectors) -> NDArray[np.float64]:
    """Places (n, 2) along the first two principal components; 0 along those that are not there."""
    places = np.zeros((len(vectors), 2))
    if len(vectors) > 1:
        u, s, _ = np.linalg.svd(np.asarray(vectors, float) - vectors.mean(axis=0), full_matrices=False)
        n = min(2, len(s))
        places[:, :n] = u[:, :n] * s[:n]
    return places


def _fitted(places: NDArray[np.floating]) -> Points:
    """The places with their middle at 0 and their longer side from -1 to 1."""
    if not len(places):
        return np.empty((0, 2), np.float32)
    low, high = places.min(axis=0), places.max(axis=0)
    half = float((high - low).max()) / 2
    if half < _SAME:
        return np.zeros(places.shape, np.float32)
    fitted: Points = ((places - (low + high) / 2) / half).astype(np.float32)
    return fitted
