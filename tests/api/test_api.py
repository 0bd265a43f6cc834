"""The typed API over real HTTP against the real Flow; the legacy shapes on the same path are in test_search.py."""

from __future__ import annotations

import asyncio
import base64
import csv
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from conftest import TOY, Service, run_script, started

from crossmodal.client import AsyncClient, Client, NewItem, RefusedError

PICTURE = TOY / "images" / "test-00000.jpg"
OTHER = TOY / "images" / "test-00001.jpg"
CAPTIONS = [
    (row["image"], row["caption"]) for row in csv.DictReader((TOY / "captions.txt").read_text("utf8").splitlines())
]
TIMEOUT_S = 60


def uri_of(path: Path) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode()


def post(service: Service, body: Any, path: str = "/search") -> httpx.Response:
    return httpx.post(service.url + path, json=body, timeout=TIMEOUT_S)


def get(service: Service, path: str, **headers: str) -> httpx.Response:
    return httpx.get(service.url + path, timeout=TIMEOUT_S, headers=headers)


def found(service: Service, **asked: Any) -> dict[str, Any]:
    answer = post(service, asked)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    assert told["n"] == len(told["results"])
    return told


def ids(told: dict[str, Any]) -> list[str]:
    return [result["id"] for result in told["results"]]


def test_words_find_pictures_with_all_there_is_to_know(query_service: Service) -> None:
    told = found(query_service, text=CAPTIONS[0][1], top_k=3)
    assert told["collection"] == "toy-data"
    assert told["model"].startswith("clip scenes (")
    assert told["n"] == 3
    assert told["more"] is True
    assert told["query"] == {
        "text": CAPTIONS[0][1], "exclude": [], "has_image": False, "target": "image", "top_k": 3, "offset": 0,
    }  # fmt: skip
    took = told["took_ms"]
    assert all(took[stage] > 0 for stage in ("encode", "search", "rank"))
    assert took["total"] >= took["encode"] + took["search"] + took["rank"]
    best = told["results"][0]
    assert best["filename"] == best["tags"]["filename"] == CAPTIONS[0][0]
    assert best["captions"] == [caption for name, caption in CAPTIONS if name == CAPTIONS[0][0]]
    assert (best["width"], best["height"], best["modality"]) == (256, 256, "image")
    assert get(query_service, best["image"]).content == PICTURE.read_bytes()
    assert get(query_service, best["thumbnail"]).headers["content-type"] == "image/jpeg"
    assert "vector" not in best


def test_it_finds_what_the_legacy_search_finds(query_service: Service) -> None:
    told = found(query_service, text="two hearts", top_k=20)
    legacy = post(query_service, {"data": ["two hearts"], "top_k": 20}).json()["data"]["docs"][0]["matches"]
    assert [(r["id"], r["score"]) for r in told["results"]] == [(m["id"], m["score"]["value"]) for m in legacy]


def test_relevance_says_whether_anything_fits(query_service: Service) -> None:
    there = found(query_service, text=CAPTIONS[0][1], top_k=5)
    relevances = [result["relevance"] for result in there["results"]]
    assert there["fits"] is True
    assert relevances[0] >= 0.5
    assert all(0 <= relevance <= 1 for relevance in relevances)
    assert relevances == sorted(relevances, reverse=True)
    kept = found(query_service, text=CAPTIONS[0][1], top_k=5, min_relevance=0.5)
    assert kept["fits"] is True
    assert ids(kept) == [result["id"] for result in there["results"] if result["relevance"] >= 0.5]


def test_what_fits_by_date(query_service: Service) -> None:
    asked = {"text": CAPTIONS[0][1], "top_k": 5}
    fitting = ids(found(query_service, **asked, min_relevance=0.5))
    told = found(query_service, **asked, order="newest")
    assert ids(told) == fitting  # without dates, they keep their order
    assert told["ordered"] == {"threshold": 0.5, "candidates": 200, "fitting": len(fitting)}
    assert told["query"]["order"] == "newest"
    assert found(query_service, **asked, order="oldest", min_relevance=1)["ordered"]["threshold"] == 1
    refused = post(query_service, {**asked, "order": "random"})
    assert refused.status_code == 422
    assert "order" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/search", {"text": "a star", "where": "uri like '/home/%'"}),
        ("/search", {"data": ["a star"], "parameters": {"where": "not (uri > 'a' or width > 9)"}}),
        ("/browse/pictures?where=uri contains 'home'", None),
        ("/browse/facets?where=uri is null", None),
    ],
)
def test_nobody_guesses_the_path_of_a_file(query_service: Service, path: str, body: Any) -> None:
    answer = get(query_service, path) if body is None else post(query_service, body, path)
    assert answer.status_code == 422
    assert "a service does not compare `uri`" in answer.json()["detail"]


