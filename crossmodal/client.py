"""A small client of the service's HTTP API, for programs; sync and async from one set of calls.

    with Client("http://127.0.0.1:45678") as client:
        for hit in client.search("two hearts -red", top_k=5).results:
            print(hit.score, hit.filename, hit.captions)
        client.search(image=Path("photo.jpg")).captions

    async with AsyncClient("http://127.0.0.1:45678") as client:
        found = await client.search("a red ring", image=Path("photo.jpg"), mix=0.3)

A call is a function that says what to send and how to read the answer (`_search` and its like). `Client` and
`AsyncClient` only send it, so that no signature stands here twice.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, fields
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, Generic, Literal, ParamSpec, TypeVar, overload
from urllib.parse import quote

import httpx
import numpy as np

from crossmodal.core.errors import CrossModalError, InputError, StateError
from crossmodal.core.types import Modality, Vectors

T = TypeVar("T")
P = ParamSpec("P")
Picture = bytes | Path
Target = Literal["image", "text", "both"]

DEFAULT_URL = "http://127.0.0.1:45678"
DEFAULT_TIMEOUT_S = 30.0


class ServiceError(StateError):
    """The service can't be reached, is too busy, or failed; `status` is 0 where it did not answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class RefusedError(InputError):
    """The service will not do what it was asked (4xx); the same call again is refused again."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


# -- what comes back


@dataclass(frozen=True)
class Word:
    """A word, and how much it counts."""

    word: str
    weight: float


@dataclass(frozen=True)
class Hit:
    """A picture that was found, or a caption with what there is of its picture."""

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
    scores: dict[str, float] = field(default_factory=dict)  # of a search by words: those of its parts
    why: list[Word] = field(default_factory=list)  # the words that it was found by


@dataclass(frozen=True)
class Found:
    """The answer to a search: pictures first, then captions, each in falling order of their scores."""

    model: str
    collection: str
    took_ms: dict[str, float]
    n: int
    more: bool
    results: list[Hit]
    query: dict[str, Any]
    note: str = ""
    fits: bool | None = None

    @property
    def images(self) -> list[Hit]:
        """The pictures."""
        return [hit for hit in self.results if hit.modality == "image"]

    @property
    def captions(self) -> list[Hit]:
        """The captions."""
        return [hit for hit in self.results if hit.modality == "text"]


@dataclass(frozen=True)
class StoredCaption:
    """A caption of a picture."""

    id: str
    text: str
    tags: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredDocument:
    """A document of the collection; `image` and `thumbnail` are paths of the service."""

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


@dataclass(frozen=True)
class Indexed:
    """What became of an item that was sent to be indexed: `indexed`, `unchanged`, or `failed` and why."""

    id: str
    outcome: str
    error: str = ""


@dataclass(frozen=True)
class Status:
    """What is served."""

    version: str
    serves: str
    collection: str
    model: dict[str, Any]
    images: int
    captions: int


@dataclass(frozen=True)
class Removed:
    """How many documents went, and the ids that were not there."""

    images: int
    captions: int
    unknown: list[str]


@dataclass(frozen=True)
class NewItem:
    """Something to index: a picture or a text, and for a caption the id of its picture."""

    picture: Picture | None = None
    text: str | None = None
    image_id: str = ""
    tags: dict[str, Any] = field(default_factory=dict)


# -- what is sent


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request, and how its answer is read."""

    method: str
    path: str
    read: Callable[[Any], T]
    json: Any = None


def _search(
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
) -> Call[Found]:
    """Searches with words, a picture, a document of the collection, or several of these.

    Args:
        text: Words; `-dog` is avoided.
        image: A picture, as a file or its bytes.
        like: The id of a document: what is similar to it.
        exclude: More words to avoid.
        mix: With words and a picture: 0 is words only, 1 the picture only.
        where: A condition on the results.
        top_k: How many results, of each modality.
        offset: How many of the best are left out, of each modality.
        min_score: Leaves out what scores less.
        min_relevance: Leaves out what is less likely to fit.
        target: What is looked for: `image`, `text` or `both`.
        collection: Refused where another one is served.
        vectors: Whether each result comes with its vector.
        fusion: Of a sparse collection: `dense`, `sparse`, `bm25`, `rrf` or `weighted:A,B,C`.
    """
    asked = {
        "text": text, "image": None if image is None else _data_uri(image), "like": like, "exclude": list(exclude),
        "mix": mix, "where": where, "top_k": top_k, "offset": offset, "min_score": min_score,
        "min_relevance": min_relevance, "target": target, "collection": collection, "vectors": vectors,
        "fusion": fusion,
    }  # fmt: skip
    return Call("POST", "/search", _found, {name: value for name, value in asked.items() if value is not None})


