"""crossmodal rollback."""

from __future__ import annotations

from cli.commands import Command
from cli.options import MaintenanceOptions
from cli.printing import say_result


def run(options: MaintenanceOptions) -> int:
    """Prints the model that is current again."""
    from cli.location import collection_of

    model = collection_of(options.settings()).roll_back().model
    return say_result({"model": model.to_dict()}, [f"model: {model}"], as_json=options.as_json)


COMMAND = Command(
    MaintenanceOptions,
    run,
    "Restore the state before the last `reindex`.\n\nA second rollback undoes the first.",
    (("--collection pets", "one of several"),),
)
