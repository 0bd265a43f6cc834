"""What the measures of skill are made of, and what they say of encoders that know nothing or all."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from crossmodal.core.types import Vectors
from crossmodal.evaluation import skills
from crossmodal.evaluation.skills import Encode, skill_outcomes
from crossmodal.scenes.language import COLOUR_NAMES
from crossmodal.scenes.world import Pattern, Scene, Thing, make_scene

PairsOf = Callable[[Scene, int], list[tuple[str, str]]]

SCENES = [make_scene("test", i) for i in range(150)]


def measure_skills(scenes: Sequence[Scene], images: Vectors, encode: Encode) -> dict[str, float]:
    return {name: outcome.value for name, outcome in skill_outcomes(scenes, images, encode).items()}


def constant(texts: Sequence[str]) -> Vectors:
    return np.tile(np.array([1.0, 0.0], np.float32), (len(texts), 1))


@pytest.mark.parametrize(
    ("pairs_of", "words"),
    [(skills._flips, {"left", "right", "above", "below", "over", "under", "top", "bottom"}),
     (skills._swaps, {word for names in COLOUR_NAMES.values() for name in names for word in name.split()})],
)  # fmt: skip
def test_pairs_differ_in_the_words_they_are_about(pairs_of: PairsOf, words: set[str]) -> None:
    """And in the little words that go with them: "an orange", "to the left of", "in the middle"."""
    little = {"a", "an", "to", "of", "the", "middle", "in", "at"}
    n_pairs = 0
    for index, scene in enumerate(SCENES):
        for true, false in pairs_of(scene, index):
            n_pairs += 1
            differing = set(
                (Counter(true.split()) - Counter(false.split())) + (Counter(false.split()) - Counter(true.split()))
            )
            assert true != false
            assert {word.strip(",") for word in differing} <= words | little
    assert n_pairs > 2 * len(SCENES)


def test_pairs_are_the_same_every_time() -> None:
    assert skills._flips(SCENES[0], 0) == skills._flips(SCENES[0], 0)


def test_a_swap_of_equal_colours_is_no_pair() -> None:
    things = tuple(Thing(shape, "red", "plain", "small", 1, x, 0.5) for shape, x in (("star", 0.2), ("heart", 0.8)))
    assert skills._swaps(Scene("sky", things, 0), 0) == []
    assert skills._flips(Scene("sky", things, 0), 0) != []


@pytest.mark.parametrize("attributes", skills.QUERY_ATTRIBUTES)
def test_patterns_are_true_of_ten_scenes_or_more(attributes: tuple[str, ...]) -> None:
    found = skills._patterns(SCENES, attributes)
    assert found == skills._patterns(SCENES, attributes)
    assert len(found) == len(set(found))
    for pattern in found:
        assert sum(pattern.matches(scene) for scene in SCENES) >= 10
        named = {name for name, value in vars(pattern).items() if value is not None}
        assert named == set(attributes)


def test_no_pattern_that_is_frequent_enough_is_missed() -> None:
    found = set(skills._patterns(SCENES, ("shape",)))
    shapes = {thing.shape for scene in SCENES for thing in scene.things}
    assert found == {
        Pattern(shape=shape) for shape in shapes if sum(Pattern(shape=shape).matches(scene) for scene in SCENES) >= 10
    }


def test_an_encoder_that_says_the_same_of_everything_prefers_nothing() -> None:
    found = measure_skills(SCENES, constant(["x"] * len(SCENES)), constant)
    assert set(found) == {"flip", "colour_swap", "short_query_p10", "synonym_p10"}
    assert found["flip"] == found["colour_swap"] == 0.0
    assert 0 <= found["short_query_p10"] < 0.5


def test_an_encoder_that_knows_the_true_captions_prefers_them_all() -> None:
    true = {right for i, scene in enumerate(SCENES) for right, _ in skills._flips(scene, i) + skills._swaps(scene, i)}

    def encode(texts: Sequence[str]) -> Vectors:
        return np.array([[1.0, 0.0] if text in true else [0.0, 1.0] for text in texts], np.float32)

    images = np.tile(np.array([1.0, 0.0], np.float32), (len(SCENES), 1))
    found = measure_skills(SCENES, images, encode)
    assert found["flip"] > 0.99
    assert found["colour_swap"] > 0.99


def test_precision_of_a_model_that_finds_what_is_asked_for() -> None:
    """Pictures and queries as the shapes they name; the other attributes are left to chance."""
    shapes = sorted({thing.shape for scene in SCENES for thing in scene.things})
    images = np.array(
        [[float(any(t.shape == s for t in scene.things)) for s in shapes] for scene in SCENES], np.float32
    )

    def encode(texts: Sequence[str]) -> Vectors:
        return np.array([[float(s in text or s + "es" in text) for s in shapes] for text in texts], np.float32)

    found = skills._precision_at_10(SCENES, images, encode, synonyms=False)
    other = skills._precision_at_10(SCENES, images[::-1], encode, synonyms=False)
    assert found
    assert other
    assert found.value > other.value
    assert found.value > 0.3


@pytest.mark.parametrize("n", [1, 3])
def test_too_few_scenes_for_a_query_still_give_numbers(n: int) -> None:
    found = measure_skills(SCENES[:n], constant(["x"] * n), constant)
    assert all(np.isfinite(value) for value in found.values())
