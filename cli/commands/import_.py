"""crossmodal import."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from cli.commands import Command
from cli.completion import complete_collection
from cli.options import JsonOptions, WorkspaceOptions
from cli.parameters import FOLDER, option
from cli.printing import say_result
from cli.wording import with_commands
from crossmodal.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ImportOptions(WorkspaceOptions, JsonOptions):
    """Options of `import`."""

    query: Path | None = option(argument="PATH", type=FOLDER, required=True)
    collection: str | None = option(
        "--collection", shell_complete=complete_collection, help="Name of the collection.  [default: the exported name]"
    )


def run(options: ImportOptions) -> int:
    """Prints how many documents were imported."""
    from crossmodal.collection.transfer import import_collection

    if options.query is None or not options.query.name:
        raise InputError("-t import takes a file or a folder: python app.py -t import FILE.parquet --collection NAME")
    settings = options.settings()
    imported = import_collection(options.query, settings.workspace, settings.collection)
    collection = imported.collection
    result = {
        "indexed": imported.indexed,
        "unchanged": imported.unchanged,
        "model": str(collection.model),
        "collection": str(collection.root),
        "calibrated": collection.calibration_path.exists(),
    }
    line = f"imported: {imported.indexed} documents; unchanged: {imported.unchanged}"
    lines = [f"model: {collection.model}", line, f"collection: {collection.root}"]
    if not result["calibrated"]:
        name = shlex.quote(collection.root.name)
        lines.append(
            with_commands(f"next: python app.py -t calibrate --collection {name}, so that results have a relevance")
        )
    return say_result(result, lines, as_json=options.as_json)


COMMAND = Command(
    ImportOptions,
    run,
    "Import a collection from an exported Parquet file, or from a folder of parts.\n\n"
    "Nothing is encoded. Importing a file again changes nothing. `encode` writes folders of parts.",
    (
        ("pets.parquet", "under its exported name"),
        ("pets.parquet --collection animals", "under another name"),
        ("parts", "all parts that `encode` has written there"),
    ),
)
