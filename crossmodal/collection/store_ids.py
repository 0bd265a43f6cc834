"""The id of the store in the files that are computed from it: a map, a calibration, or hashes."""

from __future__ import annotations

import io
import zipfile
import zlib

import numpy as np


def with_store_id(content: bytes, store_id: str, replaced: str | None = None) -> bytes:
    """The content of a file, with another store's id; as it is if it has none.

    Args:
        content: The content of one of the files `SHARED` of a collection.
        store_id: The new id.
        replaced: The only id to replace; None for any.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            known = dict(arrays)
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error):
        return content  # a manifest, or damaged
    if "store_id" not in known or replaced not in (None, str(known["store_id"])):
        return content
    known["store_id"] = np.array(store_id)
    changed = io.BytesIO()
    np.savez_compressed(changed, allow_pickle=False, **known)
    return changed.getvalue()
