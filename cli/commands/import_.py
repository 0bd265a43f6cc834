"""crossmodal import."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cli.commands import Command
from cli.completion import complete_collection
from cli.options import JsonOptions, WorkspaceOptions
from cli.parameters import FOLDER, option
from cli.printing import say_result
from crossmodal.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ImportOptions(WorkspaceOptions, JsonOptions):
    """Options of `import`."""

    query: Path | None = option(argument="FILE", type=FOLDER, required=True)
    collection: str | None = option(
        "--collection", shell_complete=complete_collection, help="Name of the collection.  [default: the exported name]"
    )


def run(options: ImportOptions) -> int:
    """Prints how many documents were taken in."""
    from cli.moving import import_

    if options.query is None or not options.query.name:
        raise InputError("-t import takes the file: python app.py -t import FILE.parquet --collection NAME")
    found = import_(options.settings(), options.query)
    line = f"{found['indexed']} documents taken in, {found['unchanged']} were there"
    lines = [f"model: {found['model']}", line, f"collection: {found['collection']}"]
    return say_result(found, lines, as_json=options.as_json)


COMMAND = Command(
    ImportOptions,
    run,
    "Take in a collection from an exported Parquet file.\n\nNothing is encoded. Doing it twice changes nothing.",
    (("pets.parquet", "under its own name"), ("pets.parquet --collection animals", "under another name")),
)