def _encode(texts: Sequence[str] = (), images: Sequence[Picture] = ()) -> Call[Vectors]:
    """The unit vectors (n, dim) of texts, then of pictures, each in their order."""
    body = {"texts": list(texts), "images": [_data_uri(image) for image in images]}
    return Call("POST", "/encode", _matrix, body)


def _index(items: Sequence[NewItem]) -> Call[list[Indexed]]:
    """Takes pictures and captions in; asked of the service that writes."""
    return Call("POST", "/index", _indexed, {"data": [_item(item) for item in items]})


def _update(tags_by_id: dict[str, dict[str, Any]]) -> Call[list[str]]:
    """Changes tags, each by a merge patch (None takes a tag away); returns the ids that were not there."""
    data = [{"id": own, "tags": tags} for own, tags in tags_by_id.items()]
    return Call("POST", "/update", lambda told: list(told["unknown"]), {"data": data})


def _delete(ids: Sequence[str] = (), *, where: str | None = None) -> Call[Removed]:
    """Removes documents by id, a picture with its captions, or all that a condition is true of."""
    body: dict[str, Any] = {"ids": list(ids)} if where is None else {"ids": list(ids), "where": where}
    return Call("POST", "/delete", lambda told: Removed(**told["removed"], unknown=told["unknown"]), body)


def _document(document_id: str) -> Call[StoredDocument]:
    """A document with its captions."""
    return Call("GET", f"/documents/{quote(document_id, safe='')}", _stored)


def _status() -> Call[Status]:
    """What is served."""
    return Call("GET", "/status", lambda told: _of(Status, told))


# -- sending


class _Blocking(Generic[P, T]):
    """A call as a method that waits for its answer."""

    def __init__(self, call: Callable[P, Call[T]]) -> None:
        self.call = call
        self.__doc__ = call.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> _Blocking[P, T]: ...
    @overload
    def __get__(self, client: Client, owner: type) -> Callable[P, T]: ...
    def __get__(self, client: Client | None, owner: type) -> _Blocking[P, T] | Callable[P, T]:
        """The method of a client."""
        if client is None:
            return self
        return _bound(client.send, self.call)


class _Awaited(Generic[P, T]):
    """A call as a method whose answer is awaited."""

    def __init__(self, call: Callable[P, Call[T]]) -> None:
        self.call = call
        self.__doc__ = call.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> _Awaited[P, T]: ...
    @overload
    def __get__(self, client: AsyncClient, owner: type) -> Callable[P, Awaitable[T]]: ...
    def __get__(self, client: AsyncClient | None, owner: type) -> _Awaited[P, T] | Callable[P, Awaitable[T]]:
        """The method of a client."""
        if client is None:
            return self
        return _bound(client.send, self.call)


R = TypeVar("R")


def _bound(send: Callable[Concatenate[Call[T], ...], R], call: Callable[P, Call[T]]) -> Callable[P, R]:
    @wraps(call)
    def method(*args: P.args, **kwargs: P.kwargs) -> R:
        return send(call(*args, **kwargs))

    return method


