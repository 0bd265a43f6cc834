"""The towers of VSE++ and their folder: by hand, in any order and padding, and back from the disk to the bit."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from crossmodal.core.errors import InputError
from crossmodal.core.types import Preprocessing
from crossmodal.encoders import vse_towers
from crossmodal.encoders.vocabulary import Vocabulary
from crossmodal.encoders.vse_config import CONFIG_NAME, VOCABULARY_NAME, WEIGHTS_NAME, VseConfig
from crossmodal.encoders.vse_towers import ImageTower, TextTower, VseModel, load_folder, new_model, save_folder

CONFIG = VseConfig("test_resnet", image_size=64, joint_dim=24, word_dim=8, resize_px=72)
WORDS = Vocabulary(["a", "red", "star", "left", "of", "the", "heart"])


@pytest.fixture(scope="module")
def model() -> VseModel:
    torch.manual_seed(1)
    made = new_model(CONFIG, WORDS)
    return made._replace(image_tower=made.image_tower.eval(), text_tower=made.text_tower.eval())


def images(n: int) -> Tensor:
    return torch.randn(n, 3, 64, 64, generator=torch.Generator().manual_seed(2))


# -- configuration


def test_the_papers_preprocessing() -> None:
    expected = Preprocessing(224, "shortest", "bilinear", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), resize_px=256)
    assert VseConfig("resnet152").preprocessing == expected


def test_a_configuration_survives_json() -> None:
    config = replace(CONFIG, absolute=True, mean=(0.5, 0.25, 0.125))
    assert VseConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    "change",
    [{"image_size": 0}, {"image_size": "64"}, {"joint_dim": 1.5}, {"mean": [1, 2]}, {"std": [1, 1, 0]}, {"std": 3},
     {"resize_px": 63}, {"interpolation": "nearest"}, {"backbone": 3}, {"mean": ["x", 1, 2]}, {"unknown": 1}],
    ids=str,
)  # fmt: skip
def test_a_bad_configuration_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        VseConfig.from_dict({**CONFIG.to_dict(), **change})


# -- towers


def test_vectors_have_length_one(model: VseModel) -> None:
    ids, lengths = map(torch.from_numpy, WORDS.encode_batch(["a red star", "", "left left left"]))
    for vectors in (model.image_tower(images(3)), model.text_tower(ids, lengths)):
        assert vectors.shape == (3, 24)
        assert vectors.norm(dim=1).tolist() == pytest.approx([1, 1, 1], abs=1e-6)


def test_the_image_tower_by_hand(model: VseModel) -> None:
    """L2, linear, L2, written out."""
    tower = model.image_tower
    with torch.no_grad():
        features = tower.features(images(2))
        unit = features / features.pow(2).sum(1, keepdim=True).sqrt()
        joint = unit @ tower.fc.weight.T + tower.fc.bias
        expected = joint / joint.pow(2).sum(1, keepdim=True).sqrt()
        assert features.shape == (2, tower.fc.in_features)
        torch.testing.assert_close(tower.project(features), expected)
        torch.testing.assert_close(tower(images(2)), expected)


def test_a_gru_by_hand() -> None:
    """One word dimension, one joint dimension and two words, by the equations of Cho et al. 2014."""
    tower = TextTower(3, 1, 2)
    with torch.no_grad():
        tower.embed.weight.copy_(torch.tensor([[0.0], [1.0], [-2.0]]))
        tower.rnn.weight_ih_l0.copy_(torch.tensor([[0.1], [0.2], [0.3], [0.4], [0.5], [-0.6]]))
        tower.rnn.weight_hh_l0.copy_(torch.tensor([[0.1, 0], [0, 0.2], [0.3, 0], [0, 0.4], [0.5, 0], [0, 0.6]]))
        tower.rnn.bias_ih_l0.zero_()
        tower.rnn.bias_hh_l0.copy_(torch.tensor([0, 0, 0, 0, 0.1, 0.1]))

    def sigmoid(value: float) -> float:
        return 1 / (1 + pow(2.718281828459045, -value))

    def tanh(value: float) -> float:
        return 2 * sigmoid(2 * value) - 1

    state = [0.0, 0.0]
    for x in (1.0, -2.0):
        new = []
        for i, (wr, wz, wn, ur, uz, un) in enumerate([(0.1, 0.3, 0.5, 0.1, 0.3, 0.5), (0.2, 0.4, -0.6, 0.2, 0.4, 0.6)]):
            h = state[i]
            reset, update = sigmoid(wr * x + ur * h), sigmoid(wz * x + uz * h)
            candidate = tanh(wn * x + reset * (un * h + 0.1))
            new.append((1 - update) * candidate + update * h)
        state = new
    length = (state[0] ** 2 + state[1] ** 2) ** 0.5
    found = tower(torch.tensor([[1, 2, 0, 0], [2, 0, 0, 0]]), torch.tensor([2, 1]))[0]
    assert found.tolist() == pytest.approx([state[0] / length, state[1] / length], abs=1e-6)


def test_neither_order_nor_padding_nor_company_matters(model: VseModel) -> None:
    texts = ["a", "a red star left of the heart", "", "star", "the heart", "red red red red"]
    ids, lengths = map(torch.from_numpy, WORDS.encode_batch(texts))
    tower = model.text_tower
    together = tower(ids, lengths)
    for i, text in enumerate(texts):
        alone = tower(*map(torch.from_numpy, WORDS.encode_batch([text])))
        torch.testing.assert_close(alone[0], together[i], atol=1e-6, rtol=0)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    torch.testing.assert_close(tower(ids[order], lengths[order]), together[order], atol=1e-6, rtol=0)
    wider = torch.cat([ids, torch.zeros(len(ids), 7, dtype=torch.int64)], dim=1)
    torch.testing.assert_close(tower(wider, lengths), together, atol=1e-6, rtol=0)


def test_the_first_weights_are_the_papers() -> None:
    torch.manual_seed(3)
    image, text = ImageTower(CONFIG), TextTower(500, 8, 24)
    bound = (6 / (image.fc.in_features + image.fc.out_features)) ** 0.5
    assert 0.95 * bound < image.fc.weight.abs().max() <= bound
    assert not image.fc.bias.any()
    assert 0.095 < text.embed.weight.abs().max() <= 0.1


def test_order_embeddings_are_positive() -> None:
    torch.manual_seed(4)
    model = new_model(replace(CONFIG, absolute=True), WORDS)
    ids, lengths = map(torch.from_numpy, WORDS.encode_batch(["a star", "heart"]))
    for vectors in (model.image_tower.eval()(images(2)), model.text_tower(ids, lengths)):
        assert (vectors >= 0).all()
        assert vectors.norm(dim=1).tolist() == pytest.approx([1, 1], abs=1e-6)


def test_vgg_is_taken_at_its_4096_wide_layer() -> None:
    with torch.device("meta"):
        assert ImageTower(VseConfig("vgg19")).fc.in_features == 4096
        assert ImageTower(VseConfig("resnet152")).fc.in_features == 2048


def test_an_unknown_backbone_suggests_near_names() -> None:
    with pytest.raises(InputError, match=r"unknown backbone 'resnet-50': did you mean .*resnet50"):
        ImageTower(VseConfig("resnet-50"))
    with pytest.raises(InputError, match=r"timm\.list_models"):
        ImageTower(VseConfig("§§§"))


# -- the folder


@pytest.fixture
def folder(tmp_path: Path, model: VseModel) -> Path:
    save_folder(tmp_path / "deep" / "mine", *model, half=False)
    return tmp_path / "deep" / "mine"


def test_a_folder_keeps_every_bit(folder: Path, model: VseModel) -> None:
    found = load_folder(folder)
    assert {path.name for path in folder.iterdir()} == {CONFIG_NAME, VOCABULARY_NAME, WEIGHTS_NAME}
    assert {path.stat().st_mode & 0o444 for path in folder.iterdir()} == {0o444}, "others may read them"
    assert (found.config, found.vocabulary.words) == (model.config, model.vocabulary.words)
    for old, new in ((model.image_tower, found.image_tower), (model.text_tower, found.text_tower)):
        assert not new.training
        assert old.state_dict().keys() == new.state_dict().keys()
        assert all(torch.equal(value, new.state_dict()[key]) for key, value in old.state_dict().items())
    assert torch.equal(found.image_tower(images(2)), model.image_tower(images(2)))


def test_sixteen_bits_are_half_the_size_and_nearly_the_same(tmp_path: Path, folder: Path, model: VseModel) -> None:
    save_folder(tmp_path / "half", *model, half=True)
    found = load_folder(tmp_path / "half")
    assert (tmp_path / "half" / WEIGHTS_NAME).stat().st_size < 0.55 * (folder / WEIGHTS_NAME).stat().st_size
    assert found.text_tower.embed.weight.dtype == torch.float32
    cosine = (found.image_tower(images(2)) * model.image_tower(images(2))).sum(1)
    assert cosine.min() > 0.9999


def test_saving_that_fails_leaves_the_old_model_whole(
    folder: Path, model: VseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "training.json").write_text("{}")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fail(state: dict[str, Tensor], path: Path) -> None:
        path.write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(vse_towers, "save_tensors", fail)
    other = new_model(replace(CONFIG, joint_dim=8), Vocabulary(["b"]))
    with pytest.raises(OSError, match="No space"):
        save_folder(folder, *other, half=False)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_saving_again_replaces_the_model(folder: Path) -> None:
    save_folder(folder, *new_model(replace(CONFIG, joint_dim=8), Vocabulary(["b"])), half=False)
    assert load_folder(folder).config.joint_dim == 8


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    broken = new_model(CONFIG, WORDS)
    with torch.no_grad():
        broken.image_tower.fc.bias[0] = 1e6
    with pytest.raises(ValueError, match=r"not finite in torch.float16: image\.fc\.bias"):
        save_folder(tmp_path / "x", *broken, half=True)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", [CONFIG_NAME, VOCABULARY_NAME, WEIGHTS_NAME])
def test_a_folder_without_a_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"{name} is missing"):
        load_folder(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"backbone": "test_resnet", "image_size": -1}', "\x00"])
def test_a_damaged_configuration(folder: Path, content: str) -> None:
    (folder / CONFIG_NAME).write_text(content)
    with pytest.raises(InputError, match=rf"{CONFIG_NAME} is damaged"):
        load_folder(folder)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_truncated_weights(folder: Path, share: float) -> None:
    path = folder / WEIGHTS_NAME
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(InputError, match=rf"{WEIGHTS_NAME} don't fit"):
        load_folder(folder)


def test_weights_of_another_model(folder: Path, tmp_path: Path) -> None:
    save_folder(tmp_path / "other", *new_model(replace(CONFIG, backbone="resnet18"), WORDS), half=True)
    (tmp_path / "other" / WEIGHTS_NAME).rename(folder / WEIGHTS_NAME)
    with pytest.raises(InputError, match="don't fit"):
        load_folder(folder)


def test_a_vocabulary_of_another_model(folder: Path) -> None:
    Vocabulary(["b"]).save(folder / VOCABULARY_NAME)
    with pytest.raises(InputError, match=r"don't fit.*size mismatch for embed.weight"):
        load_folder(folder)
