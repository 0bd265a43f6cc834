"""crossmodal rebuild."""

from __future__ import annotations

from dataclasses import dataclass

from cli.commands import Command
from cli.options import IndexKindOptions, MaintenanceOptions, SliceOptions
from cli.printing import say_result


@dataclass(frozen=True, kw_only=True)
class RebuildOptions(MaintenanceOptions, IndexKindOptions, SliceOptions):
    """Options of `rebuild`."""


def run(options: RebuildOptions) -> int:
    """Prints the size and kind of each index."""
    from cli.lifecycle import rebuild

    indexes = rebuild(options.settings(), options.index_config())
    lines = [f"{name}: {index['vectors']} vectors, {index['kind']}: {index['why']}" for name, index in indexes.items()]
    return say_result(indexes, lines, as_json=options.as_json)


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
