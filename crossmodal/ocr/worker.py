"""Reads pictures in a process of its own, which is replaced if a picture crashes it or takes too long."""

from __future__ import annotations

import signal
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from crossmodal.core.errors import CrossModalError, PictureError, StateError
from crossmodal.core.reading import Reading
from crossmodal.ocr.reader import TextReader, engine_name

LIMIT_S = 30.0
"""Time limit for a picture."""
START_S = 120.0
"""Time limit for loading the models."""


class ReadingProcess:
    """A process that reads pictures one by one; it is started by the first picture."""

    def __init__(self, threads: int, limit_s: float = LIMIT_S, target: Any = None) -> None:
        """Checks that the reader is installed.

        Args:
            threads: Threads of the reader.
            limit_s: Time limit for a picture.
            target: The function of the process, for tests; takes its end of a pipe and the threads.

        Raises:
            StateError: rapidocr is not installed.
        """
        engine_name()
        self._threads, self._limit_s, self._target = threads, limit_s, target or _serve
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None

    def __enter__(self) -> ReadingProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, content: bytes) -> Reading:
        """The text in an encoded picture.

        Raises:
            PictureError: The picture can't be decoded, crashes the reader or takes too long.
            StateError: The reader does not start.
        """
        pipe = self.start()
        answer = self._exchange(pipe, content, self._limit_s)
        if answer is None:
            is_alive = self._process is not None and self._process.is_alive()
            self.close()
            raise PictureError(
                f"took more than {self._limit_s:g} s to read" if is_alive else "crashed the reader of text"
            )
        if isinstance(answer, CrossModalError):
            raise answer
        return Reading.from_dict(answer)

    def start(self) -> Connection:
        """Starts the process, if it does not run, and returns its pipe.

        Raises:
            StateError: The reader does not start.
        """
        return self._pipe or self._start()

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None

    def _start(self) -> Connection:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=self._target, args=(theirs, self._threads), daemon=True)
        self._process.start()
        theirs.close()
        ready = self._exchange(self._pipe, None, START_S)
        if ready is True:
            return self._pipe
        self.close()
        if isinstance(ready, CrossModalError):
            raise ready
        raise StateError(
            f"the reader of text ended, or did not start in {START_S:g} s: free some memory, or install "
            "requirements-ocr.txt again"
        )

    def _exchange(self, pipe: Connection, content: bytes | None, limit_s: float) -> Any:
        """The answer to a picture, or without one the first message; None if there is none in time."""
        try:
            if content is not None:
                pipe.send_bytes(content)
            return pipe.recv() if pipe.poll(limit_s) else None
        except (EOFError, OSError):  # the process has ended
            if self._process is not None:
                self._process.join(START_S)
            return None


def _serve(pipe: Connection, threads: int) -> None:
    """Answers pictures with readings, or with the error of a picture, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the program, which ends this process
    try:
        reader = TextReader(threads)
    except CrossModalError as error:
        pipe.send(error)
        return
    pipe.send(True)
    while True:
        try:
            content = pipe.recv_bytes()
        except EOFError:
            return
        try:
            pipe.send(reader.read(content).to_dict())
        except PictureError as error:
            pipe.send(error)
