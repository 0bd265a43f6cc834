"""CrossModalGateway: HTTP on one port and gRPC on the next, over the same Flow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from jina.serve.runtimes.gateway.gateway import BaseGateway
from jina.serve.runtimes.servers.composite import CompositeBaseServer
from jina.serve.runtimes.servers.grpc import GRPCServer
from jina.serve.runtimes.servers.http import FastAPIBaseServer

from crossmodal.index.collection import Collection
from gateway.http import make_app
from gateway.lean import spare


class HttpServer(FastAPIBaseServer):
    """Serves our own FastAPI application instead of Jina's."""

    collection: str
    endpoint: str

    @property
    def app(self) -> FastAPI:
        """The application; Jina asks for it once. The streamer is the one that gRPC uses, too."""
        streamer = self._request_handler.streamer
        spare(streamer)
        return make_app(streamer, Collection.open(Path(self.collection)), self.endpoint)


class CrossModalGateway(CompositeBaseServer, BaseGateway):
    """The gateway of both Flows. `endpoint` is what this Flow does: `/index` or `/search`."""

    def __init__(self, collection: str = "", endpoint: str = "/search", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        http_kwargs, grpc_kwargs = self._server_kwargs
        http = HttpServer(**http_kwargs)
        http.collection, http.endpoint = collection, endpoint
        self.servers = [http, GRPCServer(**grpc_kwargs)]
