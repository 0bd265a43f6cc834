"""The parts of the OpenAPI document that FastAPI can't derive from the routes."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from serving.http import legacy
from serving.http.schemas import ProblemAnswer, SearchRequest
from serving.middleware.access_policy import OPEN_PATHS

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


def complete(app: FastAPI, *, has_keys: bool, has_legacy: bool) -> None:
    """Adds what FastAPI can't derive from the routes, and orders and tags the paths by `GROUPS`; each must be in one.

    Args:
        app: The application; its document is made once, when it is first requested.
        has_keys: Whether requests must send a key, except for `OPEN_PATHS`.
        has_legacy: Whether POST /search also takes and answers the legacy shapes.
    """
    openapi = app.openapi
    group_of = {path: group for group, paths in GROUPS.items() for path in paths}
    order = list(group_of)

    def completed() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        document = openapi()
        _add_schemas(document, [(SearchRequest, "validation"), (ProblemAnswer, "serialization")])
        document["paths"] = {path: document["paths"][path] for path in sorted(document["paths"], key=order.index)}
        for path, operations in document["paths"].items():
            for operation in operations.values():
                operation["tags"] = [group_of[path]]
                if has_keys and path not in OPEN_PATHS:
                    operation["security"] = [{name: []} for name in KEY]
        if has_keys:
            document["components"]["securitySchemes"] = KEY
        if has_legacy:
            _add_legacy(document)
        return document

    app.openapi = completed  # type: ignore[method-assign]


def _add_legacy(document: dict[str, Any]) -> None:
    answers = [(shape, "serialization") for shape in (legacy.Answer, legacy.Failure)]
    _add_schemas(document, [(legacy.Request, "validation"), *answers])
    search = document["paths"].get("/search", {}).get("post", {}).get("responses", {})
    for status, response in search.items():
        _add_legacy_answer(status, response["content"])


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
