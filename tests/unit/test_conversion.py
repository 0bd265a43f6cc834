"""Conversion of models for OpenVINO: their vectors, the folders in the cache, what can't be converted."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from architectures import add_architectures
from conftest import fork_server, run_code

from crossmodal.core.engine import TORCH, Engine, Precision
from crossmodal.core.errors import StateError
from crossmodal.core.resources import DISTRIBUTION, data_folder
from crossmodal.core.types import Modality, ModelSpec, Pixels
from crossmodal.encoders import conversion, converted, registry
from crossmodal.encoders.network_encoder import NetworkEncoder
from crossmodal.encoders.torchvision_guard import prepare_torchvision
from crossmodal.engines import agreement

prepare_torchvision()

TINY_CLIP, TINY_TIMM, LAYER = "tiny/random", "test_resnet/random", "test_resnet:layer2/random"
TINY = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": 16, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1},
}
TEXTS = ["a dog", "", "two cats on a sofa beside a window", "a dog", "one two three four five six seven eight nine ten"]


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache, a fifth of the toy data, and the architecture `tiny`."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "images").mkdir()
    toy = data_folder("toy-data")
    for path in sorted((toy / "images").iterdir())[::5]:
        (tmp_path / "images" / path.name).symlink_to(path)
    (tmp_path / "captions.txt").write_text("\n".join((toy / "captions.txt").read_text().splitlines()[:200]))
    monkeypatch.setattr(conversion, "data_folder", lambda _: tmp_path)
    monkeypatch.setattr(conversion, "N_IMAGES", 20)
    monkeypatch.setattr(conversion, "N_TEXTS", 20)
    add_architectures(monkeypatch, tmp_path, {"tiny": TINY})
    return tmp_path / DISTRIBUTION


def pixels(spec: ModelSpec, n: int) -> Pixels:
    size_px = spec.preprocessing.size_px
    return np.random.default_rng(0).integers(0, 256, (n, size_px, size_px, 3), np.uint8)


def load(spec: ModelSpec, precision: Precision = "fp32", towers: tuple[Modality, ...] | None = None) -> NetworkEncoder:
    found = registry.load(spec, towers or spec.modalities, 1, Engine("openvino", "cpu", precision))
    assert isinstance(found, NetworkEncoder)
    return found


def made(spec: ModelSpec, precision: Precision = "fp32") -> tuple[converted.Converted | None, list[str]]:
    said: list[str] = []
    return conversion.ensure(spec, precision, said.append), said


# -- vectors


@pytest.mark.parametrize(
    ("family", "weights"), [("clip", TINY_CLIP), ("clip", "scenes"), ("vse", "scenes"), ("timm", TINY_TIMM)]
)
def test_a_converted_model_computes_what_torch_does(family: str, weights: str) -> None:
    spec = registry.resolve(family, weights)
    manifest, said = made(spec)
    assert manifest is not None
    assert manifest.failure == ""
    assert manifest.agreement is not None
    assert manifest.agreement.mixes
    assert manifest.agreement.cosine_min > 1 - 1e-5
    assert said[0].startswith(f"converting {spec} to fp32")
    found, expected = load(spec), registry.load(spec, spec.modalities, None, TORCH)
    images = pixels(spec, 11)
    np.testing.assert_allclose(found.encode_images(images), expected.encode_images(images), atol=1e-5)
    if "text" in spec.modalities:
        np.testing.assert_allclose(found.encode_texts(TEXTS), expected.encode_texts(TEXTS), atol=1e-5)
    if family == "clip":
        assert found.logit_scale == pytest.approx(getattr(expected, "logit_scale", None))


@pytest.mark.parametrize(("family", "weights"), [("clip", TINY_CLIP), ("timm", TINY_TIMM)])
def test_a_model_in_int8_is_compared_with_float32(family: str, weights: str) -> None:
    spec = registry.resolve(family, weights)
    manifest, _ = made(spec, "int8")
    assert manifest is not None
    assert manifest.agreement is not None
    assert 0.9 < manifest.agreement.cosine_mean < 1
    folder = converted.folder_in_cache(spec, "int8")
    if manifest.failure:
        assert str(manifest.agreement) in manifest.failure
        assert not manifest.agreement.is_close
        assert [path.name for path in folder.iterdir()] == ["engine.json"]
        return
    found, expected = load(spec, "int8"), registry.load(spec, spec.modalities, None, TORCH)
    images = pixels(spec, 5)
    assert (found.encode_images(images) * expected.encode_images(images)).sum(axis=1).min() > 0.9
    assert "i8" in (folder / "image.xml").read_text()


@pytest.mark.parametrize("family", ["clip", "vse"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_rows_depend_on_neither_padding_nor_batch(family: str, precision: Precision) -> None:
    spec = registry.resolve(family, "scenes")
    made(spec, precision)
    encoder = load(spec, precision)
    many = [*TEXTS, *(f"a {colour} star above {n} circles" for colour in ("red", "blue") for n in range(20))]
    together = encoder.encode_texts(many)
    alone = np.concatenate([encoder.encode_texts([text]) for text in many])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_texts(many[::-1])[::-1], together, atol=1e-5)
    assert np.array_equal(together[0], together[3])  # the same text
    images = pixels(spec, 9)
    singly = np.concatenate([encoder.encode_images(images[i : i + 1]) for i in range(9)])
    np.testing.assert_allclose(encoder.encode_images(images), singly, atol=1e-5)


def test_the_bundled_weights_are_quantized_already(cache: Path) -> None:
    for family in ("clip", "vse"):
        spec = registry.resolve(family, "scenes")
        manifest, said = made(spec, "int8")
        assert manifest is not None
        assert manifest.agreement is not None
        assert manifest.agreement.is_close
        assert said == []
    assert not (cache / "engines").exists()


def test_bf16_runs_the_network_of_fp32() -> None:
    spec = registry.resolve("timm", TINY_TIMM)
    assert not converted.is_ready(spec, "bf16")
    made(spec)
    assert converted.is_ready(spec, "bf16")
    images = pixels(spec, 3)
    cosines = (load(spec, "bf16").encode_images(images) * load(spec).encode_images(images)).sum(axis=1)
    assert cosines.min() > 0.98


# -- what can't be converted


def test_what_can_not_be_converted_is_tried_once_and_runs_in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = registry.resolve("timm", LAYER)
    manifest, said = made(spec)
    assert manifest is not None
    assert manifest.agreement is None
    assert "can't be converted for OpenVINO and runs in torch" in manifest.failure
    assert said[-1] == manifest.failure
    monkeypatch.setattr(conversion, "write", pytest.fail)
    assert made(spec) == (manifest, [])
    assert not converted.is_ready(spec, "fp32")
    with pytest.raises(StateError, match=r"can't be converted.*--compile"):
        load(spec)
    assert registry.load(spec).encode_images(pixels(spec, 1)).shape == (1, spec.dim)


def test_a_model_that_agrees_too_little_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "LEAST_COSINE", 1.1)
    spec = registry.resolve("timm", TINY_TIMM)
    manifest, said = made(spec, "int8")
    assert manifest is not None
    assert said[-1] == manifest.failure == f"{spec} is not used in int8: {manifest.agreement}"
    assert converted.why_not_ready(spec, "int8") == manifest.failure
    assert not converted.is_ready(spec, "int8")


def test_networks_of_the_same_weights_are_kept_apart() -> None:
    """Two layers of one file, and all random weights, have the same hash."""
    specs = [registry.resolve("timm", name) for name in (TINY_TIMM, LAYER, "test_vit/random")]
    assert len({spec.weights_hash for spec in specs}) == 1
    assert len({converted.folder_in_cache(spec, "fp32") for spec in specs}) == 3
    made(specs[0])
    assert [converted.is_ready(spec, "fp32") for spec in specs] == [True, False, False]


# -- the cache


def test_a_model_is_converted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = registry.resolve("timm", TINY_TIMM)
    manifest, said = made(spec)
    assert len(said) == 2
    monkeypatch.setattr(conversion, "write", pytest.fail)
    assert made(spec) == (manifest, [])


def test_converting_again_into_a_folder_does_not_count_the_manifest(tmp_path: Path) -> None:
    spec, folder = registry.resolve("timm", TINY_TIMM), tmp_path / "mine"
    folder.mkdir()
    for _ in range(2):
        assert set(conversion.write(spec, "fp32", folder).files) == {"image.bin", "image.xml"}


def test_a_damaged_folder_is_made_anew(tmp_path: Path) -> None:
    spec = registry.resolve("timm", TINY_TIMM)
    manifest, _ = made(spec)
    assert manifest is not None
    folder = converted.folder_in_cache(spec, "fp32")
    whole = Path(shutil.copytree(folder, tmp_path / "whole"))
    weights, values = (whole / "image.bin").read_bytes(), json.loads((whole / "engine.json").read_bytes())
    for name, content in (
        ("image.bin", weights[:100] + bytes([weights[100] ^ 1]) + weights[101:]),
        ("image.bin", weights[:-1]),
        ("image.bin", None),
        ("image.xml", b"<net>"),
        ("engine.json", None),
        ("engine.json", b"{"),
        ("engine.json", b"[]"),
        ("engine.json", b"\xff"),
        ("engine.json", json.dumps({**values, "format": 0}).encode()),
        ("engine.json", json.dumps({**values, "files": []}).encode()),
        ("engine.json", json.dumps({**values, "agreement": {"cosine": 1}}).encode()),
    ):
        shutil.rmtree(folder)
        shutil.copytree(whole, folder)
        assert converted.is_ready(spec, "fp32")
        (folder / name).unlink()
        if content is not None:
            (folder / name).write_bytes(content)
        assert not converted.is_ready(spec, "fp32"), (name, content)
    with pytest.raises(StateError, match=r"is not converted to fp32.*--compile"):
        load(spec)
    again, said = made(spec)
    assert len(said) == 2
    assert again is not None
    assert again.agreement == manifest.agreement
    assert load(spec).encode_images(pixels(spec, 1)).shape == (1, spec.dim)


@pytest.mark.parametrize("place", ["", "engines"])
def test_without_a_usable_cache_it_says_so(cache: Path, place: str) -> None:
    spec = registry.resolve("timm", TINY_TIMM)
    (cache / place).parent.mkdir(parents=True, exist_ok=True)
    (cache / place).write_text("not a folder")
    manifest, said = made(spec)
    assert manifest is None
    assert len(said) == 1
    assert "is not converted for OpenVINO, since its cache can't be written: " in said[0]
    assert registry.load(spec).encode_images(pixels(spec, 1)).shape == (1, spec.dim)


def test_an_interrupted_conversion_leaves_nothing_that_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = registry.resolve("timm", TINY_TIMM)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(conversion, "compared", interrupt)
        with pytest.raises(KeyboardInterrupt):
            made(spec)
    assert not converted.is_ready(spec, "fp32")
    killed = converted.folder_in_cache(spec, "fp32").with_suffix(".part")
    killed.mkdir()
    (killed / "image.bin").write_bytes(b"half")
    manifest, _ = made(spec)
    assert manifest is not None
    assert set(manifest.files) == {"image.xml", "image.bin"}
    assert not killed.exists()


def test_processes_that_convert_at_once_leave_one_whole_folder(cache: Path) -> None:
    code = f"""
