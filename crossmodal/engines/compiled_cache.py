"""Names the files of compiled networks in the user's cache folder."""

from __future__ import annotations

import hashlib
import json
import platform
from importlib import metadata
from pathlib import Path

from crossmodal.core.resources import cache_folder
from crossmodal.engines import processor


def openvino_folder() -> Path:
    """The folder of everything that this version of OpenVINO has made; it may not exist."""
    return cache_folder() / "engines" / f"openvino-{metadata.version('openvino')}"


def compiled_file(*parts: object) -> Path:
    """The file of a compiled network on this processor; `parts` must identify the network, and have a JSON form."""
    identity = json.dumps([*parts, platform.machine(), sorted(processor.flags())])
    return openvino_folder() / "compiled" / f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.blob"
