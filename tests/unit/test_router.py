"""The way of a request through a Flow, and what its Executors get."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from crossmodal.collection.collection import Collection
from crossmodal.core.errors import InputError, NotWritableError, PictureError, StateError
from crossmodal.core.settings import Settings
from crossmodal.core.types import ModelSpec, Preprocessing
from executors.schema import MediaDoc
from serving.http.errors import problem_of
from serving.http.metrics import Metrics
from serving.jina.client_requests import ClientRequests
from serving.jina.flow_calls import UnavailableError
from serving.jina.pool import METHOD, ExecutorPool
from serving.jina.routed_calls import RoutedCalls
from serving.jina.router import Node, Request, Router
from serving.jina.supervisor import flow_context, flow_path
from serving.jina.topology import from_plain, read_topology, to_plain

TEXT, IMAGE = "text", "image"
LOAD = ["image_loader", "image_normalizer", "image_encoder"]
SEARCH_TEXT = ["text_encoder", "image_vector_indexer", "ranker"]
SEARCH_IMAGE = [*LOAD, "image_vector_indexer", "text_vector_indexer", "ranker"]
FOLLOW = ["image_vector_indexer", "text_vector_indexer"]


class Executors:
    """Executors that note what they get; each adds an entry to `timings_ms`, and the one that is named refuses."""

    def __init__(self, refusing: str = "", error: str = "InputError") -> None:
        self.called: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self._refusing, self._error = refusing, error

    async def send(self, name: str, content: bytes, endpoint: str) -> tuple[bytes, bool]:
        self.called.append(name)
        request = Request.FromString(content)
        assert request.header.exec_endpoint == endpoint
        docs = [MediaDoc.from_protobuf(doc) for doc in request.data.docs.docs]
        self.texts[name] = [doc.text for doc in docs]
        if name == self._refusing:
            request.header.status.code = 1
            request.header.status.exception.name = self._error
            request.header.status.exception.args.append(f"no, /secret of {self._error}")
            request.header.status.exception.stacks.append("/secret")
            request.header.status.description = "/secret"
            return request.SerializeToString(), True
        for doc, message in zip(docs, request.data.docs.docs, strict=True):
            doc.timings_ms = {**doc.timings_ms, name: 1.0}
            message.Clear()
            doc.write_to(message)
        return request.SerializeToString(), False


@pytest.fixture
def nodes_of(tmp_path: Path) -> Callable[..., list[Node]]:
    collection = Collection.create(tmp_path, ModelSpec("clip", "scenes", "a" * 64, 256, Preprocessing(96)))

    def nodes(kind: str, *, writable: bool = False) -> list[Node]:
        settings = Settings(writable=writable)
        context = flow_context(collection, settings, kind, read_paths=False)
        return from_plain(to_plain(read_topology(flow_path(kind, settings), context)))

    return nodes


def calls_of(nodes: list[Node], executors: Executors) -> RoutedCalls:
    return RoutedCalls(Router(nodes, executors.send), Metrics())


def doc(modality: str, text: str = "") -> MediaDoc:
    return MediaDoc(modality=modality, text=text)


@pytest.mark.parametrize(
    ("kind", "writable", "modality", "endpoint", "called"),
    [
        ("query", False, TEXT, "/search", SEARCH_TEXT),
        ("query", False, TEXT, "/encode", ["text_encoder"]),
        ("query", False, TEXT, "/health", SEARCH_TEXT),
        ("query", False, IMAGE, "/search", SEARCH_IMAGE),
        ("query", False, IMAGE, "/encode", LOAD),
        ("query", False, "sound", "/search", SEARCH_IMAGE),
        ("query", True, TEXT, "/search", SEARCH_TEXT),
        ("query", True, TEXT, "/index", ["text_encoder", "image_vector_indexer", "kv_indexer"]),
        ("query", True, IMAGE, "/index", [*LOAD, *FOLLOW, "kv_indexer"]),
        ("query", True, "", "/delete", [*FOLLOW, "kv_indexer"]),
        ("query", True, "", "/update", [*FOLLOW, "kv_indexer"]),
        ("index", False, TEXT, "/index", ["text_encoder", "kv_indexer", *FOLLOW]),
        ("index", False, IMAGE, "/index", [*LOAD, "kv_indexer", *FOLLOW]),
        ("index", False, "", "/delete", ["kv_indexer", *FOLLOW]),
    ],
)
def test_a_request_goes_to_the_executors_that_have_work(
    nodes_of: Callable[..., list[Node]], kind: str, writable: bool, modality: str, endpoint: str, called: list[str]
) -> None:
    executors = Executors()
    asyncio.run(calls_of(nodes_of(kind, writable=writable), executors)([doc(modality)], endpoint, {}))
    assert executors.called == called


def test_indexes_that_follow_the_store_get_no_documents(nodes_of: Callable[..., list[Node]]) -> None:
    executors = Executors()
    answer = asyncio.run(calls_of(nodes_of("index"), executors)([doc(TEXT, "one"), doc(TEXT, "two")], "/index", {}))
    assert executors.texts == {
        "text_encoder": ["one", "two"],
        "kv_indexer": ["one", "two"],
        **{name: [] for name in FOLLOW},
    }
    assert [(found.text, sorted(found.timings_ms)) for found in answer] == [
        (text, ["kv_indexer", "text_encoder"]) for text in ("one", "two")
    ]


def test_a_request_without_documents_goes_to_all_that_declare_its_endpoint(nodes_of: Callable[..., list[Node]]) -> None:
    executors = Executors()
    assert asyncio.run(calls_of(nodes_of("index"), executors)([], "/snapshot", {})) == []
    assert executors.called == ["kv_indexer", *FOLLOW]


def test_documents_part_and_come_back_in_their_order(nodes_of: Callable[..., list[Node]]) -> None:
    executors = Executors()
    docs = [doc(TEXT, "a"), doc(IMAGE, "b"), doc(TEXT, "c"), doc(IMAGE, "d")]
    answered = asyncio.run(calls_of(nodes_of("query"), executors)(docs, "/search", {"top_k": 3}))
    assert [answer.id for answer in answered] == [sent.id for sent in docs]
    assert executors.texts["text_encoder"] == ["a", "c"]
    assert executors.texts["image_loader"] == executors.texts["text_vector_indexer"] == ["b", "d"]
    assert executors.texts["image_vector_indexer"] == executors.texts["ranker"] == ["a", "b", "c", "d"]
    assert set(answered[0].timings_ms) == set(SEARCH_TEXT)
    assert set(answered[1].timings_ms) == set(SEARCH_IMAGE)  # of both branches


def test_what_two_branches_add_to_a_document_is_united(nodes_of: Callable[..., list[Node]]) -> None:
    class Finding(Executors):
        async def send(self, name: str, content: bytes, endpoint: str) -> tuple[bytes, bool]:
            answer, is_refused = await super().send(name, content, endpoint)
            request = Request.FromString(answer)
            data = request.data.docs.docs[0].data
            if name == "image_vector_indexer":
                data["found"].dict.data["image/1"].float = 0.5
            if name == "text_vector_indexer":
                data["found"].dict.data["text/2"].float = 0.25
                data["error"].text = "the second branch failed"
            return request.SerializeToString(), is_refused

    (answer,) = asyncio.run(calls_of(nodes_of("query"), Finding())([doc(IMAGE)], "/search", {}))
    assert answer.found == {"image/1": 0.5, "text/2": 0.25}
    assert answer.error == "the second branch failed"


def test_none_is_called_after_one_that_refuses(nodes_of: Callable[..., list[Node]]) -> None:
    executors = Executors(refusing="image_vector_indexer")
    with pytest.raises(InputError, match="no"):
        asyncio.run(calls_of(nodes_of("query"), executors)([doc(TEXT)], "/search", {}))
    assert executors.called == ["text_encoder", "image_vector_indexer"]


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        ("InputError", InputError, 422),
        ("PictureError", PictureError, 422),
        ("StateError", StateError, 503),
        ("NotWritableError", NotWritableError, 503),
        ("KeyError", RuntimeError, 500),
    ],
)
def test_an_error_of_an_executor_keeps_its_kind_and_what_clients_may_know(
    nodes_of: Callable[..., list[Node]],
    error: str,
    kind: type[Exception],
    status: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    executors = Executors(refusing="ranker", error=error)
    with pytest.raises(kind) as raised:
        asyncio.run(calls_of(nodes_of("query"), executors)([doc(TEXT)], "/search", {}))
    assert type(raised.value) is kind
    problem = problem_of(raised.value)
    assert (problem.status, "/secret" in problem.detail) == (status, kind in (InputError, PictureError))
    assert (f"/secret of {error}" in caplog.text) == (status >= 500)

    request = Request()
    request.header.exec_endpoint = "/search"
    doc(TEXT).write_to(request.data.docs.docs.add())
    router = Router(nodes_of("query"), executors.send)
    for is_private in (False, True):
        requests = ClientRequests(router, {"/search"}, admitted, is_private=is_private)
        told = Request.FromString(asyncio.run(requests.answer(request))).header.status
        assert not told.exception.stacks
        assert [*told.exception.args] == ([f"no, /secret of {error}"] if is_private else [problem.detail])
        assert told.description == ("/secret" if is_private else problem.detail)


async def admitted(_: int | None) -> None:
    """Lets every search through."""


def test_an_executor_that_is_gone_is_reported_and_counted(nodes_of: Callable[..., list[Node]]) -> None:
    async def send(name: str, content: bytes, endpoint: str) -> tuple[bytes, bool]:
        raise UnavailableError(name)

    metrics = Metrics()
    calls = RoutedCalls(Router(nodes_of("query"), send), metrics)
    with pytest.raises(UnavailableError, match="text_encoder"):
        asyncio.run(calls([doc(TEXT)], "/search", {}))
    assert b'errors_total{endpoint="/search",kind="UnavailableError"} 1.0' in metrics.text()


@pytest.mark.parametrize(("listens", "status"), [(True, 504), (False, 503)])
def test_an_executor_that_is_late_is_told_from_one_that_is_gone(listens: bool, status: int) -> None:
    async def send(port: int) -> None:
        pool = ExecutorPool({"late": [f"grpc://127.0.0.1:{port}"]}, 0.3 if listens else None)
        try:
            await pool.send("late", b"", "/search")
        finally:
            await pool.close()

    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        if listens:
            bound.listen()
        with pytest.raises(UnavailableError) as raised:
            asyncio.run(send(bound.getsockname()[1]))
    assert problem_of(raised.value).status == status


def test_the_first_requests_arrive_in_order() -> None:
    """Those that wait for a connection would be sent in any order."""
    arrived: list[int] = []

    async def note(message: bytes, _: object) -> bytes:
        arrived.append(message[0])
        return b""

    class Handler(grpc.GenericRpcHandler):
        def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
            return grpc.unary_unary_rpc_method_handler(note) if call.method == METHOD else None

    async def send() -> None:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((Handler(),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        pool = ExecutorPool({"a": [f"grpc://127.0.0.1:{port}"]}, None)
        await pool.connect()
        await asyncio.gather(*(pool.send("a", bytes([number]), "/index") for number in range(8)))
        await pool.close()
        await server.stop(None)

    asyncio.run(send())
    assert arrived == list(range(8))


def test_half_a_character_is_refused_before_it_is_sent(nodes_of: Callable[..., list[Node]]) -> None:
    executors = Executors()
    with pytest.raises(InputError, match="can't be sent to the Flow"):
        asyncio.run(calls_of(nodes_of("query"), executors)([doc(TEXT)], "/search", {"where": "\ud800"}))
    assert executors.called == []


def test_a_document_that_comes_twice_is_sent_once(nodes_of: Callable[..., list[Node]]) -> None:
    executors = Executors()
    twice = doc(TEXT, "a")
    answered = asyncio.run(calls_of(nodes_of("query"), executors)([twice, twice], "/search", {}))
    assert executors.texts["text_encoder"] == ["a"]
    assert [answer.id for answer in answered] == [twice.id, twice.id]


def test_large_requests_are_sent_in_parts(nodes_of: Callable[..., list[Node]]) -> None:
    executors = Executors()
    docs = [doc(TEXT, str(number)) for number in range(70)]
    answered = asyncio.run(calls_of(nodes_of("query"), executors)(docs, "/encode", {}))
    assert [answer.text for answer in answered] == [str(number) for number in range(70)]
    assert executors.called == ["text_encoder"] * 3
