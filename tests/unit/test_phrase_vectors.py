"""The vectors of the general phrases that come with the program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from crossmodal.collection.phrase_vectors import general_vectors
from crossmodal.core.types import Vectors
from crossmodal.encoders import registry
from crossmodal.relevance.phrases import general_phrases

PHOTOS = registry.resolve("clip", registry.PHOTOS)


def refuse(_: Sequence[str]) -> Vectors:
    raise AssertionError("the file is outdated: run `python -m crossmodal.collection.phrase_vectors`")


def test_they_are_those_of_the_weights() -> None:
    stored = general_vectors(PHOTOS, refuse)
    some = slice(None, None, 25)
    encoded = registry.load(PHOTOS, ("text",)).encode_texts(general_phrases()[some])
    assert stored.shape == (len(general_phrases()), PHOTOS.dim)
    assert stored.dtype == np.float32
    np.testing.assert_allclose(stored[some], encoded, atol=5e-4)


def test_other_weights_encode_the_phrases() -> None:
    def encode(texts: Sequence[str]) -> Vectors:
        assert texts == general_phrases()
        return np.ones((len(texts), 2), np.float32)

    other = replace(PHOTOS, weights_hash="0" * 64)
    for model in (other, replace(PHOTOS, family="sparse", weights_hash="1" * 64, base=other)):
        np.testing.assert_array_equal(general_vectors(model, encode), np.ones((len(general_phrases()), 2)))
