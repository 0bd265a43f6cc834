"""A collection: a folder with a manifest, a store and its indexes."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from crossmodal.collection.generations import (
    generations,
    next_generation_name,
    read_current,
    remove_first,
    write_current,
)
from crossmodal.core.errors import InputError, NotWritableError, StateError
from crossmodal.core.files import write_atomically
from crossmodal.core.os_errors import reason, why_not_writable
from crossmodal.core.types import Modality, ModelSpec
from crossmodal.index.config import IndexConfig
from crossmodal.index.vector_replica import VectorReplica
from crossmodal.store.locks import check_writable, writer_lock
from crossmodal.store.sqlite import DocumentStore

FORMAT = 1
MANIFEST, CALIBRATION = "manifest.json", "relevance.npz"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Collection:
    """One generation of a collection on the disk. The manifest names the model that made all its vectors.

    `folder` holds its files. `root` is the folder of the collection: the same for the first generation, the parent
    for later ones.
    """

    folder: Path
    model: ModelSpec
    index_config: IndexConfig = field(default_factory=IndexConfig)
    root: Path = field(default_factory=Path)

    @classmethod
    def create(cls, folder: Path, model: ModelSpec) -> Collection:
        """Creates the collection, or opens an existing one of the same model.

        Raises:
            StateError: The existing one has another model, or the folder can't be created.
        """
        if _is_collection(folder):
            found = cls.open(folder)
            found.check_model(model)
            return found
        if why := why_not_writable(folder, makes_folders=True):
            raise NotWritableError(f"the collection {folder} can't be made: {why}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(f"the collection {folder} can't be made: {reason(error, folder)}") from error
        made = cls(folder, model, root=folder)
        made.write_manifest()
        return made

    @classmethod
    def open(cls, folder: Path) -> Collection:
        """Opens the current generation of a collection.

        Raises:
            StateError: There is none, or its format is not supported.
        """
        return cls.open_generation(folder, read_current(folder).get("current", ""))

    @classmethod
    def open_generation(cls, root: Path, name: str) -> Collection:
        """Opens a generation by the name of its folder, current or not; "" is the first.

        Raises:
            StateError: There is none, or its format is not supported.
        """
        path = root / name / MANIFEST
        try:
            manifest: dict[str, Any] = json.loads(path.read_bytes())
            if manifest["format"] != FORMAT:
                raise StateError(f"{path} has format {manifest['format']}, this program reads {FORMAT}")
            index_config = IndexConfig(**manifest.get("index", {}))
            return cls(path.parent, ModelSpec.from_dict(manifest["model"]), index_config, root)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise StateError(f"no index in {path.parent}: run `python app.py -t index` first") from error
        except OSError as error:
            raise StateError(f"{path} can't be read: {reason(error, path)}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise StateError(f"{path} is damaged ({error!r}): move the folder away and index again") from error

    @property
    def generation(self) -> str:
        """The name of the generation, as `open_generation` takes it."""
        return "" if self.folder == self.root else self.folder.name

    @property
    def index_folder(self) -> Path:
        """The folder of the index snapshots."""
        return self.folder / "index"

    @property
    def calibration_path(self) -> Path:
        """The file of the calibration; it may not exist yet."""
        return self.folder / CALIBRATION

    def write_manifest(self) -> None:
        """Writes the manifest atomically.

        Raises:
            StateError: It can't be written.
        """
        manifest = {
            "format": FORMAT,
            "model": self.model.to_dict(),
            "metric": "cosine",
            "index": self.index_config.to_dict(),
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        try:
            write_atomically(self.folder / MANIFEST, json.dumps(manifest, indent=1).encode())
        except OSError as error:
            path = self.folder / MANIFEST
            raise StateError(f"{path} can't be written: {reason(error, path)}") from error

    def with_index_config(self, index_config: IndexConfig) -> Collection:
        """The collection with another index configuration, which the manifest keeps; the next snapshot follows it.

        Raises:
            InputError: There is no index of that kind.
            NotWritableError: The collection can't be written to.
        """
        if index_config == self.index_config:
            return self
        index_config.choice(0, self.model.dim)
        check_writable(self.folder)
        changed = replace(self, index_config=index_config)
        changed.write_manifest()
        return changed

    def check_model(self, model: ModelSpec) -> None:
        """Raises StateError if the collection was made with another model; the message names both."""
        if model != self.model:
            raise StateError(
                f"{self.root} was indexed with {self.model}, not with {model}: "
                f"use `-m {self.model.family} --weights {self.model.weights}`, index into another "
                "collection with `--collection NAME`, or change this one's model with `-t reindex`"
            )

    def store(self, *, writable: bool = False) -> DocumentStore:
        """Opens the store."""
        return DocumentStore(self.folder, writable=writable)

    def index(self, store: DocumentStore, modality: Modality, shard: int = 0, n_shards: int = 1) -> VectorReplica:
        """Opens the index of a modality over an open store."""
        return VectorReplica(store, modality, self.index_folder, self.model.dim, shard, n_shards, self.index_config)

    # -- generations

    def next_generation(self, model: ModelSpec) -> Collection:
        """An empty generation beside this one, invisible to readers until `becomes_current`.

        Removes what an interrupted earlier attempt left.
        """
        name = next_generation_name(self.root)
        kept = {self.generation, read_current(self.root).get("previous", "")}
        for path in generations(self.root):
            if path.name not in kept:
                shutil.rmtree(path)
        return Collection.create(self.root / name, model)

    def becomes_current(self, made: Collection) -> None:
        """Replaces this generation by a new one, for every process that opens the collection from now on."""
        write_current(self.root, made.folder, self.folder)
        for path in generations(self.root):
            if path not in (made.folder, self.folder):
                shutil.rmtree(path)
        if self.root not in (made.folder, self.folder):
            remove_first(self.root)

    def roll_back(self) -> Collection:
        """Makes the previous generation current again; a second call undoes the first.

        Raises:
            StateError: There is no previous generation, or a process is writing to this one: it would continue to
                write vectors of this generation's model.
        """
        named = read_current(self.root)
        if "previous" not in named:
            raise StateError(f"{self.root} has no earlier state: there is one after `-t reindex`")
        earlier = self.root / named["previous"]
        if not (earlier / MANIFEST).exists():
            raise StateError(f"the earlier state {earlier} is not there any more")
        with writer_lock(self.folder):
            write_current(self.root, earlier, self.folder)
        return Collection.open(self.root)


def collection_folder(workspace: Path, name: str) -> Path:
    """The folder of the collection of that name.

    Raises:
        InputError: The name is not a plain folder name.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"collection {name!r}: use letters, digits, '.', '_' and '-' only")
    return workspace / name


def collections(workspace: Path) -> list[str]:
    """The names of the collections of a workspace, in alphabetical order."""
    if not workspace.is_dir():
        return []
    try:
        return sorted(path.name for path in workspace.iterdir() if _NAME.fullmatch(path.name) and _is_collection(path))
    except OSError as error:
        raise StateError(f"the workspace {workspace} can't be read: {reason(error, workspace)}") from error


def _is_collection(folder: Path) -> bool:
    """Whether a folder is a collection, as far as this user may see."""
    if not os.access(folder, os.X_OK):
        return False
    return (folder / read_current(folder).get("current", "") / MANIFEST).exists()
