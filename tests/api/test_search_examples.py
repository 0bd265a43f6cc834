"""Searches with liked and unliked examples over HTTP, against the real Flow."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest
from conftest import TOY, Service

from crossmodal.client import Client
from crossmodal.core.types import image_id

PICTURES = [TOY / "images" / f"test-{n:05}.jpg" for n in range(4)]
CONTENTS = [path.read_bytes() for path in PICTURES]
IDS = [image_id(content) for content in CONTENTS]


def data_uri(content: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"


def post(service: Service, body: Any) -> httpx.Response:
    return httpx.post(service.url + "/search", json=body, timeout=30)


def search(service: Service, **asked: Any) -> Any:
    answer = post(service, {"target": "image", **asked})
    assert answer.status_code == 200, answer.text
    return answer.json()


def scores(answer: Any) -> dict[str, float]:
    return {result["id"]: result["score"] for result in answer["results"]}


def test_documents_and_their_pictures_are_the_same_examples(query_service: Service) -> None:
    by_id = search(query_service, text="a heart", likes=IDS[:2], unlikes=[IDS[2]])
    sent = search(query_service, text="a heart", likes=[data_uri(CONTENTS[0]), IDS[1]], unlikes=[data_uri(CONTENTS[2])])
    assert scores(by_id) == pytest.approx(scores(sent), abs=1e-4)
    for answer in (by_id, sent):
        assert (answer["query"]["likes"], answer["query"]["unlikes"]) == (IDS[:2], [IDS[2]])
        assert answer["query"]["mix"] == 0.5
        assert IDS[2] not in scores(answer)
        assert len(answer["results"]) == 20
        assert answer["more"] is True


def test_one_liked_document_is_like_and_none_changes_nothing(query_service: Service) -> None:
    assert scores(search(query_service, likes=[IDS[0]])) == scores(search(query_service, like=IDS[0]))
    plain, same = search(query_service, text="a heart"), search(query_service, text="a heart", likes=[], unlikes=[])
    assert scores(plain) == scores(same)
    assert "likes" not in plain["query"]


def test_liked_and_unliked_captions(query_service: Service) -> None:
    both = search(query_service, likes=[IDS[0]], target="both")
    caption = next(result for result in both["results"] if result["modality"] == "text")
    less = search(query_service, likes=[IDS[0]], unlikes=[caption["id"]], target="both")
    assert caption["id"] not in scores(less)
    assert scores(search(query_service, likes=[caption["id"]]))


def test_a_form_repeats_examples_and_takes_files(query_service: Service) -> None:
    files = [("likes", ("x.jpg", CONTENTS[0], "image/jpeg")), ("unlikes", ("y.jpg", CONTENTS[2], "image/jpeg"))]
    fields = {"text": "a heart", "target": "image", "likes": [IDS[1]]}
    answer = httpx.post(query_service.url + "/search", data=fields, files=files, timeout=30)
    assert answer.status_code == 200, answer.text
    assert set(answer.json()["query"]["likes"]) == set(IDS[:2])
    expected = search(query_service, text="a heart", likes=IDS[:2], unlikes=[IDS[2]])
    assert scores(answer.json()) == pytest.approx(scores(expected), abs=1e-4)


def test_pages_follow_each_other(query_service: Service) -> None:
    asked = {"likes": IDS[:1], "unlikes": IDS[1:3], "target": "image"}
    whole = list(scores(search(query_service, **asked, top_k=1000)))
    pages = [list(scores(search(query_service, **asked, top_k=99, offset=offset))) for offset in (0, 99)]
    assert len(whole) == 198
    assert pages[0] + pages[1] == whole


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"likes": [IDS[0], "nobody"]}, 404, "likes.1: there is no document 'nobody'"),
        ({"text": "a", "unlikes": ["nobody"]}, 404, "unlikes.0: there is no document 'nobody'"),
        ({"likes": [IDS[0], data_uri(b"no picture")]}, 422, "likes.1: "),
        ({"text": "a", "unlikes": ["data:image/png;base64,!"]}, 422, "unlikes.0: invalid base64"),
        ({"likes": ["http://192.0.2.1/x.jpg"]}, 422, "URLs are not fetched here"),
        ({"unlikes": IDS[:1]}, 422, "the query has only examples to avoid: give `text`"),
        ({"likes": IDS[:1] * 51}, 422, "likes"),
        ({"likes": IDS[:1] * 30, "unlikes": IDS[1:2] * 30}, 422, "60 examples, at most 50 together"),
        ({"likes": IDS[0]}, 422, "likes"),
    ],
)
def test_errors_name_the_example(query_service: Service, body: Any, status: int, told: str) -> None:
    answer = post(query_service, body)
    assert (answer.status_code, told in answer.json()["detail"]) == (status, True), answer.text


def test_a_picture_of_the_service_by_its_url(query_service: Service) -> None:
    by_url = search(query_service, likes=[f"{query_service.url}/images/{IDS[0]}"])
    assert scores(by_url) == pytest.approx(scores(search(query_service, likes=IDS[:1])), abs=1e-4)


def test_dates_are_understood_beside_examples(query_service: Service) -> None:
    answer = search(query_service, text="July 2023", understand=True, likes=IDS[:1])
    assert answer.get("listed") is None


def test_the_client_sends_ids_files_and_bytes(query_service: Service) -> None:
    with Client(query_service.url) as client:
        found = client.search("a heart", likes=[IDS[0], PICTURES[1]], unlikes=[CONTENTS[2]], target="image")
    expected = search(query_service, text="a heart", likes=IDS[:2], unlikes=[IDS[2]])
    assert {hit.id: hit.score for hit in found.results} == pytest.approx(scores(expected), abs=1e-4)
