"""A front node with services that answer as told: which slices belong together, and how answers are merged."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from crossmodal.core.errors import StateError
from serving.config import ServiceConfig
from serving.front.app import make_front
from serving.front.merging import in_one, merged
from serving.front.services import ANSWER_S, WORK_S, SliceServices
from serving.http.errors import NOT_NOW

URLS = ["http://a.test", "http://b.test:1"]
STATUS = {"slice": "1/2", "collection": "c", "store": "s", "model": {"family": "clip", "weights": "w"}, "seq": 3}
Reply = Callable[[httpx.Request], httpx.Response]


def result(name: str, score: float, modality: str = "image") -> dict[str, Any]:
    return {"id": name, "score": score, "modality": modality}


def answer(part: int, *results: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "model": "m", "collection": "c", "took_ms": {"encode": float(part), "total": 1.0}, "n": len(results),
        "more": False, "results": list(results), "query": {"top_k": 100, "offset": 0, "text": "x"},
        "slice": f"{part}/2", **fields,
    }  # fmt: skip


def services(*replies: Any) -> SliceServices:
    """Services that answer with JSON, raise an error, or do what a function returns."""

    def handle(request: httpx.Request) -> httpx.Response:
        reply = replies[URLS.index(f"http://{request.url.netloc.decode()}")]
        if isinstance(reply, Exception):
            raise reply
        return reply(request) if callable(reply) else httpx.Response(200, json=reply)

    return SliceServices(URLS, httpx.MockTransport(handle))


# -- merging


def test_a_picture_that_every_slice_finds_by_its_text_is_there_once() -> None:
    one = answer(1, result("sign", 1.4), result("a", 0.9))
    two = answer(2, result("sign", 1.5), result("b", 0.5))
    whole = merged([one, two], 0, 3, [])
    assert [(r["id"], r["score"]) for r in whole["results"]] == [("sign", 1.5), ("a", 0.9), ("b", 0.5)]


def test_results_are_merged_by_modality_and_score() -> None:
    one = answer(1, result("a", 0.9), result("b", 0.2), result("c", 0.8, "text"))
    two = answer(2, result("d", 0.5), result("e", 0.9, "text"), result("f", 0.1, "text"))
    whole = merged([one, two], 0, 2, [])
    assert [r["id"] for r in whole["results"]] == ["a", "d", "e", "c"]
    assert (whole["n"], whole["more"], whole["took_ms"]["encode"]) == (4, True, 2.0)
    assert whole["query"] == {"top_k": 2, "offset": 0, "text": "x"}
    assert not {"slice", "missing", "note", "fits"} & whole.keys()
    page = merged([one, two], 2, 2, ["2/2"])
    assert [r["id"] for r in page["results"]] == ["b", "f"]
    assert (page["more"], page["missing"]) == (False, ["2/2"])
    assert page["note"] == "slice 2/2 does not answer: its documents are missing"


@pytest.mark.parametrize(("order", "names"), [("newest", "dacbe"), ("oldest", "cadbe")])
def test_results_are_merged_by_time(order: str, names: str) -> None:
    def dated(name: str, score: float, time: Any) -> dict[str, Any]:
        return {**result(name, score), "tags": {"taken": time}}

    query = {"query": {"order": order}}
    one = answer(1, dated("a", 0.9, "2020-01-01T00:00:00"), dated("b", 0.8, ""), **query)
    two = answer(2, dated("d", 0.1, "2021"), dated("c", 0.3, "2019"), dated("e", 0.2, 7), **query)
    for part in (one, two):
        part["ordered"] = {"threshold": 0.5, "candidates": 10, "fitting": 3}
    whole = merged([one, two], 0, 10, [])
    assert "".join(r["id"] for r in whole["results"]) == names
    assert whole["ordered"] == {"threshold": 0.5, "candidates": 20, "fitting": 6}


def test_a_list_of_all_slices_is_taken_from_one() -> None:
    listed = [answer(part, result("a", 0), result("b", 0), listed=True) for part in (1, 2)]
    assert [r["id"] for r in merged(listed, 1, 5, [])["results"]] == ["b"]


def test_pages_of_one_slice_are_joined() -> None:
    first, second = answer(1, result("a", 1.0), more=True), answer(1, result("b", 0.5))
    assert [r["id"] for r in in_one([first, second])["results"]] == ["a", "b"]
    assert in_one([first, second])["more"] is False


@pytest.mark.parametrize(
    ("of_slices", "fits"),
    [((True, False), True), ((None, True), True), ((False, False), False), ((None, False), None), ((None, None), None)],
)
def test_the_best_of_all_decides_whether_something_fits(of_slices: tuple[bool | None, ...], fits: bool | None) -> None:
    answers = [answer(1, fits=of_slices[0]), answer(2, fits=of_slices[1])]
    assert merged(answers, 0, 1, []).get("fits") is fits


def test_notes_are_told_once() -> None:
    answers = [answer(1, note="unread"), answer(2, note="unread")]
    assert merged(answers, 0, 1, [])["note"] == "unread"


# -- which services belong together


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"slice": "1/2"}, "http://a.test and http://b.test:1 both have slice 1/2: each is needed once"),
        ({"slice": "2/4"}, "http://b.test:1 has slice 2/4, expected one of 1/2, 2/2: give the URLs of all 4 slices"),
        ({"slice": None}, "http://b.test:1 has all documents, expected one of 1/2, 2/2"),
        ({"slice": "2/2", "collection": "d"}, "http://b.test:1 has another collection than http://a.test: d, not c"),
        ({"slice": "2/2", "store": "t"}, "has another store than http://a.test: t, not s"),
        ({"slice": "2/2", "model": {"family": "vse", "weights": "v"}}, "has another model than .*: vse v, not clip w"),
    ],
)
def test_services_that_do_not_add_up_are_refused(other: dict[str, Any], told: str) -> None:
    with pytest.raises(StateError, match=told):
        asyncio.run(services(STATUS, {**STATUS, **other}).states())


@pytest.mark.parametrize(
    "problem",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout(""),
        lambda _: httpx.Response(503, json={"detail": "too old"}),
        lambda _: httpx.Response(200, text="<html>"),
        lambda _: httpx.Response(401, json={"detail": "a key is needed"}),
        lambda _: httpx.Response(404, text="default backend - 404"),
        lambda _: httpx.Response(404, json={"detail": "Not Found"}),
        lambda _: httpx.Response(301, headers={"Location": "/elsewhere"}),
        ["of another program"],
        {"status": "ok"},
    ],
)
def test_a_service_that_does_not_answer_is_said(problem: Any, caplog: pytest.LogCaptureFixture) -> None:
    of_two = services(STATUS, problem)
    states, problems = asyncio.run(of_two.states())
    assert (list(states), list(problems)) == ([URLS[0]], [URLS[1]])
    with pytest.raises(StateError, match=r"no slice answers: http://a\.test: "):
        asyncio.run(services(problem, problem).states())
    found = asyncio.run(services(answer(1), problem).search([{}]))
    assert list(found.answers) == ["1/2"]
    assert list(found.problems) == [URLS[1]]
    with caplog.at_level(logging.WARNING):
        assert of_two.missing(found.answers, found.problems) == ["2/2"]
        assert of_two.missing(found.answers, found.problems) == ["2/2"]
        assert of_two.missing({"1/2": 1, "2/2": 2}, {}) == []
    assert [record.getMessage() for record in caplog.records] == [
        f"slices missing from answers: 2/2 ({URLS[1]}: {found.problems[URLS[1]]})",
        "slices missing from answers: none any more ()",
    ]


@pytest.mark.parametrize("part", ["1/2", "2/4", None])
def test_a_service_that_has_become_another_slice_is_missing(part: str | None) -> None:
    found = asyncio.run(services(answer(1), {**answer(2), "slice": part}).search([{}]))
    assert list(found.answers) == ["1/2"]
    assert "is not one of 2 different slices" in found.problems[URLS[1]]


# -- the application


def front(*replies: Any) -> TestClient:
    return TestClient(make_front(services(*replies), ServiceConfig()))


def test_each_slice_is_asked_for_the_best_of_all_pages() -> None:
    asked: list[Any] = []

    def reply(part: int) -> Reply:
        def respond(request: httpx.Request) -> httpx.Response:
            asked.append(json.loads(request.content))
            return httpx.Response(200, json=answer(part, result(str(part), 0.5)))

        return respond

    with front(reply(1), reply(2)) as client:
        body = {"text": "x", "offset": 1500, "top_k": 20, "where": "width > 1", "after_seq": 7}
        told = client.post("/search", json=body).json()
        picture = client.post("/search", data={"top_k": "3"}, files={"image": b"GIF"}).json()
    assert told["query"]["offset"] == 1500
    pages = [{"offset": 0, "top_k": 1000}, {"offset": 1000, "top_k": 520}]
    assert asked[:4] == [{"text": "x", "where": "width > 1", "after_seq": 7, **page} for page in pages] * 2
    uri = "data:application/octet-stream;base64,R0lG"
    assert asked[4:] == [{"image": uri, "offset": 0, "top_k": 3}] * 2
    assert picture["n"] == 2


@pytest.mark.parametrize("status", [400, 403, 404, 422])
def test_a_refusal_of_a_slice_is_passed_on(status: int) -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        problem = json.dumps({"status": status, "detail": "no"}).encode()
        return httpx.Response(status, content=problem, headers={"Content-Type": "application/problem+json"})

    with front(answer(1), refuse) as client:
        told = client.post("/search", json={"text": "x"})
    assert (told.status_code, told.json()["detail"]) == (status, "no")


def test_a_picture_that_is_too_large_as_base64_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.front.app.MAX_BYTES", 2)
    with front(answer(1), answer(2)) as client:
        told = client.post("/search", files={"image": b"GIF"})
    assert (told.status_code, told.json()["detail"]) == (422, "image: 3 bytes; the limit is 2")


def test_a_picture_that_is_given_twice_is_refused() -> None:
    parts = [("image", (None, "data:image/png;base64,AA==")), ("image", ("x.png", b"GIF"))]
    with front(answer(1), answer(2)) as client:
        told = client.post("/search", files=parts)
    assert (told.status_code, told.json()["detail"]) == (422, "image: given twice, as a file and as a data URI")


def test_a_reindex_in_progress_is_refused() -> None:
    with front(answer(1), {**answer(2), "model": "other"}) as client:
        told = client.post("/search", json={"text": "x"})
    assert told.status_code == 503
    assert "different collections or models" in told.json()["detail"]


def test_a_search_for_a_location_that_the_slices_hide_is_refused_as_they_refuse_it() -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        problem = b'{"detail": "only with a key"}'
        return httpx.Response(403, content=problem, headers={"Content-Type": "application/problem+json"})

    with front(refuse, refuse) as client:
        told = client.post("/search", json={"text": "x", "near": "Oslo"})
    assert (told.status_code, told.json()) == (403, {"detail": "only with a key"})


@pytest.mark.parametrize(
    ("method", "path", "status", "told"),
    [
        ("GET", "/duplicates?level=1", 501, "the command `duplicates`"),
        ("POST", "/playground/try", 501, "at the address of a node"),
        ("PUT", "/searches/a/b", 403, "--writable"),
        ("DELETE", "/searches/a", 403, "--writable"),
        ("DELETE", "/documents/a", 403, "--writable"),
        ("POST", "/index", 403, "--writable"),
        ("POST", "/update", 403, "--writable"),
        ("POST", "/delete", 403, "--writable"),
    ],
)
def test_what_a_front_can_not_do_names_the_next_step(method: str, path: str, status: int, told: str) -> None:
    with front(answer(1), answer(2)) as client:
        refusal = client.request(method, path, json={})
        older = client.post("/index", json={"data": ["a"]}).json()
    assert (refusal.status_code, refusal.headers["content-type"]) == (status, "application/problem+json")
    assert told in refusal.json()["detail"]
    assert "--writable" in older["status"]["description"]


def test_long_work_has_more_time_than_a_picture() -> None:
    limits: list[float] = []

    def reply(request: httpx.Request) -> httpx.Response:
        limits.append(request.extensions["timeout"]["read"])
        return httpx.Response(200, stream=httpx.ByteStream(b""))

    with front(reply, reply) as client:
        client.get("/images/a")
        client.post("/encode", json={})
    assert limits == [ANSWER_S, WORK_S]


def test_other_requests_go_to_a_service_that_answers(caplog: pytest.LogCaptureFixture) -> None:
    def gone(_: httpx.Request) -> httpx.Response:
        return httpx.Response(500)

    seen: list[str] = []

    def reply(request: httpx.Request) -> httpx.Response:
        seen.append(f"{request.method} {request.url}")
        return httpx.Response(200, content=body(), headers={"X-Told": "yes"})

    async def body() -> AsyncIterator[bytes]:
        yield b'{"a": 1}'

    with front(gone, reply) as client:
        for _ in range(2):
            told = client.get("/documents/a%2Fb?x=1")
            assert (told.json(), told.headers["x-told"]) == ({"a": 1}, "yes")
        assert client.post("/encode", json={}).json() == {"a": 1}
        assert client.delete("/collections").status_code == 405
    assert seen == [f"GET {URLS[1]}/documents/a%2Fb?x=1"] * 2 + [f"POST {URLS[1]}/encode"]
    with front(httpx.ConnectError("no"), gone) as client:
        told = client.get("/collections")
        openai = client.post("/v1/embeddings", json={"input": "a"})
    assert (told.status_code, openai.status_code) == (503, 503)
    assert told.json()["detail"] == openai.json()["error"]["message"] == NOT_NOW
    assert f"{URLS[1]}: status 500" in caplog.text
