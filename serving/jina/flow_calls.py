"""What the rest of the service knows of a Flow: how it is called, and what a call raises. It imports no Jina."""

from __future__ import annotations

from typing import Any, Protocol

from executors.schema import MediaDoc

REQUEST_SIZE = 32
"""Documents in one request to the Executors."""


class UnavailableError(Exception):
    """An Executor that does not answer: it is gone, or, where `is_late`, took longer than its time limit."""

    def __init__(self, detail: str, *, is_late: bool = False) -> None:
        super().__init__(detail)
        self.is_late = is_late


class FlowCalls(Protocol):
    """Sends documents through a Flow."""

    async def __call__(self, docs: list[MediaDoc], endpoint: str, parameters: dict[str, Any]) -> list[MediaDoc]:
        """The documents as the Flow answers them, in their order.

        Raises:
            InputError, StateError: What an Executor refused.
            UnavailableError: An Executor is gone or too slow.
            RuntimeError: An Executor failed, or lost a document.
        """

    async def answers(
        self, docs: list[MediaDoc], endpoint: str, parameters: dict[str, Any], request_size: int = REQUEST_SIZE
    ) -> list[MediaDoc]:
        """All that comes back, which may be more than was sent; raises as a call does."""


class CallObserver(Protocol):
    """Is told of every call of the Flow."""

    def answered(self, endpoint: str, n_sent: int, answers: list[MediaDoc], spent_s: float) -> None:
        """A call that was answered."""

    def failed(self, endpoint: str, n_sent: int, error: Exception) -> None:
        """A call that raised an error."""
