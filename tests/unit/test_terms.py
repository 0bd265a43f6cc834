"""The words of the sparse model: what a text has of them, fitting, weights, queries, the file."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossmodal.core.errors import InputError, StateError
from crossmodal.lexical.terms import STOP_WORDS, TermVocabulary, parse_query, words_of

CAPTIONS = ["A dog runs on the beach.", "Two dogs play.", "A cat and a dog", "The cats are sleeping"]
ODD = ("leaves", "strangers", "weeds", "opera", "lenses", "better", "bacteria", "bacterium", "laid", "inning")
ANIMALS = TermVocabulary.fit(CAPTIONS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Two dogs, running.", ["two", "dog", "run"]),
        ("A man's T-shirt isn't 3d, it’s 42nd_street", ["man", "shirt"]),
        ("the dogs' tails 'n' more", ["dog", "tail"]),
        ("women people children wolves knives", ["woman", "people", "child", "wolf", "knife"]),
        ("he is being her and THE Himself", []),
        ("a fire-truck / café crème", ["fire", "truck", "café", "crème"]),
        ("cafe\u0301 ＤＯＧ ﬁsh", ["café", "dog", "fish"]),
        ("x y 1 22 3.5 ... 🎈 \n\t", []),
        ("写真", ["写真"]),
        ("", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words_of(text) == expected


@pytest.mark.parametrize(
    "same",
    ["play plays played playing", "sit sits sat sitting", "paint paints painting paintings", "swing swings swinging",
     "sky skies", "run ran runs running", "stand stood stands standing", "wear wore worn wearing", "go goes went gone"],
)  # fmt: skip
def test_forms_of_a_word_meet(same: str) -> None:
    assert len(set(words_of(same))) == 1


@given(st.text(max_size=60))
@settings(max_examples=300)
def test_words_of_words_stay(text: str) -> None:
    """So a word of the vocabulary that is clicked on or typed finds itself."""
    words = words_of(text)
    assert words_of(" ".join(words)) == words
    assert all(word.isalpha() and word == word.lower() and word not in STOP_WORDS for word in words)


@given(st.lists(st.sampled_from(ODD)))
def test_odd_words_of_words_stay(words: list[str]) -> None:
    once = words_of(" ".join(words))
    assert len(once) == len(words)
    assert words_of(" ".join(once)) == once


def test_words_of_a_long_text_take_no_time() -> None:
    assert len(words_of("dog " * 50_000)) == 50_000
    assert words_of("x" * 200_000) == ["x" * 200_000]
    assert words_of("it's" * 50_000)


def test_fitting_counts_captions() -> None:
    assert ANIMALS.words == ("beach", "cat", "dog", "play", "run", "sleep", "two")
    assert ANIMALS.counts == (1, 2, 3, 1, 1, 1, 1)
    assert (len(ANIMALS), ANIMALS.n_texts) == (7, 4)
    assert TermVocabulary.fit(["dog dog dogs", "cat"]).counts == (1, 1)


def test_fitting_leaves_out_rare_and_frequent_words() -> None:
    assert TermVocabulary.fit(CAPTIONS, min_df=2).words == ("cat", "dog")
    assert TermVocabulary.fit(CAPTIONS, min_df=2, max_df=0.5).words == ("cat",)
    assert TermVocabulary.fit(iter(CAPTIONS), max_df=0.25).words == ("beach", "play", "run", "sleep", "two")


@pytest.mark.parametrize("captions", [[], ["the", "and 1"], ["dog", "cat"]])
def test_a_vocabulary_without_words_is_refused(captions: list[str]) -> None:
    with pytest.raises(InputError, match=f"no word is left for the vocabulary: {len(captions)} captions"):
        TermVocabulary.fit(captions, min_df=2)


def test_binary_weights() -> None:
    encoded = ANIMALS.encode(["dogs and a Dog, running", "a zebra", "cats; dogs"])
    assert encoded.toarray().tolist() == [[0, 0, 1, 0, 1, 0, 0], [0] * 7, [0, 1, 1, 0, 0, 0, 0]]
    assert encoded.dtype == np.float32
    assert encoded.has_sorted_indices


def test_tf_idf_weights_by_hand() -> None:
    words = TermVocabulary.fit(CAPTIONS, weighting="tf-idf")
    [row, nothing] = words.encode(["a dog, two dogs", "zebra"]).toarray()
    dog, two = 2 * (np.log(5 / 4) + 1), np.log(5 / 2) + 1
    assert row == pytest.approx(np.array([0, 0, dog, 0, 0, 0, two]) / np.hypot(dog, two))
    assert not nothing.any()


@pytest.mark.parametrize("weighting", ["binary", "tf-idf"])
def test_no_texts(weighting: str) -> None:
    assert TermVocabulary.fit(CAPTIONS, weighting=weighting).encode([]).shape == (0, 7)  # type: ignore[arg-type]


@pytest.mark.parametrize("weighting", ["binary", "tf-idf"])
def test_a_batch_equals_single_texts(weighting: str) -> None:
    words = TermVocabulary.fit(CAPTIONS, weighting=weighting)  # type: ignore[arg-type]
    batch = words.encode(CAPTIONS)
    for row, caption in enumerate(CAPTIONS):
        assert (words.encode([caption]) != batch[row]).nnz == 0
        assert (words.encode_query(caption) != batch[row]).nnz == 0, "a plain query is read as a caption is"


def test_unknown_words_are_named() -> None:
    assert ANIMALS.unknown("dogs and zebras^2 on a -boat, zebra") == ["zebra", "boat"]
    assert ANIMALS.unknown("the dog") == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("dog^2 -cat", [("dog", 2), ("cat", -1)]),
        ("Dogs^0.5 -cats^3 beach", [("dog", 0.5), ("cat", -3), ("beach", 1)]),
        ("dog^0 beach", [("beach", 1)]),
        ("fire-truck^2 -t-shirt", [("fire", 2), ("truck", 2), ("shirt", -1)]),
        ("dog dog^3", [("dog", 3)]),
        ("dog -dog", [("dog", -1)]),
        ("a dog - and -- the cat", [("dog", 1), ("cat", 1)]),
        (":^) the^x ^ ^3 -^2 dog", [("dog", 1)]),
        ("", []),
    ],
)
def test_weights_in_a_query(query: str, expected: list[tuple[str, float]]) -> None:
    assert parse_query(query) == expected


@pytest.mark.parametrize("bad", ["^x", "^", "^-2", "^1e3", "^nan", "^inf", "^1000", "^2^3", "^٣x", "^0.1234567"])
def test_a_weight_that_is_no_number(bad: str) -> None:
    with pytest.raises(InputError, match="a number from 0 to below 1000"):
        parse_query(f"beach dog{bad}")


@given(st.text(st.sampled_from("dogcat^-. 0123'é\n"), max_size=30))
@settings(max_examples=300)
def test_any_query_is_read_or_refused(query: str) -> None:
    try:
        weights = parse_query(query)
    except InputError:
        return
    assert all(0 < abs(weight) < 1000 for _, weight in weights)
    assert set(dict(weights)) <= set(words_of(query.replace("^", " ")))


def test_a_weighted_query_is_encoded() -> None:
    assert ANIMALS.encode_query("dog^2 -cat zebra").toarray().tolist() == [[0, -1, 2, 0, 0, 0, 0]]
    weighted = TermVocabulary.fit(CAPTIONS, weighting="tf-idf").encode_query("dog^2 -cat").toarray()[0]
    assert weighted[2] > 0 > weighted[1]
    assert np.linalg.norm(weighted) == pytest.approx(1)


@pytest.mark.parametrize("weighting", ["binary", "tf-idf"])
def test_the_file_keeps_everything(tmp_path: Path, weighting: str) -> None:
    path = tmp_path / "terms.json"
    words = TermVocabulary.fit([*CAPTIONS, "写真 café"], weighting=weighting)  # type: ignore[arg-type]
    words.save(path)
    words.save(path)
    loaded = TermVocabulary.load(path)
    assert (loaded.words, loaded.counts, loaded.n_texts) == (words.words, words.counts, words.n_texts)
    assert (loaded.encode(CAPTIONS) != words.encode(CAPTIONS)).nnz == 0
    assert [file.name for file in tmp_path.iterdir()] == ["terms.json"]


def _saved(**changes: object) -> bytes:
    whole = {"weighting": "binary", "n_texts": 2, "lemmas": "simplemma", "words": {"dog": 1}}
    return json.dumps(whole | changes).encode()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", ""),
        (b"[]", ""),
        (b"{}", "'words'"),
        (b"\xff\xfe", ""),
        (b"[" * 100_000, ""),
        (_saved(words={}), "no words"),
        (_saved(words=["dog"]), "no words"),
        (_saved(n_texts="2"), "no words"),
        (_saved(weighting="bm25"), "the weighting 'bm25'"),
        (_saved(words={"dog": 3}), "the count 3, of 2 texts"),
        (_saved(words={"dog": 0}), "the count 0"),
        (_saved(words={"dog": True}), "the count True"),
        (_saved(words={"": 1}), "its word ''"),
        (_saved(words={"a b": 1}), "its word 'a b'"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "terms.json"
    path.write_bytes(content)
    with pytest.raises(StateError, match=rf"terms\.json is damaged: .*{reason}"):
        TermVocabulary.load(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"terms\.json can't be read: No such file"):
        TermVocabulary.load(tmp_path / "terms.json")


def test_words_no_query_finds_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As after a change of the list of lemmas."""
    path = tmp_path / "terms.json"
    path.write_bytes(_saved(words={"dog": 1, "dogs": 1}, lemmas="simplemma 0"))
    with caplog.at_level(logging.WARNING):
        assert TermVocabulary.load(path).words == ("dog", "dogs")
    assert "1 words can't be searched, for example 'dogs': made with simplemma 0, here simplemma" in caplog.text
