"""The way of a request through a Flow, by the `needs`, `when` and endpoints of its Executors.

Jina's own gateway calls every Executor for every request, copies all documents for each `when:`, and parses and writes
them again where branches meet. The router calls an Executor only where it declares the endpoint and has documents, and
hands on what the one before it has answered as bytes. Docs are read where they have to be split or joined, and nowhere
else: a text passes three Executors and is parsed once, at the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from jina.proto import jina_pb2

GATEWAY = "gateway"
"""What an Executor needs that comes first."""
Request = jina_pb2.DataRequestProto
Message: TypeAlias = Any
"""A `Request`; protobuf's classes have no types."""
Send = Callable[[str, bytes, str], Awaitable[tuple[bytes, bool]]]
"""Sends a request to the Executor of that name, for an endpoint: what it answers, and whether it refused."""


@dataclass(frozen=True)
class Condition:
    """A `when:` of a Flow's YAML: documents of a modality, or all others."""

    modality: str
    is_equal: bool

    def accepts(self, doc: Any) -> bool:
        """Whether a document's message is for the Executor."""
        modality = doc.data["modality"].text if "modality" in doc.data else ""  # reading a missing key adds it
        return bool((modality == self.modality) == self.is_equal)


@dataclass(frozen=True)
class Node:
    """An Executor of a Flow: its name, the Executors before it, its `when:`, and the endpoints that it declares."""

    name: str
    needs: tuple[str, ...]
    when: Condition | None
    endpoints: frozenset[str]


class Parcel:
    """A request on its way, as bytes until its documents are read.

    `places` has, for each of its documents, the place in the request that came from the client.
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
        """The messages of its documents, one for each place.

        Raises:
            RuntimeError: An Executor has added or removed documents before a join.
        """
        docs = list(self.message.data.docs.docs)
        if len(docs) != len(self.places):
            raise RuntimeError(f"{len(docs)} documents where {len(self.places)} were sent: they can't be joined")
        return docs

    def with_docs(self, docs: Iterable[Any], places: Sequence[int]) -> Parcel:
        """The same request with other documents."""
        message = self.message
        twin = Request(header=message.header, parameters=message.parameters)
        twin.data.docs.docs.extend(docs)
        return Parcel(None, places, twin)


class Router:
    """Answers requests with the Executors of a Flow.

    Args:
        nodes: The Executors, each after those that it needs.
        send: Calls one of them.
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
        """What the Flow answers to a request, and whether an Executor refused it, which ends its way.

        Documents are in the order of the request, those that an Executor has added behind them.

        Raises:
            UnavailableError: An Executor is gone or too slow.
        """
        endpoint = request.header.exec_endpoint
        n_docs = len(request.data.docs.docs)
        done = {GATEWAY: Parcel(None, range(n_docs), request)}
        for level in self._levels:
            arrived = [_accepted(node.when, _joined([done[name] for name in node.needs])) for node in level]
            done.update((node.name, parcel) for node, parcel in zip(level, arrived, strict=True))
            busy = [node for node in level if endpoint in node.endpoints and (done[node.name].places or not n_docs)]
            sent = (self._send(node.name, done[node.name].content, endpoint) for node in busy)
            answers = [await next(sent)] if len(busy) == 1 else await asyncio.gather(*sent)
            for node, (content, is_refused) in zip(busy, answers, strict=True):
                if is_refused:
                    return content, True
                done[node.name] = Parcel(content, done[node.name].places)
        return _joined([done[name] for name in self._leaves]).content, False


def _accepted(when: Condition | None, parcel: Parcel) -> Parcel:
    """The request with the documents that a condition accepts."""
    if when is None or not parcel.places:
        return parcel
    pairs = zip(parcel.docs(), parcel.places, strict=True)
    kept = [(doc, place) for doc, place in pairs if when.accepts(doc)]
    if len(kept) == len(parcel.places):
        return parcel
    return parcel.with_docs((doc for doc, _ in kept), [place for _, place in kept])


def _joined(parcels: Sequence[Parcel]) -> Parcel:
    """Several branches as one request: each document once, in the order of the request."""
    filled = [parcel for parcel in parcels if parcel.places] or parcels[:1]
    if len(filled) == 1:
        return filled[0]
    docs: dict[int, Any] = {}
    for parcel in filled:
        for place, doc in zip(parcel.places, parcel.docs(), strict=True):
            if place in docs:
                _unite(docs[place], doc)
            else:
                docs[place] = doc
    places = sorted(docs)
    return filled[0].with_docs((docs[place] for place in places), places)


def _unite(doc: Any, other: Any) -> None:
    """Adds to a document what another branch has found out about it: entries of dicts, and fields that are empty."""
    for name, value in other.data.items():
        mine = doc.data[name]
        if value.WhichOneof("content") == "dict" == mine.WhichOneof("content"):
            for key, entry in value.dict.data.items():
                mine.dict.data[key].CopyFrom(entry)
        elif mine.WhichOneof("content") in (None, "text") and not mine.text:
            mine.CopyFrom(value)
