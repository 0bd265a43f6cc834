"""Similar images, as docs/similar-images.md tells it: a backbone without a text tower, through real Flows."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from conftest import ROOT, TOY, RunApp, started

LINE = re.compile(r'\[(\d)\] (-?\d\.\d{4}): "(.+)"')


def client_script(port: int) -> str:
    """The Python block of the document, for a service on another port."""
    (script,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "similar-images.md").read_text("utf8"), re.S)
    assert "port=45678" in script
    return str(script).replace("port=45678", f"port={port}")


def lines_of(printed: str) -> list[tuple[int, float, str]]:
    found = [LINE.fullmatch(line) for line in printed.splitlines()]
    assert all(found), printed
    return [(int(match[1]), float(match[2]), match[3]) for match in found if match]


@pytest.fixture(scope="module")
def pets(run_app: RunApp, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures, two captions among them, and beside it a workspace with both indexed."""
    images = tmp_path_factory.mktemp("similar") / "pets" / "images"
    images.mkdir(parents=True)
    for number in range(6):
        shutil.copy(TOY / "images" / f"test-0000{number}.jpg", images)
    (images.parent / "captions.txt").write_text("image,caption\ntest-00000.jpg,two\ntest-00000.jpg,captions\n")
    arguments = ("-m", "timm", "--weights", "test_resnet:layer3/random", "-w", images.parents[1] / "w")
    done = run_app("-t", "index", "-d", images.parent, *arguments)
    assert done.returncode == 0, done.stderr
    assert "images: 6 indexed" in done.stdout
    assert "2 captions skipped" in done.stdout
    assert "Warning" not in done.stderr
    return images.parent


def test_a_query_prints_plain_lines(run_app: RunApp, pets: Path) -> None:
    asked = pets / "images" / "test-00003.jpg"
    where = ("-d", pets, "-w", pets.parent / "w")
    done = run_app("-t", "query-i2i", *where, "-k", "3", "--plain", "--metric", "euclidean", asked)
    assert done.returncode == 0, done.stderr
    found = lines_of(done.stdout)
    assert [rank for rank, *_ in found] == [1, 2, 3]
    assert found[0][2] == str(asked)
    assert 0.001 >= -found[0][1] >= 0
    assert found[0][1] > found[1][1] >= found[2][1]


@pytest.mark.parametrize(("task", "asked"), [("query-t2i", "a cat"), ("query-i2t", "cat.jpg")])
def test_captions_are_refused_before_anything_starts(run_app: RunApp, pets: Path, task: str, asked: str) -> None:
    done = run_app("-t", task, "-d", pets, "-w", pets.parent / "w", asked)
    assert done.returncode == 1
    assert "encodes images only: use -t query-i2i" in done.stderr


def test_another_family_is_refused_by_name(run_app: RunApp, pets: Path) -> None:
    done = run_app("-t", "query-i2i", "-m", "clip", "-d", pets, "-w", pets.parent / "w", "cat.jpg")
    assert done.returncode == 1
    assert "was indexed with timm test_resnet:layer3/random (random-0): use `-m timm`" in done.stderr


def test_the_client_of_the_document(pets: Path, tmp_path: Path) -> None:
    asked = pets / "images" / "test-00003.jpg"
    with started("query_restful", pets.parent / "w", "-d", str(pets)) as service:
        assert httpx.get(f"{service.url}/healthz", timeout=30).json() == {"status": "ok"}
        refused = httpx.post(f"{service.url}/search", json={"data": ["a cat"]}, timeout=30)
        assert refused.status_code == 422
        assert "timm test_resnet:layer3/random (random-0), which encodes images only" in refused.text
        done = subprocess.run(
            [sys.executable, "-c", client_script(service.port), str(asked)],
            cwd=tmp_path, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        found = lines_of(done.stdout)
        assert [rank for rank, *_ in found] == [1, 2, 3], done.stderr
        assert found[0][1] == 1.0
        assert httpx.get(found[0][2], timeout=30).content == asked.read_bytes()
