"""The MCP server over standard input and output.

Source: Model Context Protocol, specification of 2025-06-18, sections "Tools" and "Transports: stdio".
"""

from __future__ import annotations

import base64
import logging
import os
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.types import ContentBlock, ImageContent, TextContent, Tool, ToolAnnotations
from pydantic import BaseModel, ValidationError

from crossmodal import __version__
from crossmodal.core.errors import CrossModalError, InputError
from serving.mcp.arguments import Filtered, SearchArguments, ShowArguments, SimilarArguments
from serving.mcp.tools import CollectionTools, ToolResult

log = logging.getLogger(__name__)

Content = tuple[list[ContentBlock], dict[str, Any]]


class _Entry(NamedTuple):
    title: str
    description: str
    arguments: type[BaseModel]
    call: Callable[[CollectionTools, Any], ToolResult]


TOOLS: dict[str, _Entry] = {
    "search": _Entry(
        "Search pictures",
        "Finds pictures of the user's collection by what they show, by date, place, camera, folder and tags. Results "
        "have an id for the other tools, and a relevance from 0 to 1.",
        SearchArguments,
        CollectionTools.search,
    ),
    "similar": _Entry(
        "Similar pictures",
        "Finds pictures that look like a picture of the collection, or like a file.",
        SimilarArguments,
        CollectionTools.similar,
    ),
    "show": _Entry(
        "Show a picture",
        "Returns a picture as an image, with its captions, its path and its tags.",
        ShowArguments,
        CollectionTools.show,
    ),
    "facets": _Entry(
        "Count pictures",
        "Counts pictures by year, country, place, camera, folder and label. Use it to learn what a collection has.",
        Filtered,
        CollectionTools.facets,
    ),
}


def make_server(tools: CollectionTools, name: str) -> Server[Any, Any]:
    """The server of the tools of a collection with this name. Calls are answered one by one, in a thread."""
    server: Server[Any, Any] = Server(
        "crossmodal",
        __version__,
        f"Searches the picture collection {name!r}, read-only: with words, or with a picture.",
    )
    one_by_one = anyio.CapacityLimiter(1)

    @server.list_tools()  # type: ignore[no-untyped-call, untyped-decorator]
    async def list_tools() -> list[Tool]:
        return [_tool(tool_name, entry) for tool_name, entry in TOOLS.items()]

    @server.call_tool()  # type: ignore[untyped-decorator]
    async def call_tool(tool_name: str, arguments: dict[str, Any]) -> Content:
        return await anyio.to_thread.run_sync(_called, tools, tool_name, arguments, limiter=one_by_one)

    return server


def serve(tools: CollectionTools, name: str) -> None:
    """Serves over standard input and output until the input ends."""

    async def run() -> None:
        server = make_server(tools, name)
        async with stdio_server(stdout=anyio.wrap_file(protocol)) as (reading, writing):
            await server.run(reading, writing, server.create_initialization_options())

    # Whatever a library prints goes to standard error: only the protocol may be in the output.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf8") as protocol:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        anyio.run(run)


def _tool(name: str, entry: _Entry) -> Tool:
    annotations = ToolAnnotations(
        title=entry.title, readOnlyHint=True, destructiveHint=False, idempotentHint=True, openWorldHint=False
    )
    schema = entry.arguments.model_json_schema()
    return Tool(
        name=name, title=entry.title, description=entry.description, inputSchema=schema, annotations=annotations
    )


def _called(tools: CollectionTools, name: str, arguments: dict[str, Any]) -> Content:
    """The content of an answer.

    Raises:
        InputError, StateError, RuntimeError: What the client gets as the error of the tool.
    """
    entry = TOOLS.get(name)
    if entry is None:
        raise InputError(f"there is no tool {name[:80]!r}: the tools are {', '.join(TOOLS)}")
    try:
        answer = entry.call(tools, entry.arguments.model_validate(arguments))
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise InputError("; ".join(faults)) from error
    except CrossModalError:
        raise
    except Exception as error:
        log.exception("the tool %s failed", name)
        raise RuntimeError(f"unexpected error ({type(error).__name__}); standard error has the details") from error
    content: list[ContentBlock] = [TextContent(type="text", text=answer.text)]
    if answer.jpeg is not None:
        data = base64.b64encode(answer.jpeg).decode()
        content.append(ImageContent(type="image", data=data, mimeType="image/jpeg"))
    return content, answer.values
