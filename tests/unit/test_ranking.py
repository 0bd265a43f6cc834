"""Order and cut."""

import itertools

import pytest

from crossmodal.search.ranking import best

CANDIDATES = [("b", 0.5), ("a", 0.5), ("c", 0.9), ("d", -0.1)]


def rank_by(candidate: tuple[str, float]) -> tuple[float, str]:
    return candidate[1], candidate[0]


@pytest.mark.parametrize(("k", "expected"), [(0, ""), (1, "c"), (2, "ca"), (4, "cabd"), (9, "cabd")])
def test_the_best_come_first_and_ties_in_the_order_of_ids(k: int, expected: str) -> None:
    assert "".join(name for name, _ in best(CANDIDATES, k, rank_by)) == expected


def test_the_order_given_does_not_matter() -> None:
    results = {tuple(best(order, 3, rank_by)) for order in itertools.permutations(CANDIDATES)}
    assert len(results) == 1


def test_any_iterable_is_taken() -> None:
    assert best(iter([]), 3, rank_by) == []
    assert best((c for c in CANDIDATES), 1, rank_by) == [("c", 0.9)]


def test_candidates_themselves_are_never_compared() -> None:
    objects = [object(), object(), object()]
    assert best(objects, 2, lambda _: (1.0, "same")) == objects[:2]
