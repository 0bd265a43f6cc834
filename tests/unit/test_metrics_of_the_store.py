"""GET /metrics while the store answers late or not at all."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from crossmodal.core.errors import StateError
from serving.http import health
from serving.http.metrics import Metrics


def test_a_count_that_is_late_is_for_the_next_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "COUNTS_TIMEOUT_S", 0.1)
    may_end = {n: threading.Event() for n in range(1, 5)}
    ended: list[int] = []

    def counts() -> dict[str, int]:
        n = len(ended) + 1
        assert may_end[n].wait(60)
        ended.append(n)
        if n == 4:
            raise StateError("the store is away")
        return {"image": n, "text": 0}

    opened: Any = SimpleNamespace(current=lambda: ("", SimpleNamespace(store=SimpleNamespace(counts=counts))))
    app, router = FastAPI(), APIRouter()
    health.add_metrics(router, opened, Metrics())
    app.include_router(router)

    async def run() -> list[tuple[str, str]]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:

            async def images_and_up() -> tuple[str, str]:
                lines = dict(
                    line.split() for line in (await client.get("/metrics")).text.splitlines() if line[0] != "#"
                )
                return lines["crossmodal_image_documents"], lines["crossmodal_store_up"]

            async def end_late(n: int) -> None:
                may_end[n].set()
                while n not in ended:
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.3)

            answers = [await images_and_up(), await images_and_up()]
            await end_late(1)
            answers.append(await images_and_up())
            await end_late(2)
            may_end[3].set()
            monkeypatch.setattr(health, "COUNTS_TIMEOUT_S", 60)
            answers.append(await images_and_up())
            may_end[4].set()
            answers.append(await images_and_up())
            return answers

    assert asyncio.run(run()) == [("NaN", "0.0"), ("NaN", "0.0"), ("1.0", "1.0"), ("3.0", "1.0"), ("NaN", "0.0")]
