"""Reads the text in the pictures of a watched folder."""

from __future__ import annotations

import numpy as np

from cli.ocr import read_and_index
from crossmodal.collection.collection import Collection
from crossmodal.core.errors import StateError
from crossmodal.core.machine import CORES
from crossmodal.ocr.job import OcrReport, reads_text
from crossmodal.ocr.worker import ReadingProcess

AT_ONCE = 100
"""Pictures that are read before the folder is looked at again."""


class FolderTexts:
    """Reads the text in pictures of a folder that were not read, if pictures of the collection were.

    A picture that can't be read is tried once, and a reader that does not start, too.
    """

    def __init__(self, source: str, threads: int) -> None:
        """Stores the arguments; nothing is started yet.

        Args:
            source: The name of the folder in the collection.
            threads: Threads of the reader, 0 for one a processor.
        """
        self._source, self._threads = source, threads or CORES
        self._reader: ReadingProcess | None = None
        self._tried: set[str] = set()
        self._is_off = False

    def read_some(self, collection: Collection) -> tuple[OcrReport, int]:
        """Reads at most `AT_ONCE` pictures; the outcome, and how many are left for the next call.

        Raises:
            StateError: Another process writes to the collection.
            ReaderError: The reader is not installed or does not start; later calls read nothing.
        """
        unread = {} if self._is_off else self._unread(collection)
        if not unread:
            return OcrReport(), 0
        reader, keys = self._started(len(unread)), np.array(sorted(unread)[:AT_ONCE], np.int64)
        with collection.store(writable=True) as store:
            report = read_and_index(collection, store, keys, reader, lambda: None)
            still_unread = set(store.readings.unread().tolist())
        self._tried |= {unread[key] for key in keys.tolist() if key in still_unread}
        n_left = len(unread) - len(keys)
        if not n_left:
            self.close()  # it takes more than a gigabyte
        return report, n_left

    def close(self) -> None:
        """Ends the process of the reader."""
        if self._reader is not None:
            self._reader.close()
        self._reader = None

    def _unread(self, collection: Collection) -> dict[int, str]:
        """The pictures to read: their ids by key."""
        with collection.store() as store:
            if not reads_text(store):
                return {}
            unread = store.by_keys(store.readings.unread().tolist())
            files = store.files.of_source(self._source) if unread else {}
        of_folder = {file.image_id for file in files.values()} - self._tried
        return {key: picture.id for key, picture in unread.items() if picture.id in of_folder}

    def _started(self, n_pictures: int) -> ReadingProcess:
        try:
            reader = self._reader = self._reader or ReadingProcess(self._threads)
            reader.start()
        except StateError as error:
            self._is_off = True
            self.close()
            raise ReaderError(
                f"text in pictures is not read ({n_pictures} so far): {error}; then start again"
            ) from error
        return reader


class ReaderError(StateError):
    """The reader of text can't be used."""
