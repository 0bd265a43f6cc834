"""Keeps libtiff from writing to the process's standard error, where its messages name no file."""

from __future__ import annotations

import ctypes
from pathlib import Path


def silence_libtiff() -> None:
    """Takes away the handler of libtiff's error messages; Pillow itself takes away that of its warnings.

    A file that can't be decoded still fails, with Pillow's error. The library is the one this process has loaded with
    Pillow; where there is none, or the system has no list of what is loaded, nothing is done.
    """
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return
    lines = maps.read_text("utf8", "surrogateescape").splitlines()
    for path in {line.split(maxsplit=5)[-1] for line in lines if "/libtiff" in line}:
        if not Path(path).exists():
            continue  # replaced since it was loaded
        ctypes.CDLL(path).TIFFSetErrorHandler(None)
