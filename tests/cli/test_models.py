"""`-t models` and `-t download`: no network is used, and none is waited for."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from conftest import RunApp

from crossmodal.encoders.catalogue import CATALOGUE, entries
from crossmodal.encoders.clip import BUNDLED_FOLDER, WEIGHTS_NAME, sha256
from crossmodal.encoders.torchvision_guard import prepare_torchvision

UNREACHABLE = {"HF_ENDPOINT": "http://127.0.0.1:9", "HTTPS_PROXY": "", "HTTP_PROXY": "", "ALL_PROXY": ""}


def in_cache(cache: Path, repository: str, name: str) -> Path:
    folder = cache / "hub" / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("c0ffee")
    (folder / "snapshots" / "c0ffee").mkdir(parents=True)
    (folder / "snapshots" / "c0ffee" / name).write_bytes(b"weights")
    return folder / "snapshots" / "c0ffee" / name


def test_every_published_entry_of_open_clip_is_listed() -> None:
    listed = {entry.weights: entry for entry in entries("clip")}
    prepare_torchvision()
    from open_clip.pretrained import list_pretrained

    assert set(listed) == {"scenes", "photos", *(f"{model}/{tag}" for model, tag in list_pretrained())}
    # Nothing is known of two whose text tower needs a package that is not installed where they were counted.
    unknown = {name.split("/")[0] for name, entry in listed.items() if entry.parameters is None}
    assert unknown == {"nllb-clip-base-siglip", "nllb-clip-large-siglip"}
    b32 = listed["ViT-B-32/laion2b_s34b_b79k"]
    assert (b32.dim, b32.size_px, b32.parameters, b32.megabytes) == (512, 224, 151_277_313, 605)
    assert (b32.licence, b32.flickr30k, b32.coco) == ("mit", (66.8, 84.1), (39.3, 56.3))
    assert listed["ViT-L-14-CLIPA/datacomp1b"].licence == ""


def test_the_figures_of_the_catalogue_are_of_weights_there_are_and_have_sources() -> None:
    known = json.loads(CATALOGUE.read_text("utf8"))
    names = {entry.weights for entry in entries("clip")}
    assert set(known["recall"]) <= names
    assert all(len(figures) == 4 and all(0 < r < 100 for r in figures) for figures in known["recall"].values())
    assert all(entry["source"] for entry in known["licences"] if entry["licence"])
    assert known["source"]["recall"]


def test_a_name_filters_all_families(run_app: RunApp) -> None:
    done = run_app("-t", "models", "RN50X4", "--json")
    assert done.returncode == 0, done.stderr
    assert [entry["weights"] for entry in json.loads(done.stdout) if entry["family"] == "clip"] == [
        "RN50x4/openai", "RN50x4-quickgelu/openai",
    ]  # fmt: skip


def test_what_is_here_is_marked(run_app: RunApp, tmp_path: Path) -> None:
    cached = in_cache(tmp_path, "timm/resnet101.tv_in1k", "model.safetensors")
    done = run_app("-t", "models", "-m", "timm", "resnet101.tv", "--json", HF_HOME=str(tmp_path))
    found = {entry["weights"]: entry for entry in json.loads(done.stdout)}
    assert found["resnet101.tv_in1k"]["here"] == str(cached)
    assert found["resnet101.tv2_in1k"]["here"] is None
    assert (found["resnet101.tv_in1k"]["dim"], found["resnet101.tv_in1k"]["licence"]) == (2048, "bsd-3-clause")


def test_the_table(run_app: RunApp) -> None:
    done = run_app("-t", "models")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0][:3] == ["model", "weights", "dim"]
    assert lines[1][:3] == ["clip", "scenes", "512"]
    assert lines[1][-1] == "here"
    assert "-t models -m timm" in done.stderr


def test_an_unknown_family(run_app: RunApp) -> None:
    done = run_app("-t", "models", "-m", "clap")
    assert done.returncode == 1
    assert "unknown model 'clap'" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "name"),
    [(("--weights", "MobileCLIP-S1"), "MobileCLIP-S1/datacompdr"), (("-m", "timm"), "resnet101.a1h_in1k")],
)
def test_a_hub_that_cannot_be_reached(run_app: RunApp, tmp_path: Path, arguments: tuple[str, ...], name: str) -> None:
    start = time.monotonic()
    done = run_app("-t", "download", *arguments, HF_HOME=str(tmp_path), **UNREACHABLE)
    assert done.returncode == 1
    assert f"error: {name} is not on this machine and 127.0.0.1 can't be reached" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert time.monotonic() - start < 60


def test_what_is_in_the_cache_is_not_fetched_again(run_app: RunApp, tmp_path: Path) -> None:
    cached = in_cache(tmp_path, "timm/resnet101.a1h_in1k", "model.safetensors")
    done = run_app("-t", "download", "-m", "timm", "--json", HF_HOME=str(tmp_path), **UNREACHABLE)
    assert json.loads(done.stdout) == [{"path": str(cached), "sha256": sha256(cached), "bytes": 7}], done.stderr


def test_the_bundled_weights_are_here(run_app: RunApp) -> None:
    done = run_app("-t", "download", "--weights", "scenes")
    assert done.returncode == 0, done.stderr
    path = BUNDLED_FOLDER / WEIGHTS_NAME
    assert f"{sha256(path)}  {path}" in done.stdout
