"""The client of a Flow, against a real gRPC endpoint whose Executors are faked."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from crossmodal.core.errors import StateError
from crossmodal.core.settings import Settings
from executors.schema import MediaDoc
from serving.jina.ports import reserve_port_pair
from serving.jina.supervisor import prepare_jina

prepare_jina()

from jina.proto import jina_pb2  # noqa: E402

from serving.jina.client_requests import ClientRequests  # noqa: E402
from serving.jina.flow_calls import UnavailableError  # noqa: E402
from serving.jina.flow_client import PREFETCH, REQUEST_BYTES, call  # noqa: E402
from serving.jina.grpc_endpoint import GrpcEndpoint  # noqa: E402

N_REQUESTS = 3 * PREFETCH


class CountingRouter:
    """Returns requests unchanged, and counts those that it has at the same time."""

    def __init__(self) -> None:
        self.running = self.most = 0
        self.error = ""
        self.answered_until = 1000
        self.n_requests = 0

    async def answer(self, request: Any) -> tuple[bytes, bool]:
        self.n_requests += 1
        if self.n_requests > self.answered_until:
            raise UnavailableError("image_encoder")
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0.02)
        self.running -= 1
        if self.error:
            request.header.status.code = jina_pb2.StatusProto.ERROR
            request.header.status.description = self.error
        return request.SerializeToString(), False


async def admit(_: int | None) -> None: ...


@pytest.fixture
def served() -> Iterator[tuple[CountingRouter, Settings]]:
    router, settings = CountingRouter(), Settings(port=reserve_port_pair(), request_size=2)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def started() -> GrpcEndpoint:
        endpoint = GrpcEndpoint(ClientRequests(router, {"/index"}, admit), f"127.0.0.1:{settings.port + 1}")
        await endpoint.start()
        return endpoint

    endpoint = asyncio.run_coroutine_threadsafe(started(), loop).result()
    yield router, settings
    asyncio.run_coroutine_threadsafe(endpoint.close(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_few_requests_are_in_flight_and_their_answers_come_in_order(served: tuple[CountingRouter, Settings]) -> None:
    router, settings = served
    ids = [f"{number}" for number in range(2 * N_REQUESTS)]
    answered: list[str] = []
    docs = (MediaDoc(id=name, modality="image") for name in ids)
    call(settings, "/index", docs, lambda answers: answered.extend(doc.id for doc in answers))
    assert answered == ids
    assert 1 < router.most <= PREFETCH


def test_a_request_has_fewer_documents_if_they_are_large(served: tuple[CountingRouter, Settings]) -> None:
    _, settings = served
    sizes: list[int] = []
    content = np.zeros(REQUEST_BYTES * 2 // 5, np.uint8)
    docs = (MediaDoc(modality="image", content=content) for _ in range(7))
    call(replace(settings, request_size=100), "/index", docs, lambda answers: sizes.append(len(list(answers))))
    assert sizes == [3, 3, 1]


def test_the_first_request_is_small(served: tuple[CountingRouter, Settings]) -> None:
    _, settings = served
    sizes: list[int] = []
    docs = (MediaDoc(modality="image") for _ in range(35))
    call(replace(settings, request_size=16), "/index", docs, lambda answers: sizes.append(len(list(answers))))
    assert sizes == [2, 16, 16, 1]


def test_an_invalid_request_is_an_error(served: tuple[CountingRouter, Settings]) -> None:
    with pytest.raises(StateError, match=r"^/missing failed: '/missing' is not served here, only /index"):
        call(served[1], "/missing", [MediaDoc()], lambda _: None)


def test_an_executors_error_is_reported(served: tuple[CountingRouter, Settings]) -> None:
    router, settings = served
    router.error = "the disk is full"
    with pytest.raises(StateError, match=r"^/index failed: the disk is full$"):
        call(settings, "/index", [MediaDoc()] * N_REQUESTS, lambda _: None)


def test_the_reason_why_a_flow_ends_a_stream_is_reported_while_documents_are_read(
    served: tuple[CountingRouter, Settings],
) -> None:
    def docs() -> Iterator[MediaDoc]:
        for _ in range(2 * N_REQUESTS):
            time.sleep(0.01)  # as reading a file
            yield MediaDoc()

    router, settings = served
    router.answered_until = 3
    answered: list[str] = []
    with pytest.raises(StateError, match=r"^the Flow does not respond: .*image_encoder"):
        call(settings, "/index", docs(), lambda answers: answered.extend(doc.id for doc in answers))
    assert len(answered) == 1 + 2 * settings.request_size


def test_an_error_of_the_documents_passes_the_client(served: tuple[CountingRouter, Settings]) -> None:
    def docs() -> Iterator[MediaDoc]:
        yield from [MediaDoc()] * (2 * N_REQUESTS)  # the last request is incomplete
        raise OSError("the disk is away")

    answered: list[str] = []
    with pytest.raises(OSError, match="the disk is away"):
        call(served[1], "/index", docs(), lambda answers: answered.extend(doc.id for doc in answers))
    assert len(answered) == 2 * N_REQUESTS  # those before it are finished


def test_a_flow_that_is_gone_is_an_error() -> None:
    with pytest.raises(StateError, match=r"^the Flow does not respond: "):
        call(Settings(port=reserve_port_pair()), "/index", [MediaDoc()], lambda _: None)


def test_a_log_level_that_is_set_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JINA_LOG_LEVEL", "INFO")
    prepare_jina()
    assert os.environ["JINA_LOG_LEVEL"] == "INFO"
