"""crossmodal migrate."""

from __future__ import annotations

from dataclasses import dataclass

from cli.commands import Command
from cli.options import CollectionOptions, JsonOptions
from cli.parameters import option
from cli.printing import say_result
from crossmodal.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class MigrateOptions(CollectionOptions, JsonOptions):
    """Options of `migrate`."""

    to: str | None = option(
        "--to", metavar="PLACE", help="postgresql://USER@HOST/DATABASE, or the folder of another workspace."
    )


def run(options: MigrateOptions) -> int:
    """Prints how many documents were copied."""
    from cli.lifecycle import n_documents
    from cli.moving import migrate
    from cli.progress import Meter

    if not options.to:
        raise InputError("-t migrate takes --to postgresql://USER@HOST/DATABASE, or --to FOLDER")
    settings = options.settings()
    with Meter("documents", n_documents(settings)) as meter:
        result = migrate(settings, options.to, meter.advance)
    use = f"--store {options.to} -w NEW_FOLDER" if "://" in options.to else f"-w {options.to}"
    outcome = f"{result['documents']} documents are in {options.to}, {result['copied']} of them copied by this run"
    return say_result(result, [outcome, f"to use them: {use}"], as_json=options.as_json)


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
