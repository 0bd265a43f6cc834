"""A collection: a folder with a manifest, a store and its indexes; and the generations that it goes through.

The first generation lies in the collection's folder itself, each later one, with all its files, in a folder
inside. `current.json` names the one that counts and the one before it. It is renamed into place, so the change
from one to the next happens all at once.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from crossmodal.core.errors import InputError, NotWritableError, StateError
from crossmodal.core.files import write_atomically
from crossmodal.core.os_errors import reason, why_not_writable
from crossmodal.core.types import Modality, ModelSpec
from crossmodal.index.config import IndexConfig
from crossmodal.index.vector_replica import VectorReplica
from crossmodal.store.database import check_writable, writer_lock
from crossmodal.store.sqlite import DocumentStore

FORMAT = 1
MANIFEST, CURRENT, CALIBRATION = "manifest.json", "current.json", "relevance.npz"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_GENERATION = re.compile(r"generation-\d+")


@dataclass(frozen=True)
class Collection:
    """A collection on the disk. The manifest says which model its vectors are of; nothing mixes them.

    `folder` is where its files are; `root` is the folder it is known by, the same but for later generations.
    """

    folder: Path
    model: ModelSpec
    index_config: IndexConfig = field(default_factory=IndexConfig)
    root: Path = field(default_factory=Path)

    @classmethod
    def create(cls, folder: Path, model: ModelSpec) -> Collection:
        """Makes the collection, or opens it for adding to.

        Raises:
            StateError: It was made with another model, or can't be made.
        """
        if _is_one(folder):
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
        """Opens the generation of a collection that counts.

        Raises:
            StateError: There is none, or its format is not ours.
        """
        return cls.open_generation(folder, _read_current(folder).get("current", ""))

    @classmethod
    def open_generation(cls, root: Path, name: str) -> Collection:
        """Opens a generation by the name of its folder, whether it is the one that counts or not; "" is the first.

        Raises:
            StateError: There is none, or its format is not ours.
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
        """The name of the generation, which `open_generation` takes."""
        return "" if self.folder == self.root else self.folder.name

    @property
    def index_folder(self) -> Path:
        """Where the snapshots of its indexes are."""
        return self.folder / "index"

    @property
    def calibration_path(self) -> Path:
        """Where its calibration is, once it has one."""
        return self.folder / CALIBRATION

    def write_manifest(self) -> None:
        """Writes the manifest, all or nothing.

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
        """The collection with another kind of index, from its next snapshot on; the manifest says so."""
        if index_config == self.index_config:
            return self
        index_config.choice(0, self.model.dim)
        check_writable(self.folder)
        changed = replace(self, index_config=index_config)
        changed.write_manifest()
        return changed

    def check_model(self, model: ModelSpec) -> None:
        """Refuses another model than the collection was made with; both are named."""
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
        """An empty collection beside this one; nobody sees it until `becomes_current`.

        What an earlier attempt left there is thrown away.
        """
        taken = [int(path.name.split("-")[1]) for path in generations(self.root)]
        kept = {self.generation, _read_current(self.root).get("previous", "")}
        for path in generations(self.root):
            if path.name not in kept:
                shutil.rmtree(path)
        return Collection.create(self.root / f"generation-{max(taken, default=1) + 1}", model)

    def becomes_current(self, made: Collection) -> None:
        """Puts a new generation into this one's place, for every process that asks from now on."""
        _write_current(self.root, made.folder, self.folder)
        for path in generations(self.root):
            if path not in (made.folder, self.folder):
                shutil.rmtree(path)
        if self.root not in (made.folder, self.folder):
            _remove_first(self.root)

    def roll_back(self) -> Collection:
        """Puts the generation before back into place; doing it again undoes it.

        Raises:
            StateError: There is none, or a process writes to this one: it would go on doing so, with vectors of the
                other's model.
        """
        named = _read_current(self.root)
        if "previous" not in named:
            raise StateError(f"{self.root} has no earlier state: there is one after `-t reindex`")
        earlier = self.root / named["previous"]
        if not (earlier / MANIFEST).exists():
            raise StateError(f"the earlier state {earlier} is not there any more")
        with writer_lock(self.folder):
            _write_current(self.root, earlier, self.folder)
        return Collection.open(self.root)


def collection_folder(workspace: Path, name: str) -> Path:
    """Where the collection of that name lives.

    Raises:
        InputError: A name that is not one plain folder name.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"collection {name!r}: use letters, digits, '.', '_' and '-' only")
    return workspace / name


def collections(workspace: Path) -> list[str]:
    """The names of the collections of a workspace, in alphabetical order."""
    if not workspace.is_dir():
        return []
    try:
        return sorted(path.name for path in workspace.iterdir() if _NAME.fullmatch(path.name) and _is_one(path))
    except OSError as error:
        raise StateError(f"the workspace {workspace} can't be read: {reason(error, workspace)}") from error


def generations(folder: Path) -> list[Path]:
    """The folders of a collection's later generations."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and _GENERATION.fullmatch(path.name))


def generation_mark(folder: Path) -> tuple[int, int]:
    """Changes when another generation comes to count; a microsecond, so that every query can ask."""
    try:
        found = (folder / CURRENT).stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_ino, found.st_mtime_ns


def _is_one(folder: Path) -> bool:
    """Whether a folder is a collection, as far as this user may know."""
    if not os.access(folder, os.X_OK):
        return False
    return (folder / _read_current(folder).get("current", "") / MANIFEST).exists()


def _read_current(folder: Path) -> dict[str, str]:
    try:
        named = json.loads((folder / CURRENT).read_bytes())
    except FileNotFoundError:
        return {}
    except NotADirectoryError:
        return {}
    except OSError as error:
        raise StateError(f"{folder / CURRENT} can't be read: {reason(error, folder / CURRENT)}") from error
    except ValueError as error:
        raise StateError(f"{folder / CURRENT} is damaged ({error}): it names the generation that counts") from error
    if not isinstance(named, dict) or not all(
        name == "" or (isinstance(name, str) and _GENERATION.fullmatch(name)) for name in named.values()
    ):
        raise StateError(f"{folder / CURRENT} is damaged: it names the generation that counts")
    return named


def _write_current(root: Path, current: Path, previous: Path) -> None:
    named = {"current": current.relative_to(root).name, "previous": previous.relative_to(root).name}
    write_atomically(root / CURRENT, json.dumps(named, indent=1).encode())


def _remove_first(root: Path) -> None:
    """Removes the files of the first generation, which shares its folder with the others."""
    shutil.rmtree(root / "index", ignore_errors=True)
    for path in root.iterdir():
        if path.is_file() and path.name not in (CURRENT, "writer.lock"):
            path.unlink()
