"""Keeps Jina's gateway from work that changes nothing: half of what a text query took.

What it does for every request, whatever is in it (measured with py-spy, in CPU time of the gateway):

- it calls the Executor that writes for a search, too, since Jina has no chain whose last part may be left out;
- it calls the Executors of a branch whose documents all took the other one, and the join waits for them;
- where branches meet, it parses and writes again all documents, also when only one branch has any;
- for each `when:` it copies all documents, through a pickle, to leave some out;
- it parses all documents of an answer, sorts them as they were in the request, and writes them again;
- it copies its graph deeply, with every Executor's schemas and loggers, though only a few fields change.

And as it starts, over a second for making the JSON schemas of the models it has just made from JSON schemas: pydantic
makes a validator for every default value, only to write it down.

`tests/api/test_lean.py` holds Jina to what this relies on.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

from docarray import DocList
from docarray.utils.filter import filter_docs
from jina.serve.runtimes.gateway.graph.topology_graph import TopologyGraph
from jina.serve.runtimes.gateway.streamer import GatewayStreamer
from jina.serve.runtimes.worker.request_handling import WorkerRequestHandler
from jina.types.request.data import DataRequest
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import to_jsonable_python

from crossmodal.core.errors import StateError
from executors.docs import MediaDoc

GenerateJsonSchema.encode_default = lambda self, dft: to_jsonable_python(dft)  # type: ignore[method-assign]

PER_DOCUMENT = {"/index", "/search", "/encode", "/health"}
"""Endpoints that mean nothing to an Executor without a document; any other is called all the same."""

LOOK_AGAIN_S = 0.02


ONLY_CHANGES = {"kv_indexer": {"/search", "/encode"}}
"""Executors with the endpoints that they have no part in."""


def spare(streamer: GatewayStreamer) -> None:
    """Makes a streamer do what has an effect, and nothing else; to be called once, before the first request."""
    pool, graph = streamer._connection_pool, streamer.topology_graph
    send = pool.send_requests_once

    def send_if_any(requests: list[Any], deployment: str, *, endpoint: str | None = None, **kwargs: Any) -> Any:
        if endpoint in ONLY_CHANGES.get(deployment, ()):
            return _unchanged(requests[0])
        if endpoint in PER_DOCUMENT and not any(map(_has_documents, requests)):
            return _unchanged(requests[0])
        sent = send(requests=requests, deployment=deployment, endpoint=endpoint, **kwargs)
        return _gone(deployment) if sent is None else sent  # Jina would wait for the None

    pool.send_requests_once = send_if_any
    WorkerRequestHandler.reduce_requests = staticmethod(_reduce)
    graph.__class__ = _Graph
    graph.has_filter_conditions = False  # what Jina sorts by; `_Graph` does so where there is something to sort
    streamer._streamer.wait_floating_requests_end = _no_end_to_wait_for
    for node in graph.all_nodes:
        if node._filter_condition is not None:
            node.__class__ = _FilteringNode


async def all_listen(addresses: dict[str, list[str]], is_cancelled: Callable[[], bool]) -> None:
    """Waits until every Executor listens, which it does once it is ready.

    Jina asks them for their schemas at once as the gateway starts, waits a second where one is not there yet, and gRPC
    a second and more before it connects again: two seconds of every start in which nothing is done.

    Args:
        addresses: `grpc://HOST:PORT` of each, by the name of its deployment.
        is_cancelled: Whether the start has been given up.
    """
    for address in chain.from_iterable(addresses.values()):
        place = urlsplit(address)
        while not is_cancelled():
            try:
                _, writer = await asyncio.open_connection(place.hostname, place.port)
            except OSError:
                await asyncio.sleep(LOOK_AGAIN_S)
            else:
                writer.close()
                break


class _FilteringNode(TopologyGraph._ReqReplyNode):  # type: ignore[misc]
    """A node with a `when:` that copies no documents to leave some out.

    `order` has the ids of a request whose documents part here, some this way and some another.
    """

    order: Sequence[str] = ()

    def _update_requests_with_filter_condition(self, need_copy: bool) -> None:
        for place, request in enumerate(self.parts_to_send):
            modalities = {_modality_of(doc) for doc in request.proto_with_data.data.docs.docs}
            if len(modalities) == 1 and set(self._filter_condition) == {"modality"}:  # no need to read them
                alike = DocList[MediaDoc]([MediaDoc(modality=modalities.pop())])
                if not filter_docs(alike, self._filter_condition):
                    self.parts_to_send[place] = _with_documents(request, request.document_array_cls([]))
                continue
            docs = request.docs
            kept = filter_docs(docs, self._filter_condition)
            if 0 < len(kept) < len(docs):
                self.order = [doc.id for doc in docs]
            if len(kept) < len(docs):
                self.parts_to_send[place] = _with_documents(request, kept)


def _modality_of(doc: Any) -> str:
    """Of a document's message; asking one that has none for it would give it one."""
    return str(doc.data["modality"].text) if "modality" in doc.data else ""


def _with_documents(request: DataRequest, docs: DocList[Any]) -> DataRequest:
    """The request with other documents; the one that was given stays as it is."""
    proto = request.proto_with_data
    header_only = type(proto)(header=proto.header, parameters=proto.parameters, routes=proto.routes)
    twin = DataRequest(request=header_only)
    twin.document_array_cls = request.document_array_cls
    twin.data.docs = docs
    return twin


class _Graph(TopologyGraph):
    """A graph whose deep copy, one a request, shares all that a request does not change, and that puts documents
    in order only where they had parted.
    """

    def add_routes(self, request: DataRequest) -> DataRequest:
        """As Jina's, which calls it with the answer when it is whole."""
        order = next(filter(None, (getattr(node, "order", ()) for node in self._origin_nodes)), ())
        if order:
            place = {document_id: number for number, document_id in enumerate(order)}
            docs = request.data.docs
            request.data.docs = type(docs)(sorted(docs, key=lambda doc: place.get(doc.id, len(place))))
        return super().add_routes(request)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Graph:
        copies: dict[int, Any] = {}

        def copied(node: Any) -> Any:
            if id(node) not in copies:
                own = copies[id(node)] = copy.copy(node)
                own.parts_to_send = []
                own.outgoing_nodes = [copied(following) for following in node.outgoing_nodes]
            return copies[id(node)]

        twin = copy.copy(self)
        twin._origin_nodes = [copied(node) for node in self._origin_nodes]
        return twin


async def _no_end_to_wait_for() -> None:
    """No Executor of ours is left running behind an answer. Jina counts those of broken streams as well, and waits
    for them without end when the gateway is to stop.
    """


async def _unchanged(request: Any) -> tuple[Any, dict[str, str]]:
    """What an Executor answers that does nothing: the request, and no metadata."""
    return request, {}


async def _gone(deployment: str) -> Any:
    """What is sent to an Executor that there is no connection to any more."""
    raise StateError(f"{deployment} does not answer: it has ended")


def _has_documents(request: Any) -> bool:
    return bool(request.proto_with_data.data.docs.docs)


_reduce_all = WorkerRequestHandler.reduce_requests


def _reduce(requests: list[Any]) -> Any:
    filled = [request for request in requests if _has_documents(request)]
    return filled[0] if len(filled) == 1 else _reduce_all(requests)
