"""The legacy wire shapes and those of Jina's clients: requests to documents, and documents to answers.

Three kinds of client use the same two routes; the body tells them apart:

    curl of 2021   {"top_k": 5, "mode": "search", "data": ["hello world"]}
    Jina Box, 2/3  {"data": [...], "parameters": {"top_k": 5}}
    jina.Client 3  as Jina 3, with a `header`; needs `data` to be a list in the answer

The first two get both roots (`data.docs` and `search.docs`) and both spellings (`mime_type`, `mimeType`).
"""

from __future__ import annotations

import re
import uuid
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from crossmodal.core.errors import InputError, PictureError
from crossmodal.core.settings import MAX_TOP_K
from crossmodal.core.types import caption_id, image_id
from crossmodal.images.sources import from_data_uri, is_data_uri
from crossmodal.search.fusion import fusion_of_parts
from crossmodal.store.where import parse
from executors.schema import INTERNAL, MatchDoc, MediaDoc, score_of, to_array
from serving.filter_fields import Where

if TYPE_CHECKING:
    from serving.http.url_pictures import Fetched

DEFAULT_TOP_K = 10
PATHS = ("/search", "/index")
"""The paths that old clients know; errors there are answered in the legacy shape."""


class Item(BaseModel):
    """One document of a request: a text, or a picture as a data URI, or as a URL if the service fetches URLs."""

    model_config = ConfigDict(extra="ignore")

    id: str | None = None
    text: str | None = None
    uri: str | None = None
    modality: str | None = None
    image_id: str | None = Field(default=None, description="for a caption: the id of its picture")
    tags: dict[str, Any] | None = None


class Parameters(BaseModel):
    """Options, as Jina's clients send them."""

    model_config = ConfigDict(extra="ignore")

    top_k: int | None = Field(None, ge=1, le=MAX_TOP_K)
    where: Where = None
    target: str | None = Field(
        None, pattern="^(image|text|both)$", description="modality of the results of a picture query"
    )
    fusion: str | None = Field(None, max_length=100, description="dense, sparse, bm25, rrf or weighted:A,B,C")
    after_seq: int | None = Field(None, ge=0, description="wait until the change with this `seq` is searched")