from crossmodal.encoders import conversion, converted, registry
conversion.N_IMAGES = 20
spec = registry.resolve("timm", {TINY_TIMM!r})
said = []
assert conversion.ensure(spec, "fp32", said.append).failure == ""
assert converted.is_ready(spec, "fp32")
print(len(said))
"""
    fork_server()  # one for both threads
    with ThreadPoolExecutor() as threads:
        results = list(threads.map(run_code, [code, code]))
    assert [done.returncode for done in results] == [0, 0], results
    assert sorted(done.stdout.strip() for done in results) == ["0", "2"]  # the second waited for the first
    (version,) = (cache / "engines").iterdir()
    assert sorted(path.suffix for path in version.iterdir()) == ["", ".lock"]


def test_converting_and_running_opens_no_connection() -> None:
    code = f"""
import sys, time
attempts = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        attempts.append((event, arguments))
sys.addaudithook(watch)
from crossmodal.core.engine import Engine
from crossmodal.encoders import conversion, registry
import numpy as np
conversion.N_IMAGES = 20
spec = registry.resolve("timm", {TINY_TIMM!r})
assert conversion.ensure(spec, "fp32", print).failure == ""
encoder = registry.load(spec, engine=Engine("openvino"))
assert encoder.encode_images(np.zeros((1, 160, 160, 3), np.uint8)).shape == (1, spec.dim)
time.sleep(1)  # a report would be sent by a thread
assert not attempts, attempts
assert sys.modules["openvino_telemetry"] is None
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("family", "weights"), [("clip", "scenes"), ("vse", "scenes"), ("clip", "photos")])
def test_bundled_weights_in_int8_need_no_torch(family: str, weights: str) -> None:
    code = f"""
import sys
import numpy as np
from crossmodal.core.engine import Engine, EngineRequest
from crossmodal.encoders import engine_choice, registry
spec = registry.resolve({family!r}, {weights!r})
request = EngineRequest(precision="int8")
made_with = engine_choice.precision_of_new(spec, request, print)
engine_choice.prepare(spec, request, made_with, print)
engine = engine_choice.choose(spec, request, made_with, print)
assert engine == Engine("openvino", "cpu", "int8")
encoder = registry.load(spec, engine=engine)
size_px = spec.preprocessing.size_px
assert encoder.encode_texts(["a red star"]).shape == (1, spec.dim)
assert encoder.encode_images(np.zeros((1, size_px, size_px, 3), np.uint8)).shape == (1, spec.dim)
found = {{"torch", "timm", "open_clip", "torchvision", "openvino.tools.ovc"}} & set(sys.modules)
assert not found, found
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
