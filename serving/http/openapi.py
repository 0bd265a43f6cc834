"""The parts of the OpenAPI document that FastAPI can't derive from the routes."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from serving.http import legacy
from serving.http.schemas import ProblemAnswer, SearchRequest


def describe_bodies(app: FastAPI) -> None:
    """Adds the schemas that no route declares, because POST /search parses its body itself."""
    shapes: list[Any] = [(SearchRequest, "validation"), (legacy.Request, "validation")]
    shapes += [(shape, "serialization") for shape in (ProblemAnswer, legacy.Answer, legacy.Failure)]
    _, described = models_json_schema(shapes, ref_template="#/components/schemas/{model}")
    openapi = app.openapi

    def with_bodies() -> dict[str, Any]:
        document = openapi()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for name, schema in described["$defs"].items():
            schemas.setdefault(name, schema)
        search = document["paths"].get("/search", {}).get("post", {}).get("responses", {})
        for status, response in search.items():
            _add_legacy_answer(status, response["content"])
        return document

    app.openapi = with_bodies  # type: ignore[method-assign]


def _add_legacy_answer(status: str, content: dict[str, Any]) -> None:
    legacy_answer = {"$ref": f"#/components/schemas/{'Answer' if status == '200' else 'Failure'}"}
    typed = content.get("application/json", {}).get("schema")
    content["application/json"] = {
        "schema": {"anyOf": [typed, legacy_answer]} if typed and typed != legacy_answer else legacy_answer
    }
