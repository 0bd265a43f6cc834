"""A collection: one folder with a manifest, a store and its indexes."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossmodal.core.errors import InputError, StateError
from crossmodal.core.types import Modality, ModelSpec
from crossmodal.index.following import FollowingIndex, write_atomically
from crossmodal.store.sqlite import DocumentStore

FORMAT = 1
MANIFEST = "manifest.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Collection:
    """A collection on the disk. The manifest says which model its vectors are of; nothing mixes them."""

    folder: Path
    model: ModelSpec

    @classmethod
    def create(cls, folder: Path, model: ModelSpec) -> Collection:
        """Makes the collection, or opens it for adding to.

        Raises:
            StateError: It was made with another model.
        """
        if (folder / MANIFEST).exists():
            found = cls.open(folder)
            found.check_model(model)
            return found
        folder.mkdir(parents=True, exist_ok=True)
        manifest = {
            "format": FORMAT,
            "model": model.to_dict(),
            "metric": "cosine",
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        write_atomically(folder / MANIFEST, json.dumps(manifest, indent=1).encode())
        return cls(folder, model)

    @classmethod
    def open(cls, folder: Path) -> Collection:
        """Opens what `create` made.

        Raises:
            StateError: There is none, or its format is not ours.
        """
        path = folder / MANIFEST
        if not path.exists():
            raise StateError(f"no index in {folder}: run `python app.py -t index` first")
        try:
            manifest: dict[str, Any] = json.loads(path.read_bytes())
            if manifest["format"] != FORMAT:
                raise StateError(f"{path} has format {manifest['format']}, this program reads {FORMAT}")
            return cls(folder, ModelSpec.from_dict(manifest["model"]))
        except (ValueError, KeyError, TypeError) as error:
            raise StateError(f"{path} is damaged ({error!r}): move the folder away and index again") from error

    def check_model(self, model: ModelSpec) -> None:
        """Refuses another model than the collection was made with; both are named."""
        if model != self.model:
            raise StateError(
                f"{self.folder} was indexed with {self.model}, not with {model}: "
                f"use `-m {self.model.family} --weights {self.model.weights}`, or index into another "
                "collection with `--collection NAME`"
            )

    def store(self, *, writable: bool = False) -> DocumentStore:
        """Opens the store."""
        return DocumentStore(self.folder, writable=writable)

    def index(self, store: DocumentStore, modality: Modality, shard: int = 0, n_shards: int = 1) -> FollowingIndex:
        """Opens the index of a modality over an open store."""
        return FollowingIndex(store, modality, self.folder / "index", self.model.dim, shard, n_shards)


def collection_folder(workspace: Path, name: str) -> Path:
    """Where the collection of that name lives.

    Raises:
        InputError: A name that is not one plain folder name.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"collection {name!r}: use letters, digits, '.', '_' and '-' only")
    return workspace / name
