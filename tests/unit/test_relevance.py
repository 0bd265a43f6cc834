"""Relevance: what the rules say, and how a calibration is kept."""

import os
from pathlib import Path

import numpy as np
import pytest

from crossmodal.core.errors import StateError
from crossmodal.relevance.calibration_file import CalibrationFile
from crossmodal.relevance.phrases import general_phrases
from crossmodal.relevance.rules import (
    Background,
    BesidePhrases,
    Calibration,
    Fitted,
    WithCaptions,
)

X, Y = np.float32([1, 0]), np.float32([0, 1])
RULE = Fitted(10.0, np.float32([-4, -2]), 0.0)
BESIDE = Background(np.float32([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]]), 4)
CALIBRATION = Calibration("a-store", 7, {("text", "image"): RULE}, {"image": BESIDE})


def test_the_score_from_which_a_result_fits_depends_on_the_query() -> None:
    assert RULE.of(X, np.array([0.4]))[0] == pytest.approx(0.5)
    assert RULE.of(Y, np.array([0.2]))[0] == pytest.approx(0.5)
    assert RULE.of(Y, np.array([0.4]))[0] > 0.8


def test_beside_a_background_the_same_score_says_less_among_more() -> None:
    among_more = Background(BESIDE.vectors, 4000)
    scores = np.array([0.5, 1.5, 2.0])
    assert (among_more.of(X, scores) < BESIDE.of(X, scores)).all()


def test_half_is_where_the_p_value_is_one_in_e() -> None:
    one = Background(np.float32([[-1, 0], [1, 0]]), 1)  # scores of mean 0 and deviation 1
    at = 0.3375  # 1 - Phi(0.3375) = 0.3679 = 1 / e
    assert one.of(X, np.array([at]))[0] == pytest.approx(0.5, abs=1e-3)
    assert one.of(X, np.array([0.0]))[0] == pytest.approx(0.5 * 0.5 / (1 - np.exp(-1)))


@pytest.mark.parametrize("n_pictures", [1, 5])
def test_a_background_of_one_picture_or_of_equal_ones(n_pictures: int) -> None:
    equal = Background(np.repeat(X[None], n_pictures, axis=0), n_pictures)
    low, same, high = equal.of(X, np.array([0.9, 1.0, 1.1]))
    assert 0 <= low < same < 0.5 < high <= 1


class Pictures:
    """Two pictures, with the query's cosines with their captions."""

    def __init__(self, captions: list[float]) -> None:
        self._captions = captions

    def vectors(self) -> np.ndarray:
        return np.stack([X, Y])

    def captions(self) -> np.ndarray:
        return np.array(self._captions)


def test_a_near_caption_makes_a_picture_relevant_and_one_without_is_judged_by_its_score() -> None:
    rule = WithCaptions(Fitted(1.0, np.float32([0, 0]), -5.0), 10.0, RULE)
    near, far = rule.of(X, np.array([0.3, 0.3]), Pictures([0.9, 0.1]))
    assert near > 0.5 > far
    _, without = rule.of(X, np.array([0.3, 0.4]), Pictures([0.9, np.nan]))
    assert without == pytest.approx(0.5)


def test_beside_phrases_a_score_counts_by_what_the_picture_scores_otherwise() -> None:
    rule = BesidePhrases(np.float32([0.5, 0.1]), np.float32([[0.01, 0], [0, 0.01]]), 10)
    assert rule.z(np.array([0.6, 0.7]), np.stack([X, Y])).tolist() == pytest.approx([1, 6])
    usual, strange = rule.of(X, np.array([0.6, 0.7]), Pictures([]))
    assert strange > 0.5 > usual


def test_the_rules_for_words_are_kept_and_come_first() -> None:
    pictures = Pictures([0.6, np.nan])
    for words in (
        WithCaptions(RULE, 3.0, Fitted(2.0, X, 0.25)),
        BesidePhrases(np.float32([0.5, 0.1]), np.float32([[0.25, 0], [0, 0.5]]), 12.5),
    ):
        calibration = Calibration("a-store", 7, {("text", "image"): RULE}, {"image": BESIDE}, words)
        again = Calibration.from_bytes(calibration.to_bytes())
        assert calibration.rule("text", "image") is words
        assert again.rule("vector", "image") != again.rule("text", "image")
        scores = np.array([0.1, 0.6])
        kept = again.rule("text", "image")
        assert kept is not None
        np.testing.assert_allclose(kept.of(Y, scores, pictures), words.of(Y, scores, pictures))


def test_no_scores() -> None:
    assert len(RULE.of(X, np.array([]))) == len(BESIDE.of(X, np.array([]))) == 0


def test_a_query_without_a_rule_of_its_own_is_compared_with_the_background() -> None:
    assert CALIBRATION.rule("text", "image") is RULE
    assert CALIBRATION.rule("image", "image") is BESIDE
    assert CALIBRATION.rule("vector", "image") is BESIDE
    assert CALIBRATION.rule("image", "text") is None


def test_it_is_kept() -> None:
    again = Calibration.from_bytes(CALIBRATION.to_bytes())
    scores = np.array([0.1, 0.4, 0.8])
    assert (again.store_id, again.last_seq) == ("a-store", 7)
    for asked in ("text", "vector"):
        before, after = CALIBRATION.rule(asked, "image"), again.rule(asked, "image")
        assert before is not None
        assert after is not None
        np.testing.assert_allclose(after.of(X, scores), before.of(X, scores), atol=2e-3)
    assert again.rule("image", "text") is None


@pytest.mark.parametrize("content", [b"", b"nonsense", CALIBRATION.to_bytes()[:300]])
def test_a_damaged_one_says_what_to_do(content: bytes) -> None:
    with pytest.raises(StateError, match="-t calibrate"):
        Calibration.from_bytes(content)


def test_the_file_is_followed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "relevance.npz"
    file = CalibrationFile(path)
    assert file.current() is None
    path.write_bytes(CALIBRATION.to_bytes())
    first = file.current()
    assert first is not None
    assert file.current() is first
    new = tmp_path / "new"
    new.write_bytes(Calibration("a-store", 8).to_bytes())
    os.replace(new, path)
    second = file.current()
    assert second is not None
    assert second.last_seq == 8
    new.write_bytes(b"nonsense")
    os.replace(new, path)
    assert file.current() is None
    assert file.current() is None
    assert len([record for record in caplog.records if "damaged" in record.message]) == 1
    path.unlink()
    assert file.current() is None


def test_general_phrases_are_distinct_and_have_one_to_six_words() -> None:
    phrases = general_phrases()
    assert len(set(phrases)) == len(phrases) == 1000
    assert {len(phrase.split()) for phrase in phrases} == {1, 2, 3, 4, 5, 6}
