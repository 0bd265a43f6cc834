"""Calibration: what is taken for right and wrong, and what is learned from it."""

from dataclasses import replace

import numpy as np
import pytest

from crossmodal.relevance import calibration as calibrating
from crossmodal.relevance.calibration import Sample
from crossmodal.relevance.logistic import fit

WORDS = ("red", "blue", "green", "heart", "star", "moon", "small", "large")


def made(n: int, seed: int = 0, dim: int = 16) -> Sample:
    """Pictures of three words each; a caption names all three, and lies near its picture."""
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((len(WORDS), dim))
    chosen = np.array([rng.choice(len(WORDS), 3, replace=False) for _ in range(n)])
    captions = [" ".join(WORDS[i] for i in row) for row in chosen]
    images, texts = (directions[chosen].sum(axis=1) + noise * rng.standard_normal((n, dim)) for noise in (0.8, 0.3))
    return Sample(unit(images), unit(texts), captions, np.arange(n))


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def encoded(said: list[str], dim: int = 16) -> np.ndarray:
    directions = np.random.default_rng(0).standard_normal((len(WORDS), dim))
    return unit(np.array([sum(directions[WORDS.index(word)] for word in text.split()) for text in said]))


def test_phrases_stand_in_a_caption() -> None:
    captions = ["A red heart, at night", "Two stars."]
    said = calibrating.phrases(captions, 100)
    assert len(set(said)) == len(said)
    assert {"red heart at", "two stars", "night"} <= set(said)
    assert all(any(phrase in caption for caption in ("a red heart at night", "two stars")) for phrase in said)
    assert said == calibrating.phrases(captions, 100)
    assert len(calibrating.phrases(captions, 3)) == 3


@pytest.mark.parametrize("captions", [[], [""], ["...", " "]])
def test_no_phrases_where_there_are_no_words(captions: list[str]) -> None:
    assert calibrating.phrases(captions) == {}


def test_what_a_phrase_may_be_true_of() -> None:
    sample = Sample(
        np.eye(3, dtype=np.float32),
        np.eye(4, 3, dtype=np.float32),
        ["a red heart", "a star", "a heart, red and small", "red"],
        np.array([0, 0, 1, 2]),
    )
    true = calibrating.may_be_true(["red heart", "a", "red star", "👍"], sample)
    assert true.tolist() == [[True, True, False], [True, True, False], [False, False, False], [False, False, False]]


