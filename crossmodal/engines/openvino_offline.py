"""Imports OpenVINO without its telemetry, which reports every import to a server.

All other modules import `openvino` and `ops` from this one.
"""

from __future__ import annotations

import sys

# With None, importing the package fails, and OpenVINO uses its own stub, which sends nothing.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino  # noqa: E402
from openvino import opset13 as ops  # noqa: E402

__all__ = ["openvino", "ops"]
