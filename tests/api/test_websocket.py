"""Jina's WebSocket protocol on the HTTP port, by clients that mean no good; jina.Client is in test_service.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import Service
from docarray import DocList
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from executors.schema import MediaDoc
from serving.jina.supervisor import prepare_jina

prepare_jina()

from jina.types.request.data import DataRequest  # noqa: E402

LIMIT_S = 30


def address(service: Service) -> str:
    return service.url.replace("http", "ws") + "/"


@pytest.fixture
def connection(query_service: Service) -> Iterator[ClientConnection]:
    with connect(address(query_service), subprotocols=["bytes"], open_timeout=LIMIT_S) as opened:
        yield opened


def request(doc: MediaDoc, endpoint: str = "/search", executors: str = "") -> bytes:
    asked = DataRequest()
    asked.document_array_cls = DocList[MediaDoc]
    asked.data.docs = DocList[MediaDoc]([doc])
    asked.header.exec_endpoint, asked.header.target_executor = endpoint, executors
    return bytes(asked.SerializeToString())


TEXT = MediaDoc(id="q", modality="text", text="a star")


def test_a_good_request_and_an_end(connection: ClientConnection) -> None:
    for _ in range(2):
        connection.send(request(TEXT))
        answer = DataRequest(connection.recv(LIMIT_S))
        answer.document_array_cls = DocList[MediaDoc]
        assert len(answer.docs[0].matches) == 10
    connection.send(b"\0")
    with pytest.raises(ConnectionClosed) as closed:
        connection.recv(LIMIT_S)
    assert closed.value.rcvd.code == 1000


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (request(TEXT, executors=".*"), "target_executor"),
        (request(TEXT, "/index"), "'/index' is not served here"),
        (request(TEXT, "/snapshot"), "is not served here"),
        (b"no request", "not a Jina request"),
        (b"", "not a Jina request"),
    ],
)
def test_what_is_refused(connection: ClientConnection, message: bytes, told: str) -> None:
    connection.send(message)
    with pytest.raises(ConnectionClosed) as closed:
        connection.recv(LIMIT_S)
    assert closed.value.rcvd.code == 1008
    assert told in closed.value.rcvd.reason


def test_no_file_is_read(connection: ClientConnection) -> None:
    connection.send(request(MediaDoc(id="h", modality="image", uri="/etc/passwd")))
    answered = connection.recv(LIMIT_S)
    assert b"are not read" in answered
    assert b"root:" not in answered


def test_a_text_instead_of_bytes(connection: ClientConnection) -> None:
    connection.send("{}")
    with pytest.raises(ConnectionClosed):
        connection.recv(LIMIT_S)


def test_another_protocol_is_not_spoken(query_service: Service) -> None:
    with pytest.raises(InvalidStatus), connect(address(query_service), open_timeout=LIMIT_S):
        pass
