"""Batches the queries of several clients.

Most of the cost of a query is that of the calls between the parts of the Flow, so sixteen together cost little more
than one. A query is sent at once if no batch with its parameters is being answered. While a batch is being answered, a
second one is sent as soon as it would have as many queries. So the queries of many clients form two batches of similar
size, one of which is encoded while the other is searched, and not one large batch and many of a single query.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from crossmodal.core.errors import StateError
from executors.schema import MediaDoc
from serving.jina.flow_calls import FlowCalls, UnavailableError

MAX_BATCHES = 2
"""Batches with the same parameters that run at the same time: one encodes while another searches."""
BATCH_SIZE = 16
"""Most texts in a batch. Encoders take 16 in one inference, and the access policy admits 32 requests at a time."""
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
        self.n_sent = 0
        """Queries in the batches that run."""

    def is_due(self) -> bool:
        """Whether the queries that wait are to be sent."""
        if not self.waiting or not self.n_running:
            return bool(self.waiting)
        return self.n_running < MAX_BATCHES and len(self.waiting) >= self.n_sent

    def next_batch(self) -> list[_Query]:
        """The queries of the next batch, without duplicate document ids."""
        batch: list[_Query] = []
        later: list[_Query] = []
        ids: set[str] = set()
        for query in self.waiting:
            query_ids = {str(doc.id) for doc in query.docs}
            if query.answer.cancelled():
                continue  # its client has disconnected
            if len(ids) + len(query_ids) <= BATCH_SIZE and not ids & query_ids:
                batch.append(query)
                ids |= query_ids
            else:
                later.append(query)
        self.waiting = later
        return batch


class BatchedCalls:
    """Calls a Flow, and batches texts to search for or to encode. A query fails only for its own error."""

    def __init__(self, flow: FlowCalls) -> None:
        self._flow = flow
        self._queues: dict[str, _Queue] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, docs: list[MediaDoc], endpoint: str, parameters: dict[str, Any]) -> list[MediaDoc]:
        """As `FlowCalls.__call__`."""
        if endpoint not in BATCHED or len(docs) > BATCH_SIZE or any(doc.modality != "text" for doc in docs):
            return await self._flow(docs, endpoint, parameters)
        key = json.dumps([endpoint, parameters], sort_keys=True, default=repr)
        queue = self._queues.setdefault(key, _Queue())
        query = _Query(docs, asyncio.get_running_loop().create_future())
        queue.waiting.append(query)
        self._start(key, queue, endpoint, parameters)
        return await query.answer

    async def answers(self, docs: list[MediaDoc], endpoint: str, parameters: dict[str, Any]) -> list[MediaDoc]:
        """As `FlowCalls.answers`."""
        return await self._flow.answers(docs, endpoint, parameters)

    def _start(self, key: str, queue: _Queue, endpoint: str, parameters: dict[str, Any]) -> None:
        if not queue.waiting and not queue.n_running:
            del self._queues[key]
        elif queue.is_due():
            queue.n_running += 1
            task = asyncio.create_task(self._run(key, queue, endpoint, parameters))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, key: str, queue: _Queue, endpoint: str, parameters: dict[str, Any]) -> None:
        batch = queue.next_batch()
        queue.n_sent += len(batch)
        outcomes = await self._outcomes(batch, endpoint, parameters) if batch else []
        for query, outcome in zip(batch, outcomes, strict=True):
            if query.answer.done():
                continue  # its client has disconnected
            if isinstance(outcome, BaseException):
                query.answer.set_exception(outcome)
            else:
                query.answer.set_result(outcome)
        queue.n_running -= 1
        queue.n_sent -= len(batch)
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
        if len(batch) == 1 or isinstance(answered, StateError | UnavailableError):
            return [answered] * len(batch)
        # The error may be caused by one of the queries: repeat each by itself.
        return await asyncio.gather(
            *(self._flow(query.docs, endpoint, parameters) for query in batch), return_exceptions=True
        )
