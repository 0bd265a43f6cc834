"""Reads the arrays of an `.npz` file that may be damaged."""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


def arrays_in(content: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of a file that `numpy.savez` wrote, by name.

    Raises:
        ValueError: The content is damaged, or of another kind.
    """
    if not content.startswith(b"PK"):  # numpy would advise to load it as a pickle
        raise ValueError("it has no arrays")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return dict(arrays)
    except (EOFError, OSError, RuntimeError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(str(error)) from error
