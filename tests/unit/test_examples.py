"""Queries with examples, in process, over a real store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hybrid_world import BASE, World, unit
from PIL import Image

from crossmodal.collection.collection import Collection
from crossmodal.core.errors import InputError
from crossmodal.core.settings import MAX_MATCHES
from crossmodal.core.types import Document, Pixels, Vectors, image_id
from crossmodal.lexical.encoder import SparseEncoder
from crossmodal.search.examples import MAX_EXAMPLES, refined
from crossmodal.search.query import Page, Query, SearchOptions, read_query
from crossmodal.search.results import SearchResults
from crossmodal.search.service import SearchService
from crossmodal.store.sqlite import NewDocument


def picture(colour: tuple[int, int, int]) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (8, 8), colour).save(buffer, "PNG")
    return buffer.getvalue()


RED, BLUE = picture((255, 0, 0)), picture((0, 0, 255))
STORED = {
    "a": unit(0, 0, 3, 0, 1),
    "b": unit(0, 3, 1),
    "c": unit(2, 0, 0, 1, 0, 1),
    "d": unit(0, 2, 0, 0, 2),
    image_id(RED): unit(0, 0, 1, 0, 0.2),
}
X, Y = np.float32([1, 0]), np.float32([0, 1])


class ColourEncoder:
    """Pictures to the mean of their red and of their blue, and any text to one vector."""

    spec = BASE

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        return np.stack([unit(0, 1, 1) for _ in texts])

    def encode_images(self, pixels: Pixels) -> Vectors:
        return np.stack([unit(0, 0, float(one[..., 0].mean()), 0, float(one[..., 2].mean())) for one in pixels])

    def unread(self, text: str) -> str:
        return ""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[SearchService]:
    collection = Collection.create(tmp_path / "collection", BASE)
    with collection.store(writable=True) as store:
        store.put([NewDocument(Document(name, "image"), vector) for name, vector in STORED.items()])
        store.put([NewDocument(Document("of a", "text", text="a", image_id="a"), STORED["a"])])
    with SearchService(collection, ColourEncoder()) as opened:
        yield opened


def options(**given: Any) -> SearchOptions:
    return SearchOptions(**{"target": "image", "page": Page(10), **given})


def scores(results: SearchResults) -> dict[str, float]:
    return {match.document.id: match.score for match in results.matches}


def test_without_examples_nothing_changes(service: SearchService) -> None:
    query = Query("x", ("y",), RED, "a", 0.3, options())
    assert query.without_unliked(service.store) is query.options
    same = Query("x", ("y",), RED, "a", 0.3, options(), likes=(), unlikes=())
    assert scores(service.search(query)) == scores(service.search(same))


@pytest.mark.parametrize("example", ["b", RED], ids=["document", "picture"])
def test_one_liked_example_is_like(service: SearchService, example: str | bytes) -> None:
    by_like = (
        Query(like=example, options=options())
        if isinstance(example, str)
        else Query(picture=example, options=options())
    )
    assert scores(service.search(Query(likes=(example,), options=options()))) == scores(service.search(by_like))


def test_the_vector_is_that_of_the_rule(service: SearchService) -> None:
    found = scores(service.search(Query("x", likes=("a", RED), unlikes=("b", BLUE), options=options())))
    words, red, blue = unit(0, 1, 1), unit(0, 0, 1), unit(0, 0, 0, 0, 1)
    vector = refined(words, [STORED["a"], red], [STORED["b"], blue])
    assert "b" not in found
    assert found == pytest.approx({name: float(vector @ STORED[name]) for name in STORED if name != "b"}, abs=1e-6)


def test_liked_documents_stay_and_unliked_leave(service: SearchService) -> None:
    found = scores(service.search(Query(likes=("a",), unlikes=("d", RED), options=options())))
    assert set(found) == {"a", "b", "c"}
    assert next(iter(found)) == "a"


def test_captions_of_an_unliked_picture_leave_with_it(service: SearchService) -> None:
    both = options(target="both")
    assert "of a" in scores(service.search(Query(likes=("b",), options=both)))
    assert "of a" not in scores(service.search(Query(likes=("b",), unlikes=("a",), options=both)))


@pytest.mark.parametrize("page", [None, Page(2)])
def test_a_page_is_full_though_documents_leave(service: SearchService, page: Page | None) -> None:
    results = service.search(Query(likes=("b",), unlikes=("d", "c"), options=options(top_k=2, page=page)))
    assert len(results.matches) == 2
    assert not {"c", "d"} & set(scores(results))


def test_pages_have_no_gap(service: SearchService) -> None:
    pages = [
        service.search(Query(likes=("b",), unlikes=("a",), options=options(top_k=offset + 3, page=Page(2, offset))))
        for offset in (0, 2)
    ]
    assert sorted(name for page in pages for name in scores(page)) == sorted(set(STORED) - {"a"})
    assert [page.more for page in pages] == [True, False]


def test_a_page_is_full_though_all_captions_of_a_picture_leave(tmp_path: Path) -> None:
    collection = Collection.create(tmp_path / "collection", BASE)
    with collection.store(writable=True) as store:
        store.put([NewDocument(Document(name, "image"), vector) for name, vector in STORED.items()])
        for name, vector in (("a", STORED["b"]), ("c", STORED["c"])):
            captions = [Document(f"{n} of {name}", "text", text=f"{n}", image_id=name) for n in range(4)]
            store.put([NewDocument(caption, vector) for caption in captions])
    with SearchService(collection, ColourEncoder()) as service:
        query = Query(likes=("b",), unlikes=("a",), options=options(top_k=3, page=Page(2), target="text"))
        found = service.search(query)
    assert list(scores(found)) == ["0 of c", "1 of c"]
    assert found.more


def test_the_page_survives_its_way_through_parameters(service: SearchService) -> None:
    query = Query(likes=("a",), unlikes=("b", RED), options=options(top_k=MAX_MATCHES))
    sent = query.without_unliked(service.store)
    assert sent.page is not None
    assert sent.page.without == ("b", image_id(RED))
    assert sent.top_k == MAX_MATCHES
    assert SearchOptions.from_parameters(sent.to_parameters()) == sent


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        (Query(likes=("a", "nobody"), options=options()), r"likes\.1: there is no document 'nobody'"),
        (Query("x", unlikes=("nobody",), options=options()), r"unlikes\.0: there is no document"),
        (Query(likes=("a", b"no picture"), options=options()), r"likes\.1: not a picture"),
        (Query(unlikes=("a",), options=options()), "only examples to avoid"),
    ],
)
def test_errors_name_the_example(service: SearchService, query: Query, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        service.search(query)


def test_too_many_examples_and_only_unliked_ones_are_refused() -> None:
    many = [str(n) for n in range(MAX_EXAMPLES)]
    with pytest.raises(InputError, match="51 examples, at most 50"):
        read_query("", [], None, "", 0.5, SearchOptions(), has_captions=True, likes=many, unlikes=["x"])
    with pytest.raises(InputError, match="only examples to avoid: give `text`, `image` or `like`"):
        read_query("", [], None, "", 0.5, SearchOptions(), has_captions=True, unlikes=["x"])
    query = read_query("", [], None, "", 0.5, SearchOptions(), has_captions=True, likes=many)
    assert (query.likes, query.modality, query.options.target) == (tuple(many), "vector", "both")


def test_the_mix_goes_from_words_to_examples() -> None:
    shares = [float(refined(X, [Y], [], mix=mix) @ Y) for mix in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert refined(X, [Y], [], [-Y]) @ Y > refined(X, [Y], []) @ Y
    with pytest.raises(InputError, match="cancel"):
        refined(None, [X], [X * 1.6])


def test_saying_twice_what_is_liked_changes_nothing() -> None:
    assert refined(X, [Y, Y], [-Y]).tolist() == refined(X, [Y], [-Y, -Y]).tolist()


def test_in_a_sparse_collection_the_words_stay_those_of_the_text(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.store.put([NewDocument(Document(name, "image"), vector) for name, vector in STORED.items()])
    world.store.close()
    encoder = SparseEncoder(world.spec, ColourEncoder(), needs_text_vectors=False)
    with SearchService(world.collection, encoder) as service:
        plain, refined_, alone = (
            service.search(Query(text, likes=likes, unlikes=unlikes, options=options(fusion=fusion)))
            for text, likes, unlikes, fusion in (
                ("dog", (), (), "sparse"),
                ("dog", ("a",), ("b",), "sparse"),
                ("", ("a",), ("b",), ""),
            )
        )
    assert "b" in scores(plain)
    assert scores(refined_) == {name: score for name, score in scores(plain).items() if name != "b"}
    assert (refined_.fusion, alone.fusion) == ("sparse", "dense")
    assert "b" not in scores(alone)
