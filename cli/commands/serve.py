"""crossmodal serve."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.commands import Command
from cli.options import (
    CollectionOptions,
    LocationOptions,
    ModelOptions,
    ReplicaOptions,
    ShardOptions,
    SliceOptions,
    VocabularyOptions,
)
from cli.parameters import FILE, FOLDER, NetworkType, Options, OtherServiceType, UrlsType, flag, option
from cli.printing import say
from crossmodal.core.errors import InputError
from crossmodal.core.settings import DEFAULT_PORT, OtherService

if TYPE_CHECKING:
    from crossmodal.collection.collection import Collection
    from crossmodal.core.settings import Settings


@dataclass(frozen=True, kw_only=True)
class ServiceOptions(CollectionOptions, ModelOptions, VocabularyOptions, ReplicaOptions):
    """Options of a service over HTTP and gRPC."""

    host: str = option(
        "--host",
        default="127.0.0.1",
        envvar="CROSSMODAL_HOST",
        callback=lambda _, __, host: host.removeprefix("[").removesuffix("]"),
        help="Address or name to serve on; 0.0.0.0 is all of IPv4, :: all of IPv6 and IPv4.",
    )
    port: int = option(
        "--port",
        type=click.IntRange(1, 65534),
        envvar="JINA_PORT",
        default=DEFAULT_PORT,
        help="HTTP port; gRPC is on the next one.",
    )
    keys: Path | None = option(
        "--keys", type=FILE, envvar="CROSSMODAL_KEYS", help="File of API keys; each request must send one."
    )
    rate_per_s: float = option(
        "--rate",
        type=click.FloatRange(0),
        default=0.0,
        help="Requests per second of each key or address.  [default: no limit]",
    )
    trust_proxy: tuple[str, ...] = option(
        "--trust-proxy",
        multiple=True,
        type=NetworkType(),
        metavar="ADDRESS",
        help="A proxy whose X-Forwarded-For is trusted.",
    )
    trust_host: tuple[str, ...] = option(
        "--trust-host", multiple=True, metavar="NAME", help="An allowed host name of requests.  [default: any]"
    )
    trust_origin: tuple[str, ...] = option(
        "--trust-origin",
        multiple=True,
        metavar="URL",
        help="An origin whose pages may send requests, besides the service's own.  [default: any]",
    )
    allow_url_fetch: bool = flag("--allow-url-fetch", help="Fetch pictures that requests give by URL.")
    private_location: bool = flag(
        "--private-location", help="Show where pictures were taken only to clients with a key."
    )

    def settings(self) -> Settings:
        """The settings.

        Raises:
            StateError: The keys can't be read; in the service's process, the error would be a traceback.
        """
        if self.keys is not None:
            from serving.middleware import read_keys

            read_keys(self.keys)
        return super().settings()


@dataclass(frozen=True, kw_only=True)
class ServeOptions(ServiceOptions, LocationOptions, ShardOptions, SliceOptions):
    """Options of `serve`."""

    writable: bool = flag("--writable", help="Also serve /index, /update and /delete.")
    max_lag_s: float | None = option(
        "--max-lag-s",
        type=click.FloatRange(1),
        metavar="SECONDS",
        help="Refuse searches while a commit that is older may be missing.  [default: no limit]",
    )
    slices: tuple[str, ...] | None = option(
        "--slices",
        type=UrlsType(),
        metavar="URL,URL,...",
        help="Be a front node without a collection: search the services at these URLs, each with --slice, as one.",
    )
    watch: Path | None = option(
        "--watch",
        type=FOLDER,
        metavar="FOLDER",
        help="Also keep the collection in step with a folder, as `watch` does.",
    )
    polling: bool = flag(
        "--polling", help="With --watch: compare all files every few seconds, for network file systems."
    )
    also: tuple[OtherService, ...] = option(
        "--also",
        multiple=True,
        metavar="NAME=URL",
        type=OtherServiceType(),
        help="A service of another collection that the page links to.",
    )

    def settings(self) -> Settings:
        """The settings; without a name or a data set, the collection is that of the watched folder.

        Raises:
            InputError: Two parts of the service would write to the collection, or --polling has no folder.
        """
        if self.watch is None:
            if self.polling:
                raise InputError("--polling is about a watched folder: add --watch FOLDER, or remove it")
            return super().settings()
        if self.writable:
            raise InputError("--watch and --writable both write to the collection: remove one")
        if self.collection is None and self.data_set is None:
            return replace(self, data_set=str(self.watch)).settings()
        return super().settings()


def run(options: ServeOptions) -> int:
    """Serves until it is stopped."""
    if options.slices:
        from cli.front import serve_front

        of_nodes = (options.writable, options.part, options.max_lag_s, options.also, options.no_gps, options.watch)
        if any((*of_nodes, options.private_location)):
            raise InputError("--slices: a front node has no documents; give --writable and the like to the other nodes")
        settings = Options.settings(options)  # which needs no workspace
        serve_front(settings, options.slices, say)
        return 0
    from cli.serve import serve_queries

    if options.no_gps and not options.writable and not options.watch:
        raise InputError("--no-gps is for pictures that the service indexes: add --writable or --watch, or remove it")
    settings = options.settings()
    serve_queries(settings, lambda collection: _say_ready(settings, collection))
    return 0


def _say_ready(settings: Settings, collection: Collection) -> None:
    from serving.jina.ports import in_url, to_ask

    if settings.part:
        say(f"slice: {settings.part} of the vectors, for a front node (--slices)")
    say_listening(settings, collection, "search")
    if settings.writable:
        say("writable: POST /index, /update, /delete, and DELETE /documents/ID")
    body = '{"top_k": 5, "mode": "search", "data": ["hello world"]}'
    if collection.model.has_lexical:  # a query of unknown words fails by sparse scores alone; rrf also uses vectors
        body = '{"data": ["hello world"], "parameters": {"top_k": 5, "fusion": "rrf"}}'
    header = "Content-Type: application/json"
    url = f"http://{in_url(to_ask(settings.host))}:{settings.port}/search"
    say(f"try:   curl --request POST -d '{body}' -H '{header}' '{url}'")


def say_listening(settings: Settings, collection: Collection, endpoint: str) -> None:
    """Prints the model, the engine and the addresses of a service that is ready."""
    from serving.jina.ports import in_url

    say_engine(settings, collection)
    url = f"http://{in_url(settings.host)}:{settings.port}/{endpoint}"
    say(f"ready: POST {url}  (gRPC on {settings.port + 1}; Ctrl-C stops)")
    if endpoint == "index" or settings.writable:
        from cli.ocr import say_not_read

        say_not_read(collection)


def say_engine(settings: Settings, collection: Collection) -> None:
    """Prints the model and the engine of a service."""
    from crossmodal.collection.encoder import engine_of

    say(f"model: {collection.model}", f"engine: {engine_of(collection, settings.engine)}")


COMMAND = Command(
    ServeOptions,
    run,
    "Serve search over HTTP and gRPC, with a web page.\n\nThe service is read-only unless --writable is given.",
    (
        ("", "on http://localhost:45678"),
        ("--writable", "also indexes, changes and removes documents"),
        ("--slice 2/4", "with the second of four slices of the vectors"),
        ("--slices http://a:45678,http://b:45678", "searches two slices as one"),
        ("--watch ~/Pictures", "and indexes what changes in a folder"),
        ("--host 0.0.0.0 --keys keys.json --rate 5", "to other machines, with keys and a rate limit"),
    ),
)
