"""A search from the query to complete results, in process: no Flow, no model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hybrid_world import BASE, DIM, World, unit
from PIL import Image

from crossmodal.collection.collection import Collection
from crossmodal.core.errors import InputError
from crossmodal.core.types import Document, ModelSpec, Pixels, Vectors
from crossmodal.lexical.encoder import SparseEncoder
from crossmodal.relevance.rules import Background, Calibration, Fitted
from crossmodal.search.by_time import TimeOrder
from crossmodal.search.query import MAX_AVOIDED, Order, Page, Query, SearchOptions, read_query
from crossmodal.search.results import Candidates, ResultRanker, SearchResults
from crossmodal.search.retrieval import check_vector, searched_modalities
from crossmodal.search.service import SearchService
from crossmodal.store import where
from crossmodal.store.sqlite import DocumentStore, NewDocument

AXES = {name: row for row, name in enumerate(("blue", "cat", "dog", "heart", "red", "star"))}
PICTURES = {
    "red-dog": unit(0, 0, 3, 0, 1),
    "cat": unit(0, 3, 1),
    "blue-heart": unit(2, 0, 0, 1, 0, 1),
    "nothing": unit(-1, 0, 0, 0, 0, 0, 1),
}
CAPTIONS = {"red-dog": ("a red dog", "a dog"), "cat": ("a cat",), "gone": ("a dog of a picture that is gone",)}
PAGE = Page(10)


class WordEncoder:
    """Texts to the mean of the axes of their words; reads at most four words."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        return np.stack([unit(*np.sum([self._axis(word) for word in text.split()], axis=0)) for text in texts])

    def encode_images(self, pixels: Pixels) -> Vectors:
        return np.stack(
            [unit(0, 0, float(picture[..., 0].mean()), float(picture[..., 2].mean())) for picture in pixels]
        )

    def unread(self, text: str) -> str:
        return " ".join(text.split()[4:])

    def _axis(self, word: str) -> Vectors:
        return np.eye(DIM, dtype=np.float32)[AXES.get(word.partition("^")[0], DIM - 1)]


def documents() -> list[NewDocument]:
    found = [
        NewDocument(Document(name, "image", width=8, height=6, tags={"filename": f"{name}.jpg"}), vector)
        for name, vector in PICTURES.items()
    ]
    for picture, texts in CAPTIONS.items():
        for text in texts:
            vector = WordEncoder(BASE).encode_texts([text])[0]
            found.append(NewDocument(Document(f"{picture}: {text}", "text", text=text, image_id=picture), vector))
    return found


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    made = Collection.create(tmp_path / "collection", BASE)
    with made.store(writable=True) as store:
        store.put(documents())
    return made


@pytest.fixture
def service(collection: Collection) -> Iterator[SearchService]:
    with SearchService(collection, WordEncoder(BASE)) as opened:
        yield opened


@pytest.fixture
def sparse_service(tmp_path: Path) -> Iterator[SearchService]:
    world = World(tmp_path)
    world.store.put(documents())
    world.store.close()
    encoder = SparseEncoder(world.spec, WordEncoder(world.spec), needs_text_vectors=False)
    with SearchService(world.collection, encoder) as opened:
        yield opened


def options(**given: Any) -> SearchOptions:
    return SearchOptions(**{"target": "image", "page": PAGE, **given})


def ids(results: SearchResults) -> list[str]:
    return [match.document.id for match in results.matches]


def test_words_find_complete_pictures(service: SearchService) -> None:
    results = service.search(Query("red dog", options=options(top_k=2)))
    best, _ = results.matches
    assert best.document.id == "red-dog"
    assert best.score == pytest.approx(float(unit(0, 0, 1, 0, 1) @ PICTURES["red-dog"]), abs=1e-6)
    assert best.picture is not None
    assert (best.picture.width, best.picture.height, best.picture.filename) == (8, 6, "red-dog.jpg")
    assert best.picture.captions == CAPTIONS["red-dog"]
    assert (results.fusion, results.note, results.fits, results.more) == ("", "", None, False)


