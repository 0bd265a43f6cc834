"""Arrays in files that may be damaged."""

from __future__ import annotations

import io

import numpy as np
import pytest

from crossmodal.core.arrays import arrays_in

ARRAYS = {"numbers": np.arange(60, dtype=np.float32), "name": np.array("x")}


def stored() -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **ARRAYS)
    return content.getvalue()


def test_they_are_read_by_name() -> None:
    found = arrays_in(stored())
    assert found.keys() == ARRAYS.keys()
    np.testing.assert_array_equal(found["numbers"], ARRAYS["numbers"])


def test_any_damage_is_one_error() -> None:
    whole, n_damaged = stored(), 0
    for place in range(len(whole)):
        for content in (whole[:place], whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]):
            try:
                arrays_in(content)
            except ValueError:
                n_damaged += 1
    assert n_damaged > len(whole)


def test_another_kind_of_file_is_no_advice_to_unpickle_it() -> None:
    with pytest.raises(ValueError, match="it has no arrays"):
        arrays_in(b"nonsense")
