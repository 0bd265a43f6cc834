"""crossmodal serve-index."""

from __future__ import annotations

from cli.commands import Command
from cli.commands.serve import ServiceOptions, say_listening


def run(options: ServiceOptions) -> int:
    """Serves until it is stopped."""
    from cli.serve import serve_indexing

    settings = options.settings()
    serve_indexing(settings, lambda collection: say_listening(settings, collection, "index"))
    return 0


COMMAND = Command(
    ServiceOptions,
    run,
    "Serve indexing over HTTP and gRPC.",
    (
        ("--collection pets", "creates the collection if it does not exist"),
        ("--collection pets --port 45680", "beside a service for searching"),
    ),
)
