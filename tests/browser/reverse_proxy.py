"""A reverse proxy that shows a service below a path of its host."""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

PREFIX = "/all/my-pictures"
METHODS = ["GET", "POST", "PUT", "DELETE"]


@contextmanager
def behind_a_proxy(service: str) -> Iterator[str]:
    """The URL of a proxy that strips `PREFIX` from requests, and answers 404 elsewhere on its host."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
        async with httpx.AsyncClient(base_url=service, timeout=60) as client:
            yield {"client": client}

    async def pass_on(request: Request) -> Response:
        path = request.url.path.removeprefix(PREFIX)
        headers = {**request.headers, "X-Forwarded-Prefix": PREFIX}
        answer = await request.state.client.request(
            request.method, path, params=request.query_params, headers=headers, content=await request.body()
        )
        kept = {name: value for name, value in answer.headers.items() if name not in ("date", "transfer-encoding")}
        return Response(answer.content, answer.status_code, kept)

    app = Starlette(routes=[Route(f"{PREFIX}/{{path:path}}", pass_on, methods=METHODS)], lifespan=lifespan)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}{PREFIX}"
        finally:
            server.should_exit = True
            thread.join()
