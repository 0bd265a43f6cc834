"""Malformed messages for the gRPC port, for benchmarks/fuzz.py."""

from __future__ import annotations

from random import Random
from typing import Any

import grpc
import numpy as np
from docarray import DocList
from fuzz_cases import ODD_CONDITIONS, ODD_NUMBERS, ODD_TEXTS, ODD_URIS, damaged, picture
from jina.proto import jina_pb2
from jina.types.request.data import DataRequest

from executors.schema import MediaDoc, to_array

METHODS = ("/jina.JinaRPC/Call", "/jina.JinaSingleDataRequestRPC/process_single_data", "/jina.JinaInfoRPC/_status")
ENDPOINTS = ("/search", "/encode", "/index", "/update", "/delete", "/health", "/snapshot", "/", "", "/search\0")
TARGETS = ("", "", "", "", "", "", "", "ranker", ".*", "(a*)*b")
REFUSALS = ("InputError", "StateError", "PictureError")
FAULTS = {grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DATA_LOSS}


def grpc_case(rng: Random) -> tuple[str, bytes]:
    """A method and a message."""
    request = DataRequest()
    request.document_array_cls = DocList[MediaDoc]
    request.data.docs = DocList[MediaDoc]([_doc(rng) for _ in range(rng.choice((0, 1, 1, 1, 4)))])
    request.header.exec_endpoint = rng.choice(ENDPOINTS[:6]) if rng.random() < 0.85 else rng.choice(ENDPOINTS)
    request.header.target_executor = rng.choice(TARGETS)
    parameters: dict[str, Any] = {}
    if rng.random() < 0.3:
        parameters["top_k"] = float(rng.choice([n for n in ODD_NUMBERS if abs(n) < 1e300]))
    if rng.random() < 0.2:
        parameters["where"] = _text(rng.choice(ODD_CONDITIONS[1:]))
    if rng.random() < 0.2:
        parameters[rng.choice(("target", "ranker__top_k", "$", ""))] = _text(rng.choice(ODD_TEXTS))
    request.parameters = parameters
    for doc in request.data._content.docs.docs:
        if rng.random() < 0.1 and "content" in doc.data:
            array = doc.data["content"].ndarray.dense
            array.shape[:] = [rng.choice((0, 1, 10**6))] * rng.choice((1, 3))
            array.dtype = rng.choice(("<f8", "|O", "|u1", "nonsense", "<U9"))
    message = request.proto.SerializeToString()
    return rng.choice(METHODS[:2]) if rng.random() < 0.97 else METHODS[2], (
        damaged(rng, message) if rng.random() < 0.4 else message
    )


def send_grpc(channel: grpc.Channel, method: str, message: bytes, limit_s: float) -> str:
    """The outcome of a gRPC message: `answered`, `refused`, `hang`, or `fault` with details."""
    try:
        if method.endswith("Call"):
            responses = list(channel.stream_stream(method)(iter([message]), timeout=limit_s))
        else:
            responses = [channel.unary_unary(method)(message, timeout=limit_s)]
    except grpc.RpcError as error:
        if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
            return "hang"
        return f"fault {error.code().name}: {error.details()[:200]}" if error.code() in FAULTS else "refused"
    for response in map(jina_pb2.DataRequestProto.FromString, responses):
        status = response.header.status
        if status.code == jina_pb2.StatusProto.ERROR:
            return "refused" if status.exception.name in REFUSALS else f"fault {status.description[:200]}"
    return "answered"


def _doc(rng: Random) -> MediaDoc:
    doc = MediaDoc(
        id=_text(rng.choice(("a", "b", "c", *ODD_TEXTS))), modality=rng.choice(("image", "text", "", "vector"))
    )
    if rng.random() < 0.7:
        doc.content = to_array(picture(rng))
    if rng.random() < 0.7:
        doc.text = _text(rng.choice(ODD_TEXTS))
    if rng.random() < 0.4:
        doc.uri = rng.choice(ODD_URIS)
    if rng.random() < 0.2:
        doc.embedding = np.full(rng.choice((0, 3, 512)), rng.choice((0.0, 1.0, np.nan, 512**-0.5)), np.float32)
    if rng.random() < 0.1:
        doc.pixels = np.zeros(rng.choice(((1,), (96, 96, 3), (2, 2, 2, 2))), np.uint8)
    if rng.random() < 0.1:
        doc.found = {rng.choice(("image/1", "image/x", "", "text/999999")): 1.0}
    if rng.random() < 0.1:
        doc.generation, doc.error = rng.choice((("..", ""), ("generation-9", ""), ("", "it went wrong before")))
    if rng.random() < 0.1:
        doc.tags = {"a": rng.choice((1, None, [1, {"b": "x" * 1_000}], 1e308))}
    return doc


def _text(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
