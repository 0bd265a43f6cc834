"""CrossModalExecutor: the base class of all Executors."""

import logging
from typing import Any, ClassVar

from jina import Executor

from crossmodal.core.errors import CrossModalError


class CrossModalExecutor(Executor):
    """An Executor whose expected errors are not logged here: `problem_of` in the gateway answers and logs them.

    Jina would log a traceback for each request that fails, while a database is away or a client sends what is invalid.
    """

    without_documents: ClassVar[frozenset[str]] = frozenset()
    """The endpoints that do not use the documents of a request. The gateway sends them none."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        name = getattr(self.runtime_args, "name", "")
        if name:
            logging.getLogger(name).addFilter(_is_unexpected)


def _is_unexpected(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, CrossModalError)
