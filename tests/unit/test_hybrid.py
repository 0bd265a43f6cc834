"""Search by vectors and words over one collection: what is found, how it is joined, and why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hybrid_world import WORDS, World, caption, picture, unit, write_model

from crossmodal.collection.collection import Collection
from crossmodal.collection.indexes import every_index
from crossmodal.collection.term_verification import problems_of_words
from crossmodal.core.errors import InputError, StateError
from crossmodal.core.types import Vectors
from crossmodal.lexical.indexes import wordless
from crossmodal.search.fusion import FUSION_NAME, fuse, fusion_of, fusion_of_parts, name_of
from crossmodal.search.hybrid import FusedMatches, HybridSearch

PICTURES: dict[str, Vectors] = {
    "a": unit(0, 0, 3, 0, 1),  # dog, red
    "b": unit(0, 3, 1, 0, 0),  # cat, dog
    "c": unit(2, 0, 0, 1, 0, 1),  # blue, heart, star
    "d": unit(-1, 0, 0, 0, 0, 0, 1),  # no word
}
QUERY_VECTOR = unit(0, 0, 1)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    made.store.put([picture(name, vector) for name, vector in PICTURES.items()])
    made.store.put([caption("a red dog", "a"), caption("a zebra", "c"), caption("dogs and cats", "b")])
    yield made
    made.store.close()


def ask(world: World, text: str, fusion: str = "rrf", k: int = 10, asked: bool = True, **given: object) -> FusedMatches:
    search = HybridSearch(world.indexes(), fusion_of_parts(fusion))
    nearest = {key: float(vector @ QUERY_VECTOR) for key, vector in keyed(world).items()}
    return search.answer(text, QUERY_VECTOR, nearest, k, fusion if asked else "", **given)  # type: ignore[arg-type]


def keyed(world: World) -> dict[int, Vectors]:
    return {key: PICTURES[found.id] for key, found in world.store.by_keys(range(1, 5)).items()}


def names(world: World, found: FusedMatches) -> list[str]:
    documents = world.store.by_keys([match.key for match in found.matches])
    return [documents[match.key].id for match in found.matches]


def test_words_alone_rank_by_the_dot_product(world: World) -> None:
    found = ask(world, "a red dog", "sparse")
    model = world.indexes().model
    scores = model.image_weights(np.stack(list(PICTURES.values()))) @ model.text_weights(["a red dog"]).T
    assert names(world, found) == ["a", "b"]
    assert [match.score for match in found.matches] == pytest.approx(sorted(scores.data, reverse=True))
    assert found.fusion == "sparse"
    assert found.note == ""


@pytest.mark.parametrize("text", ["red dog", "dog^3 red -cat", "dog -red^0.5 star"])
@pytest.mark.parametrize("fusion", ["sparse", "bm25", "rrf", "weighted:1,1,1", "weighted:0.5,0,0.5"])
def test_the_words_sum_to_the_score_they_explain(world: World, text: str, fusion: str) -> None:
    found = ask(world, text, fusion)
    explained = "bm25" if fusion in ("bm25", "weighted:0.5,0,0.5") else "sparse"
    assert any(match.why for match in found.matches)
    for match in found.matches:
        if match.why:
            assert sum(match.why.values()) == pytest.approx(match.parts[explained], abs=1e-5)
        if fusion == explained:
            assert match.score == pytest.approx(sum(match.why.values()), abs=1e-5)


def test_the_thesis_s_words_are_scored_by_tf_idf(tmp_path: Path) -> None:
    world = World(tmp_path, "thesis")
    with world.store:
        world.store.put([picture(name, vector) for name, vector in PICTURES.items()])
        words = world.indexes().words
        query = words.model.query_weights("dog^2 red -cat")
        scores, keys = words.search(query, 4)
        expected, same = words.index.search(query, 4, scoring="tf-idf")
        assert (scores.tolist(), keys.tolist()) == (expected.tolist(), same.tolist())
        assert words.index.search(query, 4)[0].tolist() != scores.tolist()
        found = ask(world, "dog^2 red -cat", "sparse").matches
        assert [match.key for match in found] == [key for key in keys[0].tolist() if key >= 0]
        assert [sum(match.why.values()) for match in found] == pytest.approx([match.score for match in found])
        assert found[0].why.keys() == {"dog", "red"}


def test_a_model_that_adds_words_does_so_by_the_vector_of_the_query(tmp_path: Path) -> None:
    world = World(tmp_path, query="expanded")
    with world.store:
        world.store.put([picture(name, vector) for name, vector in PICTURES.items()])
        found = HybridSearch(world.indexes(), fusion_of_parts("sparse")).answer("dog", unit(0, 2, 1), {}, 1)
        assert names(world, found) == ["b"]
        assert found.matches[0].why.keys() == {"cat", "dog"}


def test_a_word_to_be_avoided_takes_away(world: World) -> None:
    plain, less = ask(world, "dog", "sparse"), ask(world, "dog -cat", "sparse")
    assert names(world, plain) == names(world, less) == ["a", "b"]
    assert less.matches[1].score < plain.matches[1].score
    assert less.matches[1].why["cat"] < 0


def test_joined_parts_are_what_fusing_them_gives(world: World) -> None:
    for fusion in ("rrf", "weighted:0.6,0.3,0.1"):
        parts = [ask(world, "red dog", part).matches for part in ("dense", "sparse", "bm25")]
        answers = [(np.float32([[m.score for m in part]]), np.array([[m.key for m in part]])) for part in parts]
        scores, keys = fuse(answers, fusion_of_parts(fusion), 4)
        found = ask(world, "red dog", fusion).matches
        assert [match.key for match in found] == keys[0].tolist()
        assert [match.score for match in found] == pytest.approx(scores[0].tolist())
        assert set(found[0].parts) == {"dense", "sparse", "bm25"}


def test_a_picture_without_words_is_found_by_its_vector(world: World) -> None:
    words = world.indexes().words
    assert [found.id for found in wordless(world.spec, world.store, list(PICTURES))] == ["d"]
    assert "d" not in names(world, ask(world, " ".join(WORDS), "sparse"))
    assert "d" in names(world, ask(world, " ".join(WORDS), "rrf"))
    assert words.description()[1].endswith("1 pictures have none")


def test_words_that_nobody_knows(world: World) -> None:
    with pytest.raises(InputError, match="no word of the query is known: unicorn, giraffe; use other words"):
        ask(world, "unicorn giraffe", "sparse")
    with pytest.raises(InputError, match="unicorn"):
        ask(world, "unicorn", "rrf", asked=False)
    with pytest.raises(InputError, match="it has none"):
        ask(world, "of the", "rrf", asked=False)
    with pytest.raises(InputError, match="only words to avoid"):
        ask(world, "-dog", "sparse")
    fallen = ask(world, "unicorn", "rrf")
    assert fallen.fusion == "dense"
    assert fallen.note == "no word of the query is known: unicorn; searched by vectors only"
    assert names(world, fallen) == names(world, ask(world, "unicorn", "dense"))


def test_a_word_that_only_captions_know(world: World) -> None:
    found = ask(world, "zebra unicorn", "rrf", asked=False)
    assert names(world, found)[0] in ("a", "c")
    assert found.note == "unknown, so not used in the search by words: unicorn"
    assert names(world, ask(world, "zebra", "bm25")) == ["c"]
    with pytest.raises(InputError, match="zebra"):
        ask(world, "zebra", "sparse")


def test_a_filter_keeps_to_what_is_allowed(world: World) -> None:
    (key,) = [match.key for match in ask(world, "cat", "sparse").matches]
    others = np.setdiff1d(world.store.keys("image"), [key])
    assert ask(world, "cat", "sparse", allowed=others).matches == []
    assert ask(world, "cat", "bm25", allowed=others).matches == []
    assert [match.key for match in ask(world, "cat", "bm25", allowed=np.array([key])).matches] == [key]


def test_a_collection_without_captions_says_so(tmp_path: Path) -> None:
    world = World(tmp_path)
    with world.store:
        assert ask(world, "dog", "sparse").matches == []
        world.store.put([picture("a", PICTURES["a"])])
        assert len(ask(world, "dog", "rrf").matches) == 1
        with pytest.raises(InputError, match="no picture has a caption"):
            ask(world, "dog", "bm25")


def test_every_index_is_written_and_read(world: World) -> None:
    for index in every_index(world.collection, world.store).values():
        index.snapshot()
    again = every_index(world.collection, world.store)
    assert list(again) == ["image", "text", "sparse", "bm25"]
    assert {name: len(index) for name, index in again.items()} == {"image": 4, "text": 3, "sparse": 4, "bm25": 3}
    assert all(index.last_seq == world.store.last_seq() for index in again.values())
    assert not any(index.opening_problem for index in again.values())
    again["sparse"].rebuild()
    again["bm25"].compact()
    assert names(world, ask(world, "red dog", "sparse")) == ["a", "b"]


def test_what_was_tuned_is_the_default(world: World) -> None:
    assert name_of(fusion_of(world.spec)) == "rrf"
    path = Path(world.spec.weights) / FUSION_NAME
    path.write_text('{"fusion": "weighted:0.9,0.1", "parts": ["dense", "sparse"]}')
    found = HybridSearch(world.indexes(), fusion_of(world.spec)).answer("dog", None, {}, 2)
    assert found.fusion == "weighted:0.9,0.1,0"


def test_verification_sees_words_that_are_not_those_of_the_store(world: World) -> None:
    assert list(problems_of_words(world.collection, world.store, 10)) == []
    for index in every_index(world.collection, world.store).values():
        index.snapshot()
    with world.store.database.writing() as connection:
        vector = PICTURES["b"].astype("<f4").tobytes()
        connection.execute(
            "UPDATE vectors SET vector = ? WHERE key = (SELECT key FROM documents WHERE id = 'a')", [vector]
        )
        connection.execute("UPDATE documents SET text = 'a blue cat' WHERE text = 'a red dog'")
    problems = list(problems_of_words(world.collection, world.store, 10))
    assert problems == [
        ("sparse index", "has words of a that don't match its vector: run -t rebuild"),
        ("bm25 index", "has words that don't match the caption 'a blue cat': run -t rebuild"),
    ]
    for index in every_index(world.collection, world.store).values():
        index.rebuild()
    assert list(problems_of_words(world.collection, world.store, 10)) == []


def test_pictures_without_words_are_named(world: World) -> None:
    assert [found.id for found in wordless(world.spec, world.store, list(PICTURES))] == ["d"]
    assert list(wordless(world.spec, world.store, ["a", "nobody"])) == []


def test_damage_is_made_good_from_the_store(world: World) -> None:
    for index in every_index(world.collection, world.store).values():
        index.snapshot()
    for name in ("sparse-*.weights.npy", "bm25-*.captions.json"):
        (path,) = (world.collection.folder / "index").glob(name)
        path.write_bytes(path.read_bytes()[:-3])
    again = every_index(world.collection, world.store)
    assert "does not have the checksum" in again["sparse"].opening_problem
    assert "does not have the checksum" in again["bm25"].opening_problem
    assert names(world, ask(world, "red dog", "rrf"))[0] == "a"


def test_a_model_that_has_changed_is_refused(world: World, tmp_path: Path) -> None:
    write_model(tmp_path / "model", ("blue", "cat", "dog", "heart", "red", "moon"))
    with pytest.raises(
        StateError, match=r"have changed since they were used \(sparse .*model \([0-9a-f]{12}\) on clip"
    ):
        world.indexes()


def test_another_model_is_refused_with_both_named(world: World, tmp_path: Path) -> None:
    other = write_model(tmp_path / "other", ("blue", "cat"))
    with pytest.raises(StateError, match=r"was indexed with sparse .*/model \(.*, not with sparse .*/other \("):
        Collection.create(world.collection.root, other)
