"""crossmodal migrate."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from cli.commands import Command
from cli.options import MaintenanceOptions
from cli.parameters import option
from cli.printing import say_result
from crossmodal.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class MigrateOptions(MaintenanceOptions):
    """Options of `migrate`."""

    to: str | None = option(
        "--to", metavar="PLACE", help="postgresql://USER@HOST/DATABASE, or the folder of another workspace."
    )


def run(options: MigrateOptions) -> int:
    """Prints how many documents were copied."""
    from cli.location import collection_of
    from cli.progress import Meter
    from crossmodal.collection.comparison import n_documents
    from crossmodal.collection.migration import migrate

    if not options.to:
        raise InputError("-t migrate takes --to postgresql://USER@HOST/DATABASE, or --to FOLDER")
    collection = collection_of(options.settings())
    with Meter("documents", n_documents(collection)) as meter:
        result = migrate(collection, options.to, meter.advance)
    use = f"--store {options.to} -w NEW_FOLDER" if "://" in options.to else f"-w {options.to}"
    lines = [
        f"{options.to} has the collection with its {result.documents} documents",
        f"copied by this run, including any earlier state: {result.copied}",
        f"to use it: {use}",
    ]
    return say_result(asdict(result), lines, as_json=options.as_json)


COMMAND = Command(
    MigrateOptions,
    run,
    "Copy a collection to a PostgreSQL database, or to another workspace.\n\nIds, keys and sequence numbers stay the "
    "same. Until the copy is complete, nobody sees it; run the command again to continue an interrupted one. The "
    "collection itself stays as it is: write to it no longer, and use the copy.",
    (
        ("--to postgresql://ann@db.example/pictures", "the only collection, to a database"),
        ("--store postgresql://ann@db.example/pictures -w cache --to ~/local", "back to a folder"),
    ),
)
