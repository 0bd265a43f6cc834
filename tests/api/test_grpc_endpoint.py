"""The gRPC port of a real service, asked by clients that mean no good."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from conftest import TOY, Service
from docarray import DocList

from crossmodal.images.sources import to_data_uri
from executors.schema import MediaDoc
from serving.jina.supervisor import prepare_jina

prepare_jina()

from jina.proto import jina_pb2, jina_pb2_grpc  # noqa: E402
from jina.types.request.data import DataRequest, SingleDocumentRequest  # noqa: E402

from serving.jina.grpc_endpoint import MAX_MESSAGE_BYTES  # noqa: E402

LIMIT_S = 30
TEXT = MediaDoc(id="q", modality="text", text="a star")


@pytest.fixture
def channel(query_service: Service) -> Iterator[grpc.Channel]:
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{query_service.port + 1}", options) as opened:
        yield opened


def request(*docs: MediaDoc, endpoint: str = "/search", executors: str = "", **parameters: Any) -> DataRequest:
    asked = DataRequest()
    asked.document_array_cls = DocList[MediaDoc]
    asked.data.docs = DocList[MediaDoc](docs)
    asked.header.exec_endpoint, asked.header.target_executor = endpoint, executors
    asked.parameters = parameters
    return asked


def ask(channel: grpc.Channel, *requests: DataRequest) -> list[DataRequest]:
    return list(jina_pb2_grpc.JinaRPCStub(channel).Call(iter(requests), timeout=LIMIT_S))


def docs_of(response: DataRequest) -> DocList[MediaDoc]:
    response.document_array_cls = DocList[MediaDoc]
    found: DocList[MediaDoc] = response.docs
    return found


def refusal(channel: grpc.Channel, *requests: DataRequest) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as refused:
        ask(channel, *requests)
    return refused.value


def answers_well(channel: grpc.Channel) -> bool:
    (response,) = ask(channel, request(TEXT, top_k=3))
    return len(docs_of(response)[0].matches) == 3


@pytest.mark.parametrize("target", ["ranker", ".*", "(" * 12 + "a*" + ")*" * 12])
def test_nobody_chooses_the_executors(channel: grpc.Channel, target: str) -> None:
    error = refusal(channel, request(TEXT, executors=target))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "target_executor" in error.details()
    single = jina_pb2_grpc.JinaSingleDataRequestRPCStub(channel)
    with pytest.raises(grpc.RpcError, match="target_executor"):
        single.process_single_data(request(TEXT, executors=target), timeout=LIMIT_S)
    assert answers_well(channel)


@pytest.mark.parametrize("endpoint", ["/index", "/delete", "/update", "/snapshot", "/", "", "/default"])
def test_nothing_is_written_and_no_endpoint_is_open_by_accident(channel: grpc.Channel, endpoint: str) -> None:
    error = refusal(channel, request(TEXT, endpoint=endpoint))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "/encode, /health, /search" in error.details()


@pytest.mark.parametrize("in_order", ["true", "false"])
def test_a_bad_request_after_a_good_one_ends_the_stream(channel: grpc.Channel, in_order: str) -> None:
    answered = threading.Event()

    def requests() -> Iterator[DataRequest]:
        yield request(TEXT)
        answered.wait(LIMIT_S)
        yield request(TEXT, executors="x")

    metadata = (("__results_in_order__", in_order),)
    call = jina_pb2_grpc.JinaRPCStub(channel).Call(requests(), timeout=LIMIT_S, metadata=metadata)
    assert docs_of(next(call))[0].id == "q"
    answered.set()
    with pytest.raises(grpc.RpcError, match="target_executor"):
        next(call)


@pytest.mark.parametrize("in_order", ["true", "false"])
def test_a_stream_whose_end_comes_late(channel: grpc.Channel, in_order: str) -> None:
    answered = threading.Event()

    def requests() -> Iterator[DataRequest]:
        yield request(TEXT)
        answered.wait(LIMIT_S)

    metadata = (("__results_in_order__", in_order),)
    call = jina_pb2_grpc.JinaRPCStub(channel).Call(requests(), timeout=LIMIT_S, metadata=metadata)
    assert docs_of(next(call))[0].id == "q"
    answered.set()
    assert list(call) == []


@pytest.mark.parametrize(
    "method",
    [
        "/jina.JinaInfoRPC/_status",
        "/jina.JinaExecutorRestore/restore",
        "/jina.JinaExecutorSnapshot/snapshot",
        "/jina.JinaDataRequestRPC/process_data",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ],
)
def test_what_no_client_needs_is_not_there(channel: grpc.Channel, method: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary(method)(b"", timeout=LIMIT_S)
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_answers_have_no_path_of_a_file(channel: grpc.Channel) -> None:
    picture = MediaDoc(modality="image", uri=to_data_uri((TOY / "images" / "test-00000.jpg").read_bytes()))
    (response,) = ask(channel, request(picture, target="both", top_k=1_000))
    matches = docs_of(response)[0].matches
    assert {match.modality for match in matches} == {"image", "text"}
    for match in matches:
        assert match.uri == f"/images/{match.id if match.modality == 'image' else match.image_id}"
    assert str(TOY).encode() not in response.SerializeToString()


def test_nobody_guesses_the_path_of_a_file(channel: grpc.Channel) -> None:
    error = refusal(channel, request(TEXT, where="width > 9 or not (uri like '/home/%')"))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "a service does not compare `uri`" in error.details()
    assert answers_well(channel)


def test_no_document_goes_past_the_flow(channel: grpc.Channel) -> None:
    asked = SingleDocumentRequest()
    asked.document_cls = MediaDoc
    asked.data.doc = TEXT
    asked.header.exec_endpoint = "/search"
    with pytest.raises(grpc.RpcError) as refused:
        list(jina_pb2_grpc.JinaSingleDocumentRequestRPCStub(channel).stream_doc(asked, timeout=LIMIT_S))
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    "uri",
    ["/etc/passwd", "file:///etc/passwd", "file:/etc/passwd", "../../../etc/passwd", "~/.ssh/id_rsa", "/dev/zero",
     "http://127.0.0.1/", "data:text/plain,root", "data:image/png;base64,@"],
)  # fmt: skip
@pytest.mark.parametrize("modality", ["image", "", "vector", "smell"])
def test_a_uri_opens_nothing(channel: grpc.Channel, uri: str, modality: str) -> None:
    hostile = MediaDoc(id="h", modality=modality, uri=uri, mime_type="text/html", text="t", generation="../..")
    (response,) = ask(channel, request(hostile, where="", target=uri))
    (doc,) = docs_of(response)
    assert doc.error
    assert len(doc.matches) == 0
    assert b"root:" not in response.proto.SerializeToString()


def test_fields_that_the_executors_fill_are_not_believed(channel: grpc.Channel) -> None:
    forged = MediaDoc(
        id="f", modality="text", text="a star", found={"image/1": 7.0}, embedding=np.ones(3), uri="/etc/passwd",
        generation="../../..", thumbnail=np.zeros(3, np.uint8), scores={"cosine": 9.0},
    )  # fmt: skip
    (response,) = ask(channel, request(forged, top_k=3))
    (doc,) = docs_of(response)
    assert len(doc.matches) == 3
    assert all(match.scores["cosine"] <= 1.001 for match in doc.matches)


@pytest.mark.parametrize("top_k", [0, -1, 1e12, "many", None])
def test_a_number_of_matches_out_of_bounds(channel: grpc.Channel, top_k: Any) -> None:
    (response,) = ask(channel, request(TEXT, top_k=top_k))
    assert response.header.status.code == jina_pb2.StatusProto.ERROR
    assert "top_k" in response.header.status.description
    told = response.proto.SerializeToString()
    assert b"site-packages" not in told
    assert b"Traceback" not in told


def test_an_array_without_its_bytes_is_no_array_of_zeros(channel: grpc.Channel) -> None:
    hostile = request(MediaDoc(id="a", modality="vector", embedding=np.zeros(4)))
    array = hostile.data._content.docs.docs[0].data["embedding"].ndarray.dense
    array.buffer = b""
    array.shape[:] = [50_000, 50_000]
    start = time.monotonic()
    error = refusal(channel, hostile)
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "an array of 0 bytes" in error.details()
    assert time.monotonic() - start < LIMIT_S
    assert answers_well(channel)


@pytest.mark.parametrize("message", [b"", b"\x00", b"no protobuf at all", b"\xff" * 100, b"\x0a\xff\xff\xff\xff\x0f"])
def test_what_is_no_request(channel: grpc.Channel, message: bytes) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        list(channel.stream_stream("/jina.JinaRPC/Call")(iter([message]), timeout=LIMIT_S))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert answers_well(channel)


def test_a_message_that_is_too_large(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        list(channel.stream_stream("/jina.JinaRPC/Call")(iter([bytes(MAX_MESSAGE_BYTES + 1)]), timeout=LIMIT_S))
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
