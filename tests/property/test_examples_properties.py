"""Queries with examples: the order says nothing, one liked example is the query, and what is unliked moves away."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from crossmodal.core.types import Vectors
from crossmodal.search.combining import combined
from crossmodal.search.examples import refined

DIM = 6
SEEDS = st.lists(st.integers(0, 999), min_size=1, max_size=6)


def unit(seed: int) -> Vectors:
    """A random unit vector; all are within a cone, as those of pictures are."""
    vector = np.random.default_rng(seed).normal(size=DIM) + 1
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


@given(st.none() | st.integers(0, 999), SEEDS, SEEDS, st.randoms())
def test_the_order_of_examples_does_not_matter(words: int | None, likes: Any, unlikes: Any, rng: Any) -> None:
    of_words = None if words is None else unit(words)
    one = refined(of_words, [unit(n) for n in likes], [unit(n) for n in unlikes])
    rng.shuffle(likes)
    rng.shuffle(unlikes)
    assert one.tolist() == refined(of_words, [unit(n) for n in likes], [unit(n) for n in unlikes]).tolist()


@given(st.integers(0, 999), SEEDS)
def test_one_liked_example_is_the_query_and_words_alone_are_too(seed: int, avoided: list[int]) -> None:
    without = [unit(n) for n in avoided]
    for parts in (None, [unit(seed)]), (unit(seed), []):
        assert refined(parts[0], parts[1], []).tolist() == combined([(unit(seed), 1.0)]).tolist()
        assert refined(parts[0], parts[1], [], without).tolist() == combined([(unit(seed), 1.0)], without).tolist()


@given(st.integers(0, 999), SEEDS, SEEDS)
def test_what_is_liked_is_nearer_and_what_is_unliked_further(words: int, likes: list[int], unlikes: list[int]) -> None:
    liked, unliked = [unit(n) for n in likes], [unit(n) for n in unlikes]
    before = refined(unit(words), [], [])
    towards, away = (np.mean(vectors, axis=0) for vectors in (liked, unliked))
    assert refined(unit(words), liked, []) @ towards >= before @ towards - 1e-6
    assert refined(unit(words), [], unliked) @ away <= before @ away + 1e-6
