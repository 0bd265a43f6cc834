"""Stops libtiff from writing messages to standard error that don't name the file."""

from __future__ import annotations

import ctypes
from pathlib import Path


def silence_libtiff() -> None:
    """Removes libtiff's error handler; Pillow itself removes the warning handler.

    A file that can't be decoded still fails, with Pillow's error. Applies to the libtiff that Pillow has loaded into
    this process; does nothing if there is none, or if the system has no /proc/self/maps.
    """
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return
    lines = maps.read_text("utf8", "surrogateescape").splitlines()
    for path in {line.split(maxsplit=5)[-1] for line in lines if "/libtiff" in line}:
        if not Path(path).exists():
            continue  # the file was replaced after it was loaded
        ctypes.CDLL(path).TIFFSetErrorHandler(None)