def test_captions_come_with_their_picture_or_without_one_that_is_gone(service: SearchService) -> None:
    results = service.search(Query(like="red-dog", options=options(target="text", top_k=10)))
    by_id = {match.document.id: match.picture for match in results.matches}
    of_dog, of_gone = by_id["red-dog: a dog"], by_id["gone: a dog of a picture that is gone"]
    assert of_dog is not None
    assert of_gone is not None
    assert (of_dog.id, of_dog.captions) == ("red-dog", CAPTIONS["red-dog"])
    assert (of_gone.id, of_gone.width, of_gone.captions) == ("", 0, CAPTIONS["gone"])


def test_without_a_page_pictures_are_not_looked_up(service: SearchService) -> None:
    results = service.search(Query("dog", options=options(page=None)))
    assert {match.picture for match in results.matches} == {None}


def test_both_modalities_are_ranked_apart(service: SearchService) -> None:
    results = service.search(Query(like="cat", options=options(target="both", top_k=2)))
    assert [match.document.modality for match in results.matches] == ["image", "image", "text", "text"]
    assert ids(results)[0] == "cat"


def test_pages_have_no_gap_and_say_whether_others_follow(service: SearchService) -> None:
    pages = [service.search(Query("dog", options=options(page=Page(3, offset)))) for offset in (0, 3)]
    assert sorted(ids(pages[0]) + ids(pages[1])) == sorted(PICTURES)
    assert [page.more for page in pages] == [True, False]
    kept = service.search(Query("dog", options=options(page=Page(3, min_score=0.9))))
    assert (ids(kept), kept.more) == (["red-dog"], False)


