"""crossmodal delete."""

from __future__ import annotations

from dataclasses import dataclass

from cli.commands import Command
from cli.options import MaintenanceOptions
from cli.parameters import option
from cli.printing import say_result


@dataclass(frozen=True, kw_only=True)
class DeleteOptions(MaintenanceOptions):
    """Options of `delete`."""

    ids: tuple[str, ...] = option("--ids", multiple=True, metavar="ID", help="A document by id; may be repeated.")
    uri: str | None = option("--uri", help="A picture by its file, or all pictures under a folder.")
    where: str | None = option("--where", help="All documents that meet this condition: tags.year < 2000.")


def run(options: DeleteOptions) -> int:
    """Removes documents; returns 1 if an id is unknown."""
    from cli.lifecycle import delete

    removed = delete(options.settings(), options.ids, options.uri, options.where)
    lines = [f"removed: {removed['images']} images, {removed['captions']} captions"]
    lines += [f"no document {unknown}" for unknown in removed["unknown"]]
    say_result(removed, lines, as_json=options.as_json)
    return 1 if removed["unknown"] else 0


COMMAND = Command(
    DeleteOptions,
    run,
    "Remove documents from a collection, pictures with their captions.\n\nThe files of the pictures are not touched.",
    (
        ('--where "tags.year < 2000"', "all that meet a condition"),
        ("--uri ~/Pictures/old", "all pictures under a folder"),
        ("--ids ID --ids ID", "documents by id"),
    ),
)
