"""The wheel has all that the program needs, and asks for the packages of the lock."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_bytes
from email.message import Message
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import ROOT

PACKAGES = ("crossmodal", "executors", "serving", "cli")
FOLDERS = ("flows", "pods", "manifests", "web", "data/toy-data")


def names_in(file: str) -> dict[str, str]:
    """Name and the rest of the line of each requirement."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / file).read_text("utf8").splitlines()]
    found = [re.fullmatch(r"([\w.-]+)(.*)", line) for line in lines if line]
    return {normal(match[1]): match[2] for match in found if match}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_wheel_asks_for_the_direct_requirements_at_locked_versions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["project"]
    locked = names_in("requirements.txt")
    asked = dict(dependency.split("==") for dependency in project["dependencies"])
    assert {normal(name): f"=={version}" for name, version in asked.items()} == {
        name: locked[name] for name in names_in("requirements.in")
    }
    assert asked["torch"] == "2.13.0"


@pytest.mark.parametrize("extra", ["scale", "mcp", "ocr"])
def test_an_extra_is_that_of_its_file(extra: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["project"]
    text = (ROOT / f"requirements-{extra}.txt").read_text("utf8")
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    assert project["optional-dependencies"][extra] == [line for line in lines if line]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of what is in the checkout, built from a copy so that nothing is left there."""
    if find_spec("pip") is None or find_spec("setuptools") is None:
        pytest.skip("needs pip and setuptools in this environment")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns("__pycache__", "*.partial")
    for folder in (*PACKAGES, *FOLDERS):
        shutil.copytree(ROOT / folder, source / folder, ignore=ignored)
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    options = ("--no-deps", "--no-build-isolation", "--no-index")
    command = [sys.executable, "-m", "pip", "wheel", *options, "-w", out, source]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return zipfile.ZipFile(next(out.glob("*.whl")))


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return message_from_bytes(wheel.read(name))


def tracked(folder: str) -> list[str]:
    """The files of a folder that belong to the program."""
    files = (path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return sorted(str(path.relative_to(ROOT)) for path in files if path.suffix != ".partial")


def test_everything_is_in_the_wheel_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    expected = [name for package in PACKAGES for name in tracked(package)]
    expected += [f"crossmodal_search/{name}" for folder in FOLDERS for name in tracked(folder)]
    found = [name for name in wheel.namelist() if ".dist-info/" not in name]
    assert sorted(found) == sorted(expected)
    assert len(expected) > 300


def test_the_wheel_is_what_pyproject_says(wheel: zipfile.ZipFile, metadata: Message) -> None:
    assert (metadata["Name"], metadata["Requires-Python"]) == ("crossmodal-search", "==3.11.*")
    (points,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert "crossmodal = cli.start:main" in wheel.read(points).decode()


def test_the_program_runs_from_an_unpacked_wheel(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    """Its own files are those of the wheel, and it writes to the user's data folder."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from cli.completion import default_workspace\n"
        "from crossmodal.core.resources import data_folder, resource_folder\n"
        "from serving.jina.supervisor import FLOWS, PODS\n"
        "from serving.http.pages import WEB\n"
        "print(FLOWS, PODS, WEB, data_folder('toy-data'), data_folder('f8k'), default_workspace(), sep='\\n')"
    )
    wheel.extractall(tmp_path / "site", [name for name in wheel.namelist() if not name.endswith(".safetensors")])
    environ = {**os.environ, "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "own"), "PYTHONPATH": ""}
    command = [sys.executable, "-c", script, tmp_path / "site"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=tmp_path, env=environ)
    assert done.returncode == 0, done.stderr
    inside, own = tmp_path / "site" / "crossmodal_search", tmp_path / "own" / "crossmodal-search"
    places = [Path(line) for line in done.stdout.splitlines()]
    assert places == [
        inside / "flows", inside / "pods", inside / "web", inside / "data" / "toy-data", own / "data" / "f8k",
        own / "collections",
    ]  # fmt: skip
    assert all(place.is_dir() for place in places[:4])
