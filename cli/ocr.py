"""ocr: reads the text in the pictures of a collection."""

from __future__ import annotations

from collections.abc import Callable

from cli.printing import say
from cli.progress import Meter
from cli.wording import with_commands
from crossmodal.collection.collection import Collection
from crossmodal.core.machine import CORES
from crossmodal.core.types import Keys
from crossmodal.ocr.job import OcrReport, Reader, pictures_to_read, read_pictures, reads_text
from crossmodal.ocr.worker import ReadingProcess
from crossmodal.store.protocol import Store


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
            return read_and_index(collection, store, keys, reader, meter.advance)


def read_and_index(
    collection: Collection, store: Store, keys: Keys, reader: Reader, advance: Callable[[], None]
) -> OcrReport:
    """As `read_pictures`, then writes the snapshot of the index of the texts."""
    report = read_pictures(store, keys, reader, advance)
    if store.readings.exist()[1]:
        from crossmodal.lexical.reading_replica import ReadingReplica

        ReadingReplica(store, collection.index_folder).snapshot()
    return report


def say_not_read(collection: Collection) -> None:
    """Says that the text in new pictures is not read, if pictures of the collection were read before."""
    with collection.store() as store:
        is_missed = reads_text(store)
    if is_missed:
        say(with_commands("text in new pictures is not read: run `python app.py -t ocr` afterwards"))
