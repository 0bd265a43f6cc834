"""Keeps Jina's gateway from work that changes nothing: half of what a text query took.

What it does for every request, whatever is in it (measured with py-spy, in CPU time of the gateway):

- it calls the Executor that writes for a search, and all that search where only vectors are asked for, since Jina has
  no chain whose last part may be left out;
- it calls the Executors of a branch whose documents all took the other one, and the join waits for them;
- where branches meet, it parses and writes again all documents, also when only one branch has any;
- for each `when:` it copies all documents, through a pickle, to leave some out;
- for each Executor it reads and writes the parameters of the request four times;
- it parses all documents of an answer, sorts them as they were in the request, and writes them again;
- it reads and writes each message once more, to know its length, and adds that up in a variable of the environment
  that nobody reads: 80 bytes a message that the C library never frees;
- it copies its graph deeply, with every Executor's schemas and loggers, though only a few fields change.

And as a Flow starts, three seconds of a slow core:

- every Executor makes a model of our one schema, and its JSON form, twice for each endpoint;
- the gateway makes the JSON form of the schema of Jina 2, which nobody uses, 50 times;
- the gateway makes models of these JSON schemas, and compares them by their JSON schemas, three times;
- the parser of Jina's whole command line is built to look up the arguments of a Flow that nobody knows: there are none;
- it looks whether ports are free that are held for it, and at another address than they are;
- three services of the internet are asked for this machine's address, for a banner that nobody sees.

`tests/api/test_lean.py` holds Jina to what this relies on.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Sequence
from functools import cache
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

import jina.helper
import uvloop
from docarray import DocList
from docarray.utils import create_dynamic_doc_class as dynamic
from docarray.utils.filter import filter_docs
from jina import Flow
from jina._docarray_legacy import LegacyDocumentJina
from jina.constants import __default_endpoint__
from jina.excepts import InternalNetworkError
from jina.orchestrate.flow import base as flow_base
from jina.proto.serializer import DataRequestProto
from jina.serve.runtimes import asyncio as asyncio_runtime
from jina.serve.runtimes.gateway.graph import topology_graph
from jina.serve.runtimes.gateway.graph.topology_graph import TopologyGraph
from jina.serve.runtimes.gateway.streamer import GatewayStreamer
from jina.serve.runtimes.worker.request_handling import WorkerRequestHandler
from jina.types.request.data import DataRequest

from crossmodal.core.errors import StateError
from executors.schema import MediaDoc

PER_DOCUMENT = {"/index", "/search", "/encode", "/health"}
"""Endpoints that mean nothing to an Executor without a document; any other is called all the same."""

LOOK_AGAIN_S = 0.02
SENT = ("image", "text", "vector")
"""Modalities of documents on their way."""

SKIPPED_ENDPOINTS = {
    "kv_indexer": {"/search", "/encode"},
    "image_vector_indexer": {"/encode"},
    "text_vector_indexer": {"/encode"},
    "ranker": {"/encode"},
}
"""Executors with the endpoints that they would pass all documents through."""


def patch_streamer(streamer: GatewayStreamer) -> None:
    """Makes a streamer do what has an effect, and nothing else; to be called once, before the first request."""
    pool, graph = streamer._connection_pool, streamer.topology_graph
    send_once = pool.send_requests_once

    def send(requests: list[Any], deployment: str, **kwargs: Any) -> Any:
        sent = send_once(requests=requests, deployment=deployment, **kwargs)
        return _gone(deployment) if sent is None else sent  # Jina would wait for the None

    def send_if_any(requests: list[Any], deployment: str, *, endpoint: str | None = None, **kwargs: Any) -> Any:
        if endpoint in SKIPPED_ENDPOINTS.get(deployment, ()):
            return _unchanged(requests[0])
        if endpoint in PER_DOCUMENT and not any(map(_has_documents, requests)):
            return _unchanged(requests[0])
        return send(requests, deployment, endpoint=endpoint, **kwargs)

    pool.send_requests_once = send_if_any
    graph.send = send
    WorkerRequestHandler.reduce_requests = staticmethod(_reduce)
    graph.__class__ = _Graph
    graph.has_filter_conditions = False  # what Jina sorts by; `_Graph` does so where there is something to sort
    streamer._streamer.wait_floating_requests_end = _no_end_to_wait_for
    for node in graph.all_nodes:
        if type(node) is TopologyGraph._ReqReplyNode:
            node.__class__, node.takes = _Node, _takes(node._filter_condition)


@cache
def patch_startup() -> None:
    """Makes Flows start without the work that has no effect; a second call does nothing."""
    make_model = topology_graph.create_base_doc_from_schema
    # Jina sets it as well, once the loops are there.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    warn = jina.helper.warn_unknown_args

    def model_of(schema: Any, *given: Any, **options: Any) -> Any:
        return MediaDoc if schema == MediaDoc.model_json_schema() else make_model(schema, *given, **options)

    topology_graph.create_base_doc_from_schema = model_of
    dynamic.create_pure_python_type_model = cache(dynamic.create_pure_python_type_model)
    LegacyDocumentJina.model_json_schema = staticmethod(cache(LegacyDocumentJina.model_json_schema))
    DataRequest.nbytes = property(_size)
    DataRequestProto.SerializeToString, DataRequestProto.FromString = staticmethod(_written), staticmethod(DataRequest)
    jina.helper.warn_unknown_args = lambda unknown: warn(unknown) if unknown else None
    Flow._get_summary_table = lambda self, panels: None
    flow_base.is_port_free = asyncio_runtime.is_port_free = lambda host, port: True


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


class _Node(TopologyGraph._ReqReplyNode):  # type: ignore[misc]
    """A node that passes on what its Executor has no part in, and copies no documents to leave some out.

    `order` has the ids of a request whose documents part here, some this way and some another; `takes` has whether the
    condition is true of a modality, where it is a matter of that.
    """

    order: Sequence[str] = ()
    takes: dict[str, bool]

    async def _wait_previous_and_send(
        self, request: Any, previous_task: Any, connection_pool: Any, endpoint: str | None, **given: Any
    ) -> Any:
        """As Jina's, which reads and writes the parameters of the request four times, whether it is sent or not."""
        if endpoint in PER_DOCUMENT and self.number_of_parts == 1:
            found, metadata = await previous_task if previous_task else (request, {})
            if found is not None and "is-error" not in (metadata or {}):
                kept = self._none_of(found)
                if kept is not None:
                    return kept, {}
        return await super()._wait_previous_and_send(request, previous_task, connection_pool, endpoint, **given)

    def _none_of(self, request: DataRequest) -> DataRequest | None:
        """The request without documents, where it has none that this node is for."""
        if not _has_documents(request):
            return request
        if self._filter_condition is None or self._takes_all_or_none(request) is not False:
            return None
        return _with_documents(request, request.document_array_cls([]))

    def _takes_all_or_none(self, request: DataRequest) -> bool | None:
        """Whether the condition is true of all its documents or of none, where that is seen without reading them."""
        modalities = {_modality_of(doc) for doc in request.proto_with_data.data.docs.docs}
        return self.takes.get(modalities.pop()) if len(modalities) == 1 else None

    def _update_requests_with_filter_condition(self, need_copy: bool) -> None:
        for place, request in enumerate(self.parts_to_send):
            if self._takes_all_or_none(request):
                continue
            docs = request.docs
            kept = filter_docs(docs, self._filter_condition)
            if 0 < len(kept) < len(docs):
                self.order = [doc.id for doc in docs]
            if len(kept) < len(docs):
                self.parts_to_send[place] = _with_documents(request, kept)


