"""CrossModalExecutor: the base class of all Executors."""

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from jina import Executor

from crossmodal.core.errors import CrossModalError

Method = TypeVar("Method", bound=Callable[..., Any])


def without_documents(method: Method) -> Method:
    """Marks a method of an Executor that does not use the documents: the gateway sends it none, and keeps its own."""
    method.without_documents = True  # type: ignore[attr-defined]
    return method


class CrossModalExecutor(Executor):
    """An Executor whose expected errors are not logged here: `problem_of` in the gateway answers and logs them.

    Jina would log a traceback for each request that fails, while a database is away or a client sends what is invalid.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        name = getattr(self.runtime_args, "name", "")
        if name:
            logging.getLogger(name).addFilter(_is_unexpected)


def _is_unexpected(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, CrossModalError)
