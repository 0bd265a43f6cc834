"""Types of the service's responses, and the functions that parse them from JSON."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import numpy as np

from crossmodal.core.types import Modality, Vectors

T = TypeVar("T")


@dataclass(frozen=True)
class Word:
    """A word and its weight."""

    word: str
    weight: float


@dataclass(frozen=True)
class Hit:
    """A matching picture, or a matching caption with the fields of its picture."""

    id: str
    modality: Modality
    score: float
    text: str
    captions: list[str]
    image_id: str
    image: str
    thumbnail: str
    filename: str
    width: int
    height: int
    tags: dict[str, Any]
    relevance: float | None = None
    vector: Vectors | None = None  # (dim,)
    scores: dict[str, float] = field(default_factory=dict)  # by component, in a hybrid search
    why: list[Word] = field(default_factory=list)  # the words that matched


@dataclass(frozen=True)
class Found:
    """The response to a search: pictures, then captions, each by descending score.

    `missing` has the slices whose documents are missing because their nodes do not answer. `understood` has the dates
    and places in the text that were filters, and `ordered` how an order by time was made.
    """

    model: str
    collection: str
    took_ms: dict[str, float]
    n: int
    more: bool
    results: list[Hit]
    query: dict[str, Any]
    note: str = ""
    fits: bool | None = None
    missing: list[str] = field(default_factory=list)
    understood: list[dict[str, Any]] = field(default_factory=list)
    ordered: dict[str, Any] | None = None

    @property
    def images(self) -> list[Hit]:
        """The matching pictures."""
        return [hit for hit in self.results if hit.modality == "image"]

    @property
    def captions(self) -> list[Hit]:
        """The matching captions."""
        return [hit for hit in self.results if hit.modality == "text"]


@dataclass(frozen=True)
class StoredCaption:
    """A caption of a picture."""

    id: str
    text: str
    tags: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredDocument:
    """A document of the collection; `image` and `thumbnail` are URL paths of the service."""

    id: str
    modality: Modality
    text: str
    mime_type: str
    width: int
    height: int
    image_id: str
    image: str | None
    thumbnail: str | None
    filename: str
    tags: dict[str, Any]
    captions: list[StoredCaption]
    words: list[Word] = field(default_factory=list)
    reading: dict[str, Any] | None = None  # the text in a picture: `engine`, and `lines` with their words and places


@dataclass(frozen=True)
class Indexed:
    """The outcome for an indexed item: `indexed`, `unchanged`, or `failed` with an error.

    A search with `after_seq=seq` sees the item, on any node of the collection.
    """

    id: str
    outcome: str
    error: str = ""
    seq: int = 0


@dataclass(frozen=True)
class Status:
    """The service's version, collection and model."""

    version: str
    serves: str
    collection: str
    model: dict[str, Any]
    images: int
    captions: int


@dataclass(frozen=True)
class Removed:
    """Numbers of removed documents, the requested ids that don't exist, and the number for `after_seq`."""

    images: int
    captions: int
    unknown: list[str]
    seq: int = 0


def parse_found(body: Any) -> Found:
    """The response to a search."""
    return _parse(Found, {**body, "results": [_hit(result) for result in body["results"]]})


def parse_vectors(body: Any) -> Vectors:
    """The vectors (n, dim) of a response to /encode."""
    vectors: Vectors = np.asarray([item["vector"] for item in body["vectors"]], np.float32)
    return vectors


def parse_indexed(body: Any) -> list[Indexed]:
    """The outcomes of a response to /index."""
    return [_parse(Indexed, {**doc, "seq": body.get("seq", 0)}) for doc in body["data"]["docs"]]


def parse_removed(body: Any) -> Removed:
    """The response to /delete."""
    return Removed(**body["removed"], unknown=body["unknown"], seq=body.get("seq", 0))


def parse_document(body: Any) -> StoredDocument:
    """A document with its captions and words."""
    captions = [_parse(StoredCaption, caption) for caption in body["captions"]]
    return _parse(StoredDocument, {**body, "captions": captions, "words": _words(body.get("words"))})


def parse_status(body: Any) -> Status:
    """The response to /status."""
    return _parse(Status, body)


def _parse(kind: type[T], values: dict[str, Any]) -> T:
    """A dataclass from a JSON object; ignores unknown fields, which a newer service may send."""
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in values.items() if name in names})


def _hit(result: dict[str, Any]) -> Hit:
    vector = result.get("vector")
    vector = None if vector is None else np.asarray(vector, np.float32)
    return _parse(Hit, {**result, "vector": vector, "why": _words(result.get("why"))})


def _words(items: Any) -> list[Word]:
    return [_parse(Word, item) for item in items or []]
