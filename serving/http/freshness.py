"""How old the state is that searches see: measured, reported, and bounded."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from starlette.concurrency import run_in_threadpool

from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.core.errors import InputError, StateError
from serving.http.errors import RefusedError
from serving.jina.flow_calls import FlowCalls, UnavailableError

log = logging.getLogger(__name__)

EVERY_S = 0.5
"""Pause between two measurements."""
WAIT_S = 3.0
"""How long a search waits for a commit that it must see."""
POLL_S = 0.05
MAX_WAITING = 16
"""Most searches that wait at the same time, so that numbers which never come do not stop other searches."""


class Freshness:
    """Lets the indexes follow the store also between searches, and knows when they last had every commit.

    A search applies new commits by itself, so its answer is newer than this: what it can't see are commits that have
    not reached the database that this node reads, or that an index has failed to apply.
    """

    def __init__(self, flow: FlowCalls, opened: GenerationCache[Any], max_lag_s: float) -> None:
        """Takes what calls the Flow, the open store, and the lag above which searches are refused; 0 for no limit."""
        self._flow, self._opened, self.max_lag_s = flow, opened, max_lag_s
        self._current_at: float | None = None
        self._problem = ""
        self._n_waiting = 0

    def last_seq(self) -> int:
        """The sequence number of the newest commit that this node can read."""
        return int(self._opened.current()[1].store.last_seq())

    def lag_s(self) -> float | None:
        """Seconds since the indexes were known to have every commit, None if they never were."""
        return None if self._current_at is None else time.monotonic() - self._current_at

    def bound_s(self) -> float:
        """As `lag_s`, infinite instead of None."""
        lag_s = self.lag_s()
        return float("inf") if lag_s is None else lag_s

    def check(self) -> None:
        """Checks that the lag does not exceed the limit.

        Raises:
            RefusedError: It does (503); the message names both.
        """
        lag_s = self.lag_s()
        if self.max_lag_s and (lag_s is None or lag_s > self.max_lag_s):
            lag = "has not measured its lag yet" if lag_s is None else f"may lack the commits of the last {lag_s:.1f} s"
            cause = ", for a reason in its log" if self._problem else ""
            raise RefusedError(
                503, f"this node {lag}{cause}, and --max-lag-s allows {self.max_lag_s:g}: ask another node"
            )

    async def admit(self, after_seq: int | None) -> None:
        """Returns when a search sees the commit with this sequence number, at once for None.

        Raises:
            RefusedError: The lag exceeds the limit, or the commit has not arrived in time (503).
            StateError: The store can't be read.
        """
        self.check()
        if after_seq is None or await run_in_threadpool(self.last_seq) >= after_seq:
            return
        if self._n_waiting >= MAX_WAITING:
            raise RefusedError(503, f"after_seq: {MAX_WAITING} searches wait for commits already: try again")
        self._n_waiting += 1
        try:
            await self._arrived(after_seq)
        finally:
            self._n_waiting -= 1

    async def _arrived(self, seq: int) -> None:
        deadline = time.monotonic() + WAIT_S
        while (last := await run_in_threadpool(self.last_seq)) < seq:
            if time.monotonic() > deadline:
                raise RefusedError(
                    503,
                    f"after_seq: number {seq} has not arrived within {WAIT_S:g} s, the last one here is {last}: "
                    "try again, ask another node, or leave it out if the collection was reindexed or restored since",
                )
            await asyncio.sleep(POLL_S)

    async def watch(self) -> None:
        """Measures until it is cancelled."""
        while True:
            await self._measure()
            await asyncio.sleep(EVERY_S)

    async def _measure(self) -> None:
        """Lets the indexes follow the store. They then have every commit that the store had at the start."""
        start = time.monotonic()
        problem = ""
        try:
            behind_s = await run_in_threadpool(self._opened.current()[1].store.behind_s)
            await self._flow.answers([], "/follow", {})
        except Exception as error:  # also a bug must not end the measurements unseen
            is_known = isinstance(error, InputError | StateError | UnavailableError | RuntimeError)
            problem = str(error) or type(error).__name__
            if problem != self._problem:
                log.warning("the indexes can't follow the store: %s", problem, exc_info=None if is_known else error)
        else:
            # While a standby applies the first commit after a long pause, it reports the length of the pause.
            current_at = start - behind_s
            self._current_at = max(current_at, self._current_at or current_at)
        self._problem = problem
