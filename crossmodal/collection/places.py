"""Where else a collection can be: in another workspace, or in a database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from crossmodal.collection.linked_workspace import link_workspace


@contextmanager
def workspace_at(place: str) -> Iterator[Path]:
    """The workspace at a place; for a database a temporary one, which has no indexes.

    Args:
        place: postgresql://USER@HOST/DATABASE, or the path of a workspace.

    Raises:
        InputError: The URL is invalid, or has a password.
    """
    if "://" not in place:
        yield Path(place)
        return
    with TemporaryDirectory() as folder:
        link_workspace(Path(folder), place)
        yield Path(folder)
