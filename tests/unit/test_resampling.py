"""Outcomes of queries, and the shape of intervals and tests; their statistics are in the property tests."""

import numpy as np
import pytest

from crossmodal.evaluation.classes import hits_among_best
from crossmodal.evaluation.outcomes import Outcome, Ranking, average_precisions, of_captions, of_classes
from crossmodal.evaluation.recall import image_to_text_ranks, summarise, text_to_image_ranks
from crossmodal.evaluation.resampling import Interval, differences, intervals, p_value


def case(seed: int = 0, n: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(n, 8)).astype(np.float32)
    image_of = np.repeat(np.arange(n), rng.integers(1, 6, n))
    return images, images[image_of] + rng.normal(size=(len(image_of), 8)).astype(np.float32), image_of


def rankings(images: np.ndarray, texts: np.ndarray, image_of: np.ndarray) -> list[Ranking]:
    each = np.arange(len(images))
    return [Ranking("t2i", texts, images, image_of, each), Ranking("i2t", images, texts, each, image_of)]


def test_values_are_the_figures_of_the_protocol() -> None:
    images, texts, image_of = case()
    t2i, i2t = text_to_image_ranks(images, texts, image_of), image_to_text_ranks(images, texts, image_of)
    found = of_captions(t2i, i2t, rankings(images, texts, image_of))
    for direction, ranks in (("t2i", t2i), ("i2t", i2t)):
        assert found[f"{direction}_r5"].value == pytest.approx(summarise(ranks).recall[5])
        assert found[f"{direction}_mrr"].value == pytest.approx(summarise(ranks).mrr)
        assert len(found[f"{direction}_map"].totals) == len(images)
    assert found["t2i_map"].value == pytest.approx(found["t2i_mrr"].value)
    assert found["t2i_r1"].weights.sum() == len(texts)


def test_average_precision_stops_at_its_depth_and_lets_equal_others_go_first() -> None:
    queries = np.array([[1, 0]], np.float32)
    candidates = np.array([[0.5, 0], [0.5, 0], [0.9, 0], [0.1, 0]], np.float32)
    ranking = Ranking("t2i", queries, candidates, np.array([7]), np.array([7, 1, 7, 7]))
    assert average_precisions(ranking) == pytest.approx([(1 / 1 + 2 / 3 + 3 / 4) / 3])
    assert average_precisions(ranking, depth=2) == pytest.approx([1 / 3])
    assert average_precisions(Ranking("t2i", queries, candidates, np.array([9]), np.arange(4))) == [0]


def test_the_only_picture_of_a_class_is_a_candidate_and_no_query() -> None:
    images = np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)
    class_of = np.array([0, 0, 1])
    found = of_classes(hits_among_best(images, class_of), Ranking("i2i", images, images, class_of, class_of))
    assert set(found) == {"i2i_p1", "i2i_p5", "i2i_p10", "i2i_search_score", "i2i_map"}
    assert [len(outcome.totals) for outcome in found.values()] == [2] * 5
    assert found["i2i_p1"].value == 0.5
    assert found["i2i_map"].value == 0.75


def test_the_same_seed_gives_the_same_interval_and_constants_have_no_width() -> None:
    rng = np.random.default_rng(1)
    outcomes = {"a": Outcome.of(rng.random(50), np.arange(50)), "b": Outcome.of(np.ones(50), np.arange(50))}
    assert intervals(outcomes) == intervals(outcomes) != intervals(outcomes, seed=1)
    assert intervals(outcomes)["b"] == Interval(1, 1, 1)
    assert intervals({}) == {}


def test_queries_of_a_cluster_are_drawn_together() -> None:
    """Five equal captions of each picture say no more than one."""
    hits = np.random.default_rng(2).integers(0, 2, 60)
    once = intervals({"r": Outcome.of(hits, np.arange(60))})["r"]
    five = intervals({"r": Outcome.of(np.repeat(hits, 5), np.repeat(np.arange(60), 5))})["r"]
    alone = intervals({"r": Outcome.of(np.repeat(hits, 5), np.arange(300))})["r"]
    assert five == pytest.approx(once)
    assert alone.high - alone.low < 0.6 * (once.high - once.low)


def test_a_difference_is_of_the_same_queries() -> None:
    rng = np.random.default_rng(3)
    hard = rng.random(200)
    first = {"r": Outcome.of(hard, np.arange(200)), "only": Outcome.of(hard, np.arange(200))}
    second = {"r": Outcome.of(hard + 0.01 + 0.01 * rng.normal(size=200), np.arange(200))}
    (found,) = differences(first, second).values()
    assert 0 < found.low < found.value < found.high < 0.02
    assert found.p == pytest.approx(1e-4)
    back = differences(second, first)["r"]
    assert (back.value, back.p) == (pytest.approx(-found.value), found.p)


def test_every_assignment_of_a_few_differences() -> None:
    """Against all 2^6 assignments of signs."""
    given = np.array([0.3, -0.1, 0.5, 0.2, 0.4, -0.2])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 6)).reshape(6, -1)
    exact = np.mean(np.abs(given @ signs) >= given.sum() - 1e-12)
    assert p_value(given) == pytest.approx(exact, abs=0.02)
    assert p_value(given, permutations=99) >= 0.01
