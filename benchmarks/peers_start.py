"""Runs `clip-retrieval` with its own Python: `PYTHON benchmarks/peers_start.py COMMAND ...`.

Two things differ from the program's console script: torchvision's missing operators are declared where its build does
not match torch (see `crossmodal/encoders/torchvision_guard.py`), and `back`, which always listens on all interfaces,
listens on the loopback interface.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

GUARD = Path(__file__).resolve().parent.parent / "crossmodal" / "encoders" / "torchvision_guard.py"


def declare_operators() -> ModuleType:
    """Declares torchvision's operators as this program does, and nothing else; they last as long as what it returns."""
    spec = importlib.util.spec_from_file_location("torchvision_guard", GUARD)
    assert spec is not None
    assert spec.loader is not None
    guard = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(guard)
    guard._load_or_declare()
    return guard


def listen_on_loopback() -> None:
    import flask

    run = flask.Flask.run

    def run_on_loopback(self: flask.Flask, host: str | None = None, **options: Any) -> None:
        run(self, host="127.0.0.1", **options)

    flask.Flask.run = run_on_loopback


# Like the console script, this imports the program at the top: its logger is a spawned process that imports it again.
_guard = declare_operators()
listen_on_loopback()
from clip_retrieval.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.argv[0] = "clip-retrieval"
    main()
