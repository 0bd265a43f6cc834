"""Search by the text in pictures: words that all stand in a picture bring it first, and the result says so."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hybrid_world import BASE, DIM, World
from signs import reading
from test_search_service import WordEncoder, documents, ids, options

from crossmodal.collection.collection import Collection
from crossmodal.lexical.encoder import SparseEncoder
from crossmodal.lexical.reading_index import ReadingIndex
from crossmodal.relevance.rules import Calibration, Fitted
from crossmodal.search.query import Query, read_query
from crossmodal.search.service import SearchService
from crossmodal.search.text_in_pictures import looked_for
from crossmodal.store.protocol import Store

TEXTS = {"nothing": ["NO PARKING", "24 h"], "cat": ["Café Zürich"], "blue-heart": ["Open daily"]}


def put_texts(store: Store) -> None:
    store.readings.put((name, reading(*lines)) for name, lines in TEXTS.items())


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    made = Collection.create(tmp_path / "collection", BASE)
    with made.store(writable=True) as store:
        store.put(documents())
        put_texts(store)
    return made


@pytest.fixture
def service(collection: Collection) -> Iterator[SearchService]:
    with SearchService(collection, WordEncoder(BASE)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("parking", "nothing"),
        ("a sign that says no parking", "nothing"),
        ("24", "nothing"),
        ("cafe zurich", "cat"),
        ("OPEN", "blue-heart"),
        ("dog", "red-dog"),
        ("red dog", "red-dog"),
    ],
)
def test_a_picture_with_all_words_comes_first(service: SearchService, text: str, first: str) -> None:
    assert ids(service.search(Query(text, options=options())))[0] == first


def test_the_result_names_the_words_and_keeps_the_scale_of_others(service: SearchService) -> None:
    best, *others = service.search(Query("parking", options=options())).matches
    assert set(best.why) == {'"parking"'}
    assert best.scores["text"] == pytest.approx(sum(best.why.values()))
    assert best.score == pytest.approx(best.scores["cosine"] + 1)
    assert all(match.score == match.scores["cosine"] and not match.why for match in others)


def test_a_picture_beyond_the_nearest_is_found(collection: Collection) -> None:
    with collection.store(writable=True) as store:
        store.readings.put([("nothing", reading("A CAT"))])
    with SearchService(collection, WordEncoder(BASE)) as service:
        (nearest,) = service.search(Query("cat", options=options(top_k=1, fusion="dense"))).matches
        (best,) = service.search(Query("cat", options=options(top_k=1))).matches
    assert (nearest.document.id, best.document.id) == ("cat", "nothing")
    assert best.scores["cosine"] == pytest.approx(0)
    assert best.picture is not None


def test_conditions_and_words_to_avoid_apply(service: SearchService) -> None:
    where = "tags.filename = 'cat.jpg'"
    assert ids(service.search(Query("parking", options=options(where=where)))) == ["cat"]
    query = read_query("dog -parking", [], None, "", 0.5, options(), has_captions=True)
    assert ids(service.search(query))[0] == "red-dog"


def test_a_given_fusion_leaves_the_text_out(service: SearchService) -> None:
    results = service.search(Query("parking", options=options(fusion="dense")))
    assert not any(match.why for match in results.matches)


def test_a_reading_that_is_committed_later_is_found(collection: Collection) -> None:
    with SearchService(collection, WordEncoder(BASE)) as service:
        assert ids(service.search(Query("dog", options=options())))[0] == "red-dog"
        with collection.store(writable=True) as store:
            store.readings.put([("nothing", reading("HOT DOG"))])
        assert ids(service.search(Query("dog", options=options())))[0] == "nothing"


def test_a_collection_without_text_in_pictures_loads_no_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Collection.create(tmp_path / "collection", BASE)
    with made.store(writable=True) as store:
        store.put(documents())
    monkeypatch.setitem(sys.modules, "crossmodal.lexical.terms", None)  # SciPy and lemmas: a slow first search
    with SearchService(made, WordEncoder(BASE)) as service:
        assert ids(service.search(Query("dog", options=options())))[0] == "red-dog"


def test_the_relevance_is_the_certainty_of_the_reader(collection: Collection) -> None:
    fitted = Fitted(10.0, np.zeros(DIM), -5.0)
    calibrated = Calibration("", 0, {("text", "image"): fitted})
    collection.calibration_path.write_bytes(calibrated.to_bytes())
    with SearchService(collection, WordEncoder(BASE)) as service:
        results = service.search(Query("parking", options=options()))
    best, second, *_ = results.matches
    assert best.relevance is not None
    assert best.relevance >= 0.95
    assert second.relevance is not None
    assert second.relevance < best.relevance
    assert results.fits


def test_words_that_a_sparse_collection_does_not_know_are_found_in_pictures(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.store.put(documents())
    put_texts(world.store)
    world.store.close()
    encoder = SparseEncoder(world.spec, WordEncoder(world.spec), needs_text_vectors=False)
    with SearchService(world.collection, encoder) as service:
        best, *_ = service.search(Query("parking", options=options())).matches
        assert (best.document.id, set(best.why)) == ("nothing", {'"parking"'})
        with_learned, *_ = service.search(Query("open heart", options=options())).matches
        assert with_learned.document.id == "blue-heart"
        assert {"heart", '"open"'} <= set(with_learned.why)


def test_words_that_are_looked_for() -> None:
    assert looked_for("the") == []
    assert looked_for("a sign that says EXIT -red") == ["exit"]
    assert looked_for("isn't it") == []
    assert looked_for("words") == ["words"]


def index_of(*texts: str) -> ReadingIndex:
    index = ReadingIndex()
    keys = np.arange(len(texts), dtype=np.int64)
    index.add(keys + 100, texts, keys)
    return index


def test_shares_of_words() -> None:
    index = index_of("bus stop", "bus", "nostopping", "other")
    found = index.matches(["stop", "bus"])
    assert found.keys.tolist() == [0, 1]
    assert found.shares[0] == 1.0
    assert 0 < found.shares[1] < 0.5  # the rarer word counts more
    assert index.matches(["stopping"]).keys.tolist() == [2]  # inside of a longer word
    assert index.matches([]).keys.tolist() == []
    assert index.matches(["bus"], np.array([1])).keys.tolist() == [1]


def test_similar_words_are_found_but_are_not_all_words() -> None:
    index = index_of("BAKERV", "bakerys", "market")
    found = index.matches(["bakery"])
    assert dict(zip(found.keys.tolist(), found.shares.tolist(), strict=True)) == {0: 0.5, 1: 1.0}
