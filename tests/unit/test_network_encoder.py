"""Encoders of compiled networks: groups, order, what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from crossmodal.core.errors import InputError
from crossmodal.core.types import ModelSpec, Pixels, Preprocessing
from crossmodal.encoders.network_encoder import TEXT_GROUP, NetworkEncoder, token_groups

SPEC = ModelSpec("clip", "x", "a" * 64, 3, Preprocessing(2))


class Letters:
    """A tokenizer with a token for each of the first 50 letters."""

    context_length = 50

    def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in text[:50]]

    def padded(self, rows: Sequence[list[int]]) -> NDArray[np.int64]:
        ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
        for row, letters in zip(ids, rows, strict=True):
            row[: len(letters)] = letters
        return ids


class Network:
    """Gives each row its sum, its first value and 1; like OpenVINO, it overwrites its last output."""

    def __init__(self) -> None:
        self.inputs: list[NDArray[Any]] = []
        self._output = np.empty((64, 3), np.float32)

    def __call__(self, values: NDArray[Any]) -> NDArray[np.float32]:
        self.inputs.append(values)
        flat, output = values.reshape(len(values), -1), self._output[: len(values)]
        output[:] = np.stack([flat.sum(axis=1), flat[:, 0], np.ones(len(flat))], 1)
        return output


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def encoder(network: Network) -> NetworkEncoder:
    return NetworkEncoder(SPEC, {"image": network, "text": network}, Letters(), 50.0, -10.0)


def pixels(n: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (n, 2, 2, 3), np.uint8)


def test_nothing_gives_no_rows(encoder: NetworkEncoder, network: Network) -> None:
    for vectors in (encoder.encode_images(pixels(0)), encoder.encode_texts([])):
        assert vectors.shape == (0, 3)
        assert vectors.dtype == np.float32
    assert network.inputs == []


def test_images_are_encoded_in_order(encoder: NetworkEncoder, network: Network) -> None:
    images = pixels(19)
    vectors = encoder.encode_images(images[::-1])  # not contiguous
    assert [len(values) for values in network.inputs] == [19]
    assert all(values.flags.c_contiguous and values.dtype == np.uint8 for values in network.inputs)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    ratios = vectors[::-1, 0] / vectors[::-1, 2]
    np.testing.assert_allclose(ratios, images.reshape(len(images), -1).sum(axis=1), rtol=1e-5)


def test_texts_are_encoded_by_length_and_in_order(encoder: NetworkEncoder, network: Network) -> None:
    texts = ["a" * (1 + 7 * n % 40) for n in range(TEXT_GROUP + 5)]
    vectors = encoder.encode_texts(texts)
    assert [len(values) for values in network.inputs] == [TEXT_GROUP, 8]
    assert all(values.dtype == np.int32 for values in network.inputs)
    np.testing.assert_allclose(vectors[:, 0] / vectors[:, 2], [97 * len(text) for text in texts], rtol=1e-5)
    lengths = [values.shape[1] for values in network.inputs]
    assert lengths == sorted(lengths)


def test_texts_of_any_number_have_few_shapes(encoder: NetworkEncoder, network: Network) -> None:
    for n in range(1, TEXT_GROUP + 1):
        vectors = encoder.encode_texts([chr(97 + place) for place in range(n)])
        np.testing.assert_allclose(vectors[:, 0] / vectors[:, 2], range(97, 97 + n), rtol=1e-5)
    assert {len(values) for values in network.inputs} == {1, 2, *range(4, TEXT_GROUP + 1, 4)}


def test_queries_have_few_lengths(encoder: NetworkEncoder, network: Network) -> None:
    for length in range(1, 51):
        vectors = encoder.encode_texts(["a" * length])
        np.testing.assert_allclose(vectors[:, 0] / vectors[:, 2], [97 * length], rtol=1e-5)
    assert [values.shape[1] for values in network.inputs] == [16] * 16 + [32] * 16 + [48] * 16 + [50] * 2


def test_groups_cover_each_text_once() -> None:
    texts = [f"{n}" * (n % 9 + 1) for n in range(70)]
    groups = list(token_groups(Letters(), texts))
    assert sorted(place for places, _ in groups for place in places) == list(range(70))
    assert list(token_groups(Letters(), [])) == []


def test_a_tower_that_is_not_loaded(network: Network) -> None:
    images = NetworkEncoder(SPEC, {"image": network})
    assert images.towers == ("image",)
    assert (images.logit_scale, images.logit_bias) == (None, None)
    with pytest.raises(ValueError, match="without its text tower"):
        images.encode_texts(["a"])
    with pytest.raises(ValueError, match="without its image tower"):
        NetworkEncoder(SPEC, {"text": network}, Letters()).encode_images(pixels(1))


def test_what_is_not_read_of_a_text(encoder: NetworkEncoder) -> None:
    assert encoder.unread("a" * 50) == ""
    assert encoder.unread("word " * 12).strip().endswith("word")


def test_pixels_of_another_size_are_refused(encoder: NetworkEncoder) -> None:
    with pytest.raises(ValueError, match="2"):
        encoder.encode_images(np.zeros((1, 3, 3, 3), np.uint8))


def test_a_model_of_images_refuses_texts(network: Network) -> None:
    encoder = NetworkEncoder(ModelSpec("timm", "x", "a" * 64, 3, Preprocessing(2)), {"image": network})
    with pytest.raises(InputError, match=r"timm x .* encodes images only: search with a picture"):
        encoder.encode_texts(["a cat"])
    assert encoder.unread("a cat") == "a cat"
