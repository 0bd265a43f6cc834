"""Words and their ids: the rule for tokens, building, encoding, the file."""

import json
from pathlib import Path

import pytest

from crossmodal.core.errors import InputError
from crossmodal.encoders.vocabulary import MAX_WORDS, SPECIAL_WORDS, Vocabulary, tokens

WORDS = Vocabulary(["a", "red", "star", "."])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Two dogs, running.", ["two", "dogs", ",", "running", "."]),
        ("A man's T-shirt", ["a", "man", "'s", "t-shirt"]),
        ("it isn't; they're, I'd", ["it", "is", "n't", ";", "they", "'re", ",", "i", "'d"]),
        ("can’t", ["ca", "n't"]),
        ("dogs' tails 'n' more", ["dogs", "'", "tails", "'", "n", "'", "more"]),
        ("3.5 m, 1,000 and 2.", ["3.5", "m", ",", "1,000", "and", "2", "."]),
        ("<start> <pad>", ["<", "start", ">", "<", "pad", ">"]),
        ("ÉTÉ 写真 🎈", ["été", "写真", "🎈"]),
        (" \n\t", []),
    ],
)
def test_tokens(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected


def test_tokens_of_a_long_word_take_no_time() -> None:
    assert tokens("n'" * 20_000 + "x" * 200_000)


def test_building_counts_and_orders() -> None:
    captions = ["b a c", "c a", "c A!", "d"]
    assert Vocabulary.build(captions, 2).words == (*SPECIAL_WORDS, "a", "c")
    assert Vocabulary.build(captions, 1).words == (*SPECIAL_WORDS, "a", "c", "!", "b", "d")
    assert Vocabulary.build(reversed(captions), 1).words == Vocabulary.build(captions, 1).words
    assert Vocabulary.build(captions).words == SPECIAL_WORDS


def test_encoding() -> None:
    assert WORDS.encode("A red STAR.") == [1, 4, 5, 6, 7, 2]
    assert WORDS.encode("a blue star") == [1, 4, 3, 6, 2]
    assert WORDS.encode("") == [1, 2]
    assert WORDS.encode("<pad> <end>") == [1, 3, 3, 3, 3, 3, 3, 2]


def test_a_long_text_is_cut_between_its_marks() -> None:
    assert WORDS.encode("star " * 5000) == [1, *[6] * MAX_WORDS, 2]


def test_a_batch_is_padded_at_its_ends() -> None:
    ids, lengths = WORDS.encode_batch(["", "a red star", "star"])
    assert ids.tolist() == [[1, 2, 0, 0, 0], [1, 4, 5, 6, 2], [1, 6, 2, 0, 0]]
    assert lengths.tolist() == [2, 5, 3]
    assert ids.dtype == lengths.dtype == "int64"


def test_the_file_keeps_words_and_ids(tmp_path: Path) -> None:
    path = tmp_path / "vocab.json"
    words = Vocabulary(["été", '"', "a\nb", "写真", "\ud800"])
    words.save(path)
    assert Vocabulary.load(path).words == words.words
    assert json.loads(path.read_text("utf8"))["words"][:4] == list(SPECIAL_WORDS)
    assert [p.name for p in tmp_path.iterdir()] == ["vocab.json"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is damaged"),
        (b"[]", "is damaged"),
        (b"{}", "is damaged"),
        (b"\xff\xfe", "is damaged"),
        (b'{"words": "abc"}', "not a list of texts"),
        (b'{"words": [1, 2]}', "not a list of texts"),
        (b'{"words": ["a", "b"]}', "it starts with"),
        (b'{"words": ["<pad>", "<start>", "<end>", "<unk>", "a", "a"]}', "occur twice: 'a'"),
        (b"[" * 100_000, "is damaged"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "vocab.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"vocab\.json.*{reason}"):
        Vocabulary.load(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read: No such file"):
        Vocabulary.load(tmp_path / "vocab.json")


def test_a_word_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="'<unk>'"):
        Vocabulary(["a", "<unk>"])
