"""The place that a collection is copied to. It appears there as a whole, once the copy is complete."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from crossmodal.collection.generations import remove_first, remove_generations
from crossmodal.collection.linked_workspace import linked_url
from crossmodal.collection.shared_state import LocalState, SharedState
from crossmodal.core.errors import StateError
from crossmodal.core.files import sync_folder
from crossmodal.core.os_errors import reason
from crossmodal.store.locks import writer_lock


class Target(Protocol):
    """The future place of a collection."""

    def is_taken(self) -> bool:
        """Whether something has the collection's name there."""
        ...

    def staged(self) -> AbstractContextManager[tuple[SharedState, Path]]:
        """The incomplete copy, which no reader sees, and its folder; an earlier attempt is continued.

        Raises:
            StateError: Another process makes the same copy.
        """
        ...

    def publish(self, generations: Collection[str]) -> None:
        """Gives the copy its name, unless something has it already; to be called in the block of `staged`.

        Args:
            generations: The names of its generations; remains of others are removed.

        Raises:
            StateError: The name is taken, or the lock of the copy was lost; nothing has changed.
        """
        ...


def target_in(workspace: Path, name: str) -> Target:
    """The future place of the collection with this name in a workspace, or in the database it is linked to."""
    if (url := linked_url(workspace)) is None:
        return FolderTarget(workspace, name)
    from crossmodal.collection.postgresql_target import PostgresqlTarget

    return PostgresqlTarget(url, name)


class FolderTarget:
    """A folder in a workspace. The incomplete copy is beside it, under a name that no collection can have."""

    def __init__(self, workspace: Path, name: str) -> None:
        self._folder = workspace / name
        self._staging = workspace / f".migrating-{name}"
        self._root = self._staging / name

    def is_taken(self) -> bool:
        """As `Target.is_taken`."""
        return self._folder.is_dir() and any(self._folder.iterdir())

    @contextmanager
    def staged(self) -> Iterator[tuple[SharedState, Path]]:
        """As `Target.staged`."""
        with writer_lock(self._staging):
            try:
                self._root.mkdir(exist_ok=True)
            except OSError as error:
                raise StateError(f"{self._root} can't be created: {reason(error, self._root)}") from error
            yield LocalState(self._root), self._root

    def publish(self, generations: Collection[str]) -> None:
        """As `Target.publish`, by renaming the folder."""
        remove_generations(self._root, generations)
        if "" not in generations:
            remove_first(self._root)
        try:
            os.rename(self._root, self._folder)
            sync_folder(self._folder.parent)
        except OSError as error:
            raise StateError(f"{self._folder} can't be created: {reason(error, self._folder)}") from error
        shutil.rmtree(self._staging)
