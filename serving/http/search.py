"""A search of the typed API: what is asked, on its way through the Flow, and what comes back."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from starlette.concurrency import run_in_threadpool

from crossmodal.collection.collection import Collection
from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.core.errors import InputError, PictureError
from crossmodal.core.types import MODALITIES, Document, Modality, Vectors
from crossmodal.encoders.registry import IMAGE_ONLY
from crossmodal.images.sources import from_data_uri, is_data_uri
from crossmodal.relevance.rules import fits
from crossmodal.search.combining import combined, without_avoided
from crossmodal.search.fusion import fusion_of_parts
from crossmodal.store.sqlite import DocumentStore
from crossmodal.store.where import parse
from executors.schema import MatchDoc, MediaDoc, joined_notes, score_of, to_array
from serving.http.errors import RefusedError
from serving.http.legacy import words
from serving.http.schemas import MAX_AVOIDED, Asked, Result, SearchAnswer, SearchRequest, Took, Word
from serving.http.url_pictures import Fetched
from serving.jina.flow_calls import FlowCalls

if TYPE_CHECKING:
    from serving.http.known_words import Words

Target = Literal["image", "text", "both"]


class Opened(Protocol):
    """A generation of a collection, and its store."""

    collection: Collection
    store: DocumentStore

    @property
    def words(self) -> Words | None:
        """What is known of its words, where it has any."""


@dataclass(frozen=True)
class Query:
    """A request that has been read and found sound."""

    asked: SearchRequest
    text: str
    avoided: list[str]
    picture: bytes | None
    target: Target

    @property
    def has_one_part(self) -> bool:
        """Whether it is words for pictures, or a picture, and nothing else, and so needs one way through the Flow.

        Words go to the pictures only there; for captions they are encoded first, and asked for as a vector.
        """
        is_one = (bool(self.text) + (self.picture is not None) == 1) and not self.asked.like and not self.avoided
        return is_one and (not self.text or self.target == "image")


def query_of(asked: SearchRequest, picture: bytes | None, fetched: Fetched, collection: Collection) -> Query:
    """Reads a request.

    Args:
        asked: The request.
        picture: A picture that came as a file.
        fetched: A picture that was named by URL.
        collection: What is served.

    Raises:
        InputError: Nothing to look for, a picture that is named and not sent, a condition or a fusion that is
            none, or another collection.
    """
    if asked.collection not in (None, collection.root.name):
        raise InputError(f"collection: {asked.collection!r} is not served here, {collection.root.name!r} is")
    if asked.where:
        try:
            parse(asked.where)
        except InputError as error:
            raise InputError(f"where: {error}") from error
    if asked.fusion:
        fusion_of_parts(asked.fusion)
    if asked.image is not None:
        if picture is not None:
            raise InputError("image: it came twice, as a file and as a data URI")
        picture = picture_of(asked.image, "image", fetched)
    text, avoided = without_avoided(asked.text or "")
    avoided = list(dict.fromkeys([*avoided, *(word.strip() for word in asked.exclude if word.strip())]))
    if len(avoided) > MAX_AVOIDED:
        raise InputError(f"exclude: {len(avoided)} words to avoid, at most {MAX_AVOIDED} are taken")
    if not text and picture is None and not asked.like:
        found = "only words to avoid" if avoided else "nothing to look for"
        raise InputError(f"{found}: give `text`, `image` or `like`")
    is_picture_alone = not text and (picture is not None or asked.like) and not avoided
    knows_captions = collection.model.family not in IMAGE_ONLY
    default: Target = "both" if is_picture_alone and knows_captions else "image"
    return Query(asked, text, avoided, picture, asked.target or default)


def picture_of(uri: str, field: str, fetched: Fetched) -> bytes:
    """The bytes of a picture that is sent as a data URI, or was fetched.

    Raises:
        InputError: A path, which is not read, a URL that could not be fetched, or a damaged data URI.
    """
    if uri in fetched:
        found = fetched[uri]
        if isinstance(found, PictureError):
            raise InputError(f"{field}: {found}") from found
        return found
    if not is_data_uri(uri):
        raise InputError(f"{field}: {uri[:80]!r} is not read: send the picture itself, as data:image/...;base64,...")
    try:
        return from_data_uri(uri)
    except InputError as error:
        raise InputError(f"{field}: {error}") from error


class Searcher:
    """Answers queries through a Flow."""

    def __init__(self, flow: FlowCalls, opened: GenerationCache[Any]) -> None:
        self._flow = flow
        self._opened = opened

    async def answer(self, query: Query) -> SearchAnswer:
        """What is found.

        Raises:
            InputError, StateError, InternalNetworkError: As the Flow says; or `min_relevance` of what has none.
            RefusedError: There is no document to be similar to.
        """
        start = time.perf_counter()
        asked = query.asked
        sent, encode_ms = await self._sent(query)
        parameters = {
            "top_k": asked.offset + asked.top_k + 1,  # one more shows whether there are others
            "target": query.target,
            "where": asked.where or "",
        }
        if asked.fusion:
            parameters["fusion"] = asked.fusion
        (doc,) = await self._through([sent], "/search", parameters)
        opened = self._opened.named(doc.generation)
        fitting = fits([match.scores.get("relevance") for match in doc.matches], asked.min_relevance)
        kept, more = _page(list(doc.matches), asked)
        results = await run_in_threadpool(results_of, kept, opened.store, asked.vectors)
        spent = doc.timings_ms
        took = Took(
            encode=round(encode_ms + spent.get("normalize", 0.0) + spent.get("encode", 0.0), 3),
            search=round(max((spent.get(f"search_{modality}", 0.0) for modality in MODALITIES), default=0.0), 3),
            rank=round(spent.get("rank", 0.0), 3),
            total=round((time.perf_counter() - start) * 1e3, 3),
        )
        model, name = opened.collection.model, opened.collection.root.name
        return SearchAnswer(
            model=str(model), collection=name, took_ms=took, n=len(results), more=more, fits=fitting, results=results,
            query=_told(query, doc.fusion), note=doc.note or None,
        )  # fmt: skip

    async def encoded(self, docs: list[MediaDoc]) -> list[MediaDoc]:
        """The documents with their vectors and the generation whose model made these."""
        return await self._through(docs, "/encode", {})

    async def _through(self, docs: list[MediaDoc], endpoint: str, parameters: dict[str, Any]) -> list[MediaDoc]:
        answered = await self._flow(docs, endpoint, parameters)
        failed = [doc.error for doc in answered if doc.error]
        if failed:
            raise InputError("; ".join(failed))
        return answered

    async def _sent(self, query: Query) -> tuple[MediaDoc, float]:
        """What goes to `/search`: the words or the picture as they are, or the vector of all parts together.

        Returns:
            It, and the milliseconds that encoding parts has taken beforehand.
        """
        parts = parts_of(query)
        if query.has_one_part:
            return parts[0], 0.0
        encoded = await self.encoded(parts) if parts else []
        generation = encoded[0].generation if encoded else self._opened.current()[0]
        if any(doc.generation != generation for doc in encoded):
            raise RefusedError(503, "the collection has just gone over to another model: try again")
        vectors = [np.asarray(doc.embedding, np.float32) for doc in encoded]
        n_wanted = len(vectors) - len(query.avoided)
        weights = _weights(query)
        wanted = list(zip(vectors[:n_wanted], weights, strict=False))
        if query.asked.like:
            wanted.append((self._vector_of(query.asked.like, generation), weights[-1]))
        vector = combined(wanted, vectors[n_wanted:])
        spent_ms = sum(doc.timings_ms.get("normalize", 0.0) for doc in encoded)
        for modality in MODALITIES:  # those of one modality are encoded together
            spent_ms += max((d.timings_ms.get("encode", 0.0) for d in encoded if d.modality == modality), default=0.0)
        words = " ".join([query.text, *(f"-{word}" for phrase in query.avoided for word in phrase.split())])
        text = words if query.text else ""  # a search by words needs it
        note = joined_notes(doc.note for doc in encoded)
        return MediaDoc(modality="vector", embedding=vector, generation=generation, text=text, note=note), spent_ms

    def _vector_of(self, document_id: str, generation: str) -> Vectors:
        found = self._opened.named(generation).store.vectors_of([document_id])
        if document_id not in found:
            raise RefusedError(404, f"like: there is no document {document_id[:80]!r}")
        return np.asarray(found[document_id], np.float32)


def parts_of(query: Query) -> list[MediaDoc]:
    """What has to be encoded: the words, the picture, and then each of the words to avoid."""
    parts = [_text(query.text)] if query.text else []
    if query.picture is not None:
        parts.append(picture_doc(query.picture))
    return parts + [_text(word) for word in query.avoided]


def _text(text: str) -> MediaDoc:
    return MediaDoc(id=uuid.uuid4().hex, modality="text", text=text)


def picture_doc(content: bytes) -> MediaDoc:
    """A picture on its way to the encoder."""
    return MediaDoc(id=uuid.uuid4().hex, modality="image", content=to_array(content))


def _weights(query: Query) -> list[float]:
    """The weights of the words, the picture and the similar document, of those that there are.

    With words, `mix` is the share of all pictures together.
    """
    pictures = (query.picture is not None) + bool(query.asked.like)
    if not query.text:
        return [1.0] * pictures
    if not pictures:
        return [1.0]
    return [1 - query.asked.mix] + [query.asked.mix / pictures] * pictures


def _page(matches: list[MatchDoc], asked: SearchRequest) -> tuple[list[MatchDoc], bool]:
    """The matches of each modality that are asked for, and whether there are more of either."""
    kept: list[MatchDoc] = []
    more = False
    for modality in MODALITIES:
        same = [match for match in matches if match.modality == modality]
        if asked.min_score is not None:
            same = [match for match in same if score_of(match) >= asked.min_score]
        if asked.min_relevance is not None:
            same = [match for match in same if match.scores["relevance"] >= asked.min_relevance]
        end = asked.offset + asked.top_k
        kept += same[asked.offset : end]
        more = more or len(same) > end
    return kept, more


def results_of(matches: list[MatchDoc], store: DocumentStore, with_vectors: bool) -> list[Result]:
    """The matches with what the store knows about their pictures."""
    of_caption = {match.image_id for match in matches if match.modality == "text" and match.image_id}
    pictures = store.known(of_caption)
    vectors = store.vectors_of(match.id for match in matches) if with_vectors else {}
    captions: dict[str, list[str]] = {}
    results = []
    for match in matches:
        own = match.id if match.modality == "image" else match.image_id
        if own not in captions:
            captions[own] = [caption.text for caption in store.captions_of(own)]
        picture = match if match.modality == "image" else pictures.get(own)
        results.append(_result(match, picture, captions[own], vectors.get(match.id)))
    return results


def _result(
    match: MatchDoc, picture: MatchDoc | Document | None, captions: list[str], vector: Vectors | None
) -> Result:
    modality: Modality = "image" if match.modality == "image" else "text"
    own = "" if picture is None else str(picture.id)
    return Result(
        id=match.id,
        modality=modality,
        score=score_of(match),
        scores=_of_parts(match) if "fused" in match.scores else None,
        why=[Word(**word) for word in words(match.why)] if "fused" in match.scores else None,
        relevance=match.scores.get("relevance"),
        text=match.text,
        captions=captions,
        image_id=own,
        image=f"/images/{own}" if own else "",
        thumbnail=f"/thumbnails/{own}" if own else "",
        filename=str((match.tags or {}).get("filename") or (picture.tags if picture else {}).get("filename") or ""),
        width=0 if picture is None else int(picture.width),
        height=0 if picture is None else int(picture.height),
        tags=match.tags,
        vector=None if vector is None else np.asarray(vector, float).tolist(),
    )


def _of_parts(match: MatchDoc) -> dict[str, float]:
    return {name: score for name, score in match.scores.items() if name != "fused"}


def _told(query: Query, fusion: str) -> Asked:
    asked = query.asked
    is_mixed = bool(query.text) and (query.picture is not None or bool(asked.like))
    return Asked(
        text=query.text or None,
        exclude=query.avoided,
        has_image=query.picture is not None,
        like=asked.like,
        mix=asked.mix if is_mixed else None,
        where=asked.where or None,
        target=query.target,
        top_k=asked.top_k,
        offset=asked.offset,
        min_score=asked.min_score,
        fusion=fusion or None,
        min_relevance=asked.min_relevance,
    )
