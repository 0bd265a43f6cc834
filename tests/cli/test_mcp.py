"""`crossmodal mcp`, called by the reference client of the Model Context Protocol."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import jsonschema
import pytest
from conftest import ROOT, TOY
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import CallToolResult, ImageContent, TextContent, Tool
from PIL import Image

from crossmodal.store.sqlite import DocumentStore

PICTURE = TOY / "images" / "test-00005.jpg"
PICTURE_ID = hashlib.sha1(PICTURE.read_bytes(), usedforsecurity=False).hexdigest()
CAPTIONS = [
    (row["image"], row["caption"]) for row in csv.DictReader((TOY / "captions.txt").read_text("utf8").splitlines())
]
Call = tuple[str, dict[str, Any]]


def asked(workspace: Path, calls: Sequence[Call], *options: str) -> tuple[list[Tool], list[CallToolResult]]:
    """The tools of a server, and its answers to calls."""
    arguments = ["-m", "cli.main", "mcp", "-w", str(workspace), "--collection", "toy-data", *options]
    server = StdioServerParameters(command=sys.executable, args=arguments, cwd=ROOT)

    async def ask() -> tuple[list[Tool], list[CallToolResult]]:
        with anyio.fail_after(120):
            async with stdio_client(server) as (reading, writing), ClientSession(reading, writing) as session:
                await session.initialize()
                tools = (await session.list_tools()).tools
                return tools, [await session.call_tool(name, arguments) for name, arguments in calls]

    return anyio.run(ask)


def values_of(answer: CallToolResult) -> Any:
    assert not answer.isError, answer.content
    return answer.structuredContent


def text_of(answer: CallToolResult) -> str:
    assert isinstance(answer.content[0], TextContent)
    return answer.content[0].text


@pytest.fixture(scope="module")
def dated(toy_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy data, half of which was taken in 2020 in Oslo and half in 2021."""
    workspace = tmp_path_factory.mktemp("mcp") / "workspace"
    shutil.copytree(toy_workspace, workspace)
    with DocumentStore(workspace / "toy-data", writable=True) as store:
        pictures = sorted(store.by_keys(store.keys("image").tolist()).values(), key=lambda one: one.tags["filename"])
        oslo = {"place": "Oslo", "latitude": 59.9, "longitude": 10.7}
        store.update(
            (one.id, {"taken": f"202{n % 2}-07-01T12:00:{n % 60:02}"} | (oslo if n % 2 == 0 else {}))
            for n, one in enumerate(pictures)
        )
    return workspace


def test_tools_of_a_client(dated: Path) -> None:
    captions = CAPTIONS[::101]
    calls: list[Call] = [
        *(("search", {"text": caption, "top_k": 5}) for _, caption in captions),
        ("search", {"text": "a heart", "top_k": 3}),
        ("search", {"text": "a heart", "top_k": 3, "offset": 3}),
        ("search", {"text": "a heart", "after": "2021", "order": "newest", "top_k": 50}),
        ("search", {"near": "Oslo", "top_k": 2}),
        ("similar", {"path": str(PICTURE), "top_k": 2}),
        ("similar", {"id": PICTURE_ID, "top_k": 1}),
        ("show", {"id": PICTURE_ID, "side_px": 64}),
        ("show", {"id": PICTURE_ID, "side_px": 1024}),
        ("facets", {"after": "2021"}),
    ]
    tools, answers = asked(dated, calls)
    assert [tool.name for tool in tools] == ["search", "similar", "show", "facets"]
    assert all(tool.annotations is not None and tool.annotations.readOnlyHint for tool in tools)
    schemas = {tool.name: tool.inputSchema for tool in tools}
    for name, arguments in calls:
        jsonschema.validate(arguments, schemas[name])
    values = list(map(values_of, answers))

    found = [[one["filename"] for one in answer["results"]] for answer in values[: len(captions)]]
    n_right = sum(name in names for (name, _), names in zip(captions, found, strict=True))
    assert n_right >= 0.8 * len(captions)

    first, second, newest, near, by_path, by_id, thumbnail, whole, facets = values[len(captions) :]
    assert (first["next_offset"], len(first["results"])) == (3, 3)
    ids = [one["id"] for one in first["results"] + second["results"]]
    assert len(set(ids)) == 6
    assert "\n1. test-" in "\n" + text_of(answers[len(captions)])
    times = [one["taken"] for one in newest["results"]]
    assert times == sorted(times, reverse=True)
    assert all(time.startswith("2021") for time in times)
    assert [one["place"] for one in near["results"]] == ["Oslo", "Oslo"]
    assert by_path["results"][0]["id"] == PICTURE_ID
    assert by_id["results"][0]["filename"] == PICTURE.name
    assert whole["captions"] == [caption for name, caption in CAPTIONS if name == PICTURE.name]
    assert whole["path"] == str(PICTURE)
    for answer, largest in ((answers[-3], 256), (answers[-2], 1024)):
        picture = answer.content[1]
        assert isinstance(picture, ImageContent)
        with Image.open(io.BytesIO(base64.b64decode(picture.data))) as shown:
            assert max(shown.size) <= largest
            assert not shown.getexif()
    assert facets["facets"]["year"] == [{"value": "2021", "n": 100}]
    assert facets["n"] == 100
    assert thumbnail["tags"] == whole["tags"]


@pytest.mark.parametrize("hidden", [False, True])
def test_locations_can_be_hidden(dated: Path, hidden: bool) -> None:
    calls: list[Call] = [
        ("search", {"text": "a heart", "after": "2020", "before": "2021", "top_k": 1}),
        ("facets", {}),
        ("search", {"near": "Oslo"}),
        ("search", {"text": "a heart", "where": "tags.place = 'Oslo'"}),
    ]
    _, (search, facets, near, where) = asked(dated, calls, *(["--private-location"] if hidden else []))
    assert ("place" in values_of(search)["results"][0]) is not hidden
    assert ("place" in values_of(facets)["facets"]) is not hidden
    assert "Oslo" in text_of(near) or hidden
    for answer in (near, where):
        assert bool(answer.isError) is hidden
        assert ("is hidden here: remove `near`" in text_of(answer)) is hidden


def test_errors_name_the_next_step(toy_workspace: Path) -> None:
    faults = {
        "take an `id` from the results": ("show", {"id": "nothing"}),
        "like": ("search", {"text": "a", "where": "tags.year likes 3"}),
        "give either `id`": ("similar", {}),
        "/no/such/file.jpg": ("similar", {"path": "/no/such/file.jpg"}),
        "maximum of 50": ("search", {"text": "a", "top_k": 51}),
        "'words' was unexpected": ("search", {"words": "a"}),
        "the tools are search": ("delete", {}),
    }
    _, answers = asked(toy_workspace, list(faults.values()))
    for message, answer in zip(faults, answers, strict=True):
        assert answer.isError
        assert message in text_of(answer)


def test_the_missing_package_is_named(tmp_path: Path) -> None:
    hide = "import sys; sys.modules['mcp'] = None; sys.argv = ['crossmodal', 'mcp', '-w', sys.argv[1]]; import cli.main"
    command = [sys.executable, "-c", f"{hide}; cli.main.main()", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "requirements-mcp.txt" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
