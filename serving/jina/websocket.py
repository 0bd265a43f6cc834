"""Jina's WebSocket protocol on the HTTP port: what gRPC carries, for `jina.Client(protocol="websocket")`.

A message is a request as bytes, and so is each answer; a zero byte says that nothing follows. Jina's own server would
need a port more and knows none of our doors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

from fastapi import FastAPI
from jina.excepts import InternalNetworkError
from jina.serve.runtimes.gateway.streamer import GatewayStreamer
from jina.types.request.data import DataRequest
from starlette.status import WS_1003_UNSUPPORTED_DATA, WS_1008_POLICY_VIOLATION, WS_1011_INTERNAL_ERROR
from starlette.websockets import WebSocket, WebSocketDisconnect

from serving.jina.grpc_endpoint import fault_of, without_stacks

SUBPROTOCOL = "bytes"
END = b"\0"
AT_ONCE = 8
"""Requests in work at a time, of all connections."""
REASON_BYTES = 120
"""What fits into the reason of a close."""


def add_websocket(app: FastAPI, streamer: GatewayStreamer, endpoints: Collection[str]) -> None:
    """Answers requests for these endpoints on the path `/`."""
    places = asyncio.Semaphore(AT_ONCE)

    @app.websocket("/")
    async def talk(websocket: WebSocket) -> None:
        if SUBPROTOCOL not in websocket.scope.get("subprotocols", ()):
            await websocket.close(WS_1003_UNSUPPORTED_DATA)
            return
        await websocket.accept(SUBPROTOCOL)
        try:
            while (message := await websocket.receive_bytes()) != END:
                request = DataRequest(message)
                if fault := fault_of(request, endpoints):
                    await websocket.close(WS_1008_POLICY_VIOLATION, _short(fault))
                    return
                async with places:
                    answer = await streamer.process_single_data(request)
                await websocket.send_bytes(without_stacks(answer).to_bytes())
            await websocket.close()
        except InternalNetworkError as error:
            await websocket.close(WS_1011_INTERNAL_ERROR, _short(f"a part of the service fails: {error.details()}"))
        except (WebSocketDisconnect, KeyError):  # it has gone, or sent a text, which has no bytes
            return


def _short(reason: Any) -> str:
    return str(reason).encode()[:REASON_BYTES].decode("utf-8", "ignore")
