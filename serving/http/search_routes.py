"""POST /search and POST /encode of the typed API.

POST /search shares its path with the legacy shapes. A form with a file, or a JSON object with a field of
`SearchRequest` and without `data`, is typed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import numpy as np
from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.core.errors import InputError
from crossmodal.images.sources import to_data_uri
from crossmodal.search.examples import MAX_EXAMPLES
from executors.schema import MediaDoc
from serving.http import legacy
from serving.http.conditions import check_condition
from serving.http.errors import PROBLEMS, leave_to_legacy
from serving.http.examples import EXAMPLES
from serving.http.freshness import Freshness
from serving.http.openapi import search_body
from serving.http.schemas import EncodeAnswer, EncodeRequest, SearchAnswer, SearchRequest, Vector
from serving.http.search import Searcher, condition_of, picture_doc, query_of
from serving.http.understood import is_listing, listing, understood_of
from serving.http.url_pictures import UrlPictures, picture_of
from serving.middleware.private_location import hides_location

T = TypeVar("T", bound=BaseModel)
Legacy = Callable[[legacy.Request, Request], Awaitable[Response]]

_TYPED_FIELDS = set(SearchRequest.model_fields) - set(legacy.Request.model_fields)
_FORM = "multipart/form-data"


def add_search(
    router: APIRouter,
    searcher: Searcher,
    opened: GenerationCache[Any],
    urls: UrlPictures,
    legacy_search: Legacy,
    freshness: Freshness,
) -> None:
    """Adds POST /search; `legacy_search` answers requests in a legacy shape."""

    @router.post(
        "/search",
        summary="Find pictures and captions",
        response_model=SearchAnswer,
        response_model_exclude_none=True,
        responses=PROBLEMS,
        openapi_extra=search_body("SearchRequest", "Request"),
    )
    async def search(request: Request) -> Any:
        """Search by words, a picture, or both. A body with `data` is a legacy request, and gets a legacy answer."""
        typed, picture = await read_search(request)
        if isinstance(typed, legacy.Request):
            await freshness.admit(typed.parameters.after_seq if typed.parameters else None)
            return await legacy_search(typed, request)
        await freshness.admit(typed.after_seq)
        collection = opened.current()[1].collection
        async with urls.fetched(request, [typed.image, *typed.likes, *typed.unlikes]) as fetched:
            understood = await run_in_threadpool(
                understood_of, typed, opened, hides_location=hides_location(request.scope)
            )
            if understood is not None and is_listing(typed, picture, understood):
                check_condition(request, condition_of(typed, understood))
                return await run_in_threadpool(listing, typed, understood, opened, searcher.part)
            query = await run_in_threadpool(query_of, typed, picture, fetched, collection, understood)
            check_condition(request, query.options.where)
            return await searcher.answer(typed, query, understood)


async def read_search(request: Request) -> tuple[SearchRequest | legacy.Request, bytes | None]:
    """The search in the body of a request, in the typed or the legacy shape, and the picture that a form has as a file.

    Raises:
        InputError, RequestValidationError: It has neither shape.
    """
    if request.headers.get("content-type", "").lower().startswith(_FORM):
        return await _from_form(request)
    body = await _json_of(request)
    if _is_typed(body):
        return _validated(SearchRequest, body), None
    leave_to_legacy(request)
    return _validated(legacy.Request, body), None


def _is_typed(body: Any) -> bool:
    return isinstance(body, dict) and "data" not in body and not _TYPED_FIELDS.isdisjoint(body)


async def _json_of(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        leave_to_legacy(request)
        raise RequestValidationError(
            [{"type": "json_invalid", "loc": ("body",), "msg": f"not JSON: {error}"}]
        ) from error


async def _from_form(request: Request) -> tuple[SearchRequest, bytes | None]:
    """The fields of a form, and the file in `image`; files may also be examples, and are refused anywhere else."""
    fields: dict[str, Any] = {}
    picture = None
    async with request.form(max_files=1 + MAX_EXAMPLES, max_fields=50 + MAX_EXAMPLES) as form:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                if name in EXAMPLES:
                    fields.setdefault(name, []).append(to_data_uri(await value.read()))
                    continue
                if name != "image" or picture is not None:
                    raise InputError(f"{name[:80]}: send one file in `image`, and examples in `likes` and `unlikes`")
                picture = await value.read()
            elif name == "exclude" or name in EXAMPLES:
                fields.setdefault(name, []).append(value)
            elif name in fields:
                raise InputError(f"{name[:80]}: given twice")
            elif value != "":  # browsers also send the empty fields of a form
                fields[name] = value
    return _validated(SearchRequest, fields), picture


def _validated(shape: type[T], values: Any) -> T:
    try:
        return shape.model_validate(values)
    except ValidationError as error:
        faults = [{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors(include_url=False)]
        raise RequestValidationError(faults) from error


def add_encode(router: APIRouter, searcher: Searcher, opened: GenerationCache[Any], urls: UrlPictures) -> None:
    """Adds POST /encode."""

    @router.post("/encode", summary="Turn texts and pictures into vectors", responses=PROBLEMS)
    async def encode(request: Request, body: EncodeRequest) -> EncodeAnswer:
        """Unit vectors from the served model. Those of texts and of pictures can be compared."""
        start = time.perf_counter()
        if not body.texts and not body.images:
            raise InputError("nothing to encode: give `texts` or `images`")
        empty = [i for i, text in enumerate(body.texts) if not text.strip()]
        if empty:
            raise InputError(f"texts.{empty[0]}: the text is empty")
        docs = [MediaDoc(modality="text", text=text) for text in body.texts]
        async with urls.fetched(request, body.images) as fetched:
            for i, uri in enumerate(body.images):
                docs.append(picture_doc(picture_of(uri, f"images.{i}", fetched)))
            encoded = await searcher.encoded(docs)
        model = opened.named(encoded[0].generation).collection.model
        vectors = [
            Vector(modality="image" if doc.modality == "image" else "text", vector=_numbers(doc.embedding))
            for doc in encoded
        ]
        took_ms = round((time.perf_counter() - start) * 1e3, 3)
        return EncodeAnswer(model=str(model), dim=model.dim, took_ms=took_ms, vectors=vectors)


def _numbers(vector: Any) -> list[float]:
    numbers: list[float] = np.asarray(vector, float).tolist()
    return numbers
