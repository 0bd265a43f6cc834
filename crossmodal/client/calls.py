"""Calls of the service's endpoints: each function returns a request and the parser of its response."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote

from crossmodal.client import responses
from crossmodal.client.responses import Found, Indexed, Removed, Status, StoredDocument
from crossmodal.core.errors import InputError
from crossmodal.core.types import Vectors

T = TypeVar("T")
Picture = bytes | Path
Example = str | Picture
Target = Literal["image", "text", "both"]
Order = Literal["relevance", "newest", "oldest"]


@dataclass(frozen=True)
class NewItem:
    """An item to index: a picture or a text; `image_id` is the id of a caption's picture."""

    picture: Picture | None = None
    text: str | None = None
    image_id: str = ""
    tags: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request and the parser of its response's JSON body."""

    method: str
    path: str
    parse: Callable[[Any], T]
    json: Any = None


def search(
    text: str | None = None,
    *,
    image: Picture | None = None,
    like: str | None = None,
    exclude: Sequence[str] = (),
    mix: float | None = None,
    where: str | None = None,
    top_k: int | None = None,
    offset: int = 0,
    min_score: float | None = None,
    min_relevance: float | None = None,
    target: Target | None = None,
    collection: str | None = None,
    vectors: bool = False,
    fusion: str | None = None,
    after_seq: int | None = None,
    after: str | None = None,
    before: str | None = None,
    near: str | None = None,
    within_km: float | None = None,
    camera: str | None = None,
    folder: str | None = None,
    order: Order | None = None,
    understand: bool | None = None,
    likes: Sequence[Example] = (),
    unlikes: Sequence[Example] = (),
) -> Call[Found]:
    """Searches with words, a picture, a document of the collection, or a combination of these.

    Args:
        text: Query words; `-dog` excludes dogs.
        image: Query picture, as a file or as bytes.
        like: The id of a document whose similar documents are searched.
        exclude: Additional words to exclude.
        mix: Weight of the picture if words and a picture are given: 0 is words only, 1 the picture only.
        where: A condition that results must satisfy.
        top_k: Number of results of each modality.
        offset: Number of best results to skip, of each modality.
        min_score: Smallest score of a result.
        min_relevance: Smallest relevance of a result.
        target: The modality of the results: `image`, `text` or `both`.
        collection: The expected collection; the request is refused if the service serves another one.
        vectors: Whether results include their vectors.
        fusion: For a sparse collection: `dense`, `sparse`, `bm25`, `rrf` or `weighted:A,B,C`.
        after_seq: The `seq` of a change that the search must see; it waits a few seconds for it.
        after: Taken in this year, month, day or second, or later: `2023`, `2023-07`.
        before: Taken before this year, month, day or second begins.
        near: The name of a place, or `LATITUDE,LONGITUDE`.
        within_km: The radius around `near`.
        camera: A part of the camera's name.
        folder: The folder of the file in the indexed one.
        order: `newest` or `oldest` first, of the results that fit; by default the best first.
        understand: Whether dates and places in `text` are filters.
        likes: Examples of what to find: ids of documents (str), or pictures as files or bytes.
        unlikes: Examples of what not to find; they are left out of the results.
    """
    body = {
        "text": text, "image": None if image is None else _data_uri(image), "like": like, "exclude": list(exclude),
        "mix": mix, "where": where, "top_k": top_k, "offset": offset, "min_score": min_score,
        "min_relevance": min_relevance, "target": target, "collection": collection, "vectors": vectors,
        "fusion": fusion, "after_seq": after_seq, "after": after, "before": before, "near": near,
        "within_km": within_km, "camera": camera, "folder": folder, "order": order, "understand": understand,
    }  # fmt: skip
    body = {name: value for name, value in body.items() if value is not None}
    for name, examples in (("likes", likes), ("unlikes", unlikes)):
        if examples:
            body[name] = [example if isinstance(example, str) else _data_uri(example) for example in examples]
    return Call("POST", "/search", responses.parse_found, body)


def encode(texts: Sequence[str] = (), images: Sequence[Picture] = ()) -> Call[Vectors]:
    """The unit vectors (n, dim) of the texts, then of the pictures, in input order."""
    body = {"texts": list(texts), "images": [_data_uri(image) for image in images]}
    return Call("POST", "/encode", responses.parse_vectors, body)


def index(items: Sequence[NewItem]) -> Call[list[Indexed]]:
    """Indexes pictures and captions; needs a writable service."""
    return Call("POST", "/index", responses.parse_indexed, {"data": [_item(item) for item in items]})


def update(tags_by_id: dict[str, dict[str, Any]]) -> Call[list[str]]:
    """Applies a merge patch to the tags of each document (None removes a tag); returns the ids that don't exist."""
    data = [{"id": document_id, "tags": tags} for document_id, tags in tags_by_id.items()]
    return Call("POST", "/update", lambda response: list(response["unknown"]), {"data": data})


def delete(ids: Sequence[str] = (), *, where: str | None = None) -> Call[Removed]:
    """Removes documents by id or by condition; a picture is removed with its captions."""
    body: dict[str, Any] = {"ids": list(ids)} if where is None else {"ids": list(ids), "where": where}
    return Call("POST", "/delete", responses.parse_removed, body)


def document(document_id: str) -> Call[StoredDocument]:
    """A document with its captions."""
    return Call("GET", f"/documents/{quote(document_id, safe='')}", responses.parse_document)


def status() -> Call[Status]:
    """The service's version, collection and model."""
    return Call("GET", "/status", responses.parse_status)


def _item(item: NewItem) -> dict[str, Any]:
    if (item.picture is None) == (item.text is None):
        raise InputError("an item to index is a picture or a text: give one of the two")
    fields: dict[str, Any] = {"tags": item.tags, "image_id": item.image_id}
    return fields | ({"text": item.text} if item.picture is None else {"uri": _data_uri(item.picture)})


def _data_uri(picture: Picture) -> str:
    try:
        content = picture.read_bytes() if isinstance(picture, Path) else picture
    except OSError as error:
        raise InputError(f"{picture!s} can't be read: {error.strerror or error}") from error
    return f"data:application/octet-stream;base64,{base64.b64encode(content).decode()}"
