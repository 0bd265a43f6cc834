"""Batches the queries of several clients.

A query costs most for the calls between the parts of the Flow: thirty-two together cost little more than one. No query
waits for others: it is sent at once unless two batches like it are being answered, and those that arrive meanwhile are
the next batch.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from executors.schema import MediaDoc
from serving.jina.flow_calls import REQUEST_SIZE, FlowCalls

MAX_BATCHES = 2
"""Batches of one kind that are answered at a time: one is encoded while another is searched for."""
BATCHED = ("/search", "/encode")


@dataclass(frozen=True)
class _Query:
    docs: list[MediaDoc]
    answer: asyncio.Future[list[MediaDoc]]


class _Queue:
    """The queries that wait for one endpoint with the same parameters."""

    def __init__(self) -> None:
        self.waiting: list[_Query] = []
        self.n_running = 0

    def next_batch(self) -> list[_Query]:
        """As many of them as fit into one request to the Executors, no two with the same document id."""
        batch: list[_Query] = []
        later: list[_Query] = []
        ids: set[str] = set()
        for query in self.waiting:
            own = {str(doc.id) for doc in query.docs}
            if query.answer.cancelled():
                continue  # its client has gone
            if len(ids) + len(own) <= REQUEST_SIZE and not ids & own:
                batch.append(query)
                ids |= own
            else:
                later.append(query)
        self.waiting = later
        return batch


class BatchedCalls:
    """Calls of a Flow; texts to search for or to encode are batched. Each query gets its own error."""

    def __init__(self, flow: FlowCalls) -> None:
        self._flow = flow
        self._queues: dict[str, _Queue] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, docs: list[MediaDoc], endpoint: str, parameters: dict[str, Any]) -> list[MediaDoc]:
        """As `FlowCalls` does."""
        if endpoint not in BATCHED or len(docs) > REQUEST_SIZE or any(doc.modality != "text" for doc in docs):
            return await self._flow(docs, endpoint, parameters)
        key = json.dumps([endpoint, parameters], sort_keys=True, default=repr)
        queue = self._queues.setdefault(key, _Queue())
        query = _Query(docs, asyncio.get_running_loop().create_future())
        queue.waiting.append(query)
        self._start(key, queue, endpoint, parameters)
        return await query.answer

    async def answers(
        self, docs: list[MediaDoc], endpoint: str, parameters: dict[str, Any], request_size: int = REQUEST_SIZE
    ) -> list[MediaDoc]:
        """As `FlowCalls` does."""
        return await self._flow.answers(docs, endpoint, parameters, request_size)

    def _start(self, key: str, queue: _Queue, endpoint: str, parameters: dict[str, Any]) -> None:
        if not queue.waiting and not queue.n_running:
            del self._queues[key]
        elif queue.waiting and queue.n_running < MAX_BATCHES:
            queue.n_running += 1
            task = asyncio.create_task(self._run(key, queue, endpoint, parameters))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, key: str, queue: _Queue, endpoint: str, parameters: dict[str, Any]) -> None:
        batch = queue.next_batch()
        outcomes = await self._outcomes(batch, endpoint, parameters) if batch else []
        for query, outcome in zip(batch, outcomes, strict=True):
            if query.answer.done():
                continue  # its client has gone
            if isinstance(outcome, BaseException):
                query.answer.set_exception(outcome)
            else:
                query.answer.set_result(outcome)
        queue.n_running -= 1
        self._start(key, queue, endpoint, parameters)

    async def _outcomes(
        self, batch: list[_Query], endpoint: str, parameters: dict[str, Any]
    ) -> list[list[MediaDoc] | BaseException]:
        """The documents or the error of each query."""
        together = self._flow([doc for query in batch for doc in query.docs], endpoint, parameters)
        (answered,) = await asyncio.gather(together, return_exceptions=True)
        if not isinstance(answered, BaseException):
            ends = list(accumulate(len(query.docs) for query in batch))
            return [answered[end - len(query.docs) : end] for query, end in zip(batch, ends, strict=True)]
        if len(batch) == 1:
            return [answered]
        # The error may be that of one of them alone.
        return await asyncio.gather(
            *(self._flow(query.docs, endpoint, parameters) for query in batch), return_exceptions=True
        )
