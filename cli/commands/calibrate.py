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
    from cli.local_session import LocalSession
    from cli.location import collection_of
    from crossmodal.collection.calibration import calibrate
    from crossmodal.store.locks import check_writable

    settings = options.settings()
    collection = collection_of(settings)
    check_writable(collection.folder)
    with LocalSession(settings, collection) as session:
        calibration = calibrate(collection, session.encode)
    fitted = [f"{query} to {target}" for query, target in calibration.fitted]
    backgrounds = list(calibration.backgrounds)
    lines = [
        f"fitted: {', '.join(fitted) or 'none, because there are too few captions'}",
        f"compared with a sample: {', '.join(backgrounds) or 'none'}",
    ]
    return say_result({"fitted": fitted, "backgrounds": backgrounds}, lines, as_json=options.as_json)


COMMAND = Command(
    CalibrateOptions,
    run,
    "Calibrate the scores of a collection.\n\n"
    "Results then have a relevance between 0 and 1. `index` and `reindex` also calibrate.",
    (("--collection pets", "one of several"),),
)
