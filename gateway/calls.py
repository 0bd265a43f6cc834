"""Calls from the gateway into its Flow: whole answers out, an Executor's errors as ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from docarray import DocList
from jina.excepts import ExecutorError
from jina.serve.runtimes.gateway.streamer import GatewayStreamer

from crossmodal.core.errors import InputError, StateError
from executors.docs import MediaDoc

REQUEST_SIZE = 32


class FlowCalls:
    """Sends documents through the Flow."""

    def __init__(self, streamer: GatewayStreamer) -> None:
        self._streamer = streamer

    async def __call__(self, docs: list[MediaDoc], endpoint: str, parameters: dict[str, Any]) -> list[MediaDoc]:
        """Sends all documents through the Flow and returns the answers in their order.

        Raises:
            InputError, StateError: What an Executor refused.
            InternalNetworkError: An Executor is gone or too slow.
            RuntimeError: A document is missing, which would be a fault of the Flow.
        """
        # A document that is asked for twice goes through once: the Flow tells documents apart by id.
        answered = await self.answers(list({doc.id: doc for doc in docs}.values()), endpoint, parameters)
        by_id = {doc.id: doc for doc in answered}
        missing = [doc.id for doc in docs if doc.id not in by_id]
        if missing:
            raise RuntimeError(f"the Flow lost {len(missing)} of {len(docs)} documents")
        return [by_id[doc.id] for doc in docs]

    async def answers(
        self, docs: list[MediaDoc], endpoint: str, parameters: dict[str, Any], request_size: int = REQUEST_SIZE
    ) -> list[MediaDoc]:
        """All that comes back, in any order, which may be more than was sent; raises as a call does."""
        answered: list[MediaDoc] = []
        try:
            async for part in self._parts(docs, endpoint, parameters, request_size):
                answered.extend(part)
        except (ValueError, OverflowError) as error:  # half a character, or a number without end
            raise InputError(f"something in the request can't be passed on: {error}") from error
        return answered

    async def _parts(
        self, docs: list[MediaDoc], endpoint: str, parameters: dict[str, Any], request_size: int
    ) -> AsyncIterator[list[MediaDoc]]:
        async for part, error in self._streamer.stream(
            docs=DocList[MediaDoc](docs),
            exec_endpoint=endpoint,
            parameters=parameters,
            return_type=DocList[MediaDoc],
            request_size=request_size,
            # In order, Jina waits for ever for an answer to a request that it could not put together.
            results_in_order=False,
        ):
            if error is not None:
                raise _as_ours(error)
            yield list(part) if isinstance(part, DocList) else [part]


def _as_ours(error: Exception) -> Exception:
    """The exception an Executor raised, which arrives by name, as ours again."""
    for kind in (InputError, StateError):
        if getattr(error, "name", "") == kind.__name__:
            return kind(" ".join(error.args))
    if isinstance(error, ExecutorError):
        return RuntimeError(f"{error.executor} failed: {error.name}: {' '.join(error.args)}")
    return error
