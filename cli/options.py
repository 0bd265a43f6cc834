"""Groups of options that several commands share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.completion import complete_collection, complete_weights, default_workspace
from cli.parameters import FILE, ColumnNames, Options, flag, option
from crossmodal.core.errors import InputError, StateError
from crossmodal.core.settings import MAX_TOP_K, Settings

if TYPE_CHECKING:
    from crossmodal.index.config import IndexConfig


@dataclass(frozen=True, kw_only=True)
class WorkspaceOptions(Options):
    """Where the collections are."""

    workspace: Path | None = option(
        "-w",
        "--workspace",
        type=click.Path(path_type=Path, readable=False),  # what opens the folder reports who may read it
        envvar="JINA_WORKSPACE",
        default=default_workspace,
        app_default=Path("workspace"),
        show_default="your data folder",
        help="Folder of the collections.",
    )


@dataclass(frozen=True, kw_only=True)
class NewCollectionOptions(WorkspaceOptions):
    """A collection that may be made."""

    collection: str | None = option(
        "--collection",
        shell_complete=complete_collection,
        help="Name of the collection.  [default: the data set's]",
    )


@dataclass(frozen=True, kw_only=True)
class CollectionOptions(WorkspaceOptions):
    """A collection that exists; without a name, the only one."""

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
        help="The data set that the collection was made of, by name or path; names the collection.",
    )

    def settings(self) -> Settings:
        """The settings, with the name of the only collection where none is named.

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
        raise StateError(f"no collection in {workspace}: make one with `python app.py -t index`")
    if len(names) > 1:
        raise InputError(f"{workspace} has several collections ({', '.join(names)}): choose one with --collection NAME")
    return names[0]


@dataclass(frozen=True, kw_only=True)
class JsonOptions(Options):
    """How results are printed."""

    as_json: bool = flag("--json", help="Print machine-readable results.")


@dataclass(frozen=True, kw_only=True)
class MaintenanceOptions(CollectionOptions, JsonOptions):
    """A collection that a command works on as a whole."""

    model: str | None = option(
        "-m",
        "--model",
        type=click.Choice(["sparse"]),
        only_app=True,
        help="With INDEX_FILE_PATH: sparse takes the collection of that folder.",
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
        help="Columns of the caption file that have unusual names; also split=NAME.",
    )
    num_docs: int | None = option(
        "-n", "--num-docs", type=click.IntRange(1), envvar="JINA_MAX_DOCS", help="Maximum number of pictures."
    )


@dataclass(frozen=True, kw_only=True)
class SplitOptions(DataSetOptions):
    """The records of a data set, or of one of its splits."""

    split: str | None = option(
        "--split", envvar="DATASET_SPLIT", help="Only the pictures of this split, where the data set has splits."
    )


@dataclass(frozen=True, kw_only=True)
class ModelOptions(Options):
    """A model by its family and weights."""

    model: str | None = option("-m", "--model", help="Model family: clip, vse, timm or sparse.  [default: clip]")
    weights: str | None = option(
        "--weights",
        sparse_envvar="IMAGE_EMBEDDING_MODEL_PATH",
        shell_complete=complete_weights,
        help="Weights by a name of the family, or a local checkpoint.  [default: by data set]",
    )


@dataclass(frozen=True, kw_only=True)
class VocabularyOptions(Options):
    """The words of a sparse model."""

    vocabulary: Path | None = option(
        "--vocabulary",
        type=FILE,
        envvar="TEXT_EMBEDDING_VECTORIZER_PATH",
        help="For `-m sparse`: the vocabulary file, which must be the model's own.",
    )


@dataclass(frozen=True, kw_only=True)
class ThreadOptions(Options):
    """How many cores an encoder takes."""

    threads: int = option("--threads", type=click.IntRange(0), default=0, help="Threads of an encoder.  [default: all]")


@dataclass(frozen=True, kw_only=True)
class EncoderOptions(ThreadOptions):
    """How encoders compute."""

    precision: str = option(
        "--precision",
        type=click.Choice(["fp32", "bf16"]),
        default="fp32",
        help="Arithmetic of CLIP. bf16 is twice as fast on processors that have it; cosines shift by up to 0.003.",
    )


@dataclass(frozen=True, kw_only=True)
class ReplicaOptions(EncoderOptions):
    """How the encoders of a Flow run."""

    parallel: int = option(
        "--parallel", type=click.IntRange(1, 64), envvar="JINA_PARALLEL", default=1, help="Replicas of the encoders."
    )


@dataclass(frozen=True, kw_only=True)
class ShardOptions(Options):
    """How the indexes of a query Flow run."""

    shards: int = option(
        "--shards",
        type=click.IntRange(1, 64),
        envvar="JINA_SHARDS",
        default=1,
        help="Shards of the vector indexers of a query Flow.",
    )


@dataclass(frozen=True, kw_only=True)
class RequestOptions(Options):
    """How documents are sent through a Flow."""

    request_size: int = option(
        "-s",
        "-b",
        "--request-size",
        "--batch-size",
        type=click.IntRange(1, 1024),
        default=32,
        help="Documents in a request.",
    )


@dataclass(frozen=True, kw_only=True)
class TopKOptions(Options):
    """How many results."""

    top_k: int = option("-k", "--top-k", type=click.IntRange(1, MAX_TOP_K), default=10, help="Matches for each query.")


@dataclass(frozen=True, kw_only=True)
class IndexKindOptions(Options):
    """Which kind of vector index."""

    index_kind: str | None = option(
        "--index", metavar="KIND", help="Kind of index from now on: auto, flat, hnsw-fp16 or ivf-pq.  [default: auto]"
    )
    index_memory: int | None = option(
        "--index-memory",
        type=click.IntRange(1),
        metavar="MB",
        help="Memory that `auto` may use.  [default: a quarter of the machine's]",
    )

    def index_config(self) -> IndexConfig | None:
        """The requested kind of index, None if none was requested."""
        from crossmodal.index.config import AUTO, IndexConfig

        if self.index_kind is None and self.index_memory is None:
            return None
        return IndexConfig(self.index_kind or AUTO, self.index_memory or 0)
