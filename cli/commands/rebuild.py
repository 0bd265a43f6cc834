"""crossmodal rebuild."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from cli.commands import Command
from cli.options import IndexKindOptions, MaintenanceOptions, SliceOptions
from cli.printing import say_result


@dataclass(frozen=True, kw_only=True)
class RebuildOptions(MaintenanceOptions, IndexKindOptions, SliceOptions):
    """Options of `rebuild`."""


def run(options: RebuildOptions) -> int:
    """Prints the size and kind of each index."""
    from cli.location import collection_of
    from crossmodal.collection.lifecycle import rebuild
    from crossmodal.core.slices import WHOLE

    indexes = rebuild(collection_of(options.settings()), options.index_config(), options.part or WHOLE)
    lines = [f"{name}: {index.vectors} vectors, {index.kind}: {index.why}" for name, index in indexes.items()]
    return say_result({name: asdict(index) for name, index in indexes.items()}, lines, as_json=options.as_json)


COMMAND = Command(
    RebuildOptions,
    run,
    "Rebuild the indexes of a collection from its store.\n\nNothing is encoded again.",
    (
        ("", "of the same kind"),
        ("--index hnsw-fp16", "of another kind, from now on"),
        ("--slice 2/4", "of the second of four slices, before `serve --slice 2/4`"),
    ),
)
