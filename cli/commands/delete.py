"""crossmodal delete."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from cli.commands import Command
from cli.options import MaintenanceOptions
from cli.parameters import option
from cli.printing import say_result
from crossmodal.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class DeleteOptions(MaintenanceOptions):
    """Options of `delete`."""

    ids: tuple[str, ...] = option("--ids", multiple=True, metavar="ID", help="A document by id; may be repeated.")
    uri: str | None = option("--uri", help="A picture by its file, or all pictures under a folder.")
    where: str | None = option("--where", help="All documents that meet this condition: tags.year < 2000.")


def run(options: DeleteOptions) -> int:
    """Removes documents; returns 1 if an id is unknown."""
    from cli.location import collection_of
    from crossmodal.collection.lifecycle import delete

    if sum(map(bool, (options.ids, options.uri, options.where))) != 1:
        raise InputError("-t delete takes one of --ids ID, --uri FILE_OR_FOLDER and --where CONDITION")
    collection = collection_of(options.settings())
    removed = asdict(delete(collection, ids=options.ids, uri=options.uri, where=options.where))
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
