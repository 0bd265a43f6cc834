"""`ocr` and `index --ocr` from the command line."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import TOY, RunApp
from signs import BAKERY, CAFE, write_signs

pytestmark = pytest.mark.skipif(find_spec("rapidocr") is None, reason="requirements-ocr.txt is not installed")


def test_text_is_read_once_and_searched(run_app: RunApp, tmp_path: Path) -> None:
    folder, workspace = write_signs(tmp_path / "signs", 1), tmp_path / "w"
    common = ("-w", workspace, "-d", folder)
    done = run_app("-t", "index", *common, "--weights", "scenes", "--ocr", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["text"] == {"read": 3, "with_text": 2, "before": 0, "failures": []}
    assert "pictures read: 3/3" in done.stderr
    found = run_app("-t", "query-t2i", *common, "a sign that says bakery", "--json")
    assert found.returncode == 0, found.stderr
    best = json.loads(found.stdout)["matches"][0]
    assert Path(best["uri"]).name == BAKERY
    assert [word["word"] for word in best["why"]] == ['"bakery"']
    by_vectors = run_app("-t", "query-t2i", *common, "bakery", "--json", "--metric", "euclidean")
    assert all("why" not in match for match in json.loads(by_vectors.stdout)["matches"])
    shutil.copy(TOY / "images" / "test-00007.jpg", folder)
    more = run_app("-t", "index", *common, "--weights", "scenes")
    assert "text in new pictures is not read: run `python app.py -t ocr` afterwards" in more.stdout
    (folder / CAFE).rename(folder / "moved.png")
    again = run_app("-t", "index", *common, "--weights", "scenes", "--ocr", "--prune", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["text"] == {"read": 1, "with_text": 0, "before": 3, "failures": []}
    done = run_app("-t", "ocr", *common)
    assert done.stdout == "text in pictures: 0 read, 0 of them with text, 4 read before\n"
    table = run_app("-t", "query-t2i", *common, "coffee 1984", "-k", "1")
    assert "moved.png" in table.stdout
    assert '"1984"' in table.stdout
