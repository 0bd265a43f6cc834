"""What is understood of a request's text, and the answer if only a time or a place is left; without a Flow."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from crossmodal.core.errors import InputError
from crossmodal.core.types import Document
from crossmodal.search.overview import LatestOverview
from crossmodal.store.sqlite import DocumentStore, NewDocument
from crossmodal.store.where import parse
from serving.http.schemas import SearchRequest
from serving.http.search import condition_of
from serving.http.understood import is_listing, listing, understood_of

YESTERDAY = (date.today() - timedelta(1)).isoformat()
PICTURES: dict[str, dict[str, Any]] = {
    "a": {"taken": f"{YESTERDAY}T08:00:00", "filename": "a.jpg"},
    "b": {"taken": f"{YESTERDAY}T09:00:00", "country": "Norway", "place": "Oslo"},
    "c": {"taken": "2019-01-01T00:00:00", "country": "Norway"},
    "d": {},
}


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Any]:
    with DocumentStore(tmp_path, writable=True) as store:
        store.put(
            [NewDocument(Document(name, "image", tags=tags), np.ones(1, np.float32)) for name, tags in PICTURES.items()]
        )
        collection = SimpleNamespace(root=tmp_path, model="model")
        now = SimpleNamespace(store=store, collection=collection, overview=LatestOverview(store))
        yield SimpleNamespace(current=lambda: ("", now))


def request(text: str, **given: Any) -> SearchRequest:
    return SearchRequest(text=text, understand=True, **given)


def test_the_time_and_the_place_become_conditions(opened: Any) -> None:
    asked = request("a dog in Norway yesterday", where="width = 0 or height = 0")
    understood = understood_of(asked, opened)
    assert understood is not None
    assert understood.text == "a dog"
    assert not is_listing(asked, None, understood)
    place = "(tags.country = 'Norway' or tags.region = 'Norway')"
    when = f"tags.taken >= '{YESTERDAY}' and tags.taken < '{date.today().isoformat()}'"
    assert parse(condition_of(asked, understood)) == parse(f"(width = 0 or height = 0) and {place} and {when}")
    assert understood_of(SearchRequest(text="yesterday"), opened) is None


def test_places_stay_words_for_clients_that_may_not_know_them(opened: Any) -> None:
    understood = understood_of(request("a dog in Norway yesterday"), opened, hides_location=True)
    assert understood is not None
    assert (understood.text, [part.kind for part in understood.parts]) == ("a dog in Norway", ["date"])


def test_pictures_of_a_time_by_date(opened: Any) -> None:
    asked = request("photos from yesterday", top_k=1)
    understood = understood_of(asked, opened)
    assert understood is not None
    assert is_listing(asked, None, understood)
    assert not is_listing(asked, b"picture", understood)
    answer = listing(asked, understood, opened)
    assert ([result.id for result in answer.results], answer.n, answer.more, answer.fits) == (["b"], 1, True, None)
    assert [part.text for part in answer.understood or []] == ["from yesterday"]
    assert "no words are left" in str(answer.note)
    oldest = listing(request("yesterday", order="oldest", offset=1), understood, opened)
    assert ([result.id for result in oldest.results], oldest.more) == (["b"], False)
    assert [result.id for result in listing(request("yesterday", near="Oslo"), understood, opened).results] == []
    with pytest.raises(InputError, match="after: 'never'"):
        listing(request("yesterday", after="never"), understood, opened)


def test_nothing_to_search_for_is_no_listing(opened: Any) -> None:
    for text in ("photos", " ", "a dog"):
        asked = request(text)
        understood = understood_of(asked, opened)
        assert understood is not None
        assert (understood.text, understood.parts) == (text, ())
        assert not is_listing(asked, None, understood)
