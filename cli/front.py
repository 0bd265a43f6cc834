"""Serves a front node until it is stopped."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import uvicorn

from crossmodal.core.settings import Settings
from serving.config import ServiceConfig
from serving.front.app import make_front
from serving.front.services import SliceServices
from serving.http.listening import uvicorn_config
from serving.jina.ports import in_url, service_ports


def serve_front(settings: Settings, urls: Sequence[str], say: Callable[[str], None]) -> None:
    """Serves searches of the slices at the URLs over HTTP, and says when it does; a slice may come later.

    Raises:
        StateError: The port is in use; or no slice answers, or those that do don't belong together.
    """

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            say(f"ready: POST http://{in_url(settings.host)}:{settings.port}/search  (Ctrl-C stops)")

    async def serve() -> None:
        services = SliceServices(urls)
        states, problems = await services.states()
        for url, state in states.items():
            say(f"slice {state['slice']}: {url}")
        services.missing({state["slice"]: url for url, state in states.items()}, problems)
        app = make_front(services, config)
        await Server(uvicorn_config(app, config, settings.port)).serve()

    config = ServiceConfig.of(settings, "", "/search")
    with ExitStack() as holders:
        service_ports(holders, settings.host, settings.port)
        asyncio.run(serve())
