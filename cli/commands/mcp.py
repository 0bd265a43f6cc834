"""crossmodal mcp."""

from __future__ import annotations

from dataclasses import dataclass

from cli.commands import Command
from cli.options import CollectionOptions, EncoderOptions
from cli.parameters import flag


@dataclass(frozen=True, kw_only=True)
class McpOptions(CollectionOptions, EncoderOptions):
    """Options of `mcp`."""

    private_location: bool = flag("--private-location", help="Do not show where pictures were taken.")


def run(options: McpOptions) -> int:
    """Serves until standard input ends."""
    from cli.mcp_server import check_installed, serve

    check_installed()
    serve(options.settings(), hides_location=options.private_location)
    return 0


COMMAND = Command(
    McpOptions,
    run,
    "Let AI assistants search a collection, over MCP.\n\n"
    "Serves the Model Context Protocol over standard input and output, read-only, with the tools search, similar, show "
    "and facets. A desktop client starts it by itself; docs/programs.md shows how. Needs the extra `mcp`.",
    (
        ("", "the only collection"),
        ("-d ~/Pictures", "the collection of a folder"),
        ("--collection pets --private-location", "without where the pictures were taken"),
    ),
)
