"""ocr: reads the text in the pictures of a collection."""

from __future__ import annotations

from cli.progress import Meter
from crossmodal.collection.collection import Collection
from crossmodal.core.machine import CORES
from crossmodal.ocr.job import OcrReport, pictures_to_read, read_pictures
from crossmodal.ocr.worker import ReadingProcess


def run(collection: Collection, *, threads: int = 0, limit_s: float, again: bool = False) -> OcrReport:
    """Reads the pictures of a collection that were not read yet, in a process of its own, and stores their text.

    Args:
        collection: The collection.
        threads: Threads of the reader, 0 for one a processor.
        limit_s: Time limit for a picture, in seconds.
        again: Whether to read all pictures.

    Returns:
        The outcome; what is stored stays if the call is interrupted.

    Raises:
        StateError: rapidocr is not installed, or another process writes to the collection.
    """
    with ReadingProcess(threads or CORES, limit_s) as reader, collection.store(writable=True) as store:
        keys = pictures_to_read(store, again=again)
        with Meter("pictures read", len(keys)) as meter:
            report = read_pictures(store, keys, reader, meter.advance)
        if store.readings.count()[1]:
            from crossmodal.lexical.reading_replica import ReadingReplica

            ReadingReplica(store, collection.index_folder).snapshot()
    return report