def test_filters_of_dates_and_places(query_service: Service) -> None:
    told = found(query_service, text="a red heart", near="Oslo", within_km=3, after="2020", folder="a/b")
    assert (told["n"], told["query"]["near"]) == (0, "Oslo, Norway")
    assert found(query_service, text="a red heart", folder="", top_k=5)["n"] == 5
    refused = post(query_service, {"text": "a red heart", "after": "yesterday"})
    assert refused.status_code == 422
    assert "after: 'yesterday' is not a time" in refused.json()["detail"]


def test_without_dates_in_the_collection_a_year_is_a_word(query_service: Service) -> None:
    told = found(query_service, text="a red heart in Norway 2021", understand=True, top_k=3)
    assert (told["n"], told["understood"], told["query"]["text"]) == (3, [], "a red heart in Norway 2021")
    assert "understood" not in found(query_service, text="a red heart in 2021", top_k=3)


def test_what_is_not_here_is_said_not_to_be(query_service: Service) -> None:
    text = "two large striped yellow moons left of three small black crosses at night"
    told = found(query_service, text=text, top_k=5)
    assert told["fits"] is False
    assert told["n"] == 5
    kept = found(query_service, text=text, top_k=5, min_relevance=0.5)
    assert (kept["fits"], kept["n"], kept["more"]) == (False, 0, False)
    assert kept["query"]["min_relevance"] == 0.5


def test_pictures_and_combined_queries_have_a_relevance_too(query_service: Service) -> None:
    of_picture = found(query_service, image=uri_of(PICTURE), top_k=3)
    best = {result["modality"]: result["relevance"] for result in reversed(of_picture["results"])}
    assert of_picture["fits"] is True
    assert best["image"] > 0.5
    assert best["text"] > 0.5
    combined = found(query_service, text="a red heart -blue", top_k=3)
    assert combined["n"] == 3
    assert all(0 <= result["relevance"] <= 1 for result in combined["results"])


def test_words_that_the_model_does_not_read_are_named(query_service: Service) -> None:
    text = "three green stars above a red circle and " * 10 + "nothing more"
    told = found(query_service, text=text, top_k=2)
    assert told["note"].endswith("nothing more'")
    assert found(query_service, text=text, exclude=["hearts"], top_k=2)["note"] == told["note"]
    assert ids(told) == ids(found(query_service, text=text[:-12] + "something else", top_k=2))
    assert "note" not in found(query_service, text="three green stars")
    legacy = post(query_service, {"data": [text, "a star"], "parameters": {"top_k": 1}}).json()["data"]["docs"]
    assert [doc.get("note", "")[-13:] for doc in legacy] == ["nothing more'", ""]


def test_pages_have_no_gap_and_no_overlap(query_service: Service) -> None:
    whole = found(query_service, text="stars", top_k=200)
    assert (whole["n"], whole["more"]) == (200, False)
    pages = [found(query_service, text="stars", top_k=70, offset=offset) for offset in (0, 70, 140)]
    assert [own for page in pages for own in ids(page)] == ids(whole)
    assert [page["more"] for page in pages] == [True, True, False]
    assert found(query_service, text="stars", offset=200)["n"] == 0


def test_the_least_score(query_service: Service) -> None:
    everything = found(query_service, text="a red heart", top_k=200)
    bound = everything["results"][9]["score"]
    told = found(query_service, text="a red heart", top_k=200, min_score=bound)
    assert ids(told) == ids(everything)[:10]
    assert told["more"] is False
    assert found(query_service, text="a red heart", min_score=0.999)["n"] == 0


def test_a_picture_finds_its_captions_and_its_like(query_service: Service) -> None:
    told = found(query_service, image=uri_of(PICTURE), top_k=4)
    assert [result["modality"] for result in told["results"]] == ["image"] * 4 + ["text"] * 4
    assert told["query"]["target"] == "both"
    first, caption = told["results"][0], told["results"][4]
    assert first["filename"] == caption["filename"] == PICTURE.name
    assert caption["text"] in caption["captions"]
    assert caption["image_id"] == first["id"]
    assert (caption["width"], caption["thumbnail"]) == (256, first["thumbnail"])
    assert [r["modality"] for r in found(query_service, image=uri_of(PICTURE), target="text", top_k=2)["results"]] == [
        "text", "text",
    ]  # fmt: skip