def test_a_condition_holds_and_is_parsed_once(service: SearchService, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Query("dog", options=options(where="tags.filename = 'cat.jpg'"))
    assert ids(service.search(asked)) == ["cat"]
    monkeypatch.setattr(where, "_Parser", None)
    assert ids(service.search(asked)) == ["cat"]


def test_a_batch_evaluates_its_condition_once(sparse_service: SearchService, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated = []
    keys_where = DocumentStore.keys_where
    monkeypatch.setattr(DocumentStore, "keys_where", lambda *given: evaluated.append(given[1:]) or keys_where(*given))
    batch = [Candidates("text", text, None, {}) for text in ("dog", "cat", "heart")]
    found = sparse_service._ranker.results(batch, options(where="width = 8", fusion="sparse"))
    assert [ids(each)[0] for each in found if isinstance(each, SearchResults)] == ["red-dog", "cat", "blue-heart"]
    assert len(evaluated) == 1


def test_pictures_are_looked_up_once_a_query(service: SearchService, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("one query of the store for each picture")

    monkeypatch.setattr(DocumentStore, "captions_of", refuse)
    assert len(service.search(Query("dog", options=options())).matches) == len(PICTURES)


def test_a_picture_and_words_are_combined(service: SearchService) -> None:
    buffer = BytesIO()
    Image.new("RGB", (8, 8), (255, 0, 0)).save(buffer, "PNG")
    assert ids(service.search(Query(picture=buffer.getvalue(), options=options())))[0] == "red-dog"
    mixed = [
        ids(service.search(Query("cat", picture=buffer.getvalue(), mix=mix, options=options())))[0]
        for mix in (0.1, 0.9)
    ]
    assert mixed == ["cat", "red-dog"]


def test_avoided_words_rank_lower(service: SearchService) -> None:
    plain, less = (service.search(Query("dog cat", avoided, options=options())) for avoided in ((), ("cat",)))
    assert ids(plain)[0] == "cat"
    assert ids(less)[0] == "red-dog"


def test_text_beyond_the_context_is_noted(service: SearchService) -> None:
    results = service.search(Query("dog dog dog dog red", options=options()))
    assert results.note == "beyond the length that the model reads, so not used: 'red'"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        (Query(" ", options=options()), "the text is empty"),
        (Query(options=options()), "the query is empty"),
        (Query(like="nobody", options=options()), "no document 'nobody'"),
        (Query(picture=b"no picture", options=options()), "not a picture"),
        (Query("dog", options=options(fusion="sparse")), "this collection has no words"),
        (Query("dog", options=options(where="width =")), "expected a number"),
        (Query("dog", options=options(page=Page(5, min_relevance=0.5))), "not calibrated"),
        (Query("dog", options=options(page=Page(5, order="newest"))), "order: newest .*not calibrated"),
    ],
)
def test_bad_queries_are_refused(service: SearchService, query: Query, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        service.search(query)


def test_the_newest_of_those_that_fit(collection: Collection) -> None:
    rule = Fitted(1000.0, np.zeros(DIM, np.float32), -500.0)  # the threshold is a cosine of 0.5
    collection.calibration_path.write_bytes(Calibration("", 0, {("text", "image"): rule}).to_bytes())
    with collection.store(writable=True) as store:
        store.update([("cat", {"taken": "2023-07-01T12:00:00"}), ("red-dog", {"taken": "2022-07-01T12:00:00"})])
    with SearchService(collection, WordEncoder(BASE)) as service:
        by_order = {
            order: service.search(Query("dog cat", options=options(page=Page(10, order=order))))
            for order in get_args(Order)
        }
    assert ids(by_order["newest"]) == ["cat", "red-dog"]
    assert ids(by_order["oldest"]) == ["red-dog", "cat"]
    assert by_order["newest"].ordered == TimeOrder(0.5, len(PICTURES), 2)
    assert (len(by_order["relevance"].matches), by_order["relevance"].ordered) == (len(PICTURES), None)


def test_relevance_of_a_calibrated_collection(collection: Collection) -> None:
    rule = Background(np.stack(list(PICTURES.values())), len(PICTURES))
    collection.calibration_path.write_bytes(Calibration("", 0, backgrounds={"image": rule}).to_bytes())
    with SearchService(collection, WordEncoder(BASE)) as service:
        results = service.search(Query("dog", options=options()))
        relevances = [match.relevance for match in results.matches]
        assert None not in relevances
        assert relevances == sorted(relevances, key=lambda relevance: -(relevance or 0))
        assert results.fits is (relevances[0] is not None and relevances[0] >= 0.5)
        kept = service.search(Query("dog", options=options(page=Page(10, min_relevance=0.99))))
        assert (kept.matches, kept.fits) == ([], False)


def test_words_and_vectors_of_a_sparse_collection(sparse_service: SearchService) -> None:
    fused = sparse_service.search(Query("red dog^2 -cat", options=options()))
    assert (fused.fusion, ids(fused)[0]) == ("rrf", "red-dog")
    best = fused.matches[0]
    assert {"fused", "cosine", "sparse", "bm25"} <= set(best.scores)
    assert sum(best.why.values()) == pytest.approx(best.scores["sparse"])
    words = sparse_service.search(Query("dog", options=options(fusion="sparse")))
    assert ids(words) == ["red-dog", "cat"]
    assert "cosine" not in words.matches[0].scores  # the text is not encoded for it
    dense = sparse_service.search(Query("dog", options=options(fusion="dense")))
    assert (dense.fusion, dense.matches[0].why) == ("dense", {})
    assert sparse_service.search(Query(like="cat", options=options())).fusion == "dense"
    with pytest.raises(InputError, match="only words to avoid"):
        sparse_service.search(Query("-dog", options=options()))
    with pytest.raises(InputError, match="searches of pictures by words"):
        sparse_service.search(Query(like="cat", options=options(fusion="bm25")))


def test_a_picture_that_only_words_found_has_its_cosine_too(sparse_service: SearchService) -> None:
    vector = unit(0, 0, 1)
    (found,) = sparse_service._ranker.results([Candidates("text", "cat", vector, {"image": {}})], options())
    assert isinstance(found, SearchResults)
    assert [match.scores["cosine"] for match in found.matches] == pytest.approx([float(vector @ PICTURES["cat"])])


def test_one_bad_query_of_a_batch_does_not_fail_the_others(sparse_service: SearchService) -> None:
    batch = [Candidates("text", text, None, {}) for text in ("unicorn", "cat")]
    refused, answered = sparse_service._ranker.results(batch, options(fusion="sparse"))
    assert isinstance(refused, InputError)
    assert isinstance(answered, SearchResults)
    assert ids(answered) == ["cat"]


def test_documents_that_are_gone_are_left_out(collection: Collection) -> None:
    ranker = ResultRanker.open(collection)
    batch = [Candidates("text", "", unit(1), {"image": {1: 0.5, 99: 0.9}})]
    (found,) = ranker.results(batch, SearchOptions())
    assert isinstance(found, SearchResults)
    assert ids(found) == ["red-dog"]
    ranker.close()


def test_a_search_sees_what_another_process_commits(collection: Collection, service: SearchService) -> None:
    service.search(Query("dog", options=options()))
    with collection.store(writable=True) as store:  # the search holds no lock
        store.put([NewDocument(Document("new", "image"), unit(0, 0, 1))])
    assert ids(service.search(Query("dog", options=options())))[0] == "new"


# -- queries and options


def read(text: str = "", exclude: Sequence[str] = (), like: str = "", has_captions: bool = True, **given: Any) -> Query:
    return read_query(text, exclude, None, like, 0.5, SearchOptions(**given), has_captions=has_captions)


def test_a_query_is_read() -> None:
    query = read('a dog -red -"at night"', [" red ", "cat", ""])
    assert (query.text, query.avoided) == ("a dog", ("red", "at night", "cat"))
    assert query.text_with_avoided == "a dog -red -at -night -cat"
    assert (query.modality, query.options.target) == ("vector", "image")
    assert [read("dog").modality, read("dog", target="text").modality] == ["text", "vector"]
    assert [read(like="x", has_captions=has).options.target for has in (True, False)] == ["both", "image"]
    assert read(like="x", text="-dog").options.target == "image"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "the query is empty: give `text`, `image` or `like`"),
        ({"text": "-dog"}, "only words to avoid"),
        ({"text": "a", "exclude": [str(n) for n in range(MAX_AVOIDED + 1)]}, "exclude: 21 words to avoid"),
        ({"text": "a", "where": "widht > 3"}, "where: condition, at character 1"),
        ({"text": "a", "fusion": "loud"}, "give dense, sparse, bm25"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read(**given)


@pytest.mark.parametrize("top_k", [0, -1, 11_002, 1e300, float("nan"), float("inf"), "10", None, [], {}])
def test_a_number_of_matches_that_is_none(top_k: Any) -> None:
    with pytest.raises(InputError, match="expected a number from 1 to 11001"):
        SearchOptions.from_parameters({"top_k": top_k})


@pytest.mark.parametrize(("parameters", "expected"), [({}, 10), ({"top_k": 3.0}, 3), ({"top_k": 11_001}, 11_001)])
def test_a_number_of_matches(parameters: dict[str, Any], expected: int) -> None:
    assert SearchOptions.from_parameters(parameters).top_k == expected


def test_options_come_back_from_the_parameters_of_a_request() -> None:
    for given in (SearchOptions(), SearchOptions(5, "both", "width > 2", "rrf", Page(3, 1, None, 0.5))):
        assert SearchOptions.from_parameters(given.to_parameters()) == given


def test_a_target_that_is_none() -> None:
    with pytest.raises(InputError, match="target 'smell': expected image, text or both"):
        SearchOptions.from_parameters({"target": "smell"})


@pytest.mark.parametrize("page", ["x", {}, {"size": "many"}, {"size": float("inf")}, {"size": 1, "colour": 2}, [1]])
def test_a_page_that_is_none(page: Any) -> None:
    with pytest.raises(InputError, match="page: expected"):
        SearchOptions.from_parameters({"page": page})


def test_what_is_searched_by_default() -> None:
    image_only = ModelSpec("timm", "x", "hash", DIM, BASE.preprocessing)
    assert searched_modalities("text", SearchOptions(), BASE) == ("image",)
    assert searched_modalities("image", SearchOptions(), BASE) == ("text",)
    assert searched_modalities("image", SearchOptions(), image_only) == ("image",)
    assert searched_modalities("vector", SearchOptions(target="both"), BASE) == ("image", "text")


@pytest.mark.parametrize("vector", [np.ones(DIM - 1), np.zeros(DIM), np.full(DIM, np.nan), np.ones((1, DIM))])
def test_a_vector_that_can_not_be_compared(vector: Vectors) -> None:
    with pytest.raises(InputError, match=r"a vector of shape .*: expected \(8,\), of length 1"):
        check_vector(vector, DIM)
