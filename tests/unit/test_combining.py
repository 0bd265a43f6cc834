"""Queries of several parts."""

from __future__ import annotations

import numpy as np
import pytest

from crossmodal.core.errors import InputError
from crossmodal.search.combining import combined, without_avoided

X, Y = np.float32([1, 0]), np.float32([0, 1])


@pytest.mark.parametrize(
    ("text", "left", "avoided"),
    [
        ("a dog", "a dog", []),
        ("a dog -red", "a dog", ["red"]),
        ("-red a dog -big", "a dog", ["red", "big"]),
        ('a dog -"at night" outside', "a dog outside", ["at night"]),
        ("a well-known dog", "a well-known dog", []),
        ("5 -3 dogs", "5 -3 dogs", []),
        ("one - two -- three", "one - two -- three", []),
        ("-réd ein Hund -größe", "ein Hund", ["réd", "größe"]),
        ("-red", "", ["red"]),
        ('-"', '-"', []),
        ("", "", []),
    ],
)
def test_words_to_avoid(text: str, left: str, avoided: list[str]) -> None:
    assert without_avoided(text) == (left, avoided)


def test_a_query_of_one_part_is_that_part() -> None:
    assert combined([(X, 0.3)]).tolist() == X.tolist()


def test_the_mix_goes_from_one_part_to_the_other() -> None:
    shares = [combined([(X, 1 - mix), (Y, mix)]) @ Y for mix in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)


def test_what_is_avoided_is_further_away_and_the_vector_is_a_unit_vector() -> None:
    towards = combined([(X, 1.0), (Y, 1.0)])
    away = combined([(X, 1.0), (Y, 1.0)], [Y])
    assert away @ Y < towards @ Y
    assert np.linalg.norm(away) == pytest.approx(1)
    assert away.dtype == np.float32


def test_saying_twice_what_to_avoid_changes_nothing() -> None:
    assert combined([(X, 1.0)], [Y, Y]).tolist() == combined([(X, 1.0)], [Y]).tolist()


def test_parts_that_cancel_each_other_out_are_refused() -> None:
    with pytest.raises(InputError, match="cancel"):
        combined([(X, 0.5), (-X, 0.5)])
