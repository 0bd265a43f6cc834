"""crossmodal compact."""

from __future__ import annotations

from dataclasses import asdict

from cli.commands import Command
from cli.options import MaintenanceOptions
from cli.printing import say_result


def run(options: MaintenanceOptions) -> int:
    """Prints how much space was freed."""
    from cli.location import collection_of
    from crossmodal.collection.lifecycle import compact

    result = compact(collection_of(options.settings()))
    sizes = {**asdict(result), "freed": result.freed}
    lines = [
        f"{part}: {_mb(sizes[f'{part}_before'])} to {_mb(sizes[f'{part}_after'])} MB" for part in ("store", "index")
    ]
    return say_result(sizes, [*lines, f"freed: {_mb(sizes['freed'])} MB"], as_json=options.as_json)


def _mb(n_bytes: int) -> str:
    return f"{n_bytes / 2**20:.1f}"


COMMAND = Command(
    MaintenanceOptions, run, "Free the space of removed documents.", (("--collection pets", "one of several"),)
)
