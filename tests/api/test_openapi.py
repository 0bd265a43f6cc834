"""What the OpenAPI document says holds: requests made from it, sound and unsound, against a real service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from conftest import Service, writable_copy
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def writable(toy_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with writable_copy(toy_workspace, tmp_path_factory.mktemp("w")) as service:
        yield service


OPERATIONS = [
    ("POST", "/search"), ("POST", "/encode"), ("POST", "/index"), ("POST", "/update"), ("POST", "/delete"),
    ("GET", "/documents/{document_id}"), ("DELETE", "/documents/{document_id}"), ("GET", "/images/{picture_id}"),
    ("GET", "/thumbnails/{picture_id}"), ("GET", "/collections"), ("GET", "/models"), ("GET", "/status"),
    ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics"), ("GET", "/map"), ("GET", "/captions/random"),
    ("GET", "/browse/sections"), ("GET", "/browse/pictures"), ("GET", "/browse/facets"), ("GET", "/duplicates"),
    ("POST", "/v1/embeddings"), ("GET", "/v1/models"), ("GET", "/v1/models/{model}"), ("POST", "/download"),
    ("GET", "/searches"), ("PUT", "/searches/{name}"), ("DELETE", "/searches/{name}"),
    ("GET", "/playground/data/index.json"), ("POST", "/playground/try"),
]  # fmt: skip


@pytest.fixture(scope="module")
def described(writable: Service) -> Any:
    return schemathesis.openapi.from_url(writable.url + "/openapi.json")


def test_all_operations_are_tried(described: Any) -> None:
    found = [(one.ok().method.upper(), one.ok().path) for one in described.get_all_operations()]
    assert sorted(found) == sorted(OPERATIONS)


SOUND, UNSOUND = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE
TRIED = [(SOUND, *operation) for operation in OPERATIONS] + [
    (UNSOUND, *operation) for operation in OPERATIONS if operation[0] in ("POST", "PUT")
]


@pytest.mark.parametrize(("mode", "method", "path"), TRIED)
def test_answers_are_as_described(described: Any, mode: schemathesis.GenerationMode, method: str, path: str) -> None:
    @settings(max_examples=20, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=described[path][method].as_strategy(generation_mode=mode))
    def try_it(case: schemathesis.Case) -> None:
        wait_for_no_commit(case.body)
        case.validate_response(case.call(timeout=30), checks=CHECKS)

    try_it()


def wait_for_no_commit(body: Any) -> None:
    """Lets a search wait for the first commit at most, since 503 is the right answer for one that never comes."""
    for part in (body, body.get("parameters")) if isinstance(body, dict) else ():
        if isinstance(part, dict) and type(part.get("after_seq")) is int:
            part["after_seq"] = min(part["after_seq"], 1)
