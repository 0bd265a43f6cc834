"""Imports OpenVINO without its telemetry, which reports every import to a server, and without its model converter.

All other modules import `openvino` and `ops` from this one. The converter takes as long to import as the rest; a module
that converts models imports `openvino.tools.ovc.convert_model` after this module.
"""

from __future__ import annotations

import sys

# With None, importing a module fails. OpenVINO then uses its own stub of the telemetry, which sends nothing, and has no
# `openvino.convert_model`.
CONVERTER = "openvino.tools.ovc"
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
_is_blocked = sys.modules.setdefault(CONVERTER, None) is None  # type: ignore[arg-type]

import openvino  # noqa: E402
from openvino import opset13 as ops  # noqa: E402

if _is_blocked:
    del sys.modules[CONVERTER]

__all__ = ["openvino", "ops"]
