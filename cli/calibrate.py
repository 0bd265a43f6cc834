"""calibrate: the relevance of a collection's scores, fitted to texts that the index Flow encodes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cli.index import folder_of
from cli.index_session import IndexSession
from crossmodal.collection.calibration import calibrate
from crossmodal.collection.collection import Collection
from crossmodal.core.settings import Settings
from crossmodal.store.locks import check_writable
from serving.jina.ports import reserve_port_pair
from serving.jina.supervisor import prepare_jina


def run(settings: Settings) -> dict[str, Any]:
    """Calibrates the collection of the settings again.

    Returns:
        `fitted`: the kinds of query that are calibrated; `backgrounds`: those compared with a sample.

    Raises:
        StateError: There is no collection, or its Flow failed.
    """
    collection = Collection.open(folder_of(settings))
    check_writable(collection.folder)
    prepare_jina()
    private = replace(settings, port=reserve_port_pair(), host="127.0.0.1")
    with IndexSession(private, collection, lambda: None) as session:
        calibration = calibrate(collection, session.encode)
    return {
        "fitted": [f"{query} to {target}" for query, target in calibration.fitted],
        "backgrounds": list(calibration.backgrounds),
    }
