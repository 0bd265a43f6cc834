"""CrossModalGateway: HTTP on one port and gRPC on the next, over the same Flow."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from jina.serve.runtimes.gateway.gateway import BaseGateway
from jina.serve.runtimes.servers.composite import CompositeBaseServer
from jina.serve.runtimes.servers.grpc import GRPCServer
from jina.serve.runtimes.servers.http import FastAPIBaseServer

from crossmodal.collection.collection import Collection
from crossmodal.core.settings import OtherService
from crossmodal.images import fetch
from executors.context import unescaped
from serving.http.app import ServiceConfig, make_app
from serving.jina.grpc_endpoint import MAX_MESSAGE_BYTES, EndpointAllowlist
from serving.jina.hardening import harden
from serving.jina.patches import all_listen, patch_startup, patch_streamer
from serving.jina.ports import LOOPBACK, grpc_address, in_url
from serving.middleware.access_policy import AccessPolicy

harden()  # this module is imported before the Executors are forked, and by Jina again
patch_startup()


class HttpServer(FastAPIBaseServer):
    """Serves our own FastAPI application instead of Jina's."""

    collection: str
    config: ServiceConfig
    access: AccessPolicy

    @cached_property
    def app(self) -> FastAPI:
        """The application. The streamer is the one that gRPC uses, too."""
        streamer = self._request_handler.streamer
        patch_streamer(streamer)
        return make_app(streamer, Collection.open(Path(self.collection)), self.config, self.access)


class GrpcServer(GRPCServer):
    """Serves Jina's gRPC, behind a door."""

    def __init__(self, config: ServiceConfig, grpc_server_options: dict[str, Any] | None = None, **kwargs: Any) -> None:
        options = {**(grpc_server_options or {}), "grpc.max_receive_message_length": MAX_MESSAGE_BYTES}
        super().__init__(grpc_server_options=options, **kwargs)
        self.grpc_tracing_server_interceptors = [
            *(self.grpc_tracing_server_interceptors or []),
            EndpointAllowlist(config.endpoints),
        ]


class CrossModalGateway(CompositeBaseServer, BaseGateway):
    """The gateway of both Flows. `endpoint` is what this Flow does: `/index` or `/search`.

    gRPC knows no keys: where there are any, it listens to this machine only.
    """

    def __init__(
        self,
        collection: str = "",
        endpoint: str = "/search",
        keys: str = "",
        rate_per_s: float = 0.0,
        proxies: str = "",
        hosts: str = "",
        origins: str = "",
        also: str = "",
        fetches: bool = False,
        writable: bool = False,
        address: str = LOOPBACK,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        http_kwargs, grpc_kwargs = self._server_kwargs
        # "::" is all addresses of both families: to gRPC by itself, to asyncio by the name of None.
        http_kwargs["runtime_args"]["host"] = None if address == "::" else address
        grpc_kwargs["runtime_args"]["host"] = in_url(grpc_address(address, has_keys=bool(keys)))
        trusted = _names(proxies)
        http_kwargs["uvicorn_kwargs"] = {
            **(http_kwargs.get("uvicorn_kwargs") or {}),
            "proxy_headers": bool(trusted),
            "forwarded_allow_ips": ",".join(trusted),
            "server_header": False,
        }
        http = HttpServer(**http_kwargs)
        http.collection = unescaped(collection)
        others = tuple(OtherService(*pair.split("=", 1)) for pair in _names(also))
        http.config = ServiceConfig(endpoint, writable, fetch.DEFAULT_RULES if fetches else None, others)
        http.access = AccessPolicy(
            unescaped(keys or ""), float(rate_per_s or 0), trusted, _names(hosts), _names(origins)
        )
        self.servers = [http, GrpcServer(http.config, **grpc_kwargs)]

    async def setup_server(self) -> None:
        """Makes the application while the Executors load, and asks for their schemas once, not for each server."""
        http, _ = self.servers
        http.app  # noqa: B018 -- it is kept
        await all_listen(json.loads(self.runtime_args.deployments_addresses), self.is_cancel.is_set)
        streamer = self._request_handler.streamer
        await streamer._get_endpoints_input_output_models(is_cancel=self.is_cancel)
        streamer._get_endpoints_input_output_models = _are_known
        await super().setup_server()


async def _are_known(**_: Any) -> None:
    pass


def _names(listed: str) -> tuple[str, ...]:
    return tuple(filter(None, unescaped(listed or "").split(",")))
