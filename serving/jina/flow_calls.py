"""The interface of a Flow for the rest of the service, which does not import Jina."""

from __future__ import annotations

from typing import Any, Protocol

from executors.schema import MediaDoc


class UnavailableError(Exception):
    """An Executor does not respond: its process has ended or, if `is_late`, its time limit has passed."""

    def __init__(self, name: str, *, is_late: bool = False) -> None:
        super().__init__(name)
        self.is_late = is_late


class FlowCalls(Protocol):
    """Sends documents through a Flow."""

    async def __call__(self, docs: list[MediaDoc], endpoint: str, parameters: dict[str, Any]) -> list[MediaDoc]:
        """The documents that the Flow returns, in the order of `docs`.

        Raises:
            InputError, StateError: An Executor refused the request.
            UnavailableError: An Executor does not respond in time.
            RuntimeError: An Executor failed, or lost a document.
        """

    async def answers(self, docs: list[MediaDoc], endpoint: str, parameters: dict[str, Any]) -> list[MediaDoc]:
        """All documents that the Flow returns to one request, perhaps more than were sent; raises as a call does."""
