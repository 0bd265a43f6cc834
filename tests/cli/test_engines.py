"""The options `--engine` and `--precision`, `download --compile`, and where the engine is shown."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import TOY, RunApp, run_crossmodal, started

from crossmodal.collection.collection import Collection
from crossmodal.core.engine import FLOAT32, MadeWith

INT8 = "openvino on cpu in int8"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The user's cache folder in these tests, in which a model is converted once."""
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for n in range(4):
        shutil.copy(TOY / "images" / f"test-0000{n}.jpg", folder)
    return folder


def index(pictures: Path, workspace: Path, cache: str, *more: str) -> dict[str, Any]:
    done = run_crossmodal(
        "index", pictures, "-w", workspace, "--collection", "c", "--weights", "scenes", "--json", *more,
        XDG_CACHE_HOME=cache,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def quantized(pictures: Path, cache: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a collection in int8."""
    workspace = tmp_path_factory.mktemp("int8")
    report = index(pictures, workspace, cache, "--precision", "int8")
    assert report["images"]["indexed"] == 4
    assert report["engine"] == {"backend": "openvino", "device": "cpu", "precision": "int8"}
    return workspace


def test_the_precision_is_recorded_and_stays(quantized: Path, pictures: Path, cache: str) -> None:
    assert Collection.open(quantized / "c").made_with == MadeWith("int8", mixes=True)
    again = index(pictures, quantized, cache, "--precision", "fp32")
    assert again["images"]["unchanged"] == 4
    assert Collection.open(quantized / "c").made_with.precision == "int8"


def test_float32_is_recorded(pictures: Path, cache: str, tmp_path: Path) -> None:
    report = index(pictures, tmp_path, cache, "--precision", "fp32")
    assert report["engine"]["precision"] == "fp32"
    assert Collection.open(tmp_path / "c").made_with == FLOAT32


def test_indexing_says_its_engine(quantized: Path, pictures: Path, cache: str) -> None:
    own = ("-w", quantized, "--collection", "c", "--precision", "int8")
    done = run_crossmodal("index", pictures, *own, XDG_CACHE_HOME=cache)
    assert f"engine: {INT8}" in done.stdout.splitlines()


@pytest.mark.parametrize("options", [(), ("--precision", "fp32"), ("--precision", "int8"), ("--engine", "torch")])
def test_a_collection_in_int8_is_searched(quantized: Path, cache: str, options: tuple[str, ...]) -> None:
    done = run_crossmodal(
        "similar", TOY / "images" / "test-00002.jpg", "-w", quantized, "--json", *options, XDG_CACHE_HOME=cache
    )
    assert done.returncode == 0, done.stderr
    first = json.loads(done.stdout)["matches"][0]
    assert first["filename"] == "test-00002.jpg"
    assert first["score"] > 0.95


def test_torch_indexes_and_searches(pictures: Path, cache: str, tmp_path: Path) -> None:
    report = index(pictures, tmp_path, cache, "--engine", "torch")
    assert report["engine"] == {"backend": "torch", "device": "cpu", "precision": "fp32"}
    done = run_crossmodal("search", "a star", "-w", tmp_path, "--engine", "torch", "--json", XDG_CACHE_HOME=cache)
    assert len(json.loads(done.stdout)["matches"]) == 4, done.stderr


def test_options_that_contradict_each_other(quantized: Path) -> None:
    for task in (("search", "a star"), ("index", TOY), ("evaluate", TOY, "--weights", "scenes")):
        done = run_crossmodal(*task, "-w", quantized, "--engine", "torch", "--precision", "int8")
        assert done.returncode == 1
        assert "error: --precision int8 runs on the CPU with OpenVINO: remove --engine" in done.stderr
    done = run_crossmodal("search", "a star", "-w", quantized, "--precision", "int4")
    assert done.returncode == 2


def test_vectors_that_do_not_mix_are_refused(quantized: Path, tmp_path: Path) -> None:
    workspace = Path(shutil.copytree(quantized, tmp_path / "w"))
    manifest = workspace / "c" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"mixes": true', '"mixes": false'))
    done = run_crossmodal("search", "a star", "-w", workspace, "--precision", "fp32")
    assert done.returncode == 1
    assert "`crossmodal reindex -m clip --weights scenes --precision fp32`" in done.stderr


def test_reindexing_in_another_precision(quantized: Path, cache: str, tmp_path: Path) -> None:
    workspace = Path(shutil.copytree(quantized, tmp_path / "w"))
    own = ("-w", workspace, "--collection", "c")
    done = run_crossmodal(
        "reindex", *own, "-m", "clip", "--weights", "scenes", "--precision", "fp32", XDG_CACHE_HOME=cache
    )
    assert done.returncode == 0, done.stderr
    assert Collection.open(workspace / "c").made_with == FLOAT32
    assert run_crossmodal("rollback", *own).returncode == 0
    assert Collection.open(workspace / "c").made_with == MadeWith("int8")


def test_an_evaluation_names_its_engine(cache: str) -> None:
    evaluate = ("evaluate", TOY, "--weights", "scenes", "-n", "20")
    done = run_crossmodal(*evaluate, "--precision", "int8", "--json", XDG_CACHE_HOME=cache)
    assert json.loads(done.stdout)["engine"] == INT8, done.stderr
    done = run_crossmodal(*evaluate, "--precision", "int8", XDG_CACHE_HOME=cache)
    assert INT8 in done.stdout


def test_a_service_shows_its_engine(quantized: Path) -> None:
    with started("query_restful", quantized, "--collection", "c", "--precision", "int8") as service:
        status = httpx.get(service.url + "/status", timeout=20).json()
        assert status["engine"] == {"backend": "openvino", "device": "cpu", "precision": "int8"}
        found = httpx.post(service.url + "/search", json={"text": "a star"}, timeout=20).json()
        assert len(found["results"]) == 4


# -- download --compile


def test_a_model_is_converted_ahead(cache: str, tmp_path: Path) -> None:
    compiled = ("download", "test_resnet/random", "-m", "timm", "--compile", "--json")
    done = run_crossmodal(*compiled, XDG_CACHE_HOME=cache)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["files"] == []
    assert found["engine"]["backend"] == "openvino"
    assert found["agreement"]["cosine_mean"] > 0.98
    assert "converting timm test_resnet/random" in done.stderr
    again = run_crossmodal(*compiled, XDG_CACHE_HOME=cache)
    assert json.loads(again.stdout) == found
    assert again.stderr == ""
    (tmp_path / "cache").write_text("not a folder")
    without = run_crossmodal(*compiled, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert json.loads(without.stdout)["engine"]["backend"] == "torch"
    assert "its cache can't be written" in without.stderr


def test_what_is_bundled_needs_no_conversion(tmp_path: Path) -> None:
    done = run_crossmodal("download", "photos", "--compile", XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("engine: openvino on cpu in ")
    assert done.stderr == ""
    assert not list(tmp_path.rglob("engine.json"))


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_index_flow_makes_a_collection_in_a_named_precision(
    run_app: RunApp, precision: str, tmp_path: Path
) -> None:
    done = run_app("-t", "index", "-w", tmp_path, "-n", "2", "--precision", precision, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["engine"]["precision"] == precision
    assert Collection.open(tmp_path / "toy-data").made_with.precision == precision