def test_a_picture_as_a_file_of_a_form(query_service: Service) -> None:
    fields = {"top_k": "3", "target": "image", "vectors": "true", "where": ""}
    files = {"image": (PICTURE.name, PICTURE.read_bytes(), "image/jpeg")}
    answer = httpx.post(query_service.url + "/search", data=fields, files=files, timeout=TIMEOUT_S)
    assert answer.status_code == 200, answer.text
    assert ids(answer.json()) == ids(found(query_service, image=uri_of(PICTURE), target="image", top_k=3))
    assert len(answer.json()["results"][0]["vector"]) == 512


def test_the_mix_of_words_and_a_picture(query_service: Service) -> None:
    words, picture = "a purple flower", uri_of(OTHER)
    mixed = {mix: found(query_service, text=words, image=picture, mix=mix, top_k=5) for mix in (0, 0.5, 1)}
    assert ids(mixed[0]) == ids(found(query_service, text=words, top_k=5))
    assert ids(mixed[1]) == ids(found(query_service, image=picture, target="image", top_k=5))
    assert mixed[0.5]["query"]["mix"] == 0.5
    assert mixed[0.5]["query"]["has_image"] is True
    assert ids(mixed[0.5]) not in (ids(mixed[0]), ids(mixed[1]))


def test_a_mixed_query_is_the_sum_of_its_vectors(query_service: Service) -> None:
    encoded = post(query_service, {"texts": ["at night", "red"], "images": [uri_of(PICTURE)]}, "/encode").json()
    words, avoided, picture = (np.array(one["vector"]) for one in encoded["vectors"])
    query = 0.25 * words + 0.75 * picture
    query = query / np.linalg.norm(query) - 0.5 * avoided
    told = found(
        query_service, text="at night -red", image=uri_of(PICTURE), mix=0.75, top_k=200, vectors=True, target="image"
    )
    assert told["query"]["exclude"] == ["red"]
    vectors = np.array([result["vector"] for result in told["results"]])
    scores = [result["score"] for result in told["results"]]
    assert vectors @ (query / np.linalg.norm(query)) == pytest.approx(scores, abs=2e-3)
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(("words", "avoided"), [("heart", "green"), ("ring", "pink"), ("square", "small")])
def test_what_is_avoided_comes_later(query_service: Service, words: str, avoided: str) -> None:
    def share(told: dict[str, Any]) -> int:
        return sum(any(avoided in caption for caption in result["captions"]) for result in told["results"])

    without = found(query_service, text=f"{words} -{avoided}", top_k=10)
    assert share(without) < share(found(query_service, text=words, top_k=10))
    assert ids(without) == ids(found(query_service, text=words, exclude=[avoided], top_k=10))
    assert without["query"]["text"] == words


def test_similar_to_a_document(query_service: Service) -> None:
    first = found(query_service, text=CAPTIONS[0][1], top_k=1)["results"][0]
    told = found(query_service, like=first["id"], target="image", top_k=5)
    assert told["results"][0]["id"] == first["id"]
    assert told["results"][0]["score"] == pytest.approx(1, abs=1e-3)
    assert ids(told) == ids(found(query_service, image=uri_of(PICTURE), target="image", top_k=5))
    both = found(query_service, like=first["id"], text="at night", mix=1, target="image", top_k=5)
    assert ids(both) == ids(told)


