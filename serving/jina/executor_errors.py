"""Errors that Executors raise, as their answers to the gateway have them."""

from __future__ import annotations

from typing import Any

from crossmodal.core.errors import InputError, NotWritableError, PictureError, StateError, TooLargeError
from serving.http.errors import problem_of
from serving.jina.router import Request

_KINDS = {kind.__name__: kind for kind in (InputError, PictureError, TooLargeError, StateError, NotWritableError)}


def executor_error(raised: Any) -> Exception:
    """The exception of an Executor, recreated from its name and arguments; a RuntimeError for a bug."""
    message = " ".join(raised.args)
    kind = _KINDS.get(raised.name)
    return RuntimeError(f"{raised.executor} failed: {raised.name}: {message}") if kind is None else kind(message)


def for_clients(content: bytes, *, is_private: bool) -> bytes:
    """The answer with an Executor's error, without its stack trace, and with the message that `problem_of` gives.

    The clients of a private Flow get the message of the Executor.
    """
    answer = Request.FromString(content)
    status = answer.header.status
    if not is_private:
        status.description = problem_of(executor_error(status.exception)).detail
        status.exception.args[:] = [status.description]
    del status.exception.stacks[:]
    del answer.routes[:]
    return bytes(answer.SerializeToString())
