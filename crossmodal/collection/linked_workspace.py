"""Workspaces whose collections are in a PostgreSQL database: a file in the workspace names it."""

from __future__ import annotations

import json
from pathlib import Path

from crossmodal.collection.shared_state import MANIFEST, LocalState, SharedState, write_file
from crossmodal.core.errors import StateError
from crossmodal.core.os_errors import reason

LINK = "store.json"
"""The file of a workspace that names its database."""


def link_workspace(workspace: Path, url: str) -> None:
    """Makes a workspace the local cache of a database; later calls with the same URL change nothing.

    Args:
        workspace: The folder of the collections, which is created if it does not exist.
        url: postgresql://USER@HOST/DATABASE, without a password.

    Raises:
        InputError: The URL is invalid, or has a password.
        StateError: The workspace has collections in SQLite, or another database; or psycopg is not installed.
    """
    from crossmodal.collection.postgresql_state import checked_url

    url = checked_url(url)
    if (linked := linked_url(workspace)) == url:
        return
    if linked is not None:
        raise StateError(f"{workspace} is the cache of {linked}, not of {url}: choose another with --workspace")
    if any(workspace.glob(f"*/{MANIFEST}")):
        raise StateError(f"{workspace} has collections in SQLite: choose another folder with --workspace")
    try:
        workspace.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StateError(f"{workspace} can't be created: {reason(error, workspace)}") from error
    write_file(workspace / LINK, json.dumps({"store": url}, indent=1).encode())


def linked_url(workspace: Path) -> str | None:
    """The URL of the database that a workspace is the cache of, None if it is no cache.

    Raises:
        StateError: The link can't be read.
    """
    path = workspace / LINK
    try:
        return str(json.loads(path.read_bytes())["store"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StateError(f"{path} can't be read: {reason(error, path)}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise StateError(f"{path} is damaged ({error!r}): remove it, and give --store again") from error


def state_of(root: Path) -> SharedState:
    """The shared state of the collection with this folder.

    Raises:
        StateError: The workspace's link can't be read, or psycopg is not installed.
    """
    url = linked_url(root.parent)
    if url is None:
        return LocalState(root)
    from crossmodal.collection.postgresql_state import PostgresqlState

    return PostgresqlState(root, url)


def shared_names(workspace: Path) -> list[str]:
    """The names of the collections in the database of a linked workspace, in alphabetical order."""
    url = linked_url(workspace)
    assert url is not None
    from crossmodal.collection.postgresql_state import names

    return names(url)
