"""CrossModalGateway: HTTP on one port and gRPC on the next, over the same Flow."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import uvicorn
from jina import Gateway
from starlette.concurrency import run_in_threadpool

from crossmodal.collection.collection import Collection
from executors.context import unescaped
from serving.config import ServiceConfig
from serving.http.app import make_app
from serving.http.listening import uvicorn_config
from serving.http.metrics import Metrics
from serving.jina.batching import BatchedCalls
from serving.jina.client_requests import ClientRequests
from serving.jina.grpc_endpoint import GrpcEndpoint
from serving.jina.pool import ExecutorPool, all_listen
from serving.jina.ports import grpc_address, in_url
from serving.jina.routed_calls import RoutedCalls
from serving.jina.router import Router
from serving.jina.topology import from_plain
from serving.jina.websocket import add_websocket


class CrossModalGateway(Gateway):
    """The gateway of every Flow. Jina starts and stops it; this class provides its servers and calls the Executors.

    gRPC has no API keys: if HTTP needs them or hides locations, gRPC is reachable only from this machine.

    Args:
        service: JSON with the `config` of the service, and the `nodes` of its Flow.
    """

    def __init__(self, service: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        values = json.loads(unescaped(service))
        self._config = ServiceConfig.from_plain(values["config"])
        self._nodes = from_plain(values["nodes"])
        self._watch: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None

    async def setup_server(self) -> None:
        """Builds the application while the Executors load, waits until they listen, then starts both servers."""
        addresses = json.loads(self.runtime_args.deployments_addresses)
        self._pool = ExecutorPool(addresses, self.runtime_args.timeout_send)
        router = Router(self._nodes, self._pool.send)
        metrics = Metrics()
        flow = BatchedCalls(RoutedCalls(router, metrics))
        app = make_app(flow, Collection.open(Path(self._config.collection)), self._config, metrics)
        requests = ClientRequests(
            router, self._config.endpoints, app.state.freshness.admit, is_private=self._config.is_private
        )
        if self._config.treats_clients_alike:
            add_websocket(app, requests)
        await all_listen(addresses, self.is_cancel.is_set)
        await self._pool.connect()
        if self._config.endpoint == "/search":
            self._watch = asyncio.create_task(app.state.freshness.watch())
        is_restricted = bool(self._config.keys) or self._config.private_location
        host = grpc_address(self._config.host, is_restricted=is_restricted)
        http_port, grpc_port = self.ports
        self._grpc = GrpcEndpoint(requests, f"{in_url(host)}:{grpc_port}")
        await self._grpc.start()
        self._http = HttpServer(uvicorn_config(app, self._config, http_port))
        await self._http.start()
        if self._config.endpoint == "/search":
            self._reading = asyncio.create_task(run_in_threadpool(app.state.read_overview))

    async def run_server(self) -> None:
        """Serves until it is stopped."""
        await asyncio.gather(self._http.main_loop(), self._grpc.wait())

    async def shutdown(self) -> None:
        """Stops both servers, then closes the connections to the Executors."""
        await super().shutdown()
        if self._watch is not None:
            self._watch.cancel()
        self._http.should_exit = True
        await asyncio.gather(self._http.shutdown(), self._grpc.close())
        await self._pool.close()
        await self.streamer.close()  # Jina's streamer, which is not used


class HttpServer(uvicorn.Server):
    """uvicorn's server without its signal handlers, because Jina installs its own."""

    async def start(self) -> None:
        """Starts to listen."""
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        await self.startup()
