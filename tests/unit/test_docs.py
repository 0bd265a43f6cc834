"""What travels between Executors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from docarray.typing import NdArray

from crossmodal.core.errors import InputError
from executors.docs import MatchDoc, MediaDoc, modality_and_key, name_of_match, top_k_of
from gateway.hardening import harden


@pytest.mark.parametrize("kind", [MediaDoc, MatchDoc])
def test_large_integers_in_tags_can_be_passed_on(kind: Any) -> None:
    tags = {"a": 2**31, "b": [-(2**31), -(2**31) - 1, {"c": 1_700_000_000_000}], "d": 2**31 - 1, "e": True}
    arrived = kind.from_protobuf(kind(tags=tags).to_protobuf())
    assert arrived.tags == tags
    assert isinstance(arrived.tags["a"], float)
    assert isinstance(arrived.tags["d"], int)


@pytest.mark.parametrize("top_k", [0, -1, 11_002, 1e300, float("nan"), float("inf"), "10", None, [], {}])
def test_a_number_of_matches_that_is_none(top_k: Any) -> None:
    with pytest.raises(InputError, match="expected a number from 1 to 11001"):
        top_k_of({"top_k": top_k})


@pytest.mark.parametrize(("parameters", "expected"), [({}, 10), ({"top_k": 3.0}, 3), ({"top_k": 11_001}, 11_001)])
def test_a_number_of_matches(parameters: dict[str, Any], expected: int) -> None:
    assert top_k_of(parameters) == expected


@pytest.mark.parametrize(
    "name", ["", "image", "image/", "image/x", "smell/1", "image/1/2", "image/-1", "text/" + "9" * 30]
)
def test_a_name_that_no_executor_gave(name: str) -> None:
    with pytest.raises(InputError, match="names no document"):
        modality_and_key(name)


def test_a_name_of_a_match_comes_back() -> None:
    assert modality_and_key(name_of_match("text", 7)) == ("text", 7)


def test_an_array_that_lacks_its_bytes() -> None:
    harden()
    message = NdArray._docarray_from_ndarray(np.zeros((2, 3))).to_protobuf()
    assert NdArray.from_protobuf(message).shape == (2, 3)
    message.dense.buffer = b""
    with pytest.raises(ValueError, match="an array of 0 bytes: expected 48"):
        NdArray.from_protobuf(message)
    empty = NdArray._docarray_from_ndarray(np.zeros((0, 3))).to_protobuf()
    assert NdArray.from_protobuf(empty).shape == (0, 3)