class Client:
    """The service, for programs that wait. `key` is an API key, where the service asks for one."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        key: str = "",
        timeout_s: float = DEFAULT_TIMEOUT_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(base_url=url, headers=_headers(key), timeout=timeout_s, transport=transport)

    search = _Blocking(_search)
    encode = _Blocking(_encode)
    index = _Blocking(_index)
    update = _Blocking(_update)
    delete = _Blocking(_delete)
    document = _Blocking(_document)
    status = _Blocking(_status)

    def send(self, call: Call[T]) -> T:
        """Sends a call and reads its answer.

        Raises:
            RefusedError: What was asked is refused.
            ServiceError: The service can't be reached or failed.
        """
        try:
            response = self._http.request(call.method, call.path, json=call.json)
        except httpx.HTTPError as error:
            raise _unreachable(self._http.base_url, error) from error
        return _read(call, response)

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient:
    """The service, for programs that await; otherwise as Client."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        key: str = "",
        timeout_s: float = DEFAULT_TIMEOUT_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(base_url=url, headers=_headers(key), timeout=timeout_s, transport=transport)

    search = _Awaited(_search)
    encode = _Awaited(_encode)
    index = _Awaited(_index)
    update = _Awaited(_update)
    delete = _Awaited(_delete)
    document = _Awaited(_document)
    status = _Awaited(_status)

    async def send(self, call: Call[T]) -> T:
        """As Client.send."""
        try:
            response = await self._http.request(call.method, call.path, json=call.json)
        except httpx.HTTPError as error:
            raise _unreachable(self._http.base_url, error) from error
        return _read(call, response)

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


# -- reading


def _headers(key: str) -> dict[str, str]:
    return {"Accept": "application/json", **({"X-API-Key": key} if key else {})}


def _unreachable(url: httpx.URL, error: httpx.HTTPError) -> ServiceError:
    return ServiceError(f"{url} does not answer ({error or type(error).__name__}): is the service running?")


def _read(call: Call[T], response: httpx.Response) -> T:
    try:
        told = response.json()
    except ValueError:
        told = None
    if response.is_error:
        detail = told.get("detail") if isinstance(told, dict) else None
        raise _error(response, f"{call.path}: {detail or response.reason_phrase}")
    try:
        return call.read(told)
    except (KeyError, TypeError, ValueError) as error:
        raise ServiceError(
            f"{call.path}: not the answer of this service's version ({error!r})", response.status_code
        ) from error


def _error(response: httpx.Response, message: str) -> CrossModalError:
    status = response.status_code
    if status == 429 or status >= 500:
        wait = response.headers.get("Retry-After")
        return ServiceError(f"{message} (try again in {wait} s)" if wait else message, status)
    return RefusedError(message, status)


def _of(kind: type[T], told: dict[str, Any]) -> T:
    """A dataclass from an object; a field that is not known here is left out, as a newer service may send it."""
    known = {one.name for one in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in told.items() if name in known})


def _found(told: Any) -> Found:
    return _of(Found, {**told, "results": [_hit(result) for result in told["results"]]})


def _hit(told: dict[str, Any]) -> Hit:
    vector = told.get("vector")
    read = {"vector": None if vector is None else np.asarray(vector, np.float32), "why": _words(told.get("why"))}
    return _of(Hit, {**told, **read})


def _stored(told: Any) -> StoredDocument:
    read = {"captions": [_of(StoredCaption, one) for one in told["captions"]], "words": _words(told.get("words"))}
    return _of(StoredDocument, {**told, **read})


def _words(told: Any) -> list[Word]:
    return [_of(Word, one) for one in told or []]


def _matrix(told: Any) -> Vectors:
    vectors: Vectors = np.asarray([one["vector"] for one in told["vectors"]], np.float32)
    return vectors


def _indexed(told: Any) -> list[Indexed]:
    return [_of(Indexed, one) for one in told["data"]["docs"]]


def _item(item: NewItem) -> dict[str, Any]:
    if (item.picture is None) == (item.text is None):
        raise InputError("an item to index is a picture or a text: give one of the two")
    told: dict[str, Any] = {"tags": item.tags, "image_id": item.image_id}
    return told | ({"text": item.text} if item.picture is None else {"uri": _data_uri(item.picture)})


def _data_uri(picture: Picture) -> str:
    try:
        content = picture.read_bytes() if isinstance(picture, Path) else picture
    except OSError as error:
        raise InputError(f"{picture!s} can't be read: {error.strerror or error}") from error
    return f"data:application/octet-stream;base64,{base64.b64encode(content).decode()}"
