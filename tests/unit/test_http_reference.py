"""docs/http-api.md is what the application serves, and its recorded examples have the shapes that it declares."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from serving.config import ServiceConfig
from serving.front.app import make_front
from serving.front.services import SliceServices
from serving.http.reference import EXAMPLES, openapi_document, reference

PAGE = Path(__file__).resolve().parents[2] / "docs" / "http-api.md"
RECORDED = json.loads(EXAMPLES.read_text("utf8"))


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi_document()


def test_the_page_is_up_to_date(document: dict[str, Any]) -> None:
    how = "run: .venv/bin/python -m serving.http.reference > docs/http-api.md"
    assert PAGE.read_text("utf8") == reference(document, RECORDED), how


def test_every_shape_that_is_linked_is_described(document: dict[str, Any]) -> None:
    page = reference(document, RECORDED)
    linked = {name.rpartition("/")[2] for name in json.dumps(document).split('"') if name.startswith("#/components/")}
    assert {name for name in linked if f"### {name}\n" not in page} == set()


def test_routes_are_listed_in_groups_searching_first(document: dict[str, Any]) -> None:
    groups = [operation["tags"] for item in document["paths"].values() for operation in item.values()]
    assert next(iter(document["paths"])) == "/search"
    assert [group for group, _ in groupby(groups)] == [[tag["name"]] for tag in document["tags"]]


def test_the_document_of_a_front_node() -> None:
    services = SliceServices(["http://a.test"])
    document = make_front(services, ServiceConfig()).openapi()
    search = document["paths"]["/search"]["post"]
    assert search["tags"] == ["Search"]
    assert list(search["requestBody"]["content"]) == ["application/json", "multipart/form-data"]
    named = {name.rpartition("/")[2] for name in json.dumps(document).split('"') if name.startswith("#/components/")}
    assert named <= set(document["components"]["schemas"])


@pytest.mark.parametrize("example", RECORDED, ids=lambda example: f"{example['method']} {example['path']}")
def test_an_example_has_the_declared_shape(document: dict[str, Any], example: dict[str, Any]) -> None:
    operation = document["paths"][example["path"]][example["method"].lower()]
    if "request" in example:
        validate(example["request"], operation["requestBody"]["content"]["application/json"], document)
    contents = operation["responses"][str(example["status"])]["content"]
    validate(example["answer"], next(iter(contents.values())), document)


def validate(value: Any, content: dict[str, Any], document: dict[str, Any]) -> None:
    jsonschema.validate(value, {**content.get("schema", {}), "components": document["components"]})
