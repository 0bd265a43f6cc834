"""VSE++ as a family of models: names of weights, and encoders made through the registry."""

import argparse
import shutil
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TOY
from PIL import Image

from crossmodal.core.errors import InputError, StateError
from crossmodal.core.protocols import Encoder
from crossmodal.core.types import ImageRecord, ModelSpec, Pixels
from crossmodal.datasets import registry as data_sets
from crossmodal.encoders import registry, vse
from crossmodal.encoders.vocabulary import Vocabulary
from crossmodal.encoders.vse_config import CONFIG_NAME, VOCABULARY_NAME, WEIGHTS_NAME, VseConfig
from crossmodal.encoders.vse_towers import VseModel, new_model, save_folder
from crossmodal.images.geometry import fit
from crossmodal.training.pairs import evaluation_pixels

WORDS = Vocabulary(["a", "the", "red", "blue", "star", "heart", "left", "of", "."])
TEXTS = ["a red star", "", "the blue heart left of a red star.", "a zebra", "star", "🎈", "word " * 900, "Star?"]


@pytest.fixture(scope="module")
def model() -> VseModel:
    torch.manual_seed(1)
    config = VseConfig("test_resnet", image_size=64, joint_dim=24, word_dim=8, resize_px=73)
    made = new_model(config, WORDS)
    with torch.no_grad():
        made.image_tower.backbone(torch.randn(8, 3, 64, 64))  # statistics for its batch norms
    return made._replace(image_tower=made.image_tower.eval(), text_tower=made.text_tower.eval())


@pytest.fixture(scope="module")
def made_folder(tmp_path_factory: pytest.TempPathFactory, model: VseModel) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "mine"
    save_folder(folder, *model, half=False)
    return folder


@pytest.fixture
def folder(made_folder: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(made_folder, tmp_path / "mine"))


@pytest.fixture(scope="module")
def encoder(made_folder: Path) -> Encoder:
    return registry.load(registry.resolve("vse", str(made_folder)))


def pixels(n: int, size_px: int = 64) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (n, size_px, size_px, 3), np.uint8)


# -- the encoder


def test_the_spec_of_a_folder(made_folder: Path, encoder: Encoder) -> None:
    spec = encoder.spec
    assert (spec.family, spec.weights, spec.dim) == ("vse", str(made_folder), 24)
    assert len(spec.weights_hash) == 64
    assert (spec.preprocessing.size_px, spec.preprocessing.resize_px) == (64, 73)
    assert spec.preprocessing.interpolation == "bilinear"
    assert ModelSpec.from_dict(spec.to_dict()) == spec


def test_encodings_have_length_one(encoder: Encoder) -> None:
    for vectors in (encoder.encode_images(pixels(5)), encoder.encode_texts(TEXTS[:5])):
        assert vectors.shape == (5, 24)
        assert vectors.dtype == np.float32
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_a_picture_is_encoded_as_torchvision_would_prepare_it(encoder: Encoder, model: VseModel) -> None:
    from torchvision import transforms

    picture = Image.fromarray(np.random.default_rng(3).integers(0, 256, (90, 120, 3), np.uint8))
    prepare = transforms.Compose([
        transforms.Resize(73), transforms.CenterCrop(64), transforms.ToTensor(),
        transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ])  # fmt: skip
    with torch.inference_mode():
        expected = model.image_tower(prepare(picture)[None]).numpy()
    found = encoder.encode_images(fit(picture, encoder.spec.preprocessing)[None])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_image_encodings_do_not_depend_on_batch_or_order(encoder: Encoder) -> None:
    together = encoder.encode_images(pixels(7))
    alone = np.concatenate([encoder.encode_images(pixels(7)[i : i + 1]) for i in range(7)])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_images(pixels(7)[::-1]), together[::-1], atol=1e-5)
    assert len(np.unique(together.round(4), axis=0)) == 7


