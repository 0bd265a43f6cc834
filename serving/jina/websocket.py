"""Jina's WebSocket protocol on the HTTP port: the requests of gRPC, for `jina.Client(protocol="websocket")`.

Each message is a request or an answer as bytes; a message of one zero byte ends the connection. Jina's WebSocket server
would need another port and bypass the service's middleware.
"""

from __future__ import annotations

import asyncio

from fastapi import FastAPI
from starlette.status import WS_1003_UNSUPPORTED_DATA, WS_1008_POLICY_VIOLATION, WS_1011_INTERNAL_ERROR
from starlette.websockets import WebSocket, WebSocketDisconnect

from crossmodal.core.errors import InputError
from serving.http.errors import problem_of
from serving.jina.client_requests import ClientRequests

SUBPROTOCOL = "bytes"
END = b"\0"
MAX_IN_FLIGHT = 8
"""Most requests in progress, over all connections."""
MAX_REASON_BYTES = 120
"""A close frame has room for 123."""


def add_websocket(app: FastAPI, requests: ClientRequests) -> None:
    """Answers requests on the path `/`."""
    slots = asyncio.Semaphore(MAX_IN_FLIGHT)

    @app.websocket("/")
    async def serve(websocket: WebSocket) -> None:
        if SUBPROTOCOL not in websocket.scope.get("subprotocols", ()):
            await websocket.close(WS_1003_UNSUPPORTED_DATA)
            return
        await websocket.accept(SUBPROTOCOL)
        try:
            while (message := await websocket.receive_bytes()) != END:
                request = requests.parsed(message)
                async with slots:
                    answer = await requests.answer(request)
                await websocket.send_bytes(answer)
            await websocket.close()
        except (WebSocketDisconnect, KeyError):  # the client has disconnected, or sent text instead of bytes
            return
        except Exception as error:  # noqa: BLE001 -- `problem_of` logs a bug
            code = WS_1008_POLICY_VIOLATION if isinstance(error, InputError) else WS_1011_INTERNAL_ERROR
            await websocket.close(code, _shortened(problem_of(error).detail))


def _shortened(reason: str) -> str:
    return reason.encode()[:MAX_REASON_BYTES].decode("utf-8", "ignore")
