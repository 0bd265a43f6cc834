"""Temporary folders, for what Jina would put into the user's home."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory

from crossmodal.core.errors import StateError
from crossmodal.core.os_errors import reason


@contextmanager
def temporary_folder(what: str) -> Iterator[str]:
    """A folder that is removed when the block is left.

    Raises:
        StateError: It can't be made.
    """
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(TemporaryDirectory(prefix=f"crossmodal-{what}-"))
        except OSError as error:
            why = reason(error) if error.filename else error.strerror
            raise StateError(
                f"no temporary folder can be made ({why}): set TMPDIR to one that may be written"
            ) from error
        yield folder


@contextmanager
def temporary_home() -> Iterator[None]:
    """Sets HOME to a temporary folder for the block.

    Raises:
        StateError: No temporary folder can be made.
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