class Request(BaseModel):
    """A request in any of the three shapes."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={"examples": [{"top_k": 5, "mode": "search", "data": ["a red heart"]}]},
    )

    data: list[str | Item] | str | Item
    top_k: int | None = Field(None, ge=1, le=MAX_TOP_K)
    mode: str | None = None
    parameters: Parameters | None = None
    header: dict[str, Any] | None = None

    def items(self) -> list[Item]:
        """The documents of the request; a plain string is a text, a data URI or a URL."""
        data = self.data if isinstance(self.data, list) else [self.data]
        return [_from_string(item) if isinstance(item, str) else item for item in data]

    @cached_property
    def options(self) -> dict[str, Any]:
        """The parameters for the Flow; `top_k` may be given in either place.

        Raises:
            InputError: `where` or `fusion` can't be parsed.
        """
        sent = self.parameters or Parameters(top_k=None, target=None, where=None, fusion=None, after_seq=None)
        options: dict[str, Any] = {
            "top_k": sent.top_k or self.top_k or DEFAULT_TOP_K,
            "target": sent.target or "",
        }
        if sent.where is not None:
            parse(sent.where)
            options["where"] = sent.where
        if sent.fusion:
            fusion_of_parts(sent.fusion)
            options["fusion"] = sent.fusion
        return options

    def is_from_jina_client(self) -> bool:
        """Whether jina.Client sent the request: only it sends a header."""
        return self.header is not None


def _from_string(value: str) -> Item:
    looks_like_uri = is_data_uri(value) or value.startswith(("http://", "https://"))
    return Item(uri=value) if looks_like_uri else Item(text=value)


_PICTURE_PATH = re.compile(r"/(?:images|thumbnails)/(\w{1,200})")


def own_picture(url: str, base_url: str) -> str | None:
    """The id of the picture that a URL of this service shows, None for other URLs.

    Jina Box sends such a URL when a user clicks on a result, or drags it out of a page.
    """
    if not url.startswith(base_url):
        return None
    match = _PICTURE_PATH.fullmatch(url[len(base_url) :])
    return match[1] if match else None


def to_docs(items: list[Item], *, for_index: bool, fetched: Fetched | None = None) -> list[MediaDoc]:
    """The documents of items, each with a modality and an id: derived from its content for an index request, else new.

    A picture that could not be fetched becomes a document with an error, so that the others can still be indexed.

    Raises:
        InputError: An item has neither text nor picture, an unknown modality, or a path or URL that is not read; the
            message has the index of the item.
    """
    if not items:
        raise InputError("data is empty: send at least one text or picture")
    docs = []
    for i, item in enumerate(items):
        try:
            docs.append(_to_doc(item, for_index, fetched or {}))
        except InputError as error:
            raise InputError(f"data[{i}]: {error}") from error
    return docs


def _to_doc(item: Item, for_index: bool, fetched: Fetched) -> MediaDoc:
    if item.modality not in (None, "", "image", "text"):
        raise InputError(f"modality {item.modality!r}: expected 'image' or 'text'")
    tags, of_image = item.tags or {}, item.image_id or ""
    if not _is_unicode((item.text or "") + of_image):
        raise InputError("the text or image_id contains an unpaired surrogate, half of a character")
    if item.uri and item.modality != "text":
        content = fetched[item.uri] if item.uri in fetched else _from_data_uri(item.uri)
        if isinstance(content, PictureError):
            return MediaDoc(id=uuid.uuid4().hex, modality="image", error=str(content), tags=tags, image_id=of_image)
        name = image_id(content) if for_index else uuid.uuid4().hex
        return MediaDoc(id=name, modality="image", content=to_array(content), tags=tags, image_id=of_image)
    if item.text is not None and item.modality != "image":
        if not item.text.strip():
            raise InputError("the text is empty")
        name = caption_id(item.text, of_image) if for_index else uuid.uuid4().hex
        return MediaDoc(id=name, modality="text", text=item.text, mime_type="text/plain", tags=tags, image_id=of_image)
    raise InputError("neither text nor picture: send a string, {'text': ...} or {'uri': 'data:image/...'}")


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _from_data_uri(uri: str) -> bytes:
    if not is_data_uri(uri):
        raise InputError(f"{uri[:80]!r} is not read: send the picture itself as data:image/...;base64,...")
    return from_data_uri(uri)


def answer(
    request: Request,
    items: list[Item],
    docs: list[MediaDoc],
    base_url: str,
    root: str,
    *,
    from_page: bool = False,
    seq: int | None = None,
) -> dict[str, Any]:
    """The body of an answer, in the shape for the client that sent the request.

    Args:
        request: The request.
        items: Its documents.
        docs: The documents that the Flow returned, in the same order.
        base_url: The URL of the service, for the URLs of pictures.
        root: `search` or `index`.
        from_page: Whether a browser sent the request. A search without matches is then answered with an error, whose
            description Jina Box shows; without the error it throws an exception and keeps showing "Searching".
        seq: The sequence number of the newest commit after an index request; for jina.Client, which accepts no other
            fields, it is among the `parameters`.
    """
    numbered = {} if seq is None else {"seq": seq}
    status = {"code": "SUCCESS", "description": ""}
    if from_page and root == "search" and not docs[0].matches:
        status = {"code": "ERROR", "description": "Nothing found."}
    if request.is_from_jina_client():
        header = {"requestId": str((request.header or {}).get("requestId", "")), "status": None}
        plain = [_plain(doc, base_url) for doc in docs]
        return {"header": header, "parameters": {**request.options, **numbered}, "data": plain}
    listed = {"docs": [_legacy(item, doc, base_url) for item, doc in zip(items, docs, strict=True)]}
    return {"status": status, "data": listed, root: listed, "parameters": request.options, **numbered}


class Answer(BaseModel):
    """The documents with their matches or outcomes; for jina.Client `data` is a list."""

    model_config = ConfigDict(extra="allow")

    data: dict[str, list[Any]] | list[Any]
    parameters: dict[str, Any]
    seq: int | None = Field(
        None, description="of /index: give it as `after_seq` to a search, on any node, that must see these documents"
    )


class Failure(BaseModel):
    """An error: no documents, and the reason in two places."""

    status: dict[str, str]
    data: dict[str, list[Any]]
    detail: str


def root_of(path: str) -> str:
    """The field that has the documents in an answer of this path, beside `data`."""
    return "index" if path == "/index" else "search"


def failure(description: str, root: str) -> dict[str, Any]:
    """The body of an error. It has both roots, because Jina Box reads them before the status."""
    return {
        "status": {"code": "ERROR", "description": description},
        "data": {"docs": []},
        root: {"docs": []},
        "detail": description,
    }


def _plain(doc: MediaDoc, base_url: str) -> dict[str, Any]:
    """A document with the fields of MediaDoc, for jina.Client."""
    fields = doc.dict(exclude=INTERNAL)
    matches = [{**match.dict(), "uri": match.uri and base_url + match.uri} for match in doc.matches]
    return {**fields, "matches": matches}


def words(why: dict[str, float]) -> list[dict[str, Any]]:
    """Words and their weights, the largest weight first."""
    return [{"word": word, "weight": why[word]} for word in sorted(why, key=lambda word: (-why[word], word))]


def _legacy(item: Item, doc: MediaDoc, base_url: str) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "id": doc.id,
        "modality": doc.modality,
        "text": doc.text,
        "uri": item.uri or "",
        "mime_type": doc.mime_type,
        "mimeType": doc.mime_type,
        "tags": doc.tags,
        "matches": [_legacy_match(match, base_url, doc.fusion) for match in doc.matches],
        "timings_ms": {stage: round(spent, 3) for stage, spent in doc.timings_ms.items()},
    }
    fields |= {name: value for name, value in (("fusion", doc.fusion), ("note", doc.note)) if value}
    if doc.outcome:
        fields["outcome"] = doc.outcome
    if doc.error:
        fields |= {"outcome": "failed", "error": doc.error}
    return fields


def _legacy_match(match: MatchDoc, base_url: str, fusion: str) -> dict[str, Any]:
    scores = {name: {"value": value} for name, value in match.scores.items()}
    return {
        "id": match.id,
        "modality": match.modality,
        "score": {"value": score_of(match), "op_name": fusion if "fused" in match.scores else "cosine"},
        "scores": scores,
        "mime_type": match.mime_type,
        "mimeType": match.mime_type,
        "uri": match.uri and base_url + match.uri,
        "text": match.text,
        "tags": {**match.tags, "why": words(match.why)} if match.why else match.tags,
        "width": int(match.width),
        "height": int(match.height),
        "image_id": match.image_id,
    }
