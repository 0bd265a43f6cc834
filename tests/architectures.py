"""Small CLIP architectures, known during a test to open_clip and to this program."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crossmodal.encoders import clip_names


def add_architectures(monkeypatch: pytest.MonkeyPatch, folder: Path, configs: dict[str, dict[str, Any]]) -> None:
    """Makes configurations known by their names; their files are written to `folder`."""
    import open_clip

    files = clip_names._config_files()
    for name, config in configs.items():
        files[name] = folder / f"{name}.json"
        files[name].write_text(json.dumps(config))
    monkeypatch.setattr(clip_names, "_config_files", lambda: files)
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", {**open_clip.factory._MODEL_CONFIGS, **configs})
