"""delete, compact, verify, rebuild, map, rollback, collections: maintenance of a collection; results are JSON values.

`crossmodal.collection` does the work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cli.location import folder_of
from crossmodal.collection import lifecycle, verification
from crossmodal.collection.collection import Collection
from crossmodal.core.errors import InputError
from crossmodal.core.settings import Settings
from crossmodal.core.slices import WHOLE
from crossmodal.index.config import IndexConfig


def delete(settings: Settings, ids: tuple[str, ...], uri: str | None, where: str | None) -> dict[str, Any]:
    """As `lifecycle.delete`: `images`, `captions`, and the `unknown` ids."""
    if sum(map(bool, (ids, uri, where))) != 1:
        raise InputError("-t delete takes one of --ids ID, --uri FILE_OR_FOLDER and --where CONDITION")
    return asdict(lifecycle.delete(_opened(settings), ids=ids, uri=uri, where=where))


def compact(settings: Settings) -> dict[str, int]:
    """As `lifecycle.compact`: bytes `store_before`, `store_after`, `index_before`, `index_after`, and `freed`."""
    result = lifecycle.compact(_opened(settings))
    return {**asdict(result), "freed": result.freed}


def rebuild(settings: Settings, index_config: IndexConfig | None) -> dict[str, Any]:
    """As `lifecycle.rebuild`: for each index its `vectors`, its `kind`, and `why` it is of that kind."""
    return _as_json(lifecycle.rebuild(_opened(settings), index_config, settings.part or WHOLE))


def describe_index(collection: Collection) -> dict[str, Any]:
    """For each index its `vectors`, its `kind`, and `why` it is of that kind."""
    return _as_json(lifecycle.describe_indexes(collection))


def draw_map(settings: Settings, say: Callable[[str], None]) -> dict[str, Any]:
    """As `lifecycle.draw_map`: `pictures`, `method`, and `outcome`, which is made or unchanged."""
    drawn, is_new = lifecycle.draw_map(
        _opened(settings),
        lambda n: say(f"laying out {n} pictures; the first run also compiles UMAP, for up to a minute"),
    )
    return {"pictures": len(drawn.keys), "method": drawn.method, "outcome": "made" if is_new else "unchanged"}


def n_documents(settings: Settings) -> int:
    """The number of documents of the collection."""
    return lifecycle.n_documents(_opened(settings))


def verify(settings: Settings, progress: Callable[[int], None]) -> dict[str, Any]:
    """As `verification.verify`: `images`, `captions`, `in_object_store`, and `problems` with `item` and `reason`."""
    return asdict(verification.verify(_opened(settings), progress))


def roll_back(settings: Settings) -> Collection:
    """Restores the state before the last `reindex`; a second call undoes the first."""
    return _opened(settings).roll_back()


def listed(workspace: Path) -> list[dict[str, Any]]:
    """The collections of a workspace: `name`, `model`, `images`, `captions`."""
    return [asdict(summary) for summary in lifecycle.summaries(workspace)]


def _opened(settings: Settings) -> Collection:
    return Collection.open(folder_of(settings))


def _as_json(described: dict[str, lifecycle.IndexDescription]) -> dict[str, Any]:
    return {name: asdict(description) for name, description in described.items()}
