"""crossmodal collections."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from cli.commands import Command
from cli.completion import complete_collection
from cli.options import JsonOptions, WorkspaceOptions
from cli.parameters import option
from cli.printing import say_result


@dataclass(frozen=True, kw_only=True)
class CollectionsOptions(WorkspaceOptions, JsonOptions):
    """Options of `collections`."""

    collection: str | None = option("--collection", shell_complete=complete_collection, help="List only this one.")


def run(options: CollectionsOptions) -> int:
    """Lists the collections of the workspace."""
    from crossmodal.collection.lifecycle import summaries

    listed = [c for c in summaries(options.settings().workspace) if options.collection in (None, c.name)]
    lines = [f"{c.name}: {c.images} images, {c.captions} captions, {c.model}" for c in listed]
    return say_result([asdict(c) for c in listed], lines, as_json=options.as_json)


COMMAND = Command(
    CollectionsOptions, run, "List the collections, with their sizes and models.", (("", "all of your data folder"),)
)
