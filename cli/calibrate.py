"""calibrate: the relevance of a collection's scores, fitted to texts that its model encodes."""

from __future__ import annotations

from typing import Any

from cli.local_session import LocalSession
from cli.location import folder_of
from crossmodal.collection.calibration import calibrate
from crossmodal.collection.collection import Collection
from crossmodal.core.settings import Settings
from crossmodal.store.locks import check_writable


def run(settings: Settings) -> dict[str, Any]:
    """Calibrates the collection of the settings again.

    Returns:
        `fitted`: the kinds of query that are calibrated; `backgrounds`: those compared with a sample.

    Raises:
        StateError: There is no collection, or its weights have changed.
    """
    collection = Collection.open(folder_of(settings))
    check_writable(collection.folder)
    with LocalSession(settings, collection) as session:
        calibration = calibrate(collection, session.encode)
    return {
        "fitted": [f"{query} to {target}" for query, target in calibration.fitted],
        "backgrounds": list(calibration.backgrounds),
    }
