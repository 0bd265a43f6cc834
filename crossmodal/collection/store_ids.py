"""The id of the store in the files that are computed from it: a map, a calibration, or hashes."""

from __future__ import annotations

import io

import numpy as np

from crossmodal.core.arrays import arrays_in


def with_store_id(content: bytes, store_id: str, replaced: str | None = None) -> bytes:
    """The content of a file, with another store's id; as it is if it has none.

    Args:
        content: The content of one of the files `SHARED` of a collection.
        store_id: The new id.
        replaced: The only id to replace; None for any.
    """
    try:
        known = arrays_in(content)
    except ValueError:
        return content  # a manifest, or damaged
    if "store_id" not in known or replaced not in (None, str(known["store_id"])):
        return content
    known["store_id"] = np.array(store_id)
    changed = io.BytesIO()
    np.savez_compressed(changed, allow_pickle=False, **known)
    return changed.getvalue()
