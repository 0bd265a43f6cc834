"""The ways of requests through the gateway, and what becomes of their messages."""

import asyncio
import os
from typing import Any

import pytest
from jina.proto.serializer import DataRequestProto
from jina.serve.runtimes.gateway.streamer import GatewayStreamer
from jina.types.request.data import DataRequest

from executors.schema import MediaDoc
from serving.jina.flow_calls import FlowCalls
from serving.jina.patches import patch_startup, patch_streamer

QUERY_FLOW = {
    "start-gateway": ["text_encoder", "image_loader"],
    "text_encoder": ["image_vector_indexer"],
    "image_loader": ["image_encoder"],
    "image_encoder": ["image_vector_indexer", "text_vector_indexer"],
    "image_vector_indexer": ["ranker"],
    "text_vector_indexer": ["ranker"],
    "ranker": ["end-gateway"],
}
CONDITIONS = {
    "text_encoder": {"modality": {"$eq": "text"}},
    "image_loader": {"modality": {"$neq": "text"}},
}


@pytest.fixture
def streamer() -> GatewayStreamer:
    """A gateway's, of a Flow that is not there."""

    async def made() -> GatewayStreamer:
        return GatewayStreamer(QUERY_FLOW, {}, CONDITIONS)

    streamer = asyncio.run(made())
    patch_streamer(streamer)
    for node in streamer.topology_graph.all_nodes:
        node.endpoints = ["/search", "/encode"]
    streamer.topology_graph.send = Answering()
    return streamer


class Answering:
    """Executors that hand on what they get; the one that is named refuses."""

    def __init__(self, refusing: str = "") -> None:
        self.asked: list[str] = []
        self._refusing = refusing

    async def __call__(self, requests: list[DataRequest], deployment: str, **_: Any) -> tuple[DataRequest, Any]:
        self.asked.append(deployment)
        (request,) = requests
        if deployment != self._refusing:
            return DataRequest(DataRequestProto.SerializeToString(request)), ()
        request.add_exception(RuntimeError("no"))
        return request, ("is-error",)


@pytest.mark.parametrize(
    ("modality", "endpoint", "way"),
    [
        ("text", "/search", ["text_encoder", "image_vector_indexer", "ranker"]),
        ("text", "/encode", ["text_encoder"]),
        ("image", "/search", None),  # to the pictures and to the captions
        ("vector", "/search", None),
        ("sound", "/search", None),
        ("text", "/index", None),  # which they don't serve
    ],
)
def test_a_way_without_branches(streamer: GatewayStreamer, modality: str, endpoint: str, way: list[str] | None) -> None:
    found = streamer.topology_graph.way(modality, endpoint)
    assert (None if found is None else [node.name for node in found]) == way


def test_documents_go_along_it(streamer: GatewayStreamer) -> None:
    docs = [MediaDoc(modality="text", text=text) for text in ("a", "b")]
    answered = asyncio.run(FlowCalls(streamer)(docs, "/search", {"top_k": 3}))
    assert [(doc.id, doc.text) for doc in answered] == [(doc.id, doc.text) for doc in docs]
    assert streamer.topology_graph.send.asked == ["text_encoder", "image_vector_indexer", "ranker"]


def test_none_is_asked_after_one_that_refuses(streamer: GatewayStreamer) -> None:
    streamer.topology_graph.send = Answering(refusing="image_vector_indexer")
    with pytest.raises(RuntimeError, match="no"):
        asyncio.run(FlowCalls(streamer)([MediaDoc(modality="text", text="a")], "/search", {}))
    assert streamer.topology_graph.send.asked == ["text_encoder", "image_vector_indexer"]


def test_what_is_handed_on_is_neither_read_nor_counted() -> None:
    patch_startup()
    before = dict(os.environ)
    request = DataRequest()
    request.header.exec_endpoint = "/search"
    written = DataRequestProto.SerializeToString(request)
    passed = DataRequestProto.FromString(written)
    assert passed.nbytes == len(written) == request.nbytes
    assert DataRequestProto.SerializeToString(passed) is written
    assert dict(os.environ) == before
    assert passed.header.exec_endpoint == "/search"
    assert passed.nbytes == len(written)
