"""Vocabulary and text tower over arbitrary captions: nothing depends on order, company or padding."""

import tempfile
from pathlib import Path

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossmodal.encoders.vocabulary import MAX_WORDS, SPECIAL_WORDS, Vocabulary, tokens
from crossmodal.encoders.vse_towers import TextTower

captions = st.lists(
    st.one_of(st.text(max_size=30), st.lists(st.sampled_from(["a", "b", "c", "d", ","]), max_size=12).map(" ".join)),
    min_size=1,
    max_size=8,
)


@given(captions, st.integers(1, 3))
def test_a_vocabulary_is_complete_ordered_and_survives_its_file(texts: list[str], min_count: int) -> None:
    words = Vocabulary.build(texts, min_count)
    assert words.words == Vocabulary.build(reversed(texts), min_count).words
    everything = [token for text in texts for token in tokens(text)]
    assert set(words.words[4:]) == {token for token in everything if everything.count(token) >= min_count}
    counts = [everything.count(word) for word in words.words[4:]]
    assert counts == sorted(counts, reverse=True)
    with tempfile.TemporaryDirectory() as folder:
        words.save(Path(folder) / "vocab.json")
        assert Vocabulary.load(Path(folder) / "vocab.json").words == words.words


@given(captions)
def test_ids_are_framed_and_in_range(texts: list[str]) -> None:
    words = Vocabulary.build(texts, 2)
    for text in texts:
        ids = words.encode(text)
        assert (ids[0], ids[-1]) == (1, 2)
        assert len(ids) <= MAX_WORDS + 2
        assert all(3 <= i < len(words) for i in ids[1:-1])
        known = [words.words[i] for i in ids[1:-1]]
        assert all(found in (token, "<unk>") for found, token in zip(known, tokens(text), strict=True))
        assert not set(tokens(text)) & set(SPECIAL_WORDS)


@settings(max_examples=25)
@given(captions, st.integers(0, 5), st.randoms())
def test_a_caption_is_encoded_as_if_it_were_alone(texts: list[str], padding: int, random: object) -> None:
    torch.manual_seed(0)
    words = Vocabulary(["a", "b", "c"])
    tower = TextTower(len(words), 4, 6).eval()
    order = list(range(len(texts)))
    random.shuffle(order)  # type: ignore[attr-defined]
    with torch.inference_mode():
        alone = torch.cat([tower(*map(torch.from_numpy, words.encode_batch([text]))) for text in texts])
        ids, lengths = map(torch.from_numpy, words.encode_batch([texts[i] for i in order]))
        ids = torch.nn.functional.pad(ids, (0, padding))
        torch.testing.assert_close(tower(ids, lengths), alone[order], atol=1e-5, rtol=0)
