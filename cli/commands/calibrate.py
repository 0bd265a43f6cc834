"""crossmodal calibrate."""

from __future__ import annotations

from dataclasses import dataclass

from cli.commands import Command
from cli.options import MaintenanceOptions, ReplicaOptions
from cli.printing import say_result


@dataclass(frozen=True, kw_only=True)
class CalibrateOptions(MaintenanceOptions, ReplicaOptions):
    """Options of `calibrate`."""


def run(options: CalibrateOptions) -> int:
    """Prints which kinds of query have a relevance now."""
    from cli.calibrate import run as calibrate

    found = calibrate(options.settings())
    fitted = ", ".join(found["fitted"]) or "nothing, for want of captions"
    lines = [f"fitted: {fitted}", f"compared with a sample: {', '.join(found['backgrounds']) or 'nothing'}"]
    return say_result(found, lines, as_json=options.as_json)


COMMAND = Command(
    CalibrateOptions,
    run,
    "Learn from a collection what its scores mean.\n\n"
    "`index` and `reindex` do so too; results then have a relevance between 0 and 1.",
    (("--collection pets", "one of several"),),
)
