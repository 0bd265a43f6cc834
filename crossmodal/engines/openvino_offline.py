"""OpenVINO, imported without its telemetry, which reports every import to a server.

Everything here imports `openvino` and `ops` from this module.
"""

from __future__ import annotations

import sys

# None makes an import fail; OpenVINO then uses its stub, which sends nothing.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino  # noqa: E402
from openvino import opset13 as ops  # noqa: E402

__all__ = ["openvino", "ops"]
