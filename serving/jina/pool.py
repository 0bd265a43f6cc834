"""Connections from the gateway to the Executors: one gRPC channel for each address."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, cycle
from urllib.parse import urlsplit

import grpc

from crossmodal.core.rare_log import warn_rarely
from serving.jina.flow_calls import UnavailableError

log = logging.getLogger(__name__)

METHOD = "/jina.JinaSingleDataRequestRPC/process_single_data"
OPTIONS = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))
LISTEN_RETRY_S = 0.02


class ExecutorPool:
    """Sends requests to Executors; the replicas of an Executor take turns.

    Create it inside the event loop that it is used in.

    Args:
        addresses: `grpc://HOST:PORT` of each replica, or of the head of several shards, by the Executor's name.
        timeout_s: Time limit for an answer in seconds; None for no limit.
    """

    def __init__(self, addresses: Mapping[str, Sequence[str]], timeout_s: float | None) -> None:
        self._timeout_s = timeout_s
        self._channels = {name: [_channel(url) for url in urls] for name, urls in addresses.items()}
        self._calls = {
            name: cycle([channel.unary_unary(METHOD) for channel in channels])
            for name, channels in self._channels.items()
        }

    async def connect(self) -> None:
        """Connects to all Executors, which must listen already.

        gRPC sends requests that wait for a connection in any order. The first request of an indexing job is small so
        that the encoder can begin soon, and must arrive first.
        """
        await asyncio.gather(*(channel.channel_ready() for channel in chain.from_iterable(self._channels.values())))

    async def send(self, name: str, message: bytes, endpoint: str) -> tuple[bytes, bool]:
        """The answer of an Executor, and whether it is an error.

        Raises:
            UnavailableError: The Executor does not respond in time.
        """
        call = next(self._calls[name])(message, timeout=self._timeout_s, metadata=(("endpoint", endpoint),))
        try:
            answer = await call
            return answer, any(key == "is-error" for key, _ in await call.trailing_metadata())
        except grpc.aio.AioRpcError as error:
            is_late = error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
            warn_rarely(log, f"{name} does not answer: {error.details()}")
            raise UnavailableError(name, is_late=is_late) from error

    async def close(self) -> None:
        """Closes the connections."""
        await asyncio.gather(*(channel.close() for channel in chain.from_iterable(self._channels.values())))


def _channel(url: str) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(urlsplit(url).netloc or url, options=OPTIONS)


async def all_listen(addresses: Mapping[str, Sequence[str]], is_cancelled: Callable[[], bool]) -> None:
    """Waits until every Executor listens, which means that it is ready.

    Args:
        addresses: As those of `ExecutorPool`.
        is_cancelled: Returns whether the start has been cancelled.
    """
    for address in chain.from_iterable(addresses.values()):
        url = urlsplit(address)
        while not is_cancelled():
            try:
                _, writer = await asyncio.open_connection(url.hostname, url.port)
            except OSError:
                await asyncio.sleep(LISTEN_RETRY_S)
            else:
                writer.close()
                break
