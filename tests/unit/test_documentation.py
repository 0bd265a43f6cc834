"""The documentation: its links lead somewhere, its commands parse, and its Python examples run."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import httpx
import numpy as np
import pytest

import crossmodal.client
from app import main

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "data" / "README.md", *sorted(DOCS.rglob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
FOLDERS = ("benchmarks", "cli", "crossmodal", "executors", "flows", "pods", "serving", "tests", "web")
MADE_LATER = {"crossmodal/encoders/colours.py", "pods/colours", "tests/unit/test_colours.py"}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"python app\.py(?:[^`\n\\]|\\\n|\\.)*")


def blocks(page: Path, language: str) -> list[str]:
    return [code for name, code in FENCE.findall(page.read_text("utf8")) if name == language]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text("utf8")), re.MULTILINE)
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {word.replace(" ", "-") for word in words}


def links(page: Path) -> Iterator[str]:
    return iter(re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text("utf8"))))


def commands(page: Path) -> Iterator[list[str]]:
    """The arguments of each `python app.py` of a page; TASK and `...` stand for others."""
    for line in COMMAND.findall(page.read_text("utf8")):
        arguments = shlex.split(line.replace("\\\n", " "), comments=True)[2:]
        if not {"TASK", "..."} & set(arguments):
            yield arguments


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_page_is_reached_from_the_index() -> None:
    reached, waiting = set(), [DOCS / "index.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached and page.exists():
            reached.add(page)
            waiting += [(page.parent / link.partition("#")[0]).resolve() for link in links(page) if ".md" in link]
    assert set(DOCS.rglob("*.md")) - reached == set()


def test_the_index_of_decisions_has_each() -> None:
    listed = (DOCS / "adr" / "index.md").read_text("utf8")
    assert [page.name for page in sorted((DOCS / "adr").glob("0*.md")) if f"]({page.name}) |" not in listed] == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_files_and_names_exist(page: Path) -> None:
    text = page.read_text("utf8")
    if "adr" in page.parts:
        return  # they describe the time when they were written
    files = set(re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]+)`", text)) - MADE_LATER
    assert [file for file in files if not (ROOT / file).exists()] == []
    named = re.findall(r"`(\w+)`\s+in\s+`([\w./]+\.py)`", text)
    assert [name for name, file in named if not re.search(rf"\b{name}\b", (ROOT / file).read_text("utf8"))] == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_are_parsed(page: Path) -> None:
    refused = []
    for arguments in commands(page):
        try:
            main.make_context("app.py", list(arguments))
        except click.exceptions.Exit:  # -h
            pass
        except click.ClickException as error:
            refused.append((" ".join(arguments), error.format_message()))
    assert refused == []


def test_figures_name_commands_that_exist() -> None:
    text = (ROOT / "README.md").read_text("utf8")
    assert text.count("\n") < 150
    scripts = set(re.findall(r"benchmarks/\w+\.py", text))
    assert scripts
    assert [script for script in scripts if not (ROOT / script).exists()] == []
    makefile = (ROOT / "Makefile").read_text("utf8")
    targets = set(re.findall(r"`make ([\w-]+)`", text))
    assert [target for target in targets if f"\n{target}:" not in makefile] == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_python_examples_import_what_exists(page: Path) -> None:
    for code in blocks(page, "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    import_module(alias.name)
            elif isinstance(node, ast.ImportFrom):
                module = import_module(node.module or "")
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


RECORDED = json.loads((DOCS / "http-api-examples.json").read_text("utf8"))


def answer(request: httpx.Request) -> httpx.Response:
    """The recorded answer to a request of the same route; that of a malformed `where` is a refusal."""
    path = "/documents/{document_id}" if request.url.path.startswith("/documents/") else request.url.path
    is_refused = b'"tags.year ="' in request.content
    for example in RECORDED:
        if (example["method"], example["path"]) == (request.method, path) and (example["status"] == 422) == is_refused:
            return httpx.Response(example["status"], json=example["answer"])
    return httpx.Response(404)


CLIENT_EXAMPLES = [code for code in blocks(DOCS / "python-client.md", "python") if "Client" in code]
"""The others search without a service: tests/cli/test_query.py."""


@pytest.mark.parametrize("code", CLIENT_EXAMPLES, ids=range(len(CLIENT_EXAMPLES)))
def test_the_examples_of_the_client_run(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[httpx.Request] = []

    def recorded(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return answer(request)

    transport = httpx.MockTransport(recorded)
    for name in ("Client", "AsyncClient"):
        given = partial(getattr(crossmodal.client, name), transport=transport)
        monkeypatch.setattr(crossmodal, name, given, raising=False)
    (tmp_path / "photo.jpg").write_bytes(b"jpeg")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": os.fspath(tmp_path)}
    exec(compile(code, "docs/python-client.md", "exec"), names)
    assert requests


def test_the_example_of_a_model_family_encodes() -> None:
    (code,) = blocks(DOCS / "add-a-model-family.md", "python")
    family: dict[str, Any] = {"__name__": "colours"}
    exec(compile(code, "docs/add-a-model-family.md", "exec"), family)
    spec = family["resolve"]("grid")
    assert spec == family["resolve"]("grid")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    vectors = family["load"](spec).encode_images(pixels)
    assert vectors.shape == (3, spec.dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(family["load"](spec).encode_images(pixels[1:2]), vectors[1:2])


def test_the_example_of_a_data_set_reads_the_toy_data(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks(DOCS / "add-a-data-set.md", "python")
    exec(compile(code, "docs/add-a-data-set.md", "exec"), {"__name__": "example"})
    assert len(capsys.readouterr().out.splitlines()) == 150
