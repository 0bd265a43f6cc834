"""Which part of a text is beyond a model's context."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossmodal.encoders import clip, vse
from crossmodal.encoders.clip import ClipEncoder
from crossmodal.encoders.reading import unread_part
from crossmodal.encoders.vse import VseEncoder


@pytest.fixture(scope="module")
def encoders() -> list[ClipEncoder | VseEncoder]:
    return [clip.load(clip.resolve("scenes"), ("text",)), vse.load(vse.resolve("scenes"), ("text",))]


def ids(text: str) -> list[int]:
    """Five ids at most, one a word and one more for each ten of its letters."""
    return [hash(word[:n]) for word in text.split() for n in range(0, len(word), 10)][:5]


@given(st.lists(st.text("abc", min_size=1, max_size=9), max_size=9))
def test_what_is_left_has_the_same_ids(words: list[str]) -> None:
    text = " ".join(words)
    assert unread_part(ids, text) == " ".join(words[5:])


@pytest.mark.parametrize("text", ["", "  ", "one", "one two three four five", "a" * 45])
def test_a_text_that_fits_is_read_completely(text: str) -> None:
    assert unread_part(ids, text) == ""


def test_a_script_without_spaces_is_cut_within_it() -> None:
    unread = unread_part(lambda text: list(text)[:20], "猫" * 50)
    assert 0 < len(unread) <= 30


def test_what_a_model_does_not_read_changes_nothing(encoders: list[ClipEncoder | VseEncoder]) -> None:
    for encoder in encoders:
        text = "three green stars above a red circle, " * 40
        unread = encoder.unread(text)
        assert unread
        assert text.strip().endswith(unread)
        read = text.strip()[: -len(unread)]
        assert encoder.unread(read) == ""
        whole, part = encoder.encode_texts([text, read])
        np.testing.assert_allclose(whole, part, atol=1e-6)
        assert encoder.unread("three green stars") == ""
