"""Model families by name, and what each declares."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from crossmodal.core.engine import Engine
from crossmodal.core.errors import InputError
from crossmodal.core.families import FAMILIES
from crossmodal.core.types import ModelSpec, Preprocessing
from crossmodal.encoders import backbone, clip, registry, vse
from crossmodal.encoders.hub import FILE_NAMES
from crossmodal.encoders.registry import FamilyModule, FetchingModule
from crossmodal.lexical import encoder as lexical

MODULES: tuple[FamilyModule, ...] = (clip, vse, backbone, lexical)  # mypy checks that they follow the contract
FETCHING: tuple[FetchingModule, ...] = (clip, backbone)


def test_an_unknown_family_names_the_known_ones() -> None:
    spec = ModelSpec("word2vec", "x", "", 4, Preprocessing(8))
    for call in (lambda: registry.resolve("word2vec", "x"), lambda: registry.load(spec)):
        with pytest.raises(InputError, match="unknown model 'word2vec': choose one of clip"):
            call()


def test_every_family_has_its_module() -> None:
    assert [registry.module_of(family) for family in FAMILIES.values()] == list(MODULES)
    with_downloads = [registry.module_of(family) for family in FAMILIES.values() if family.larger_weights]
    assert with_downloads == list(FETCHING)


def test_a_family_without_default_weights_says_what_to_name() -> None:
    with pytest.raises(InputError, match="-m sparse needs a model: make one with `-t train -m sparse`"):
        registry.default_weights("sparse", "toy-data")
    with pytest.raises(InputError, match="the bundled VSE\\+\\+ knows scenes only"):
        registry.default_weights("vse", "f8k")


@pytest.mark.parametrize("family", FAMILIES)
def test_bundled_weights_are_of_the_family_and_need_no_download(family: str) -> None:
    for name in FAMILIES[family].bundled:
        spec = registry.resolve(family, name)
        assert (spec.family, spec.weights) == (family, name)
        assert registry.bundled_folder(family, name).is_dir()
        assert spec.modalities == FAMILIES[family].modalities


def test_local_weights_are_resolved_and_texts_tokenized_without_torch(tmp_path: Path) -> None:
    with_scenes = ("clip", "vse")
    for family in with_scenes:
        shutil.copytree(registry.bundled_folder(family, "scenes"), tmp_path / family)
    (tmp_path / "mine.pt").write_bytes(b"weights")
    heavy = {"torch", "torchvision", "open_clip", "timm", "transformers"}
    code = f"""
import sys
from crossmodal.encoders import backbone, clip_weights, registry
for family in {with_scenes}:
    for name in ("scenes", f"{tmp_path}/{{family}}"):
        spec = registry.resolve(family, name)
        if family == "clip":
            assert clip_weights.bpe_of(spec.weights).encode("two dogs")
for name in ("ViT-B-32/random", "ViT-B-16-SigLIP/random", "ViT-B-32/{tmp_path}/mine.pt"):
    registry.resolve("clip", name)
cached = registry.resolve("clip", "ViT-B-32/laion2b_s34b_b79k")
assert clip_weights.bpe_of(cached.weights).encode("zwei Hunde \u2026")
for family in ("clip", "timm"):
    registry.resolve(family, "photos")
for name in ("photos", "resnet18/random", "resnet18:layer3/{tmp_path}/mine.pt"):
    backbone.weights_hash(name)
print(*{{name.partition(".")[0] for name in sys.modules}} & {heavy})
"""
    snapshot = tmp_path / "models--laion--CLIP-ViT-B-32-laion2B-s34B-b79K" / "snapshots" / "main"
    snapshot.mkdir(parents=True)
    (snapshot / FILE_NAMES[0]).write_bytes(b"weights")
    environ = {**os.environ, "HF_HUB_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environ)
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr


@pytest.mark.parametrize(
    ("data_set", "expected"),
    [("toy-data", "photos"), ("scenes", "scenes"), ("f8k", "photos"), ("/some/folder", "photos")],
)
def test_default_weights(data_set: str, expected: str) -> None:
    assert registry.default_weights("clip", data_set) == expected


@pytest.mark.parametrize("data_set", ["toy-data", "f8k", "scenes"])
def test_backbones_use_the_photos_weights_on_every_data_set(data_set: str) -> None:
    assert registry.default_weights("timm", data_set) == "photos"


def test_modalities_follow_from_the_family_and_are_not_stored() -> None:
    images_only = ModelSpec("timm", "resnet101", "hash", 4, Preprocessing(8))
    both = ModelSpec("clip", "scenes", "hash", 4, Preprocessing(8))
    assert (images_only.modalities, both.modalities) == (("image",), ("image", "text"))
    assert ModelSpec.from_dict(images_only.to_dict()) == images_only
    assert "modalities" not in images_only.to_dict()


def test_a_sparse_model_has_the_modalities_of_its_encoder() -> None:
    encoder = ModelSpec("timm", "resnet101", "hash", 4, Preprocessing(8))
    sparse = ModelSpec("sparse", "folder", "hash", 4, Preprocessing(8), encoder)
    assert (sparse.has_lexical, encoder.has_lexical) == (True, False)
    assert (sparse.modalities, sparse.encoder) == (("image",), encoder)


def test_bf16_is_refused_by_a_family_that_does_not_declare_it() -> None:
    with pytest.raises(InputError, match=r"--precision bf16 with torch on the CPU is for clip, not for vse scenes"):
        registry.load(registry.resolve("vse", "scenes"), engine=Engine("torch", "cpu", "bf16"))
    with pytest.raises(
        InputError, match=r"--precision fp16 with torch on the CPU is for no model, not for clip scenes"
    ):
        registry.load(registry.resolve("clip", "scenes"), engine=Engine("torch", "cpu", "fp16"))


def test_the_bundled_weights_resolve() -> None:
    spec = registry.resolve("clip", registry.SCENES)
    assert (spec.family, spec.weights, spec.dim) == ("clip", "scenes", 512)
    assert len(spec.weights_hash) == 64
    assert (spec.preprocessing.size_px, spec.preprocessing.mean) == (96, (0.5, 0.5, 0.5))
