"""Groups of options that several commands share.

The file is longer than 300 lines because it is a list: one small class for each group.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.completion import complete_collection, complete_weights, default_workspace
from cli.parameters import FILE, ColumnNames, Options, SliceType, flag, option
from crossmodal.core.engine import AUTO, BACKENDS, PRECISIONS, Auto, Backend, EngineRequest, Precision
from crossmodal.core.errors import InputError, StateError
from crossmodal.core.settings import MAX_TOP_K, Settings

if TYPE_CHECKING:
    from crossmodal.core.slices import Slice
    from crossmodal.index.config import IndexConfig


@dataclass(frozen=True, kw_only=True)
class WorkspaceOptions(Options):
    """The folder of the collections."""

    workspace: Path | None = option(
        "-w",
        "--workspace",
        type=click.Path(path_type=Path, readable=False),  # permissions are checked when it is opened
        envvar="JINA_WORKSPACE",
        default=default_workspace,
        app_default=Path("workspace"),
        show_default="your data folder",
        help="Folder of the collections.",
    )
    store: str | None = option(
        "--store",
        envvar="CROSSMODAL_STORE",
        metavar="URL",
        help="Keep the collections in postgresql://USER@HOST/DATABASE; the workspace then has their indexes and copies "
        "of small files.  [default: all in the workspace]",
    )

    def settings(self) -> Settings:
        """The settings; links the workspace to the database of `store`.

        Raises:
            InputError: The URL is invalid, or has a password.
            StateError: The workspace has other collections.
        """
        settings = super().settings()
        if self.store:
            from crossmodal.collection.linked_workspace import link_workspace

            link_workspace(settings.workspace, self.store)
        return settings


@dataclass(frozen=True, kw_only=True)
class NewCollectionOptions(WorkspaceOptions):
    """A collection, which is created if it does not exist."""

    collection: str | None = option(
        "--collection",
        shell_complete=complete_collection,
        help="Name of the collection.  [default: the data set's]",
    )


@dataclass(frozen=True, kw_only=True)
class CollectionOptions(WorkspaceOptions):
    """An existing collection; by default the only one."""

    collection: str | None = option(
        "--collection",
        shell_complete=complete_collection,
        help="Name of the collection.  [default: the data set's, or the only one]",
    )
    data_set: str | None = option(
        "-d",
        "--data-set",
        envvar="DATASET_ROOT_PATH",
        app_default="toy-data",
        help="Data set of the collection, by name or path; selects the collection.",
    )

    def settings(self) -> Settings:
        """The settings; without a name or a data set, the collection is the only one of the workspace.

        Raises:
            InputError: There are several collections.
            StateError: There is none.
        """
        settings = super().settings()
        if self.collection is None and self.data_set is None:
            return replace(settings, collection=_only_collection(settings.workspace))
        return settings


def _only_collection(workspace: Path) -> str:
    from crossmodal.collection.collection import collections

    names = collections(workspace)
    if not names:
        where = shlex.quote(str(workspace))
        raise StateError(f"no collection in {workspace}: run `crossmodal index FOLDER -w {where}` first")
    if len(names) > 1:
        raise InputError(f"{workspace} has several collections ({', '.join(names)}): choose one with --collection NAME")
    return names[0]


@dataclass(frozen=True, kw_only=True)
class JsonOptions(Options):
    """The format of printed results."""

    as_json: bool = flag("--json", help="Print machine-readable results.")


@dataclass(frozen=True, kw_only=True)
class MaintenanceOptions(CollectionOptions, JsonOptions):
    """The collection that a maintenance command works on."""

    model: str | None = option(
        "-m",
        "--model",
        type=click.Choice(["sparse"]),
        only_app=True,
        help="sparse: use the collection in INDEX_FILE_PATH.",
    )


@dataclass(frozen=True, kw_only=True)
class DataSetOptions(Options):
    """The records of a data set."""

    data_set: str = option(
        "-d",
        "--data-set",
        argument="DATA_SET",
        envvar="DATASET_ROOT_PATH",
        default="toy-data",
        help="toy-data, scenes, f8k (8k), f30k (30k), coco, or a path to a folder or a caption file.",
    )
    columns: tuple[tuple[str, str], ...] | None = option(
        "--columns",
        type=ColumnNames(),
        metavar="image=NAME,caption=NAME",
        help="Names of the caption file's columns, if they are not the usual ones; also split=NAME.",
    )
    num_docs: int | None = option(
        "-n", "--num-docs", type=click.IntRange(1), envvar="JINA_MAX_DOCS", help="Maximum number of pictures."
    )


@dataclass(frozen=True, kw_only=True)
class SplitOptions(DataSetOptions):
    """The records of a data set, or of one of its splits."""

    split: str | None = option(
        "--split", envvar="DATASET_SPLIT", help="Only the pictures of this split, if the data set has splits."
    )


@dataclass(frozen=True, kw_only=True)
class ExcludeOptions(Options):
    """The files of a folder that are left out."""

    exclude: tuple[str, ...] = option(
        "--exclude",
        multiple=True,
        metavar="PATTERN",
        help="Leave out files and folders by a pattern of .gitignore, besides those in .crossmodalignore files.",
    )


@dataclass(frozen=True, kw_only=True)
class ModelOptions(Options):
    """A model by its family and weights."""

    model: str | None = option("-m", "--model", help="Model family: clip, vse, timm or sparse.  [default: clip]")
    weights: str | None = option(
        "--weights",
        sparse_envvar="IMAGE_EMBEDDING_MODEL_PATH",
        shell_complete=complete_weights,
        help="Name of weights of the family, or a local checkpoint.  [default: by data set]",
    )


@dataclass(frozen=True, kw_only=True)
class VocabularyOptions(Options):
    """The vocabulary of a sparse model."""

    vocabulary: Path | None = option(
        "--vocabulary",
        type=FILE,
        envvar="TEXT_EMBEDDING_VECTORIZER_PATH",
        help="For `-m sparse`: the vocabulary file, which must match the model.",
    )


@dataclass(frozen=True, kw_only=True)
class ThreadOptions(Options):
    """The threads of an encoder."""

    threads: int = option("--threads", type=click.IntRange(0), default=0, help="Threads of an encoder.  [default: all]")


@dataclass(frozen=True, kw_only=True)
class EncoderOptions(ThreadOptions):
    """How encoders run."""

    device: str = option("--device", metavar="NAME", default=AUTO, help="auto, cpu, cuda, cuda:N or mps.")
    engine: Backend | Auto = option(
        "--engine",
        type=click.Choice([AUTO, *BACKENDS]),
        default=AUTO,
        help="Library that runs the model: OpenVINO is the faster one on CPUs.",
    )
    precision: Precision | Auto = option(
        "--precision",
        type=click.Choice([AUTO, *PRECISIONS]),
        default=AUTO,
        help="Arithmetic of the model. auto takes the collection's; for a new one the fastest that ranks as fp32 does.",
    )

    def settings(self) -> Settings:
        """The settings, with the request for an engine."""
        return replace(
            super().settings(), engine=EngineRequest(self.engine or AUTO, self.device, self.precision or AUTO)
        )


@dataclass(frozen=True, kw_only=True)
class ReplicaOptions(EncoderOptions):
    """The encoders of a Flow."""

    parallel: int = option(
        "--parallel", type=click.IntRange(1, 64), envvar="JINA_PARALLEL", default=1, help="Replicas of the encoders."
    )


@dataclass(frozen=True, kw_only=True)
class ShardOptions(Options):
    """The indexes of a query Flow."""

    shards: int = option(
        "--shards",
        type=click.IntRange(1, 64),
        envvar="JINA_SHARDS",
        default=1,
        help="Shards of the vector indexers of a query Flow.",
    )


@dataclass(frozen=True, kw_only=True)
class SliceOptions(Options):
    """The slice of a node."""

    part: Slice | None = option(
        "--slice",
        type=SliceType(),
        metavar="I/N",
        help="Have only this slice of the vectors, as in 2/4: the I-th of N.  [default: all]",
    )


@dataclass(frozen=True, kw_only=True)
class RequestOptions(Options):
    """The requests that a Flow receives."""

    request_size: int = option(
        "-s",
        "-b",
        "--request-size",
        "--batch-size",
        type=click.IntRange(1, 1024),
        default=64,
        help="Documents per request.",
    )


@dataclass(frozen=True, kw_only=True)
class TopKOptions(Options):
    """The number of results."""

    top_k: int = option("-k", "--top-k", type=click.IntRange(1, MAX_TOP_K), default=10, help="Matches per query.")


@dataclass(frozen=True, kw_only=True)
class LocationOptions(Options):
    """The metadata of pictures that becomes tags."""

    no_gps: bool = flag("--no-gps", help="Leave out where pictures were taken.")

    def settings(self) -> Settings:
        """The settings, with the choice of metadata."""
        return replace(super().settings(), metadata="without-gps" if self.no_gps else "all")


@dataclass(frozen=True, kw_only=True)
class IndexKindOptions(Options):
    """The kind of vector index."""

    index_kind: str | None = option(
        "--index",
        metavar="KIND",
        help="Kind of index from now on: auto, flat, hnsw-fp16 or ivf-pq; or pgvector, to search in the "
        "database.  [default: auto]",
    )
    index_memory: int | None = option(
        "--index-memory",
        type=click.IntRange(1),
        metavar="MB",
        help="Memory that `auto` may use.  [default: a quarter of the machine's, or the container's]",
    )

    def index_config(self) -> IndexConfig | None:
        """The requested kind of index, None to keep the current one."""
        from crossmodal.index.config import AUTO, IndexConfig

        if self.index_kind is None and self.index_memory is None:
            return None
        return IndexConfig(self.index_kind or AUTO, self.index_memory or 0)
