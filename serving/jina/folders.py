"""Temporary folders for files that Jina would write into the user's home."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory

from crossmodal.core.errors import StateError
from crossmodal.core.os_errors import reason


@contextmanager
def temporary_folder(name: str) -> Iterator[str]:
    """Creates a folder for the block and removes it afterwards.

    Raises:
        StateError: It can't be created.
    """
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(TemporaryDirectory(prefix=f"crossmodal-{name}-"))
        except OSError as error:
            why = reason(error) if error.filename else error.strerror
            raise StateError(f"a temporary folder can't be created ({why}): set TMPDIR to a writable folder") from error
        yield folder


@contextmanager
def temporary_home() -> Iterator[None]:
    """Sets HOME to a temporary folder for the block.

    Raises:
        StateError: A temporary folder can't be created.
    """
    before = os.environ.get("HOME")
    with temporary_folder("home") as folder:
        os.environ["HOME"] = folder
        try:
            yield
        finally:
            del os.environ["HOME"]
            if before is not None:
                os.environ["HOME"] = before