def test_a_caption_without_words_is_true_of_its_own_picture() -> None:
    sample = made(60)
    said = calibrating.phrases(sample.captions, 50)
    place = list((sample.texts @ sample.images.T).argmax(axis=1) == sample.image_of).index(True)
    without, other = (
        calibrating.fit_text_to_image(
            replace(sample, captions=[*sample.captions[:place], text, *sample.captions[place + 1 :]]),
            said,
            encoded(list(said)),
        )
        for text in ("👍", "unique")
    )
    assert without is not None
    assert other is not None
    for ours, theirs in zip(vars(without).values(), vars(other).values(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_fitted_rule_tells_what_is_here_from_what_is_not() -> None:
    sample = made(200)
    said = calibrating.phrases(sample.captions, 100)
    rule = calibrating.fit_text_to_image(sample, said, encoded(list(said)))
    assert rule is not None
    inside, outside = made(200), made(400, seed=1)
    best = (inside.texts @ sample.images.T).max(axis=1)
    fits = [rule.of(query, np.array([score]))[0] for query, score in zip(inside.texts, best, strict=True)]
    there = set(map(frozenset, (caption.split() for caption in sample.captions)))
    strange = encoded(["red red red", "blue moon", "heart"])
    lost = [rule.of(query, np.array([-0.2]))[0] for query in strange]
    assert len(there) < len(outside.captions)
    assert np.mean(np.array(fits) >= 0.5) > 0.7
    assert max(lost) < 0.5


def test_pictures_are_told_by_their_captions() -> None:
    sample = made(100)
    rule = calibrating.fit_image_to_text(sample)
    assert rule is not None
    assert rule.scale > 0
    assert rule.direction.shape == (16,)


def test_too_little_gives_no_rule() -> None:
    few = made(calibrating.LEAST - 1)
    assert calibrating.fit_text_to_image(few, ["red"], encoded(["red"])) is None
    assert calibrating.fit_image_to_text(few) is None
    assert calibrating.background(few.images, 19) is None
    nothing = Sample(made(30).images, np.empty((0, 16), np.float32), [], np.empty(0, np.int64))
    assert calibrating.fit_text_to_image(nothing, [], np.empty((0, 16), np.float32)) is None
    assert calibrating.fit_image_to_text(nothing) is None
    assert calibrating.background(nothing.images, 30) is not None


def test_scores_that_say_nothing_give_no_rule() -> None:
    queries, right = made(40).texts, np.arange(40) % 2 == 0
    even = np.ones(40)
    assert fit(queries, np.where(right, 0.1, 0.2).astype(np.float32), right, even) is None
    assert fit(queries, np.zeros(40, np.float32), np.ones(40, bool), even) is None
    assert fit(queries, np.full(40, 0.3, np.float32), right, even) is None


def test_the_regression_finds_the_least_loss() -> None:
    rng = np.random.default_rng(0)
    queries = unit(rng.standard_normal((500, 3)))
    scores = rng.random(500).astype(np.float32)
    chance = 1 / (1 + np.exp(-(8 * scores - 4 * queries[:, 0] - 4)))
    rule = fit(queries, scores, rng.random(500) < chance, np.ones(500))
    assert rule is not None
    assert rule.scale == pytest.approx(8, rel=0.3)
    found = np.array([rule.of(query, np.array([score]))[0] for query, score in zip(queries, scores, strict=True)])
    assert np.abs(found - chance).mean() < 0.05


def with_second_captions(n: int) -> Sample:
    """As `made`, each caption told twice, the second time by another person."""
    one = made(n)
    rng = np.random.default_rng(9)
    again = unit(one.texts + 0.05 * rng.standard_normal(one.texts.shape))
    return Sample(
        one.images, np.concatenate([one.texts, again]), [*one.captions, *one.captions], np.tile(one.image_of, 2)
    )


class Ranked:
    def __init__(self, captions: np.ndarray, vectors: np.ndarray) -> None:
        self._captions, self._vectors = captions, vectors

    def captions(self) -> np.ndarray:
        return self._captions

    def vectors(self) -> np.ndarray:
        return self._vectors


def test_other_captions_of_a_picture_count_and_the_query_itself_does_not() -> None:
    sample = with_second_captions(150)
    queries, left_out = sample.texts[:3], np.array([0, -1, 2])
    near = calibrating.nearest_captions(queries, sample, left_out)
    cosines = queries @ sample.texts.T
    assert near[0, 0] == pytest.approx(cosines[0, 150], abs=1e-6)
    assert near[1, 1] == pytest.approx(1, abs=1e-6)
    lonely = Sample(sample.images, sample.texts[:1], sample.captions[:1], np.array([7]))
    alone = calibrating.nearest_captions(queries, lonely, np.array([0, -1, -1]))
    assert np.isnan(alone[0]).all()
    assert np.flatnonzero(~np.isnan(alone[1])).tolist() == [7]


def test_with_captions_what_is_here_is_told_from_what_is_not() -> None:
    sample = with_second_captions(150)
    said = calibrating.phrases(sample.captions, 100)
    plain = calibrating.fit_text_to_image(sample, said, encoded(list(said)))
    assert plain is not None
    rule = calibrating.fit_with_captions(sample, said, encoded(list(said)), plain)
    assert rule is not None
    assert rule.caption_scale > 0
    there, elsewhere = sample.texts[:100], made(150, seed=5).texts[:100]
    near = calibrating.nearest_captions(there, sample, np.arange(100))
    far = calibrating.nearest_captions(elsewhere, sample, np.full(100, -1))

    def relevances(queries: np.ndarray, captions: np.ndarray) -> np.ndarray:
        scores = queries @ sample.images.T
        return np.array([
            rule.of(query, scores[i], Ranked(captions[i], sample.images)).max() for i, query in enumerate(queries)
        ])  # fmt: skip

    assert (relevances(there, near) >= 0.5).mean() > 0.7
    assert relevances(there, near).mean() > relevances(elsewhere, far).mean()


def test_one_caption_a_picture_is_too_little_for_that() -> None:
    sample = made(100)
    said = calibrating.phrases(sample.captions, 50)
    plain = calibrating.fit_text_to_image(sample, said, encoded(list(said)))
    assert plain is not None
    assert calibrating.fit_with_captions(sample, said, encoded(list(said)), plain) is None


def test_phrases_of_all_kinds_tell_a_name_of_what_is_here_from_others() -> None:
    rng = np.random.default_rng(0)
    classes = unit(rng.standard_normal((12, 32)))
    images = unit(np.repeat(classes[:6], 20, axis=0) + 0.1 * rng.standard_normal((120, 32)))
    phrases = unit(rng.standard_normal((300, 32)))
    rule = calibrating.beside_phrases(images, phrases, len(images))
    assert rule is not None
    scores = classes @ images.T
    best = [rule.of(name, scores[i], Ranked(np.empty(0), images)).max() for i, name in enumerate(classes)]
    assert min(best[:6]) > max(0.5, *best[6:])
    assert calibrating.beside_phrases(images[:5], phrases, 5) is None
    assert calibrating.beside_phrases(images, phrases[:5], 120) is None