def test_a_condition(query_service: Service) -> None:
    told = found(query_service, text="stars", where="filename like 'test-0001%'", top_k=100)
    assert told["n"] == 10
    assert all(result["filename"].startswith("test-0001") for result in told["results"])
    assert found(query_service, text="stars", where="width > 5000") | {"took_ms": 0} == {
        **told, "took_ms": 0, "n": 0, "fits": False, "results": [],
        "query": {**told["query"], "where": "width > 5000", "top_k": 20},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"text": ""}, "the query is empty"),
        ({"text": "  -red "}, "only words to avoid"),
        ({"exclude": ["red"]}, "only words to avoid"),
        ({"where": "width > 1"}, "the query is empty"),
        ({"text": 5}, "text: "),
        ({"text": "x", "top_k": 0}, "top_k: "),
        ({"text": "x", "top_k": 1001}, "top_k: "),
        ({"text": "x", "top_k": 2.5}, "top_k: "),
        ({"text": "x", "offset": -1}, "offset: "),
        ({"text": "x", "mix": 1.5}, "mix: "),
        ({"text": "x", "min_score": "high"}, "min_score: "),
        ({"text": "x", "min_relevance": 2}, "min_relevance: "),
        ({"text": "x", "target": "smell"}, "target: "),
        ({"text": "x", "tpo_k": 1}, "tpo_k: "),
        ({"text": "x", "exclude": ["a"] * 21}, "exclude: "),
        ({"text": "x" * 10_001}, "text: "),
        ({"text": "\ud800"}, "text: "),
        ({"text": "x", "where": "width >"}, "where: "),
        ({"text": "x", "where": "1=1; drop table documents"}, "where: "),
        ({"text": "x", "collection": "another"}, "'another' is not served here"),
        ({"image": "/etc/passwd"}, "image: '/etc/passwd' is not read"),
        ({"image": "file:///etc/passwd"}, "is not read"),
        ({"image": "../../etc/passwd"}, "is not read"),
        ({"image": "http://127.0.0.1/x.jpg"}, "is not read"),
        ({"image": "data:text/html;base64,aGk="}, "text/html"),
        ({"image": "data:image/png;base64,@@@"}, "invalid base64"),
        ({"image": "data:image/png;base64,aGVsbG8="}, "not a picture"),
        ({"image": "data:image/png;base64,aGVsbG8=", "text": "x"}, "not a picture"),
    ],
)
def test_what_makes_no_sense_is_a_problem(query_service: Service, body: Any, detail: str) -> None:
    raw = json.dumps(body)
    headers = {"Content-Type": "application/json"}
    answer = httpx.post(query_service.url + "/search", content=raw, headers=headers, timeout=TIMEOUT_S)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert detail in told["detail"]
    assert (told["type"], told["status"]) == ("about:blank", 422)
    assert told["title"]


@pytest.mark.parametrize(
    ("fields", "files", "detail"),
    [
        ({"text": "x"}, {"picture": b"x"}, "picture: send one file in `image`"),
        ({"image": "/etc/passwd"}, {}, "is not read"),
        ({"uri": "/etc/passwd", "text": "x"}, {}, "uri: "),
        ({"text": "x"}, {"image": b"no picture"}, "not a picture"),
        ({"top_k": "many", "text": "x"}, {}, "top_k: "),
        ({"text": ["x", "y"]}, {}, "given twice"),
        ({"nothing": ""}, {}, "the query is empty"),
    ],
)
def test_a_form_that_makes_no_sense(query_service: Service, fields: Any, files: Any, detail: str) -> None:
    sent = [(name, (None, one)) for name, value in fields.items() for one in np.atleast_1d(value).tolist()]
    sent += [(name, ("x.jpg", content)) for name, content in files.items()]
    answer = httpx.post(query_service.url + "/search", files=sent, timeout=TIMEOUT_S)
    assert answer.status_code == 422, answer.text
    assert detail in answer.json()["detail"]


def test_a_damaged_form_is_no_bug(query_service: Service) -> None:
    for content_type in ("multipart/form-data", "multipart/form-data; boundary=x"):
        answer = httpx.post(
            query_service.url + "/search", content=b"--x\r\nrubbish", headers={"Content-Type": content_type}, timeout=30
        )
        assert 400 <= answer.status_code < 500
        assert answer.headers["content-type"] == "application/problem+json"


def test_deeply_nested_json_is_no_bug(query_service: Service) -> None:
    body = '{"text": ' + "[" * 200_000
    answer = httpx.post(query_service.url + "/search", content=body, timeout=TIMEOUT_S)
    assert answer.status_code == 400


