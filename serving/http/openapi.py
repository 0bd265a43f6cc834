"""The parts of the OpenAPI document that FastAPI can't derive from the routes."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from serving.http import legacy
from serving.http.schemas import ProblemAnswer, SearchRequest

GROUPS = {
    "Search": ("/search", "/searches", "/searches/{name}"),
    "Documents": ("/documents/{document_id}", "/index", "/update", "/delete"),
    "Pictures": ("/images/{picture_id}", "/thumbnails/{picture_id}", "/download"),
    "Browse": ("/browse/sections", "/browse/pictures", "/browse/facets", "/captions/random", "/map", "/duplicates"),
    "Vectors": ("/encode", "/v1/embeddings", "/v1/models", "/v1/models/{model}"),
    "Service": ("/status", "/collections", "/models", "/healthz", "/readyz", "/metrics"),
    "Playground": ("/playground/data/index.json", "/playground/try"),
}
"""The paths of each group, in the order of the reference."""

KEY = {
    "X-API-Key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "Authorization": {"type": "http", "scheme": "bearer"},
}
"""The two headers in which a client can send its key."""


def search_body(*shapes: str) -> dict[str, Any]:
    """What FastAPI can't derive of POST /search, which parses its body itself: JSON of one of the shapes, or a form."""
    in_json = {"anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in shapes]}
    form = {"allOf": in_json["anyOf"][:1], "properties": {"image": {"type": "string", "format": "binary"}}}
    content = {"application/json": {"schema": in_json}, "multipart/form-data": {"schema": form}}
    return {"requestBody": {"required": True, "content": content}}


def complete(app: FastAPI, *, has_keys: bool) -> None:
    """Adds the schemas that no route declares and the headers of a key, and orders and tags the paths by `GROUPS`.

    Each path must have a group.
    """
    openapi = app.openapi
    group_of = {path: group for group, paths in GROUPS.items() for path in paths}
    order = list(group_of)

    def completed() -> dict[str, Any]:
        document = openapi()
        _add_schemas(document, [(SearchRequest, "validation"), (ProblemAnswer, "serialization")])
        if has_keys:
            document["components"]["securitySchemes"] = KEY
            document["security"] = [{name: []} for name in KEY]
        document["paths"] = {path: document["paths"][path] for path in sorted(document["paths"], key=order.index)}
        for path, operations in document["paths"].items():
            for operation in operations.values():
                operation["tags"] = [group_of[path]]
        return document

    app.openapi = completed  # type: ignore[method-assign]


def describe_legacy(app: FastAPI) -> None:
    """Adds the legacy shapes, with which POST /search also answers."""
    openapi = app.openapi

    def with_legacy() -> dict[str, Any]:
        document = openapi()
        answers = [(shape, "serialization") for shape in (legacy.Answer, legacy.Failure)]
        _add_schemas(document, [(legacy.Request, "validation"), *answers])
        search = document["paths"].get("/search", {}).get("post", {}).get("responses", {})
        for status, response in search.items():
            _add_legacy_answer(status, response["content"])
        return document

    app.openapi = with_legacy  # type: ignore[method-assign]


def _add_schemas(document: dict[str, Any], shapes: list[Any]) -> None:
    _, described = models_json_schema(shapes, ref_template="#/components/schemas/{model}")
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name, schema in described["$defs"].items():
        schemas.setdefault(name, schema)


def _add_legacy_answer(status: str, content: dict[str, Any]) -> None:
    legacy_answer = {"$ref": f"#/components/schemas/{'Answer' if status == '200' else 'Failure'}"}
    typed = content.get("application/json", {}).get("schema")
    content["application/json"] = {
        "schema": {"anyOf": [typed, legacy_answer]} if typed and typed != legacy_answer else legacy_answer
    }
