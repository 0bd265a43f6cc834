"""Queries of several clients, sent through the Flow together.

A query through the Flow costs most for the ways between its Executors, not for what they do: thirty-two together
cost little more than one. Nothing waits for company: a query goes at once unless two batches like it are on their
way, and what comes in the meantime is the next batch.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from executors.schema import MediaDoc
from serving.jina.flow_calls import REQUEST_SIZE, FlowCalls

ON_THEIR_WAY = 2
"""One batch is encoded while another is searched for."""
TOGETHER = ("/search", "/encode")


@dataclass(frozen=True)
class _Waiting:
    docs: list[MediaDoc]
    answer: asyncio.Future[list[MediaDoc]]


class _Line:
    """What waits for one endpoint with the same parameters."""

    def __init__(self) -> None:
        self.waiting: list[_Waiting] = []
        self.n_on_their_way = 0


class BatchedCalls(FlowCalls):
    """Calls of the Flow; texts that are searched for or encoded go together. Errors are those of each alone."""

    def __init__(self, flow: FlowCalls) -> None:
        self._flow = flow
        self._lines: dict[str, _Line] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, docs: list[MediaDoc], endpoint: str, parameters: dict[str, Any]) -> list[MediaDoc]:
        """As FlowCalls does."""
        if endpoint not in TOGETHER or len(docs) > REQUEST_SIZE or any(doc.modality != "text" for doc in docs):
            return await self._flow(docs, endpoint, parameters)
        key = json.dumps([endpoint, parameters], sort_keys=True, default=repr)
        line = self._lines.setdefault(key, _Line())
        mine = _Waiting(docs, asyncio.get_running_loop().create_future())
        line.waiting.append(mine)
        self._send(key, line, endpoint, parameters)
        return await mine.answer

    async def answers(
        self, docs: list[MediaDoc], endpoint: str, parameters: dict[str, Any], request_size: int = REQUEST_SIZE
    ) -> list[MediaDoc]:
        """As FlowCalls does."""
        return await self._flow.answers(docs, endpoint, parameters, request_size)

    def _send(self, key: str, line: _Line, endpoint: str, parameters: dict[str, Any]) -> None:
        if not line.waiting and not line.n_on_their_way:
            del self._lines[key]
        elif line.waiting and line.n_on_their_way < ON_THEIR_WAY:
            line.n_on_their_way += 1
            task = asyncio.create_task(self._go(key, line, endpoint, parameters))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _go(self, key: str, line: _Line, endpoint: str, parameters: dict[str, Any]) -> None:
        batch = _taken(line)
        outcomes = await self._outcomes(batch, endpoint, parameters) if batch else []
        for one, outcome in zip(batch, outcomes, strict=True):
            if one.answer.done():
                continue  # who asked has gone
            if isinstance(outcome, BaseException):
                one.answer.set_exception(outcome)
            else:
                one.answer.set_result(outcome)
        line.n_on_their_way -= 1
        self._send(key, line, endpoint, parameters)

    async def _outcomes(
        self, batch: list[_Waiting], endpoint: str, parameters: dict[str, Any]
    ) -> list[list[MediaDoc] | BaseException]:
        """For each its documents, or what went wrong."""
        together = self._flow([doc for one in batch for doc in one.docs], endpoint, parameters)
        (answered,) = await asyncio.gather(together, return_exceptions=True)
        if not isinstance(answered, BaseException):
            ends = list(accumulate(len(one.docs) for one in batch))
            return [answered[end - len(one.docs) : end] for one, end in zip(batch, ends, strict=True)]
        if len(batch) == 1:
            return [answered]
        # It may be of one of them only.
        return await asyncio.gather(
            *(self._flow(one.docs, endpoint, parameters) for one in batch), return_exceptions=True
        )


def _taken(line: _Line) -> list[_Waiting]:
    """The next batch: of those that wait as many as go into one request of the Flow, no two with the same id."""
    batch: list[_Waiting] = []
    later: list[_Waiting] = []
    ids: set[str] = set()
    for one in line.waiting:
        own = {str(doc.id) for doc in one.docs}
        if one.answer.cancelled():
            continue  # who asked has gone
        if len(ids) + len(own) <= REQUEST_SIZE and not ids & own:
            batch.append(one)
            ids |= own
        else:
            later.append(one)
    line.waiting = later
    return batch
