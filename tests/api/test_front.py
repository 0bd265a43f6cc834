"""A front node over four nodes that each have a slice, compared with one node that has all."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import TOY, RunApp, Service, started

from serving.http.errors import NOT_NOW
from serving.jina.ports import reserve_port_pair

N = 4


@pytest.fixture(scope="module")
def nodes(toy_workspace: Path) -> Iterator[list[Service]]:
    """The services of four slices, in order."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(started("query_restful", toy_workspace, "--slice", f"{part}/{N}"))
            for part in range(1, N + 1)
        ]


def urls_of(nodes: list[Service]) -> str:
    return ",".join(node.url for node in nodes)


@pytest.fixture(scope="module")
def front(nodes: list[Service], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with started("query_restful", tmp_path_factory.mktemp("none"), "--slices", urls_of(nodes)) as service:
        yield service


def search(service: Service, **asked: Any) -> Any:
    answer = httpx.post(service.url + "/search", json=asked, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


def picture_path(n: int) -> Path:
    return TOY / "images" / f"test-{n:05}.jpg"


def first_id(service: Service) -> str:
    return str(search(service, text="a heart", top_k=1)["results"][0]["id"])


def assert_same(one: Any, whole: Any) -> None:
    """The same results, except for the order of equal scores and for rounding."""
    assert "missing" not in one
    for name in ("n", "more", "fits", "ordered", "model", "collection", "query", "note"):
        assert one.get(name) == whole.get(name), name
    scores = [[result["score"] for result in answer["results"]] for answer in (one, whole)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)
    last = dict.fromkeys(("image", "text"), 0.0) | {r["modality"]: r["score"] for r in whole["results"]}
    ids = [{r["id"] for r in answer["results"] if r["score"] > last[r["modality"]] + 1e-5} for answer in (one, whole)]
    assert ids[0] == ids[1]  # all but those as far as the last one
    by_id = {result["id"]: result for result in whole["results"]}
    for result in one["results"]:
        if result["id"] in by_id:
            other = dict(by_id[result["id"]])
            assert result["score"] == pytest.approx(other.pop("score"), abs=1e-5)
            assert result.get("relevance") == pytest.approx(other.pop("relevance", None), abs=2e-4)
            assert other.items() <= result.items()


@pytest.mark.parametrize(
    "asked",
    [
        {"text": "two hearts"},
        {"text": "two hearts", "top_k": 200},
        {"text": "two hearts -red", "top_k": 7, "offset": 13},
        {"text": "a star", "where": "tags.filename like 'test-000%'", "top_k": 50},
        {"text": "a red ring", "min_relevance": 0.3},
        {"text": "a circle", "target": "both", "top_k": 30, "offset": 170},
        {"text": "a circle", "target": "text", "top_k": 1000},
        {"text": "a bird of prey", "min_score": 2.0},
        {"text": "two hearts", "order": "newest", "min_relevance": 0.1},
        {"text": "blue", "offset": 2500, "top_k": 100},
    ],
    ids=str,
)
def test_slices_answer_as_one_index(front: Service, query_service: Service, asked: dict[str, Any]) -> None:
    assert_same(search(front, **asked), search(query_service, **asked))


def test_a_picture_in_a_form_and_a_similar_document(front: Service, query_service: Service) -> None:
    answers = []
    for service in (front, query_service):
        files = {"image": ("x.jpg", picture_path(3).read_bytes(), "image/jpeg")}
        answer = httpx.post(service.url + "/search", data={"top_k": "9"}, files=files, timeout=30)
        assert answer.status_code == 200, answer.text
        answers.append(answer.json())
    assert_same(*answers)
    like = first_id(query_service)
    assert_same(search(front, like=like, top_k=15), search(query_service, like=like, top_k=15))


def test_examples_in_other_slices(front: Service, query_service: Service, nodes: list[Service]) -> None:
    likes = [search(node, text="a heart", top_k=1)["results"][0]["id"] for node in nodes]  # one in each slice
    unlikes = [result["id"] for result in search(query_service, text="a star", top_k=3)["results"]]
    for asked in ({"likes": likes}, {"text": "a ring", "likes": likes[:2], "unlikes": unlikes, "offset": 5}):
        answer = search(front, top_k=40, **asked)
        assert_same(answer, search(query_service, top_k=40, **asked))
        assert not {result["id"] for result in answer["results"]} & set(asked.get("unlikes", []))
    files = [("likes", ("x.jpg", picture_path(n).read_bytes(), "image/jpeg")) for n in range(2)]
    answers = [httpx.post(service.url + "/search", files=files, timeout=30) for service in (front, query_service)]
    assert [answer.status_code for answer in answers] == [200, 200], answers[0].text
    assert_same(*(answer.json() for answer in answers))


def test_a_slice_says_that_it_is_one(nodes: list[Service]) -> None:
    answers = [search(node, text="a heart", top_k=200) for node in nodes]
    assert [answer["slice"] for answer in answers] == ["1/4", "2/4", "3/4", "4/4"]
    ids = [result["id"] for answer in answers for result in answer["results"]]
    assert len(ids) == len(set(ids)) == 200
    assert all(answer["n"] > 30 for answer in answers)
    duplicates = httpx.get(nodes[1].url + "/duplicates", timeout=10)
    assert (duplicates.status_code, "all slices" in duplicates.json()["detail"]) == (501, True)
    status = httpx.get(nodes[1].url + "/status", timeout=10).json()
    assert (status["slice"], status["images"]) == ("2/4", 200)


def test_refusals_are_those_of_the_slices(front: Service) -> None:
    for body, status, told in (
        ({"text": " "}, 422, "the query is empty"),
        ({"text": "a", "where": "tags ="}, 422, "where:"),
        ({"text": "a", "top": 1}, 422, "top"),
        ({"like": "nobody"}, 404, "like: there is no document"),
        ({"likes": ["nobody"]}, 404, "likes.0: there is no document"),
        ({"text": "a", "collection": "others"}, 422, "is not served here"),
    ):
        answer = httpx.post(front.url + "/search", json=body, timeout=30)
        assert (answer.status_code, answer.json()["status"]) == (status, status), answer.text
        assert told in answer.json()["detail"]
    older = httpx.post(front.url + "/search", json={"data": ["a heart"]}, timeout=30)
    assert older.status_code == 422
    assert "a front node takes no `data`" in older.json()["status"]["description"]
    assert httpx.post(front.url + "/index", json={"data": ["a heart"]}, timeout=30).status_code == 403


def test_other_requests_are_passed_on(front: Service, query_service: Service) -> None:
    found = search(front, text="a heart", top_k=1)["results"][0]
    for path in (found["image"], found["thumbnail"], f"/documents/{found['id']}", "/collections", "/documents/no-one"):
        one, whole = (httpx.get(service.url + path, timeout=10) for service in (front, query_service))
        assert (one.status_code, one.content) == (whole.status_code, whole.content)
        assert one.headers["content-type"] == whole.headers["content-type"]
    vectors = [
        httpx.post(service.url + "/encode", json={"texts": ["a heart"]}, timeout=10).json()["vectors"]
        for service in (front, query_service)
    ]
    assert vectors[0] == vectors[1]
    embeddings = [
        httpx.post(service.url + "/v1/embeddings", json={"input": "a heart"}, timeout=10).json()
        for service in (front, query_service)
    ]
    assert embeddings[0] == embeddings[1]
    assert embeddings[0]["data"][0]["embedding"] == vectors[0][0]["vector"]
    assert "text/html" in httpx.get(front.url + "/", headers={"Accept": "text/html"}).headers["content-type"]
    elsewhere = httpx.URL(front.url).copy_with(raw_path=b"//nowhere.test/status")
    assert httpx.get(elsewhere, timeout=10).status_code == 404


def test_the_status_of_a_front(front: Service, nodes: list[Service], query_service: Service) -> None:
    status = httpx.get(front.url + "/status", timeout=10).json()
    assert [one["slice"] for one in status["slices"]] == ["1/4", "2/4", "3/4", "4/4"]
    assert [one["url"] for one in status["slices"]] == [node.url for node in nodes]
    whole = httpx.get(query_service.url + "/status", timeout=10).json()
    assert {name: status[name] for name in ("model", "store", "images")} == {
        name: whole[name] for name in ("model", "store", "images")
    }
    assert status["missing"] == []
    assert "crossmodal_missing_slices 0.0" in httpx.get(front.url + "/metrics", timeout=10).text
    assert httpx.get(front.url + "/readyz", timeout=10).json()["status"] == "ready"
    assert httpx.get(front.url + "/healthz", timeout=10).status_code == 200


def test_slices_that_do_not_add_up_are_refused(run_app: RunApp, nodes: list[Service], query_service: Service) -> None:
    for urls, told in (
        (urls_of(nodes[:3]), f"{nodes[0].url} has slice 1/4, expected one of 1/3, 2/3, 3/3: give the URLs of all 4"),
        (urls_of([*nodes[:3], query_service]), f"{query_service.url} has all documents, expected one of 1/4"),
        ("http://127.0.0.1:1,http://127.0.0.1:2", "no slice answers: http://127.0.0.1:1"),
    ):
        done = run_app("-t", "query_restful", "--slices", urls, "--port", reserve_port_pair())
        assert (done.returncode, done.stdout) == (1, "")
        assert told in done.stderr


def test_a_front_has_no_documents(run_app: RunApp) -> None:
    for options in (("--writable",), ("--slice", "1/2"), ("--max-lag-s", "5")):
        done = run_app("-t", "query_restful", "--slices", "http://127.0.0.1:1", *options)
        assert done.returncode == 1
        assert "--slices: a front node has no documents" in done.stderr


def test_pictures_are_saved_by_any_node(front: Service) -> None:
    asked = {"ids": [first_id(front)], "format": "zip"}
    saved = httpx.post(front.url + "/download", json=asked, timeout=30)
    assert saved.headers["content-disposition"] == 'attachment; filename="pictures.zip"'
    (name,) = zipfile.ZipFile(io.BytesIO(saved.content)).namelist()
    assert zipfile.ZipFile(io.BytesIO(saved.content)).read(name) == (TOY / "images" / name).read_bytes()


@pytest.mark.parametrize(
    ("headers", "base"),
    [
        ({}, ""),
        (
            {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "a.example", "X-Forwarded-Prefix": "/b"},
            "https://a.example/b",
        ),
    ],
)
def test_links_in_lists_lead_to_the_front_node(front: Service, headers: dict[str, str], base: str) -> None:
    asked = {"ids": [first_id(front)], "format": "csv"}
    for _ in range(4):  # each node once
        saved = httpx.post(front.url + "/download", json=asked, headers=headers, timeout=30)
        assert f"{base or front.url}/images/{first_id(front)}" in saved.text


def test_a_lost_slice_is_said(nodes: list[Service], front: Service, query_service: Service) -> None:
    """The last test of the module, because a service ends."""
    whole = search(query_service, text="a heart", top_k=200)
    lost = search(nodes[1], text="a heart", top_k=200)
    nodes[1].process.terminate()
    nodes[1].process.wait(30)
    one = search(front, text="a heart", top_k=200)
    assert one["missing"] == ["2/4"]
    assert one["note"] == "slice 2/4 does not answer: its documents are missing"
    of_whole, of_lost = ({result["id"] for result in answer["results"]} for answer in (whole, lost))
    assert {result["id"] for result in one["results"]} == of_whole - of_lost
    status = httpx.get(front.url + "/status", timeout=10).json()
    assert status["missing"] == ["2/4"]
    assert status["slices"][1].keys() == {"url", "problem"}
    assert "crossmodal_missing_slices 1.0" in httpx.get(front.url + "/metrics", timeout=10).text
    deadline = time.monotonic() + 30
    for node in nodes:
        if node.process.poll() is None:
            node.process.terminate()
    while httpx.post(front.url + "/search", json={"text": "a heart"}, timeout=30).status_code != 503:
        assert time.monotonic() < deadline
    assert httpx.get(front.url + "/readyz", timeout=30).json()["detail"] == NOT_NOW
