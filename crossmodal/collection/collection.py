"""A collection: a folder with a manifest, a store and its indexes."""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from crossmodal.collection.generations import read_current
from crossmodal.collection.linked_workspace import linked_url, shared_names, state_of
from crossmodal.collection.shared_state import CALIBRATION, MANIFEST, SharedState
from crossmodal.core.engine import FLOAT32, MadeWith
from crossmodal.core.errors import InputError, NotWritableError, StateError
from crossmodal.core.os_errors import reason, why_not_writable
from crossmodal.core.slices import WHOLE, Slice
from crossmodal.core.types import Modality, ModelSpec
from crossmodal.index.config import PGVECTOR, IndexConfig
from crossmodal.index.sql_replica import SqlReplica
from crossmodal.index.vector_replica import VectorReplica
from crossmodal.store.locks import check_writable, writer_lock
from crossmodal.store.protocol import SqlVectors, Store
from crossmodal.store.saved_searches import copy_searches

FORMAT = 1
N_NAMED = 10
"""Collections that the error for a missing one names."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Collection:
    """One generation of a collection on disk. All its vectors are from the model in the manifest.

    `folder` has the files of the generation. `root` is the folder of the collection: the same folder for the first
    generation, its parent for later ones.
    """

    folder: Path
    model: ModelSpec
    index_config: IndexConfig = field(default_factory=IndexConfig)
    root: Path = field(default_factory=Path)
    made_with: MadeWith = FLOAT32

    @classmethod
    def create(cls, folder: Path, model: ModelSpec, made_with: MadeWith = FLOAT32) -> Collection:
        """Creates a collection, or opens an existing one with the same model.

        `made_with` is the precision of the vectors of a new collection.

        Raises:
            StateError: The existing collection has another model, or the folder can't be created.
        """
        state_of(folder).pull()
        if _is_collection(folder):
            existing = cls.open(folder)
            existing.check_model(model)
            return existing
        cls(folder, model, root=folder, made_with=made_with)._create()
        created = cls.open(folder)
        created.check_model(model)
        return created

    @classmethod
    def open(cls, folder: Path) -> Collection:
        """Opens the current generation of a collection.

        Raises:
            StateError: The folder is not a collection, or its format is not supported.
        """
        state_of(folder).pull()
        return cls.open_generation(folder, read_current(folder).get("current", ""))

    @classmethod
    def open_generation(cls, root: Path, name: str) -> Collection:
        """Opens any generation by the name of its folder; "" is the first.

        Raises:
            StateError: The generation does not exist, or its format is not supported.
        """
        path = root / name / MANIFEST
        try:
            manifest: dict[str, Any] = json.loads(path.read_bytes())
            if manifest["format"] != FORMAT:
                raise StateError(f"{path} has format {manifest['format']}, this program reads {FORMAT}")
            index_config = IndexConfig(**manifest.get("index", {}))
            made_with = MadeWith(**manifest.get("made_with", {}))
            return cls(path.parent, ModelSpec.from_dict(manifest["model"]), index_config, root, made_with)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise StateError(f"no index in {path.parent}: {_next_step(root)}") from error
        except OSError as error:
            raise StateError(f"{path} can't be read: {reason(error, path)}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise StateError(f"{path} is damaged ({error!r}): move the folder away and index again") from error

    @property
    def generation(self) -> str:
        """The name of the generation for `open_generation`."""
        return "" if self.folder == self.root else self.folder.name

    @property
    def index_folder(self) -> Path:
        """The folder of the index snapshots."""
        return self.folder / "index"

    @property
    def calibration_path(self) -> Path:
        """The path of the calibration, which may not exist yet."""
        return self.folder / CALIBRATION

    @property
    def shared(self) -> SharedState:
        """The shared state of the collection."""
        return state_of(self.root)

    def write(self, name: str, content: bytes) -> None:
        """Replaces one of the files of the generation that all nodes share.

        Raises:
            StateError: The file can't be written.
        """
        self.shared.write(self.folder, name, content)

    def _create(self) -> None:
        if problem := why_not_writable(self.folder, makes_folders=True):
            raise NotWritableError(f"the collection {self.folder} can't be created: {problem}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(f"the collection {self.folder} can't be created: {reason(error, self.folder)}") from error
        self.shared.create(self.folder, self._manifest())

    def _manifest(self) -> bytes:
        manifest = {
            "format": FORMAT,
            "model": self.model.to_dict(),
            "made_with": asdict(self.made_with),
            "metric": "cosine",
            "index": self.index_config.to_dict(),
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        return json.dumps(manifest, indent=1).encode()

    def with_index_config(self, index_config: IndexConfig) -> Collection:
        """The collection with another index configuration, written to the manifest; it applies to the next snapshot.

        Raises:
            InputError: The kind of index is unknown, or needs a store in PostgreSQL.
            NotWritableError: The collection can't be written to.
            StateError: The kind is pgvector, which the database does not have.
        """
        if index_config == self.index_config:
            return self
        if index_config.kind == PGVECTOR:
            with self.store() as store:
                self._sql_vectors(store).check()
        else:
            index_config.choice(0, self.model.dim)
        check_writable(self.folder)
        changed = replace(self, index_config=index_config)
        changed.write(MANIFEST, changed._manifest())
        return changed

    def check_model(self, model: ModelSpec) -> None:
        """Checks that the collection was indexed with `model`.

        Raises:
            StateError: It was indexed with another model; the message names both.
        """
        if model != self.model:
            raise StateError(
                f"{self.root} was indexed with {self.model}, not with {model}: "
                f"use `-m {self.model.family} --weights {self.model.weights}`, index into another "
                "collection with `--collection NAME`, or change this one's model with `-t reindex`"
            )

    def store(self, *, writable: bool = False) -> Store:
        """Opens the store."""
        return self.shared.store(self.folder, writable=writable)

    def index(
        self, store: Store, modality: Modality, shard: int = 0, n_shards: int = 1, part: Slice = WHOLE
    ) -> VectorReplica:
        """Opens the index of a modality, or of one shard and slice of it; `store` must be open."""
        if self.index_config.kind == PGVECTOR:
            return SqlReplica(store, self._sql_vectors(store), modality, self.model.dim, shard)
        folder, dim = self.index_folder, self.model.dim
        return VectorReplica(store, modality, folder, dim, shard, n_shards, self.index_config, part)

    def _sql_vectors(self, store: Store) -> SqlVectors:
        if store.sql_vectors is None:
            raise InputError(
                "--index pgvector needs the store in PostgreSQL: give --store postgresql://..., "
                "or run `python app.py -t rebuild --index auto`"
            )
        return store.sql_vectors

    def check_slice(self, part: Slice) -> None:
        """Checks that a node may have only a slice of the vectors.

        Raises:
            InputError: The collection has words, which can't be divided because their weights depend on all documents;
                or its vectors are in the database.
        """
        if self.index_config.kind == PGVECTOR and not part.is_whole:
            raise InputError(f"--slice {part}: the database has the vectors of {self.root.name} (--index pgvector)")
        if self.model.has_lexical and not part.is_whole:
            raise InputError(f"--slice {part}: {self.root.name} has words, which can't be divided into slices")

    # -- generations

    def next_generation(self, model: ModelSpec, made_with: MadeWith = FLOAT32) -> Collection:
        """Creates an empty generation beside this one, invisible to readers until `becomes_current`.

        Removes the files of an interrupted earlier attempt.

        Raises:
            StateError: Another process has made another generation the current one.
        """
        folder = self.shared.add_generation(self.folder)
        made = Collection(folder, model, root=self.root, made_with=made_with)
        made._create()
        return made

    def becomes_current(self, successor: Collection) -> None:
        """Replaces this generation with `successor`, for all processes that open the collection afterwards.

        Raises:
            StateError: This generation is no longer current, or another node has changed its documents since
                `next_generation`.
        """
        self.shared.make_current(successor.folder, self.folder)

    def roll_back(self) -> Collection:
        """Makes the previous generation current again, with the saved searches of this one; a second call undoes it.

        Raises:
            StateError: There is no previous generation, or a process is writing to this one and would continue to write
                vectors of its model.
        """
        names = read_current(self.root)
        if "previous" not in names:
            raise StateError(f"{self.root} has no earlier state: only `-t reindex` creates one")
        previous = self.root / names["previous"]
        if not (previous / MANIFEST).exists():
            raise StateError(f"the earlier state {previous} no longer exists")
        with writer_lock(self.folder):
            self.shared.make_current(previous, self.folder)
        restored = Collection.open(self.root)
        with self.store() as store, restored.store(writable=True) as target:
            copy_searches(store.searches, target.searches)
        return restored


def collection_folder(workspace: Path, name: str) -> Path:
    """The folder of the collection with this name.

    Raises:
        InputError: The name has characters other than letters, digits, '.', '_' and '-', or starts with one of these.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"collection {name!r}: use letters, digits, '.', '_' and '-' only")
    return workspace / name


def collections(workspace: Path) -> list[str]:
    """The names of the collections in a workspace, in alphabetical order.

    Raises:
        StateError: The workspace can't be read.
    """
    if linked_url(workspace) is not None:
        return [name for name in shared_names(workspace) if _NAME.fullmatch(name)]
    if not workspace.is_dir():
        return []
    try:
        return sorted(path.name for path in workspace.iterdir() if _NAME.fullmatch(path.name) and _is_collection(path))
    except OSError as error:
        raise StateError(f"the workspace {workspace} can't be read: {reason(error, workspace)}") from error


def _next_step(missing: Path) -> str:
    """The next step if there is no collection in a folder: another of its workspace, or a new one."""
    first = "run `python app.py -t index` first"
    others = [name for name in collections(missing.parent) if name != missing.name]
    if not others:
        return first
    more = f" and {len(others) - N_NAMED} more" if len(others) > N_NAMED else ""
    return f"choose a collection of the workspace with --collection ({', '.join(others[:N_NAMED])}{more}), or {first}"


def _is_collection(folder: Path) -> bool:
    """Whether a folder is a collection; False if this user may not enter it."""
    if not os.access(folder, os.X_OK):
        return False
    return (folder / read_current(folder).get("current", "") / MANIFEST).exists()
