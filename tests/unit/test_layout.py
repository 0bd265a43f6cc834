"""The sizes of files: small ones are easier to read."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("crossmodal", "executors", "serving", "cli", "benchmarks")
REASON = "longer than 300 lines because"


def test_app_is_a_shim() -> None:
    assert len((ROOT / "app.py").read_text("utf8").splitlines()) < 80


def test_a_long_file_gives_its_reason() -> None:
    sources = {path: path.read_text("utf8") for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    long = {path for path, source in sources.items() if len(source.splitlines()) > 300}
    without = [
        path for path in long if REASON not in " ".join((ast.get_docstring(ast.parse(sources[path])) or "").split())
    ]
    assert long
    assert without == []
