"""POST /search over real HTTP against the real Flow."""

from __future__ import annotations

import base64
import csv
from typing import Any

import httpx
import pytest
from conftest import TOY, Service

CAPTIONS = [
    (row["image"], row["caption"]) for row in csv.DictReader((TOY / "captions.txt").read_text("utf8").splitlines())
]
PICTURE = TOY / "images" / "test-00000.jpg"


def post(service: Service, body: Any, path: str = "/search") -> httpx.Response:
    return httpx.post(service.url + path, json=body, timeout=30)


def data_uri(content: bytes, mime_type: str = "image/jpeg") -> str:
    return f"data:{mime_type};base64,{base64.b64encode(content).decode()}"


def docs_of(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["status"]["code"] == "SUCCESS"
    assert body["data"]["docs"] == body["search"]["docs"]
    return list(body["data"]["docs"])


def test_the_curl_line_of_2021(query_service: Service) -> None:
    (doc,) = docs_of(post(query_service, {"top_k": 5, "mode": "search", "data": ["hello world"]}))
    assert doc["mime_type"] == doc["mimeType"] == "text/plain"
    assert len(doc["matches"]) == 5
    for match in doc["matches"]:
        assert match["mime_type"] == match["mimeType"] == "image/jpeg"
        assert match["tags"]["filename"].endswith(".jpg")
        assert match["score"]["value"] == match["scores"]["cosine"]["value"]
        assert match["uri"].startswith(query_service.url + "/images/")
    scores = [match["score"]["value"] for match in doc["matches"]]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    "body",
    [
        {"data": ["a heart"], "parameters": {"top_k": 3}, "mode": "search"},
        {"data": [{"text": "a heart"}], "parameters": {"top_k": 3.0}},
        {"data": "a heart", "top_k": 3},
        {"data": {"text": "a heart"}, "top_k": "3"},
    ],
)
def test_shapes_of_a_request(query_service: Service, body: Any) -> None:
    (doc,) = docs_of(post(query_service, body))
    assert doc["text"] == "a heart"
    assert len(doc["matches"]) == 3


@pytest.mark.parametrize(("top_k", "expected"), [(1, 1), (17, 17), (200, 200), (1000, 200)])
def test_top_k_is_obeyed(query_service: Service, top_k: int, expected: int) -> None:
    (doc,) = docs_of(post(query_service, {"data": ["stars"], "top_k": top_k}))
    assert len({match["id"] for match in doc["matches"]}) == len(doc["matches"]) == expected


def test_every_document_of_a_large_request_is_answered_in_its_place(query_service: Service) -> None:
    texts = [f"{caption} {number}" for number, (_, caption) in enumerate(CAPTIONS[:250])]
    texts[100] = texts[7]
    docs = docs_of(post(query_service, {"data": texts, "top_k": 1}))
    assert [doc["text"] for doc in docs] == texts
    assert docs[100]["matches"] == docs[7]["matches"]
    assert all(len(doc["matches"]) == 1 for doc in docs)


def test_most_captions_find_their_picture_first(query_service: Service) -> None:
    asked = CAPTIONS[::5]
    docs = docs_of(post(query_service, {"data": [caption for _, caption in asked], "top_k": 1}))
    right = sum(doc["matches"][0]["tags"]["filename"] == name for doc, (name, _) in zip(docs, asked, strict=True))
    assert right > 0.8 * len(asked)


def test_a_picture_finds_captions(query_service: Service) -> None:
    (doc,) = docs_of(post(query_service, {"data": [data_uri(PICTURE.read_bytes())], "top_k": 4}))
    assert doc["modality"] == "image"
    assert len(doc["matches"]) == 4
    for match in doc["matches"]:
        assert match["mime_type"] == "text/plain"
        assert match["text"]
        assert match["uri"].endswith("/images/" + match["image_id"])


def test_a_picture_finds_pictures_when_asked(query_service: Service) -> None:
    body = {"data": [data_uri(PICTURE.read_bytes())], "parameters": {"top_k": 2, "target": "image"}}
    (doc,) = docs_of(post(query_service, body))
    assert doc["matches"][0]["tags"]["filename"] == PICTURE.name
    assert doc["matches"][0]["score"]["value"] == pytest.approx(1, abs=1e-3)


def test_a_picture_finds_both_when_asked(query_service: Service) -> None:
    body = {"data": [data_uri(PICTURE.read_bytes())], "parameters": {"top_k": 3, "target": "both"}}
    (doc,) = docs_of(post(query_service, body))
    assert [match["modality"] for match in doc["matches"]] == ["image"] * 3 + ["text"] * 3