def _takes(condition: dict[str, Any] | None) -> dict[str, bool]:
    if not condition:
        return dict.fromkeys(SENT, True)
    if set(condition) != {"modality"}:
        return {}
    return {name: bool(filter_docs(DocList[MediaDoc]([MediaDoc(modality=name)]), condition)) for name in SENT}


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
    in order only where they had parted. Where a request's way has no branches it needs neither.
    """

    send: Callable[..., Any]
    """Of the pool of connections: a request to an Executor."""

    def way(self, modality: str, endpoint: str) -> list[Any] | None:
        """The nodes that have work with documents of a modality, where that is one after the other, else None."""
        if endpoint not in PER_DOCUMENT:
            return None
        way = []
        following = self._origin_nodes
        while following:
            takes = [node.takes.get(modality) for node in following]
            if takes.count(True) != 1 or None in takes:
                return None
            node = following[takes.index(True)]
            if endpoint not in node.endpoints and __default_endpoint__ not in node.endpoints:
                return None
            if endpoint not in SKIPPED_ENDPOINTS.get(node.name, ()):
                way.append(node)
            following = [after for after in node.outgoing_nodes if isinstance(after, _Node)]  # not the gateway again
        return way

    async def along(self, way: list[Any], request: DataRequest) -> DataRequest:
        """What the last of these nodes answers, or the first that refuses. What they hand on is not read here.

        Raises:
            InternalNetworkError: An Executor is gone or too slow.
        """
        endpoint = request.header.exec_endpoint
        for node in way:
            answer = await self.send(
                [request], node.name, metadata=node._metadata, head=True, endpoint=endpoint,
                timeout=node._timeout_send, retries=node._retries,
            )  # fmt: skip
            if isinstance(answer, InternalNetworkError):
                node._handle_internalnetworkerror(answer)  # which raises it, with a sentence more
            if isinstance(answer, BaseException):
                raise answer
            request, metadata = answer
            if metadata and "is-error" in metadata:
                break
        return request

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


def _written(request: DataRequest) -> bytes:
    return request.buffer if request.buffer is not None else bytes(request.proto.SerializePartialToString())


def _size(request: DataRequest) -> int:
    return len(request.buffer) if request.buffer is not None else int(request.proto.ByteSize())


def _has_documents(request: Any) -> bool:
    return bool(request.proto_with_data.data.docs.docs)


_reduce_all = WorkerRequestHandler.reduce_requests


def _reduce(requests: list[Any]) -> Any:
    filled = [request for request in requests if _has_documents(request)]
    return filled[0] if len(filled) == 1 else _reduce_all(requests)