def test_captions_of_mixed_lengths_come_back_in_their_order(encoder: Encoder) -> None:
    together = encoder.encode_texts(TEXTS)
    alone = np.concatenate([encoder.encode_texts([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_texts(TEXTS[::-1]), together[::-1], atol=1e-5)


def test_words_that_are_not_known_are_all_the_same(encoder: Encoder) -> None:
    one, other, known = encoder.encode_texts(["a zebra", "A giraffe", "a star"])
    assert np.array_equal(one, other)
    assert not np.allclose(one, known, atol=1e-3)


def test_nothing_to_encode(encoder: Encoder) -> None:
    assert encoder.encode_images(pixels(0)).shape == (0, 24)
    assert encoder.encode_texts([]).shape == (0, 24)


@pytest.mark.parametrize("wrong", [pixels(1, 63), pixels(1).astype(np.float32), pixels(1)[0]])
def test_pixels_of_another_kind_are_refused(encoder: Encoder, wrong: Pixels) -> None:
    with pytest.raises(ValueError, match=r"expected \(n, 64, 64, 3\) uint8"):
        encoder.encode_images(wrong)


def test_one_tower_encodes_as_both_do(encoder: Encoder) -> None:
    image, text = registry.load(encoder.spec, ("image",)), registry.load(encoder.spec, ("text",))
    assert np.array_equal(image.encode_images(pixels(2)), encoder.encode_images(pixels(2)))
    assert np.array_equal(text.encode_texts(TEXTS), encoder.encode_texts(TEXTS))
    with pytest.raises(ValueError, match="without its text tower"):
        image.encode_texts(TEXTS)
    with pytest.raises(ValueError, match="without its image tower"):
        text.encode_images(pixels(1))


def test_the_number_of_threads_is_set(encoder: Encoder) -> None:
    registry.load(encoder.spec, ("text",), threads=2)
    assert torch.get_num_threads() == 2
    registry.load(encoder.spec, ("text",), threads=1)
    assert torch.get_num_threads() == 1


# -- names


def test_a_folder_is_known_by_its_full_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert registry.resolve("vse", "mine").weights == str(folder)
    assert registry.resolve("vse", "mine") == registry.resolve("vse", str(folder))


def test_the_bundled_weights_have_their_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vse, "BUNDLED_FOLDER", folder)
    spec = registry.resolve("vse", registry.default_weights("vse", "scenes"))
    assert spec.weights == "scenes"
    assert registry.load(spec).encode_texts(["a star"]).shape == (1, 24)


def test_the_bundled_weights_find_the_captions_of_toy_data() -> None:
    assert sum(file.stat().st_size for file in vse.BUNDLED_FOLDER.iterdir()) < 15e6
    encoder = registry.load(registry.resolve("vse", registry.SCENES))
    records = [r for r in data_sets.read(str(TOY), None) if isinstance(r, ImageRecord)][:100]
    images = encoder.encode_images(evaluation_pixels(records, encoder.spec.preprocessing))
    texts = encoder.encode_texts([record.captions[0] for record in records])
    assert np.mean((texts @ images.T).argmax(axis=1) == np.arange(len(records))) >= 0.95


def test_photographs_are_not_for_the_bundled_weights() -> None:
    with pytest.raises(InputError, match=r"knows scenes only.*--weights"):
        registry.default_weights("vse", "f8k")


@pytest.mark.parametrize("name", ["", "resnet152", "ViT-B-32/openai", "no/folder"])
def test_an_unknown_name_says_what_names_there_are(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"vse_config\.json.*\.pth\.tar"):
        registry.resolve("vse", name)


@pytest.mark.parametrize("name", [CONFIG_NAME, VOCABULARY_NAME, WEIGHTS_NAME])
def test_a_folder_without_a_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"{name} can't be read"):
        registry.resolve("vse", str(folder))


@pytest.mark.parametrize("name", [CONFIG_NAME, VOCABULARY_NAME, WEIGHTS_NAME])
def test_a_model_that_changed_is_refused(folder: Path, name: str) -> None:
    spec = registry.resolve("vse", str(folder))
    (folder / name).write_bytes((folder / name).read_bytes() + b"\n")
    with pytest.raises(StateError, match=r"have changed.*index again"):
        registry.load(spec)


# -- a published checkpoint (what is in one: test_vse_legacy.py)


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A checkpoint of a ResNet18 with random weights, its vocabulary beside it."""
    torch.manual_seed(2)
    made = new_model(VseConfig("resnet18", joint_dim=24, word_dim=8), WORDS)
    image = OrderedDict(
        (key if key.startswith("fc.") else key.replace("backbone.", "cnn.module."), value)
        for key, value in made.image_tower.state_dict().items()
    )
    text = OrderedDict(made.text_tower.state_dict())
    opt = argparse.Namespace(cnn_type="resnet18", data_name="f30k")
    torch.save({"epoch": 1, "model": [image, text], "opt": opt}, tmp_path / "model_best.pth.tar")
    ids = b"".join(b"S%r\nI%d\ns" % (word, i) for i, word in enumerate(WORDS.words))
    (tmp_path / "vocab.pkl").write_bytes(b"(ivocab\nVocabulary\n(dS'word2idx'\n(d" + ids + b"sb.")
    return tmp_path / "model_best.pth.tar"


def test_a_published_checkpoint_by_its_names(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(published.parent)
    spec = registry.resolve("vse", "model_best.pth.tar")
    assert spec.weights == f"{published}:{published.parent / 'vocab.pkl'}"
    assert (spec.dim, spec.preprocessing.size_px, spec.preprocessing.resize_px) == (24, 224, 256)
    encoder = registry.load(spec)
    assert encoder.encode_images(pixels(1, 224)).shape == encoder.encode_texts(["a star"]).shape == (1, 24)
    Path("f30k_vocab.pkl").write_bytes(Path("vocab.pkl").read_bytes())
    Path("vocab.pkl").unlink()
    with pytest.raises(InputError, match=r"vocab\.pkl can't be read.*beside the checkpoint or name it"):
        registry.resolve("vse", "model_best.pth.tar")
    named = registry.resolve("vse", "model_best.pth.tar:f30k_vocab.pkl")
    assert named.weights_hash == spec.weights_hash
    assert registry.resolve("vse", named.weights) == named


def test_a_published_checkpoint_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"m\.pth\.tar can't be read \(No such file"):
        registry.resolve("vse", f"{tmp_path}/m.pth.tar:{tmp_path}/vocab.pkl")
