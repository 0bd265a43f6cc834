"""crossmodal export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cli.commands import Command
from cli.options import MaintenanceOptions
from cli.parameters import FOLDER, option
from cli.printing import say_result
from crossmodal.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ExportOptions(MaintenanceOptions):
    """Options of `export`."""

    out: Path | None = option("--out", argument="FILE", type=FOLDER, required=True, help="The Parquet file to write.")


def run(options: ExportOptions) -> int:
    """Prints how many documents were written."""
    from cli.location import collection_of
    from crossmodal.collection.transfer import export_collection

    if options.out is None:
        raise InputError("-t export takes --out FILE.parquet")
    n_documents = export_collection(collection_of(options.settings()), options.out)
    result = {"documents": n_documents, "file": str(options.out)}
    return say_result(result, [f"exported {n_documents} documents to {options.out}"], as_json=options.as_json)


COMMAND = Command(
    ExportOptions,
    run,
    "Write a collection to one Parquet file.",
    (("pets.parquet --collection pets", "one of several"),),
)
