"""The bundled `photos` weights: what they resolve to, what loading them imports, and their vectors."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from crossmodal.core.engine import Engine
from crossmodal.core.errors import InputError, StateError
from crossmodal.core.types import ModelSpec, Pixels
from crossmodal.encoders import photos, registry
from crossmodal.encoders.network_encoder import NetworkEncoder
from crossmodal.encoders.photo_graph import features_network, image_network, text_network
from crossmodal.encoders.photos import BUNDLED_FOLDER, foreign_note
from crossmodal.encoders.photos_torch import PhotosTorchEncoder
from crossmodal.encoders.wordpiece import WordPiece, words
from crossmodal.engines.quantization import quantize, read_ranges
from crossmodal.images.geometry import fit

TEXTS = ["a dog running on grass", "pizza", "", "Ein Hund läuft über die Wiese.", "two men " * 100]
REFERENCE_IDS = {
    "A child in a pink dress is climbing up a set of stairs .": [
        101, 1037, 2775, 1999, 1037, 5061, 4377, 2003, 8218, 2039, 1037, 2275, 1997, 5108, 1012, 102],
    "Ünïcödé café — naïve, don't!": [101, 27260, 7668, 1517, 15743, 1010, 2123, 1005, 1056, 999, 102],
    "snowboarder's 3rd half-pipe": [101, 4586, 6277, 2121, 1005, 1055, 3822, 2431, 1011, 8667, 102],
    "日本語 🎉 ﬁsh": [101, 1864, 1876, 1950, 100, 1984, 4095, 102],
    "": [101, 102],
}  # fmt: skip
"""What the reference tokenizer (`tokenizers` 0.23.3 with MiniLM's tokenizer.json) gives."""


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    return registry.resolve("clip", "photos")


@pytest.fixture(scope="module")
def encoder(spec: ModelSpec) -> NetworkEncoder:
    found = registry.load(spec)
    assert isinstance(found, NetworkEncoder)
    return found


def pictures(spec: ModelSpec) -> Pixels:
    drawn = []
    for colour, box in (("red", (40, 40, 200, 150)), ("green", (0, 100, 320, 240)), ("white", (10, 10, 20, 20))):
        picture = Image.new("RGB", (320, 240), "skyblue")
        ImageDraw.Draw(picture).ellipse(box, fill=colour)
        drawn.append(fit(picture, spec.preprocessing))
    return np.stack(drawn)


@pytest.mark.parametrize("make", [image_network, features_network, text_network])
def test_every_product_with_weights_is_quantized(
    make: Callable[[photos.StoredWeights, photos.PhotoShape], Any],
) -> None:
    weights = photos.StoredWeights(BUNDLED_FOLDER)
    network = make(weights, photos.read_shape(BUNDLED_FOLDER))
    products = [of for of in network.get_ops() if f"{of.get_friendly_name()}.weight" in weights]
    assert len(products) >= 40
    quantize(network, read_ranges(BUNDLED_FOLDER / photos.INT8_NAME))
    assert {of.input_value(0).get_node().get_type_name() for of in products} == {"FakeQuantize"}


def test_the_spec(spec: ModelSpec) -> None:
    assert (spec.family, spec.weights, spec.dim) == ("clip", "photos", 640)
    wanted = spec.preprocessing
    assert (wanted.size_px, wanted.resize, wanted.interpolation) == (224, "shortest", "bicubic")
    assert np.allclose([wanted.mean, wanted.std], [[127 / 255] * 3, [128 / 255] * 3])
    assert "photos" in registry.BUNDLED_NAMES


def test_encoding_needs_neither_torch_nor_the_network() -> None:
    code = """
import socket, sys, time
import numpy as np
attempts = []
def refuse(*_):
    attempts.append(1)
    raise OSError("no network")
socket.socket.connect = socket.getaddrinfo = refuse
from crossmodal.encoders import registry
spec = registry.resolve("clip", "photos")
encoder = registry.load(spec)
assert encoder.encode_texts(["a dog"]).shape == (1, spec.dim)
assert encoder.encode_images(np.zeros((1, 224, 224, 3), np.uint8)).shape == (1, spec.dim)
found = {"torch", "transformers", "tokenizers", "timm", "open_clip", "torchvision"} & set(sys.modules)
assert not found, found
time.sleep(1)  # a report would be sent by a thread
assert not attempts
assert sys.modules["openvino_telemetry"] is None
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_folder_is_whole_and_small() -> None:
    names = {path.name for path in BUNDLED_FOLDER.iterdir()}
    assert {
        "photos_config.json",
        "model.safetensors",
        "vocab.txt",
        "training.json",
        "MODEL_CARD.md",
        "int8.npz",
        "int8.json",
    } == names
    assert sum(path.stat().st_size for path in BUNDLED_FOLDER.iterdir()) <= 45e6
    assert registry.fetch("clip", "photos") == photos.files(BUNDLED_FOLDER)


def test_vectors_have_length_1_and_a_batch_equals_singles(encoder: NetworkEncoder, spec: ModelSpec) -> None:
    pixels = pictures(spec)
    for together, single in (
        (encoder.encode_images(pixels), [encoder.encode_images(pixels[i : i + 1]) for i in range(len(pixels))]),
        (encoder.encode_texts(TEXTS), [encoder.encode_texts([text]) for text in TEXTS]),
    ):
        assert together.dtype == np.float32
        assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
        assert np.allclose(together, np.concatenate(single), atol=2e-5)


def test_vectors_stay_what_they_are(encoder: NetworkEncoder, spec: ModelSpec) -> None:
    image, text = encoder.encode_images(pictures(spec)[:1])[0], encoder.encode_texts(TEXTS[:1])[0]
    places = [0, 1, 2, 3, 256, 257, 416, 417]
    assert np.allclose(image[places], [-0.0199, -0.0290, -0.0119, -0.0302, -0.3898, 0.0935, 0.1109, -0.0634], atol=2e-3)
    places[-2:] = [258, 259]
    assert np.allclose(text[places], [0.0124, 0.0902, 0.0642, 0.0195, 0.1454, -0.1129, -0.0150, -0.0474], atol=2e-3)
    assert not text[416:].any()


def test_nothing_gives_no_rows(encoder: NetworkEncoder, spec: ModelSpec) -> None:
    assert encoder.encode_texts([]).shape == (0, spec.dim)
    assert encoder.encode_images(np.empty((0, 224, 224, 3), np.uint8)).shape == (0, spec.dim)


def test_pixels_of_another_size_are_refused(encoder: NetworkEncoder) -> None:
    with pytest.raises(ValueError, match="224"):
        encoder.encode_images(np.zeros((1, 96, 96, 3), np.uint8))


def test_the_towers_can_be_loaded_apart(encoder: NetworkEncoder, spec: ModelSpec) -> None:
    texts = registry.load(spec, ("text",))
    images = registry.load(spec, ("image",))
    assert np.array_equal(texts.encode_texts(TEXTS[:2]), encoder.encode_texts(TEXTS[:2]))
    assert np.allclose(images.encode_images(pictures(spec)), encoder.encode_images(pictures(spec)), atol=1e-6)


def test_openvino_computes_what_torch_does(encoder: NetworkEncoder, spec: ModelSpec) -> None:
    trained = PhotosTorchEncoder(spec, BUNDLED_FOLDER, ("image", "text"), None)
    for ours, theirs in (
        (encoder.encode_images(pictures(spec)), trained.encode_images(pictures(spec))),
        (encoder.encode_texts([*TEXTS, *REFERENCE_IDS]), trained.encode_texts([*TEXTS, *REFERENCE_IDS])),
    ):
        assert np.allclose(ours, theirs, atol=1e-5)
    assert encoder.logit_scale == pytest.approx(trained.logit_scale)


def test_weights_that_do_not_fit_their_configuration_are_refused(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(BUNDLED_FOLDER, tmp_path / "mine"))
    config = folder / "photos_config.json"
    config.write_text(config.read_text().replace('"lite0"', '"lite2"'))
    with pytest.raises(InputError, match="don't match their configuration"):
        registry.load(registry.resolve("clip", str(folder)))
    (folder / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(InputError, match="can't be read"):
        registry.load(registry.resolve("clip", str(folder)))


def test_bf16_gives_almost_the_same_vectors(encoder: NetworkEncoder, spec: ModelSpec) -> None:
    rough = registry.load(spec, engine=Engine("torch", "cpu", "bf16"))
    exact, found = (np.concatenate([e.encode_images(pictures(spec)), e.encode_texts(TEXTS)]) for e in (encoder, rough))
    assert (exact * found).sum(axis=1).min() > 0.98


@pytest.mark.parametrize(("text", "ids"), REFERENCE_IDS.items())
def test_the_tokenizer_equals_the_reference(text: str, ids: list[int]) -> None:
    assert WordPiece.read(BUNDLED_FOLDER / "vocab.txt", 128).encode(text) == ids


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_plain_texts_are_split_as_others(text: str) -> None:
    assert words(text) == words(f"{text}\0")  # the sign is removed, and takes the way of any character


def test_words_the_vocabulary_cannot_spell_are_named() -> None:
    tokenizer = WordPiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "dog", "##s"], 8)
    assert tokenizer.encode("Dogs cats") == [2, 4, 5, 1, 3]
    assert tokenizer.known_share(["dog dogs cats", "!"]) == (3, pytest.approx(1 / 3))
    assert tokenizer.known_share(["1 !"]) == (0, 1)


def test_a_folder_of_the_same_kind_is_loaded_by_its_path(tmp_path: Path, encoder: NetworkEncoder) -> None:
    folder = Path(shutil.copytree(BUNDLED_FOLDER, tmp_path / "mine"))
    spec = registry.resolve("clip", str(folder))
    assert spec.weights == str(folder)
    assert np.array_equal(registry.load(spec).encode_texts(["a dog"]), encoder.encode_texts(["a dog"]))
    (folder / "photos_config.json").write_text((folder / "photos_config.json").read_text().replace("224", "192"))
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b" ")
    with pytest.raises(StateError, match="have changed"):
        registry.load(spec)
    (folder / "photos_config.json").write_text("{}")
    with pytest.raises(InputError, match="damaged"):
        registry.resolve("clip", str(folder))


def test_captions_in_another_language_are_noted() -> None:
    english = ["A dog runs over green grass", "Two children play on the beach", "a red umbrella"]
    german = ["Ein Hund läuft über eine grüne Wiese", "Zwei Kinder spielen am Strand mit einem Ball"]
    assert foreign_note("photos", english) == foreign_note("photos", []) == foreign_note("scenes", german) == ""
    assert foreign_note("photos", ["Schnurrli and Maunzi", "Minka"]) == ""
    assert "don't seem to be English" in foreign_note("photos", german)
    assert "don't seem to be English" in foreign_note("photos", ["緑の草の上を犬が走っている"])