def test_who_is_like_nobody_is_not_found(query_service: Service) -> None:
    answer = post(query_service, {"like": "nobody"})
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_encoding(query_service: Service) -> None:
    told = post(query_service, {"texts": ["two hearts", CAPTIONS[0][1]], "images": [uri_of(PICTURE)]}, "/encode").json()
    assert told["dim"] == 512
    assert [one["modality"] for one in told["vectors"]] == ["text", "text", "image"]
    hearts, caption, picture = (np.array(one["vector"]) for one in told["vectors"])
    assert [np.linalg.norm(one) for one in (hearts, caption, picture)] == pytest.approx([1, 1, 1], abs=1e-3)
    assert caption @ picture > hearts @ picture
    best = found(query_service, text=CAPTIONS[0][1], top_k=1, vectors=True)["results"][0]
    assert np.array(best["vector"]) == pytest.approx(picture, abs=1e-3)


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({}, 422, "nothing to encode"),
        ({"texts": ["fine", " "]}, 422, "texts.1: the text is empty"),
        ({"images": ["/etc/passwd"]}, 422, "images.0: '/etc/passwd' is not read"),
        ({"texts": ["x"] * 257}, 422, "texts: "),
        ({"text": "x"}, 422, "text: "),
    ],
)
def test_encoding_what_makes_no_sense(query_service: Service, body: Any, status: int, detail: str) -> None:
    answer = post(query_service, body, "/encode")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert detail in answer.json()["detail"]


def test_a_document_with_its_captions(query_service: Service) -> None:
    first = found(query_service, text=CAPTIONS[0][1], top_k=1)["results"][0]
    told = get(query_service, f"/documents/{first['id']}").json()
    assert [caption["text"] for caption in told["captions"]] == first["captions"]
    assert (told["image"], told["filename"]) == (first["image"], first["filename"])
    assert str(TOY) not in json.dumps(told), "where a picture lies on the disk is nobody's business"
    caption = get(query_service, f"/documents/{told['captions'][0]['id']}").json()
    assert (caption["modality"], caption["image_id"], caption["captions"]) == ("text", first["id"], [])
    assert get(query_service, "/documents/..%2F..%2Fetc%2Fpasswd").status_code == 404
    missing = get(query_service, "/documents/nobody")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")


def test_what_is_served(query_service: Service) -> None:
    (collection,) = get(query_service, "/collections").json()["collections"]
    assert (collection["name"], collection["images"], collection["captions"]) == ("toy-data", 200, 1000)
    assert set(collection["examples"]) <= {caption for _, caption in CAPTIONS}
    (model,) = get(query_service, "/models").json()["models"]
    assert (model["dim"], model["modalities"]) == (512, ["image", "text"])
    assert model["name"] == collection["model"]


