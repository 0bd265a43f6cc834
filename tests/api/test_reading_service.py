"""Text in pictures over HTTP: a search finds it, says so, and a document has its lines and their places."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from conftest import Service, run_crossmodal, started
from signs import BAKERY, BOX, CAFE, reading, write_signs

from crossmodal.collection.collection import Collection


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    folder = write_signs(tmp_path_factory.mktemp("data") / "signs", 20)
    workspace = tmp_path_factory.mktemp("workspace")
    done = run_crossmodal("index", folder, "-w", workspace, "--weights", "scenes", "--collection", "signs")
    assert done.returncode == 0, done.stderr
    return Collection.open(workspace / "signs")


@pytest.fixture(scope="module")
def service(collection: Collection) -> Iterator[Service]:
    name = collection.root.name
    with started("query_restful", collection.root.parent, "--collection", name) as running:
        with collection.store(writable=True) as store:  # while the service runs
            ids = {str(document.tags["filename"]): document.id for document in pictures(store)}
            store.readings.put([(ids[BAKERY], reading("BAKERY", "open daily")), (ids[CAFE], reading("COFFEE 1984"))])
        yield running


def pictures(store: Any) -> list[Any]:
    return list(store.by_keys(store.keys("image").tolist()).values())


def search(service: Service, **query: Any) -> dict[str, Any]:
    answer = httpx.post(f"{service.url}/search", json=query, timeout=30)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_search_finds_text_and_names_the_words(service: Service) -> None:
    best, second, *_ = search(service, text="a sign that says open")["results"]
    assert best["filename"] == BAKERY
    assert [word["word"] for word in best["why"]] == ['"open"']
    assert best["scores"]["text"] == pytest.approx(best["why"][0]["weight"])
    assert best["score"] == pytest.approx(best["scores"]["cosine"] + 1, abs=1e-5)
    assert best["tags"]["text"] == "BAKERY\nopen daily"
    assert "why" not in second or not second["why"]
    assert best["relevance"] >= 0.9


def test_conditions_pages_and_orders_have_the_text_too(service: Service) -> None:
    assert search(service, text="coffee", where="tags.text contains 'BAKERY'")["results"][0]["filename"] == BAKERY
    pages = [search(service, text="1984", top_k=1, offset=offset)["results"][0]["id"] for offset in range(3)]
    assert len(set(pages)) == 3
    assert search(service, text="1984", fusion="dense")["results"][0].get("why") is None
    assert search(service, text="coffee", order="newest")["results"][0]["filename"] == CAFE


def test_a_document_has_the_lines_and_their_places(service: Service) -> None:
    sign = search(service, text="bakery")["results"][0]["id"]
    told = httpx.get(f"{service.url}/documents/{sign}").json()["reading"]
    assert [line["text"] for line in told["lines"]] == ["BAKERY", "open daily"]
    assert told["lines"][1]["words"][0] == {"text": "open", "confidence": 0.9, "box": list(BOX)}
    other = search(service, text="bakery", where="tags.text is null")["results"][0]["id"]
    assert httpx.get(f"{service.url}/documents/{other}").json().get("reading") is None
