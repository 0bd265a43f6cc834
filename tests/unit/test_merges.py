"""The vocabulary cut to scenes."""

import gzip
from pathlib import Path
from random import Random

import pytest

from crossmodal.encoders.clip import BUNDLED_FOLDER, MERGES_NAME
from crossmodal.encoders.torchvision_guard import prepare_torchvision
from crossmodal.scenes.language import captions
from crossmodal.scenes.world import make_scene

prepare_torchvision()

from open_clip.tokenizer import SimpleTokenizer  # noqa: E402

from crossmodal.training.merges import scene_words, write_merges  # noqa: E402


@pytest.fixture(scope="module")
def full() -> SimpleTokenizer:
    return SimpleTokenizer()


@pytest.fixture
def small(tmp_path: Path) -> SimpleTokenizer:
    write_merges(scene_words(), tmp_path / "bpe.txt.gz")
    return SimpleTokenizer(str(tmp_path / "bpe.txt.gz"))


def pieces(tokenizer: SimpleTokenizer, text: str) -> list[str]:
    return [tokenizer.decoder[token] for token in tokenizer.encode(text)]


def test_every_word_of_a_caption_is_known() -> None:
    words = set(scene_words())
    for i in range(200):
        for text in captions(make_scene("train", i), Random(i)):
            assert set(text.replace(",", " ,").split()) <= words, text


def test_words_are_sorted_and_single() -> None:
    words = scene_words()
    assert words == sorted(set(words))
    assert not [word for word in words if " " in word or not word]


def test_scene_words_are_cut_up_as_by_the_full_vocabulary(small: SimpleTokenizer, full: SimpleTokenizer) -> None:
    for word in scene_words():
        assert pieces(small, word) == pieces(full, word)
    assert small.vocab_size < full.vocab_size / 20


@pytest.mark.parametrize("text", ["zebra crossing", "naïve café", "写真 🎈", "x1y2!"])
def test_other_words_still_have_tokens(small: SimpleTokenizer, text: str) -> None:
    assert small.encode(text)
    assert small.decode(small.encode(text)).strip().replace(" ", "") == text.replace(" ", "")


def test_the_file_is_the_same_every_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_merges(scene_words(), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_the_bundled_weights_have_this_vocabulary(tmp_path: Path) -> None:
    write_merges(scene_words(), tmp_path / "bpe.txt.gz")
    assert gzip.decompress((BUNDLED_FOLDER / MERGES_NAME).read_bytes()) == gzip.decompress(
        (tmp_path / "bpe.txt.gz").read_bytes()
    )


def test_words_without_merges(tmp_path: Path) -> None:
    write_merges([","], tmp_path / "bpe.txt.gz")
    assert gzip.decompress((tmp_path / "bpe.txt.gz").read_bytes()) == b"#version: 0.2"