def test_ready(query_service: Service) -> None:
    answer = get(query_service, "/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    assert answer.json()["took_ms"] > 0


def test_who_asks_within_a_second_gets_the_answer_that_is_there(query_service: Service) -> None:
    with ThreadPoolExecutor(2) as both:
        first, second = both.map(lambda _: get(query_service, "/readyz").json(), range(2))
    assert first == second


def test_metrics(query_service: Service) -> None:
    def value(line: str) -> float:
        lines = get(query_service, "/metrics").text.splitlines()
        return sum(float(one.rpartition(" ")[2]) for one in lines if one.startswith(line + " "))

    answered = 'crossmodal_requests_total{method="POST",route="/search",status="200"}'
    refused = 'crossmodal_requests_total{method="POST",route="/search",status="422"}'
    encoded = 'crossmodal_stage_seconds_count{stage="encode"}'
    lost = 'crossmodal_requests_total{method="GET",route="other",status="404"}'
    before = [value(line) for line in (answered, refused, encoded, lost)]
    found(query_service, text="two hearts")
    assert post(query_service, {"data": ["two hearts"]}).status_code == 200
    post(query_service, {"text": ""})
    get(query_service, "/no/such/path")
    after = [value(line) for line in (answered, refused, encoded, lost)]
    assert [b - a for a, b in zip(before, after, strict=True)] == [2, 1, 2, 1]
    assert value("crossmodal_image_documents") == 200
    assert value("crossmodal_text_documents") == 1000
    assert "text/plain" in get(query_service, "/metrics").headers["content-type"]


def test_the_openapi_document(query_service: Service) -> None:
    answer = get(query_service, "/openapi.json")
    assert get(query_service, "/openapi.json").content == answer.content
    told = answer.json()
    assert told["openapi"].startswith("3.1")
    assert {"/search", "/encode", "/documents/{document_id}", "/collections", "/models", "/readyz"} <= set(
        told["paths"]
    )
    schemas = told["components"]["schemas"]
    assert schemas["SearchRequest"]["examples"]
    assert list(told["paths"]["/search"]["post"]["requestBody"]["content"]) == [
        "application/json", "multipart/form-data",
    ]  # fmt: skip
    named = {name.rpartition("/")[2] for name in _refs(told)}
    assert named <= set(schemas), "a name without a shape"


def _refs(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [ref for value in node.values() for ref in _refs(value)]
    return [ref for value in node for ref in _refs(value)] if isinstance(node, list) else []


def test_a_page_for_browsers_and_json_for_programs(query_service: Service) -> None:
    page = get(query_service, "/", Accept="text/html,application/xhtml+xml,*/*;q=0.8")
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    assert get(query_service, "/").json()["health"] == "/healthz"
    assert get(query_service, "/", Accept="application/json").json()["api"] == "/openapi.json"
    script = get(query_service, "/web/app.js")
    assert "javascript" in script.headers["content-type"]
    assert script.headers["x-content-type-options"] == "nosniff"
    for path in ("/web/../app.py", "/web/..%2fapp.py", "/web/%2e%2e/app.py", "/web//etc/passwd", "/web/none.js"):
        assert get(query_service, path).status_code == 404


def test_the_client_against_the_service(query_service: Service) -> None:
    with Client(query_service.url, timeout_s=TIMEOUT_S) as client:
        told = client.search("two hearts -red", top_k=5, vectors=True)
        assert (told.n, told.query["exclude"]) == (5, ["red"])
        assert told.results[0].vector is not None
        assert client.search(image=PICTURE, top_k=2).captions[0].filename == PICTURE.name
        assert client.encode(["a", "b"], [PICTURE]).shape == (3, 512)
        assert client.document(told.results[0].id).filename == told.results[0].filename
        assert (client.status().images, client.status().serves) == (200, "/search")
        with pytest.raises(RefusedError, match="where: "):
            client.search("x", where="?")
        with pytest.raises(RefusedError, match="no document"):
            client.document("nobody")

    async def search() -> list[str]:
        async with AsyncClient(query_service.url, timeout_s=TIMEOUT_S) as client:
            answers = await asyncio.gather(*(client.search(words, top_k=1) for words in ("a star", "a ring", "a moon")))
            return [answer.results[0].id for answer in answers]

    assert asyncio.run(search()) == [
        ids(found(query_service, text=w, top_k=1))[0] for w in ("a star", "a ring", "a moon")
    ]


def test_the_client_against_the_service_that_writes(tmp_path: Path) -> None:
    with (
        started("index_restful", tmp_path, "--weights", "scenes") as writer,
        Client(writer.url, timeout_s=TIMEOUT_S) as client,
    ):
        picture, broken = client.index([NewItem(PICTURE, tags={"year": 2020}), NewItem(b"no picture")])
        assert (picture.outcome, broken.outcome) == ("indexed", "failed")
        assert "not a picture" in broken.error
        (caption,) = client.index([NewItem(text="two green drops", image_id=picture.id)])
        assert client.document(picture.id).captions[0].id == caption.id
        assert client.update({picture.id: {"year": None, "place": "Oslo"}, "nobody": {}}) == ["nobody"]
        assert client.document(picture.id).tags == {"place": "Oslo"}
        assert client.encode(["a star"]).shape == (1, 512)
        removed = client.delete(where="tags.place = 'Oslo'")
        assert (removed.images, removed.captions) == (1, 1)
        with pytest.raises(RefusedError, match="/search"):
            client.search("a star")


VECTORS_OVER_GRPC = """
import sys
from serving.jina.supervisor import prepare_jina
prepare_jina()
import numpy as np
from docarray import DocList
from jina import Client
from executors.schema import MediaDoc
client = Client(host="127.0.0.1", port=int(sys.argv[1]), protocol="grpc")
right, asked = np.eye(1, 512, dtype=np.float32)[0], {"top_k": 2, "target": "both"}
for vector, generation in ((right, ""), (right[:5], ""), (2 * right, ""), (right * np.nan, ""), (right, "../other")):
    doc = MediaDoc(modality="vector", embedding=vector, generation=generation)
    try:
        found = client.post("/search", inputs=doc, parameters=asked, return_type=DocList[MediaDoc])
        print("refused" if found[0].error else [match.modality for match in found[0].matches])
    except Exception as error:
        told = str(error)
        print("refused" if "not the name of a generation" in told else told)
"""


def test_vectors_over_grpc_are_looked_at(query_service: Service, tmp_path: Path) -> None:
    script = tmp_path / "client.py"
    script.write_text(VECTORS_OVER_GRPC)
    done = run_script(script, str(query_service.port + 1))
    assert done.stdout.splitlines() == ["['image', 'image', 'text', 'text']", *["refused"] * 4], done.stderr
