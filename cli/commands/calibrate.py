"""crossmodal calibrate."""

from __future__ import annotations

from dataclasses import dataclass

from cli.commands import Command
from cli.options import EncoderOptions, MaintenanceOptions
from cli.printing import say_result


@dataclass(frozen=True, kw_only=True)
class CalibrateOptions(MaintenanceOptions, EncoderOptions):
    """Options of `calibrate`."""


def run(options: CalibrateOptions) -> int:
    """Prints the kinds of query whose results now have a relevance."""
    from cli.calibrate import run as calibrate

    result = calibrate(options.settings())
    fitted = ", ".join(result["fitted"]) or "none, because there are too few captions"
    lines = [f"fitted: {fitted}", f"compared with a sample: {', '.join(result['backgrounds']) or 'none'}"]
    return say_result(result, lines, as_json=options.as_json)


COMMAND = Command(
    CalibrateOptions,
    run,
    "Calibrate the scores of a collection.\n\n"
    "Results then have a relevance between 0 and 1. `index` and `reindex` also calibrate.",
    (("--collection pets", "one of several"),),
)
