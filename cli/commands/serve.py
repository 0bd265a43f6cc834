"""crossmodal serve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.commands import Command
from cli.options import AlsoOptions, ServiceOptions, ShardOptions
from cli.parameters import flag
from cli.printing import say

if TYPE_CHECKING:
    from crossmodal.collection.collection import Collection
    from crossmodal.core.settings import Settings


@dataclass(frozen=True, kw_only=True)
class ServeOptions(ServiceOptions, ShardOptions, AlsoOptions):
    """Options of `serve`."""

    writable: bool = flag("--writable", help="Also serve /index, /update and /delete.")


def run(options: ServeOptions) -> int:
    """Serves until it is stopped."""
    from cli.serve import serve_queries

    settings = options.settings()
    serve_queries(settings, lambda collection: _say_ready(settings, collection))
    return 0


def _say_ready(settings: Settings, collection: Collection) -> None:
    from serving.jina.ports import in_url, to_ask

    say_listening(settings, collection, "search")
    if settings.writable:
        say("writable: POST /index, /update, /delete, and DELETE /documents/ID")
    body = '{"top_k": 5, "mode": "search", "data": ["hello world"]}'
    if collection.model.base:  # a sparse model refuses a query of unknown words; rrf falls back on vectors
        body = '{"data": ["hello world"], "parameters": {"top_k": 5, "fusion": "rrf"}}'
    header = "Content-Type: application/json"
    url = f"http://{in_url(to_ask(settings.host))}:{settings.port}/search"
    say(f"try:   curl --request POST -d '{body}' -H '{header}' '{url}'")


def say_listening(settings: Settings, collection: Collection, endpoint: str) -> None:
    """Prints the model and the addresses of a service that answers."""
    from serving.jina.ports import in_url

    say(f"model: {collection.model}")
    url = f"http://{in_url(settings.host)}:{settings.port}/{endpoint}"
    say(f"ready: POST {url}  (gRPC on {settings.port + 1}; Ctrl-C stops)")


COMMAND = Command(
    ServeOptions,
    run,
    "Serve searching over HTTP and gRPC, with a web page.\n\nThe collection is only read unless --writable is given.",
    (
        ("", "on http://localhost:45678"),
        ("--writable", "and indexing, changing and removing"),
        ("--host 0.0.0.0 --keys keys.json --rate 5", "to other machines, with keys and a rate limit"),
    ),
)