@pytest.mark.parametrize("folder", ["images", "thumbnails"])
def test_the_address_of_a_match_stands_for_its_picture(query_service: Service, folder: str) -> None:
    body = {"data": [data_uri(PICTURE.read_bytes())], "parameters": {"top_k": 3, "target": "image"}}
    matches = docs_of(post(query_service, body))[0]["matches"]
    url = f"{query_service.url}/{folder}/{matches[0]['id']}"
    (doc,) = docs_of(post(query_service, {**body, "data": [url]}))
    assert doc["uri"] == url
    assert [match["id"] for match in doc["matches"]] == [match["id"] for match in matches]


def test_the_address_of_no_picture_of_ours(query_service: Service) -> None:
    response = post(query_service, {"data": ["stars", f"{query_service.url}/images/nobody"]})
    assert response.status_code == 422
    assert response.json()["status"]["description"] == "data[1]: no picture nobody"


@pytest.mark.parametrize(("headers", "code"), [({}, "SUCCESS"), ({"Origin": "http://elsewhere"}, "ERROR")])
def test_a_page_is_told_of_no_matches_as_an_error(query_service: Service, headers: dict[str, str], code: str) -> None:
    body = {"data": ["stars"], "parameters": {"where": "width > 5000"}}
    response = httpx.post(query_service.url + "/search", json=body, headers=headers, timeout=30)
    assert response.status_code == 200
    told = response.json()
    assert told["status"]["code"] == code
    assert [doc["matches"] for doc in told["data"]["docs"]] == [[]]


def test_texts_and_pictures_in_one_request(query_service: Service) -> None:
    docs = docs_of(post(query_service, {"data": ["hearts", data_uri(PICTURE.read_bytes()), "stars"], "top_k": 1}))
    assert [doc["modality"] for doc in docs] == ["text", "image", "text"]
    assert [doc["matches"][0]["modality"] for doc in docs] == ["image", "text", "image"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"data": []}, "data is empty"),
        ({"data": [""]}, "data[0]: the text is empty"),
        ({"data": ["fine", "  "]}, "data[1]: the text is empty"),
        ({}, "data: Field required"),
        ({"data": ["x"], "top_k": 0}, "top_k"),
        ({"data": ["x"], "top_k": -1}, "top_k"),
        ({"data": ["x"], "top_k": 1001}, "top_k"),
        ({"data": ["x"], "parameters": {"top_k": "many"}}, "parameters.top_k"),
        ({"data": [{"tags": {}}]}, "neither text nor picture"),
        ({"data": [{"text": "x", "modality": "smell"}]}, "modality 'smell'"),
        ({"data": ["data:image/png;base64,@@@"]}, "invalid base64"),
        ({"data": ["data:text/plain;base64,aGk="]}, "text/plain"),
        ({"data": [data_uri(b"no picture at all")]}, "not a picture"),
        ({"data": [data_uri(PICTURE.read_bytes()[:2000])]}, "damaged or truncated"),
        ({"data": [{"uri": "/etc/passwd"}]}, "is not read"),
        ({"data": ["http://127.0.0.1/x.jpg"]}, "is not read"),
        ({"data": ["https://127.0.0.1/x.jpg"]}, "is not read"),
    ],
)
def test_bad_input_is_named(query_service: Service, body: Any, told: str) -> None:
    response = post(query_service, body)
    assert response.status_code == 422
    answer = response.json()
    assert answer["status"]["code"] == "ERROR"
    assert told in answer["status"]["description"]
    assert answer["data"]["docs"] == answer["search"]["docs"] == []


def test_a_body_that_is_no_json(query_service: Service) -> None:
    response = httpx.post(
        query_service.url + "/search", content=b"{no json", headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 400
    assert response.json()["status"]["code"] == "ERROR"


def test_indexing_is_refused_by_name(query_service: Service) -> None:
    response = post(query_service, {"data": ["x"]}, "/index")
    assert response.status_code == 403
    assert "index_restful" in response.json()["status"]["description"]


def test_a_number_that_json_has_not_comes_back_as_null(query_service: Service) -> None:
    body = '{"data": [{"text": "two hearts", "tags": {"a": NaN, "b": Infinity}}]}'
    headers = {"Content-Type": "application/json"}
    answer = httpx.post(query_service.url + "/search", content=body, headers=headers, timeout=20)
    assert (answer.status_code, answer.json()["data"]["docs"][0]["tags"]) == (200, {"a": None, "b": None})
