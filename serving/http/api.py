"""The typed API: one search, one shape of answer, and problems (RFC 9457) for errors.

It shares POST /search with the legacy shapes, which are told by their `data`. A form with a file, or a JSON object
with a field of `SearchRequest` and without `data`, is typed.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from pydantic.json_schema import models_json_schema
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.core.errors import InputError, StateError
from crossmodal.core.settings import OtherService
from crossmodal.core.types import MODALITIES, Document
from crossmodal.encoders.registry import IMAGE_ONLY
from executors.schema import MediaDoc
from serving.http import legacy
from serving.http.browsing import add_browsing
from serving.http.errors import PROBLEMS, ProblemRoute, RefusedError, leave_to_legacy
from serving.http.metrics import CONTENT_TYPE, CountRequests, Metrics
from serving.http.schemas import (
    Caption,
    CollectionInfo,
    CollectionsAnswer,
    EncodeAnswer,
    EncodeRequest,
    ModelInfo,
    ModelsAnswer,
    OtherCollection,
    ProblemAnswer,
    ReadyAnswer,
    SearchAnswer,
    SearchRequest,
    StoredDocument,
    Vector,
)
from serving.http.search import Opened, Searcher, picture_doc, picture_of, query_of
from serving.http.url_pictures import UrlPictures
from serving.jina.flow_calls import FlowCalls

T = TypeVar("T", bound=BaseModel)
Legacy = Callable[[legacy.Request, Request], Awaitable[Response]]

READY_TIMEOUT_S = 10.0
READY_HOLDS_S = 1.0
N_EXAMPLES = 3
_TYPED_FIELDS = set(SearchRequest.model_fields) - set(legacy.Request.model_fields)
_FORM = "multipart/form-data"


def add_api_routes(
    app: FastAPI,
    flow: FlowCalls,
    opened: GenerationCache[Any],
    metrics: Metrics,
    urls: UrlPictures,
    legacy_search: Legacy | None = None,
    others: Sequence[OtherService] = (),
) -> None:
    """Adds the typed API to the application.

    Args:
        app: The application.
        flow: The way into the Flow, a `MeteredCalls` so that the metrics know of it.
        opened: The generations of the collection; what is held has a `collection` and a `store`.
        metrics: What GET /metrics tells.
        urls: Fetches pictures that are named by URL.
        legacy_search: Answers what comes to POST /search in a legacy shape; None for a Flow that doesn't search.
        others: Services of other collections.
    """
    router = APIRouter(route_class=ProblemRoute)
    searcher = Searcher(flow, opened)
    _add_encode(router, searcher, opened, urls)
    _add_what_is_here(router, opened, others)
    add_browsing(router, opened)
    if legacy_search is not None:
        _add_search(router, searcher, opened, urls, legacy_search)
        _add_ready(router, flow, searcher, opened)
    _add_metrics(router, opened, metrics)
    app.include_router(router)
    _describe_bodies(app)


def add_counting(app: FastAPI, metrics: Metrics) -> None:
    """Counts the requests; to be called after all other middleware are there, so that it stands before them."""
    app.add_middleware(CountRequests, metrics=metrics)


# -- POST /search


def _add_search(
    router: APIRouter, searcher: Searcher, opened: GenerationCache[Any], urls: UrlPictures, legacy_search: Legacy
) -> None:
    shapes = [{"$ref": f"#/components/schemas/{name}"} for name in ("SearchRequest", "Request")]
    form = {"allOf": [shapes[0]], "properties": {"image": {"type": "string", "format": "binary"}}}
    body = {
        "required": True,
        "content": {"application/json": {"schema": {"anyOf": shapes}}, _FORM: {"schema": form}},
    }

    @router.post(
        "/search",
        summary="Find pictures and captions",
        response_model=SearchAnswer,
        response_model_exclude_none=True,
        responses=PROBLEMS,
        openapi_extra={"requestBody": body},
    )
    async def search(request: Request) -> Any:
        """By words, a picture, or both. With `data` in the body it is the legacy search, with its own answers."""
        if request.headers.get("content-type", "").lower().startswith(_FORM):
            asked, picture = await _from_form(request)
        else:
            told = await _json_of(request)
            if not _is_typed(told):
                leave_to_legacy(request)
                return await legacy_search(_validated(legacy.Request, told), request)
            asked, picture = _validated(SearchRequest, told), None
        collection = opened.current()[1].collection
        async with urls.fetched(request, [asked.image]) as fetched:
            return await searcher.answer(await run_in_threadpool(query_of, asked, picture, fetched, collection))


def _is_typed(told: Any) -> bool:
    return isinstance(told, dict) and "data" not in told and not _TYPED_FIELDS.isdisjoint(told)


async def _json_of(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        leave_to_legacy(request)
        raise RequestValidationError(
            [{"type": "json_invalid", "loc": ("body",), "msg": f"no JSON: {error}"}]
        ) from error


async def _from_form(request: Request) -> tuple[SearchRequest, bytes | None]:
    """The fields of a form, and the file in `image`; a file anywhere else is refused."""
    fields: dict[str, Any] = {}
    picture = None
    async with request.form(max_files=1, max_fields=50) as form:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                if name != "image":
                    raise InputError(f"{name[:80]}: the field of the file is `image`")
                picture = await value.read()
            elif name == "exclude":
                fields.setdefault(name, []).append(value)
            elif name in fields:
                raise InputError(f"{name[:80]}: it came twice")
            elif value != "":  # a field of a form that was left empty
                fields[name] = value
    return _validated(SearchRequest, fields), picture


def _validated(shape: type[T], told: Any) -> T:
    try:
        return shape.model_validate(told)
    except ValidationError as error:
        faults = [{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors(include_url=False)]
        raise RequestValidationError(faults) from error


# -- POST /encode


def _add_encode(router: APIRouter, searcher: Searcher, opened: GenerationCache[Any], urls: UrlPictures) -> None:
    @router.post("/encode", summary="Turn texts and pictures into vectors", responses=PROBLEMS)
    async def encode(request: Request, asked: EncodeRequest) -> EncodeAnswer:
        """Unit vectors of the model that is served; those of texts and of pictures can be compared."""
        start = time.perf_counter()
        if not asked.texts and not asked.images:
            raise InputError("nothing to encode: give `texts` or `images`")
        empty = [place for place, text in enumerate(asked.texts) if not text.strip()]
        if empty:
            raise InputError(f"texts.{empty[0]}: the text is empty")
        docs = [MediaDoc(modality="text", text=text) for text in asked.texts]
        async with urls.fetched(request, asked.images) as fetched:
            for place, uri in enumerate(asked.images):
                docs.append(picture_doc(picture_of(uri, f"images.{place}", fetched)))
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


# -- what is here


def _add_what_is_here(router: APIRouter, opened: GenerationCache[Any], others: Sequence[OtherService]) -> None:
    @router.get("/documents/{document_id}", summary="A document with its captions", responses=PROBLEMS)
    def document(document_id: str) -> StoredDocument:
        now = opened.current()[1]
        found = now.store.document(document_id)
        if found is None:
            raise RefusedError(404, f"no document {document_id[:80]}")
        if found.modality != "image":
            return _stored(found, [])
        told = _stored(found, now.store.captions_of(found.id))
        told.words = now.words.of_picture(found.id) if now.words else None
        return told

    elsewhere = [OtherCollection(name=other.name, url=other.url) for other in others]

    @router.get("/collections", summary="The collection that is served, and where others are")
    def collections() -> CollectionsAnswer:
        generation, now = opened.current()
        return CollectionsAnswer(collections=[_collection_info(generation, now)], elsewhere=elsewhere)

    @router.get("/models", summary="The model that is served")
    def models() -> ModelsAnswer:
        model = opened.current()[1].collection.model
        info = ModelInfo(
            name=str(model),
            family=model.family,
            weights=model.weights,
            weights_hash=model.weights_hash,
            dim=model.dim,
            size_px=model.preprocessing.size_px,
            modalities=["image"] if model.family in IMAGE_ONLY else list(MODALITIES),
        )
        return ModelsAnswer(models=[info])


def _stored(found: Document, captions: list[Document]) -> StoredDocument:
    picture = found.id if found.modality == "image" else found.image_id
    return StoredDocument(
        id=found.id,
        modality=found.modality,
        text=found.text,
        mime_type=found.mime_type,
        width=found.width,
        height=found.height,
        image_id=found.image_id,
        image=f"/images/{picture}" if picture else None,
        thumbnail=f"/thumbnails/{picture}" if picture else None,
        filename=str(found.tags.get("filename") or ""),
        tags=found.tags,
        captions=[Caption(id=caption.id, text=caption.text, tags=caption.tags) for caption in captions],
    )


def _collection_info(generation: str, now: Opened) -> CollectionInfo:
    counts = now.store.counts()
    firsts = [new.document for _, new in now.store.everything(0, N_EXAMPLES)]
    captions = [[caption.text for caption in now.store.captions_of(picture.id)] for picture in firsts]
    return CollectionInfo(
        name=now.collection.root.name,
        model=str(now.collection.model),
        dim=now.collection.model.dim,
        images=counts["image"],
        captions=counts["text"],
        generation=generation or "first",
        examples=[min(texts, key=len) for texts in captions if texts],
        fusion=now.words.fusion if now.words else None,
    )


# -- GET /readyz and /metrics


def _add_ready(router: APIRouter, flow: FlowCalls, searcher: Searcher, opened: GenerationCache[Any]) -> None:
    async def probed() -> ReadyAnswer:
        start = time.perf_counter()
        now = opened.current()[1]
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                (encoded,) = await searcher.encoded([_probe(now)])
                sent = MediaDoc(modality="vector", embedding=encoded.embedding, generation=encoded.generation)
                (found,) = await flow([sent], "/search", {"top_k": 1, "target": "image"})
        except TimeoutError as error:
            raise StateError(f"no answer within {READY_TIMEOUT_S:.0f} s") from error
        except (InputError, RuntimeError) as error:
            raise StateError(f"the probe failed: {error}") from error
        if found.error or (not found.matches and now.store.counts()["image"]):
            raise StateError(f"the probe found nothing: {found.error or 'no matches'}")
        return ReadyAnswer(status="ready", took_ms=round((time.perf_counter() - start) * 1e3, 3))

    latest: tuple[float, asyncio.Task[ReadyAnswer]] | None = None

    @router.get("/readyz", summary="Whether an encoding and a search go well now", responses={503: PROBLEMS[503]})
    async def ready() -> ReadyAnswer:
        """Encodes a text, or a picture where the model knows no texts, and searches with the vector.

        Who asks within a second of another gets the same answer: no key is needed here, and a search costs.
        """
        nonlocal latest
        now = time.monotonic()
        if latest is None or now - latest[0] > READY_HOLDS_S:
            latest = now, asyncio.create_task(probed())
        return await asyncio.shield(latest[1])


def _probe(now: Opened) -> MediaDoc:
    if now.collection.model.family not in IMAGE_ONLY:
        return MediaDoc(modality="text", text="ready")
    return picture_doc(GREY_PNG)


def _add_metrics(router: APIRouter, opened: GenerationCache[Any], metrics: Metrics) -> None:
    for modality in MODALITIES:
        metrics.watch(f"{modality}_documents", f"Documents of the modality {modality}", _count(opened, modality))

    @router.get(
        "/metrics",
        summary="Figures for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def figures() -> Response:
        return Response(await run_in_threadpool(metrics.text), headers={"Content-Type": CONTENT_TYPE})


def _count(opened: GenerationCache[Any], modality: str) -> Callable[[], float]:
    return lambda: float(opened.current()[1].store.counts()[modality])


# -- the OpenAPI document


def _describe_bodies(app: FastAPI) -> None:
    """Adds the shapes that no route declares by itself, since POST /search reads its body by hand."""
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
            _answers_old_clients_too(status, response["content"])
        return document

    app.openapi = with_bodies  # type: ignore[method-assign]


def _answers_old_clients_too(status: str, content: dict[str, Any]) -> None:
    old = {"$ref": f"#/components/schemas/{'Answer' if status == '200' else 'Failure'}"}
    typed = content.get("application/json", {}).get("schema")
    content["application/json"] = {"schema": {"anyOf": [typed, old]} if typed and typed != old else old}


GREY_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000008000000080800000000e164e1570000001049444154789c636c60800026068a18002608"
    "00905d30a51e0000000049454e44ae426082"
)
"""8 x 8 pixels, for asking whether the encoders answer."""
