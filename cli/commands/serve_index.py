"""crossmodal serve-index."""

from __future__ import annotations

from dataclasses import dataclass

from cli.commands import Command
from cli.commands.serve import ServiceOptions, say_listening
from cli.options import LocationOptions


@dataclass(frozen=True, kw_only=True)
class ServeIndexOptions(ServiceOptions, LocationOptions):
    """Options of `serve-index`."""


def run(options: ServeIndexOptions) -> int:
    """Serves until it is stopped."""
    from cli.serve import serve_indexing

    settings = options.settings()
    serve_indexing(settings, lambda collection: say_listening(settings, collection, "index"))
    return 0


COMMAND = Command(
    ServeIndexOptions,
    run,
    "Serve indexing over HTTP and gRPC.",
    (
        ("--collection pets", "creates the collection if it does not exist"),
        ("--collection pets --port 45680", "beside a service for searching"),
    ),
)
