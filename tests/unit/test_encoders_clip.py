"""CLIP: names of weights, the bundled encoder, local checkpoints good and bad.

Checkpoints are of a tiny architecture that is made known to open_clip for these tests only.
"""

import copy
import json
import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import huggingface_hub.constants
import numpy as np
import pytest
from architectures import add_architectures

from crossmodal.core.engine import Engine
from crossmodal.core.errors import InputError, StateError
from crossmodal.core.types import Pixels
from crossmodal.encoders import clip, clip_text, registry
from crossmodal.encoders.clip import BUNDLED_FOLDER, ClipEncoder, resolve
from crossmodal.encoders.torchvision_guard import prepare_torchvision
from crossmodal.encoders.weights import unit_rows
from crossmodal.scenes.language import captions
from crossmodal.scenes.world import make_scene

prepare_torchvision()

import open_clip  # noqa: E402
import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

TINY = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": 16, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def encoder() -> ClipEncoder:
    return clip.load(resolve("scenes"))


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The architectures `tiny` and `tiny-wide`."""
    wide = {**TINY, "text_cfg": {**TINY["text_cfg"], "width": 16}}  # type: ignore[dict-item]
    add_architectures(monkeypatch, tmp_path_factory.mktemp("configs"), {"tiny": TINY, "tiny-wide": wide})


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    """The weights of a tiny model."""
    model = open_clip.create_model("tiny", load_weights=False)
    return {name: value.clone().contiguous() for name, value in model.state_dict().items()}


def pixels(n: int, size_px: int = 96) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (n, size_px, size_px, 3), np.uint8)


def texts(n: int) -> list[str]:
    return [captions(make_scene("test", i), Random(i))[i % 5] for i in range(n)]


# -- names


@pytest.mark.parametrize("name", ["ViT-B-23/laion2b_s34b_b79k", "ViTB32", "vit-b-32/openai"])
def test_an_unknown_architecture_suggests_near_names(name: str) -> None:
    with pytest.raises(InputError, match=r"unknown weights or architecture.*did you mean .*ViT-B-32"):
        resolve(name)


def test_an_architecture_unlike_any() -> None:
    with pytest.raises(InputError, match=r"unknown weights or architecture '§§§'.*-t models"):
        resolve("§§§/x")


@pytest.mark.parametrize("name", ["ViT-B-32", "ViT-B-32/", "ViT-B-32/nonsense"])
def test_an_unknown_tag_lists_the_known_ones(name: str) -> None:
    with pytest.raises(InputError, match=r"has (no|several published) weights.*openai.*laion2b_s34b.*\.safetensors"):
        resolve(name)


def test_an_architecture_without_any_tags() -> None:
    with pytest.raises(InputError, match="one of none"):
        resolve("tiny/openai")


@pytest.mark.parametrize("ending", clip.FILE_ENDINGS)
def test_a_missing_file(tmp_path: Path, ending: str) -> None:
    with pytest.raises(InputError, match="can't be read: No such file"):
        resolve(f"ViT-B-32/{tmp_path}/none{ending}")


@pytest.fixture
def uncached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("uncached")
def test_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(StateError, match="ViT-B-32/laion2b_s34b_b79k is not on this machine and HF_HUB_OFFLINE"):
        resolve("ViT-B-32/laion2b_s34b_b79k")


@pytest.mark.usefixtures("uncached")
def test_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> socket.socket:
        raise OSError("Network is unreachable")

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(socket, "create_connection", refuse)
    with pytest.raises(StateError, match=r"can't be reached.*Network is unreachable.*--weights scenes"):
        resolve("ViT-B-32/laion2b_s34b_b79k")


# -- the bundled encoder


def test_encodings_have_length_one(encoder: ClipEncoder) -> None:
    for vectors in (encoder.encode_images(pixels(5)), encoder.encode_texts(texts(5))):
        assert vectors.shape == (5, encoder.spec.dim)
        assert vectors.dtype == np.float32
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_image_encodings_do_not_depend_on_batch_or_order(encoder: ClipEncoder) -> None:
    batch = pixels(7)
    together = encoder.encode_images(batch)
    alone = np.concatenate([encoder.encode_images(batch[i : i + 1]) for i in range(7)])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_images(batch[::-1]), together[::-1], atol=1e-5)


def test_text_encodings_do_not_depend_on_batch_or_order(encoder: ClipEncoder) -> None:
    batch = ["", "star", *texts(6), "word " * 200]
    together = encoder.encode_texts(batch)
    alone = np.concatenate([encoder.encode_texts([text]) for text in batch])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_texts(batch[::-1]), together[::-1], atol=1e-5)


def test_cut_padding_changes_no_text_encoding(encoder: ClipEncoder) -> None:
    ids = encoder._tokenizer(["", "a star", *texts(8), "many words " * 60])
    with torch.inference_mode():
        whole = encoder._model.encode_text(ids).numpy()
        np.testing.assert_allclose(clip_text.encode_tokens(encoder._model, ids).numpy(), whole, atol=1e-5)
        np.testing.assert_allclose(clip_text.encode_alike(encoder._model, ids, 3).numpy(), whole, atol=1e-5)


def test_texts_are_encoded_in_the_groups_of_training(encoder: ClipEncoder) -> None:
    for n in (3, 70):
        with torch.inference_mode():
            expected = clip_text.encode_alike(encoder._model, encoder._tokenizer(texts(n)), clip.TEXT_GROUP).numpy()
        assert np.array_equal(encoder.encode_texts(texts(n)), unit_rows(expected))


def test_nothing_to_encode(encoder: ClipEncoder) -> None:
    assert encoder.encode_images(pixels(0)).shape == (0, 512)
    assert encoder.encode_texts([]).shape == (0, 512)


@pytest.mark.parametrize("text", ["写真", "🎈", "x" * 5000, "\n\t", "&amp; <b>"])
def test_any_text_is_encoded(encoder: ClipEncoder, text: str) -> None:
    assert np.isfinite(encoder.encode_texts([text])).all()


@pytest.mark.parametrize("wrong", [pixels(1, 95), pixels(1).astype(np.float32), pixels(1)[0]])
def test_pixels_of_another_kind_are_refused(encoder: ClipEncoder, wrong: Pixels) -> None:
    with pytest.raises(ValueError, match=r"expected \(n, 96, 96, 3\) uint8"):
        encoder.encode_images(wrong)


@pytest.mark.parametrize("tower", ["image", "text"])
def test_one_tower_encodes_as_both_do(encoder: ClipEncoder, tower: str) -> None:
    one = clip.load(encoder.spec, (tower,))  # type: ignore[arg-type]
    if tower == "image":
        np.testing.assert_allclose(one.encode_images(pixels(2)), encoder.encode_images(pixels(2)), atol=1e-6)
    else:
        np.testing.assert_allclose(one.encode_texts(texts(2)), encoder.encode_texts(texts(2)), atol=1e-6)
    n_weights = sum(p.numel() for p in one._model.parameters())
    assert n_weights < sum(p.numel() for p in encoder._model.parameters())


def test_unit_rows() -> None:
    assert unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)).tolist() == [
        pytest.approx([0.6, 0.8]), [0.0, 0.0],
    ]  # fmt: skip
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="not finite"):
            unit_rows(np.array([[1.0, bad]], np.float32))


# -- folders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BUNDLED_FOLDER, tmp_path / "mine"))


def test_a_folder_is_known_by_its_full_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    spec = resolve("mine")
    assert spec.weights == str(folder)
    assert replace(spec, weights="scenes") == resolve("scenes")


def test_weights_that_changed_are_refused(folder: Path) -> None:
    spec = resolve(str(folder))
    path = folder / clip.WEIGHTS_NAME
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(StateError, match="have changed"):
        clip.load(spec)


@pytest.mark.parametrize("name", [clip.WEIGHTS_NAME, clip.CONFIG_NAME])
def test_a_folder_without_a_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"{name} is missing"):
        resolve(str(folder))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"model_cfg": {}}'])
def test_a_folder_with_a_damaged_configuration(folder: Path, content: str) -> None:
    (folder / clip.CONFIG_NAME).write_text(content)
    with pytest.raises(InputError, match=str(folder)):
        resolve(str(folder))


def test_a_folder_with_truncated_weights(folder: Path) -> None:
    path = folder / clip.WEIGHTS_NAME
    path.write_bytes(path.read_bytes()[:10_000])
    with pytest.raises(InputError, match="could not be loaded"):
        clip.load(resolve(str(folder)))


# -- local checkpoints


@pytest.mark.parametrize("ending", clip.FILE_ENDINGS)
def test_a_local_checkpoint(tmp_path: Path, state: dict[str, torch.Tensor], ending: str) -> None:
    path = tmp_path / f"mine{ending}"
    if ending == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"state_dict": state}, path)
    spec = resolve(f"tiny/{path}")
    assert (spec.weights, spec.dim, spec.preprocessing.size_px) == (f"tiny/{path}", 8, 16)
    loaded = clip.load(spec)
    for name, value in loaded._model.state_dict().items():
        assert torch.equal(value, state[name])
    assert loaded.encode_texts(["a", "b"]).shape == loaded.encode_images(pixels(2, 16)).shape == (2, 8)


def loading_fails(path: Path, architecture: str = "tiny") -> bool:
    with pytest.raises(InputError) as caught:
        clip.load(resolve(f"{architecture}/{path}"))
    return f"{architecture}/{path} could not be loaded" in str(caught.value)


@pytest.mark.parametrize("ending", clip.FILE_ENDINGS)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_checkpoint(tmp_path: Path, state: dict[str, torch.Tensor], ending: str, share: float) -> None:
    path = tmp_path / f"mine{ending}"
    save_file(state, path) if ending == ".safetensors" else torch.save(state, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert loading_fails(path)


@pytest.mark.parametrize("ending", clip.FILE_ENDINGS)
def test_a_text_file_for_a_checkpoint(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"mine{ending}"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert loading_fails(path)


@pytest.mark.parametrize("content", [{}, [1, 2], 3, {"state_dict": {}}, {"a": 1}], ids=str)
def test_a_checkpoint_of_something_else(tmp_path: Path, content: object) -> None:
    path = tmp_path / "mine.pt"
    torch.save(content, path)
    assert loading_fails(path)


@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
def test_a_checkpoint_of_another_architecture(tmp_path: Path, state: dict[str, torch.Tensor], ending: str) -> None:
    path = tmp_path / f"mine{ending}"
    save_file(state, path) if ending == ".safetensors" else torch.save(state, path)
    assert loading_fails(path, "tiny-wide")


def test_random_weights_are_always_the_same() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, other = (clip.load(resolve("tiny/random")) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.array_equal(one.encode_texts(["a star"]), other.encode_texts(["a star"]))
    assert resolve("tiny/random").weights_hash == "random-0"


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_the_number_of_threads_is_set() -> None:
    clip.load(resolve("tiny/random"), ("text",), threads=2)
    assert torch.get_num_threads() == 2


def test_the_bundled_folder_is_whole() -> None:
    names = {path.name for path in BUNDLED_FOLDER.iterdir()}
    assert {clip.CONFIG_NAME, clip.WEIGHTS_NAME, clip.MERGES_NAME} <= names
    config = json.loads((BUNDLED_FOLDER / clip.CONFIG_NAME).read_text())
    assert resolve("scenes").dim == config["model_cfg"]["embed_dim"]


def test_bf16_gives_almost_the_same_vectors(encoder: ClipEncoder) -> None:
    rough = registry.load(resolve("scenes"), engine=Engine("torch", "cpu", "bf16"))
    texts = captions(make_scene("test", 0), Random(0))
    exact, found = (np.concatenate([e.encode_images(pixels(3)), e.encode_texts(texts)]) for e in (encoder, rough))
    assert found.dtype == np.float32
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert np.abs(exact @ exact.T - found @ found.T).max() < 0.01
    assert not np.array_equal(exact, found)


def test_another_family_has_no_bf16() -> None:
    with pytest.raises(
        InputError, match="--precision bf16 with torch on the CPU is for clip, not for timm test_resnet/random"
    ):
        registry.load(registry.resolve("timm", "test_resnet/random"), ("image",), engine=Engine("torch", "cpu", "bf16"))


def test_a_bug_in_building_a_model_is_not_blamed_on_the_weights(
    tmp_path: Path, state: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise TypeError("unexpected keyword argument")

    path = tmp_path / "mine.pt"
    torch.save(state, path)
    spec = resolve(f"tiny/{path}")
    monkeypatch.setattr("open_clip.create_model", broken)
    with pytest.raises(TypeError, match="unexpected keyword"):
        clip.load(spec)


def test_names_in_a_configuration_that_open_clip_does_not_know(folder: Path) -> None:
    path = folder / clip.CONFIG_NAME
    config = json.loads(path.read_text())
    config["model_cfg"]["vision_cfg"]["depth"] = 3
    path.write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"open_clip_config\.json has depth, which open_clip does not know"):
        clip.load(resolve(str(folder)))


def test_an_open_clip_with_other_parts_is_refused(encoder: ClipEncoder) -> None:
    clip_text.check_text_tower(encoder._model)
    other = copy.copy(encoder._model)
    other._modules = {name: part for name, part in other._modules.items() if name != "ln_final"}
    with pytest.raises(RuntimeError, match="has a CLIP without ln_final: install the release"):
        clip_text.check_text_tower(other)
