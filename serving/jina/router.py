"""Routes requests through a Flow, by the `needs`, `when` and endpoints of its Executors.

Jina's gateway calls every Executor for every request, copies all documents for each `when:`, and parses and writes them
again where branches join. This router calls an Executor only if it declares the endpoint and has documents, and passes
on the answer of the previous one as bytes. Documents are parsed only to split or join them: a text passes three
Executors and is parsed once, at the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from jina.proto import jina_pb2

GATEWAY = "gateway"
"""The name in `needs` of the first Executors."""
Request = jina_pb2.DataRequestProto
Message: TypeAlias = Any
"""A `Request`; protobuf's classes have no types."""
Send = Callable[[str, bytes, str], Awaitable[tuple[bytes, bool]]]
"""Sends a request (name of the Executor, message, endpoint); returns the answer, and whether it is an error."""


@dataclass(frozen=True)
class Condition:
    """A `when:` of a Flow's YAML: accepts the documents of a modality, or all others."""

    modality: str
    is_equal: bool

    def accepts(self, doc: Any) -> bool:
        """Whether the Executor processes the document of a message."""
        modality = doc.data["modality"].text if "modality" in doc.data else ""  # reading a missing key adds it
        return bool((modality == self.modality) == self.is_equal)


@dataclass(frozen=True)
class Node:
    """An Executor of a Flow: its name, the Executors before it, its `when:`, its declared endpoints, and those of them
    whose requests it gets without documents, because it does not read them.
    """

    name: str
    needs: tuple[str, ...]
    when: Condition | None
    endpoints: frozenset[str]
    without_documents: frozenset[str] = frozenset()


class Parcel:
    """A request between two Executors, kept as bytes until its documents are read.

    `places` has the index of each of its documents in the client's request.
    """

    def __init__(self, content: bytes | None, places: Sequence[int], message: Message = None) -> None:
        self._content, self._message = content, message
        self.places = tuple(places)

    @property
    def content(self) -> bytes:
        """The request as bytes."""
        if self._content is None:
            self._content = bytes(self._message.SerializeToString())
        return self._content

    @property
    def message(self) -> Message:
        """The request, parsed."""
        if self._message is None:
            self._message = Request.FromString(self._content)
        return self._message

    def docs(self) -> list[Any]:
        """The messages of the documents, one for each place.

        Raises:
            RuntimeError: An Executor has added or removed documents before a join.
        """
        docs = list(self.message.data.docs.docs)
        if len(docs) != len(self.places):
            raise RuntimeError(
                f"an Executor returned {len(docs)} documents for {len(self.places)}: the branches can't be joined"
            )
        return docs

    def with_docs(self, docs: Iterable[Any], places: Sequence[int]) -> Parcel:
        """The same request with other documents."""
        message = self.message
        copy = Request(header=message.header, parameters=message.parameters)
        copy.data.docs.docs.extend(docs)
        return Parcel(None, places, copy)


class Router:
    """Answers requests with the Executors of a Flow.

    Args:
        nodes: The Executors, each after the ones that it needs.
        send: Calls an Executor.
    """

    def __init__(self, nodes: Sequence[Node], send: Send) -> None:
        self._send = send
        self._levels: list[list[Node]] = []
        level_of = {GATEWAY: -1}
        for node in nodes:
            level = level_of[node.name] = 1 + max(level_of[needed] for needed in node.needs)
            if level == len(self._levels):
                self._levels.append([])
            self._levels[level].append(node)
        needed = {name for node in nodes for name in node.needs}
        self._leaves = [node.name for node in nodes if node.name not in needed]

    async def answer(self, request: Message) -> tuple[bytes, bool]:
        """The answer of the Flow, and whether it is an error of an Executor, after which no further one is called.

        Documents are in the order of the request, followed by those that an Executor has added.

        Raises:
            UnavailableError: An Executor does not respond in time.
        """
        endpoint = request.header.exec_endpoint
        n_docs = len(request.data.docs.docs)
        done = {GATEWAY: Parcel(None, range(n_docs), request)}
        for level in self._levels:
            arrived = [_accepted(node.when, _joined([done[name] for name in node.needs])) for node in level]
            done.update((node.name, parcel) for node, parcel in zip(level, arrived, strict=True))
            busy = [node for node in level if endpoint in node.endpoints and (done[node.name].places or not n_docs)]
            parcels = (
                done[GATEWAY].with_docs((), ()) if endpoint in node.without_documents else done[node.name]
                for node in busy
            )
            sent = (self._send(node.name, parcel.content, endpoint) for node, parcel in zip(busy, parcels, strict=True))
            answers = [await next(sent)] if len(busy) == 1 else await asyncio.gather(*sent)
            for node, (content, is_error) in zip(busy, answers, strict=True):
                if is_error:
                    return content, True
                if endpoint not in node.without_documents:
                    done[node.name] = Parcel(content, done[node.name].places)
        return _joined([done[name] for name in self._leaves]).content, False


def _accepted(when: Condition | None, parcel: Parcel) -> Parcel:
    """The request with only the documents that a condition accepts."""
    if when is None or not parcel.places:
        return parcel
    pairs = zip(parcel.docs(), parcel.places, strict=True)
    kept = [(doc, place) for doc, place in pairs if when.accepts(doc)]
    if len(kept) == len(parcel.places):
        return parcel
    return parcel.with_docs((doc for doc, _ in kept), [place for _, place in kept])


def _joined(parcels: Sequence[Parcel]) -> Parcel:
    """The branches joined into one request: each document once, in the order of the request."""
    filled = [parcel for parcel in parcels if parcel.places] or parcels[:1]
    if len(filled) == 1:
        return filled[0]
    docs: dict[int, Any] = {}
    for parcel in filled:
        for place, doc in zip(parcel.places, parcel.docs(), strict=True):
            if place in docs:
                _merge(docs[place], doc)
            else:
                docs[place] = doc
    places = sorted(docs)
    return filled[0].with_docs((docs[place] for place in places), places)


def _merge(doc: Any, other: Any) -> None:
    """Merges the result of another branch into a document: adds the entries of dicts, and fills empty fields."""
    for name, value in other.data.items():
        target = doc.data[name]
        if value.WhichOneof("content") == "dict" == target.WhichOneof("content"):
            for key, entry in value.dict.data.items():
                target.dict.data[key].CopyFrom(entry)
        elif target.WhichOneof("content") in (None, "text") and not target.text:
            target.CopyFrom(value)
