"""Search in the typed API: from the request to the query, through the Flow, to the answer."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from starlette.concurrency import run_in_threadpool

from crossmodal.collection.collection import Collection
from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.core.errors import InputError
from crossmodal.core.types import MODALITIES, Vectors
from crossmodal.search.combining import combined, part_weights
from crossmodal.search.encoding import joined_notes
from crossmodal.search.examples import ids_of, pictures_of, refined
from crossmodal.search.filters import Filters
from crossmodal.search.hydration import Picture
from crossmodal.search.overview import LatestOverview
from crossmodal.search.query import Page, Query, SearchOptions, read_query
from crossmodal.search.results import Match
from crossmodal.search.understanding import Understood
from crossmodal.store.protocol import Store
from crossmodal.store.where import all_of
from executors.page import read
from executors.schema import MediaDoc, to_array
from serving.http.errors import RefusedError
from serving.http.examples import example_docs, example_vectors, examples_in, name_of_example
from serving.http.legacy import words
from serving.http.schemas import Asked, OrderedByTime, Result, SearchAnswer, SearchRequest, Took, UnderstoodPart, Word
from serving.http.url_pictures import Fetched, picture_of
from serving.jina.flow_calls import FlowCalls

if TYPE_CHECKING:
    from serving.http.known_words import Words


class Opened(Protocol):
    """A generation of a collection, and its store."""

    collection: Collection
    store: Store
    overview: LatestOverview

    @property
    def words(self) -> Words | None:
        """The words of its pictures, None in a collection without words."""


def query_of(
    request: SearchRequest,
    picture: bytes | None,
    fetched: Fetched,
    collection: Collection,
    understood: Understood | None = None,
) -> Query:
    """The query of a request.

    Args:
        request: The request.
        picture: A picture that was sent as a file.
        fetched: The pictures that were given by URL.
        collection: The collection that is served.
        understood: What was understood of the text.

    Raises:
        InputError: An empty query, a picture that can't be read, an invalid condition or fusion, or the name of
            another collection.
    """
    if request.collection not in (None, collection.root.name):
        raise InputError(f"collection: {request.collection!r} is not served here, only {collection.root.name!r}")
    if request.image is not None:
        if picture is not None:
            raise InputError("image: given twice, as a file and as a data URI")
        picture = picture_of(request.image, "image", fetched)
    page = Page(request.top_k, request.offset, request.min_score, request.min_relevance, request.order)
    options = SearchOptions(
        page.n_candidates, request.target, condition_of(request, understood), request.fusion or "", page
    )
    has_captions = "text" in collection.model.modalities
    text, like = understood.text if understood else request.text or "", request.like or ""
    return read_query(
        text,
        request.exclude,
        picture,
        like,
        request.mix,
        options,
        has_captions=has_captions,
        likes=examples_in(request.likes, "likes", fetched),
        unlikes=examples_in(request.unlikes, "unlikes", fetched),
    )


def parts_of_text(understood: Understood | None) -> list[UnderstoodPart] | None:
    """The phrases that were understood, for the answer; None if that was not asked for."""
    return None if understood is None else [UnderstoodPart(**vars(part)) for part in understood.parts]


def condition_of(request: SearchRequest, understood: Understood | None) -> str:
    """The filters of a request and those that were understood, as one condition; empty without any.

    Raises:
        InputError: A filter is malformed.
    """
    return all_of(_filters(request).condition(), understood.condition() if understood else "")


def _filters(request: SearchRequest) -> Filters:
    return Filters(
        request.where or None,
        request.after,
        request.before,
        request.near,
        request.within_km,
        request.camera,
        request.folder,
    )


class Searcher:
    """Answers queries through a Flow."""

    def __init__(self, flow: FlowCalls, opened: GenerationCache[Any], part: str = "") -> None:
        """Takes what calls the Flow, the open collection, and the slice that is searched, empty for all."""
        self._flow = flow
        self._opened = opened
        self.part = part

    async def answer(self, request: SearchRequest, query: Query, understood: Understood | None = None) -> SearchAnswer:
        """The answer to a request and its query.

        Raises:
            InputError, StateError: The Flow refused the request.
            UnavailableError: An Executor does not respond in time.
            RefusedError: The document of `like` or of an example does not exist.
        """
        start = time.perf_counter()
        sent, encode_ms = await self._search_doc(query)
        options = query.options
        if query.unlikes:
            options = await run_in_threadpool(query.without_unliked, self._opened.named(sent.generation).store)
        (doc,) = await self._call_flow([sent], "/search", options.to_parameters())
        opened = self._opened.named(doc.generation)
        vectors: dict[str, Vectors] = {}
        page = read(doc.page)
        if request.vectors:
            vectors = await run_in_threadpool(opened.store.vectors_of, [match.document.id for match in page.matches])
        results = [result_of(match, vectors.get(match.document.id)) for match in page.matches]
        spent = doc.timings_ms
        took = Took(
            encode=round(encode_ms + spent.get("normalize", 0.0) + spent.get("encode", 0.0), 3),
            search=round(max((spent.get(f"search_{modality}", 0.0) for modality in MODALITIES), default=0.0), 3),
            rank=round(spent.get("rank", 0.0), 3),
            total=round((time.perf_counter() - start) * 1e3, 3),
        )
        return SearchAnswer(
            model=str(opened.collection.model),
            collection=opened.collection.root.name,
            took_ms=took,
            n=len(results),
            more=page.more,
            fits=page.fits,
            ordered=None if page.ordered is None else OrderedByTime(**vars(page.ordered)),
            understood=parts_of_text(understood),
            results=results,
            query=echo(request, query, doc.fusion),
            note=doc.note or None,
            slice=self.part or None,
        )

    async def encoded(self, docs: list[MediaDoc]) -> list[MediaDoc]:
        """The documents with their vectors and the generation whose model encoded them."""
        return await self._call_flow(docs, "/encode", {})

    async def _call_flow(self, docs: list[MediaDoc], endpoint: str, parameters: dict[str, Any]) -> list[MediaDoc]:
        answered = await self._flow(docs, endpoint, parameters)
        failed = [name_of_example(doc) + doc.error for doc in answered if doc.error]
        if failed:
            raise InputError("; ".join(failed))
        return answered

    async def _search_doc(self, query: Query) -> tuple[MediaDoc, float]:
        """The document for `/search`: the words or the picture, or the combined vector of all parts.

        Returns:
            The document, and the milliseconds spent on encoding the parts.
        """
        parts = _parts_of(query)
        if query.modality != "vector":
            return parts[0], 0.0
        encoded = await self.encoded(parts) if parts else []
        generation = encoded[0].generation if encoded else self._opened.current()[0]
        if any(doc.generation != generation for doc in encoded):
            raise RefusedError(503, "the collection has just changed to another model: try again")
        vectors = [np.asarray(doc.embedding, np.float32) for doc in encoded]
        n_parts = len(vectors) - len(pictures_of(query.likes + query.unlikes))
        vectors, examples = vectors[:n_parts], vectors[n_parts:]
        n_wanted = n_parts - len(query.avoided)
        wanted, avoided = vectors[:n_wanted], vectors[n_wanted:]
        if query.like:
            wanted.append(await run_in_threadpool(self._vector_of, query.like, generation))
        if query.has_examples:
            store = self._opened.named(generation).store
            liked, unliked = await run_in_threadpool(example_vectors, query, examples, store)
            words = wanted.pop(0) if query.text else None
            vector = refined(words, wanted + liked, unliked, avoided, query.mix)
        else:
            weights = part_weights(bool(query.text), len(wanted) - bool(query.text), query.mix)
            vector = combined(list(zip(wanted, weights, strict=True)), avoided)
        note = joined_notes([doc.note for doc in encoded])
        sent = MediaDoc(
            modality="vector", embedding=vector, generation=generation, text=query.text_with_avoided, note=note
        )
        return sent, _encode_ms(encoded)

    def _vector_of(self, document_id: str, generation: str) -> Vectors:
        vectors = self._opened.named(generation).store.vectors_of([document_id])
        if document_id not in vectors:
            raise RefusedError(404, f"like: there is no document {document_id[:80]!r}: it may have been removed")
        return np.asarray(vectors[document_id], np.float32)


def _parts_of(query: Query) -> list[MediaDoc]:
    """The parts to encode: the words, the picture, each of the words to avoid, then the pictures among the examples."""
    parts = [_text(query.text)] if query.text else []
    if query.picture is not None:
        parts.append(picture_doc(query.picture))
    parts += [_text(word) for word in query.avoided]
    return parts + example_docs(query)


def _text(text: str) -> MediaDoc:
    return MediaDoc(id=uuid.uuid4().hex, modality="text", text=text)


def picture_doc(content: bytes) -> MediaDoc:
    """A picture document to encode."""
    return MediaDoc(id=uuid.uuid4().hex, modality="image", content=to_array(content))


def _encode_ms(docs: list[MediaDoc]) -> float:
    """Milliseconds spent on encoding; documents of the same modality are encoded together."""
    spent_ms = sum(doc.timings_ms.get("normalize", 0.0) for doc in docs)
    for modality in MODALITIES:
        spent_ms += max((doc.timings_ms.get("encode", 0.0) for doc in docs if doc.modality == modality), default=0.0)
    return spent_ms


def result_of(match: Match, vector: Vectors | None) -> Result:
    """A match of a page in the answer, with its vector if that was asked for."""
    document, picture, is_fused = match.document, match.picture or Picture(), "fused" in match.scores
    return Result(
        id=document.id,
        modality=document.modality,
        score=match.score,
        scores={name: score for name, score in match.scores.items() if name != "fused"} if is_fused else None,
        why=[Word(**word) for word in words(match.why)] if is_fused else None,
        relevance=match.relevance,
        text=document.text,
        captions=list(picture.captions),
        image_id=picture.id,
        image=f"/images/{picture.id}" if picture.id else "",
        thumbnail=f"/thumbnails/{picture.id}" if picture.id else "",
        filename=str(document.tags.get("filename") or picture.filename),
        width=int(picture.width),
        height=int(picture.height),
        tags=document.tags,
        vector=None if vector is None else np.asarray(vector, float).tolist(),
    )


def echo(request: SearchRequest, query: Query, fusion: str) -> Asked:
    """The request as it was interpreted, for the answer."""
    is_mixed = bool(query.text) and (query.picture is not None or bool(query.like) or query.has_examples)
    return Asked(
        text=query.text or None,
        exclude=list(query.avoided),
        has_image=query.picture is not None,
        like=request.like,
        likes=list(ids_of(query.likes)) or None,
        unlikes=list(ids_of(query.unlikes)) or None,
        mix=query.mix if is_mixed else None,
        where=request.where or None,
        near=point.name or None if (point := _filters(request).point()) else None,
        order=None if request.order == "relevance" else request.order,
        target=query.options.target or "image",
        top_k=request.top_k,
        offset=request.offset,
        min_score=request.min_score,
        fusion=fusion or None,
        min_relevance=request.min_relevance,
    )
