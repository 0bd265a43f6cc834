"""Imports torchvision even if its compiled part does not match the installed torch, and without torch's compiler.

With a CUDA build of torchvision and a CPU build of torch, the operators can't be loaded, and the import fails with
"operator torchvision::nms does not exist", because the Python part registers a shape rule for an undeclared operator.
This program uses the transforms only, so the two missing operators are declared by name. A matching torchvision is not
changed.

torchvision and timm are imported without torch's compiler, which would take four fifths of the import time of open_clip
and is not used. Of `torch._dynamo`, timm uses `disable` (as a decorator) and torchvision uses
`utils.is_compile_supported` (when regions are aligned). If a release uses more, importing it fails.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

_declared: list[object] = []  # a declaration lasts as long as its Library object


def prepare_torchvision() -> bool:
    """Imports torchvision and timm; must be called before other modules import them, such as open_clip.

    Returns:
        True if the compiled part could be loaded, False if its operators were only declared, so that
        `torchvision.ops.nms` and `decode_jpeg` raise when called.
    """
    if _declared:
        return False
    is_healthy = _load_or_declare()
    _import_without_compiler()
    return is_healthy


def _load_or_declare() -> bool:
    import torch

    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("torchvision is not installed: pip install -r requirements.txt")
    compiled = list(Path(spec.origin).parent.glob("_C*.so"))
    try:
        for library in compiled:
            torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
        if compiled:
            return True
    except OSError:
        pass  # built for another torch (CUDA); the operators are declared below
    operators = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        schema = f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        operators.define(schema)  # type: ignore[no-untyped-call]
    _declared.append(operators)
    return False


def _import_without_compiler() -> None:
    names = ("torch._dynamo", "torch._dynamo.utils")
    if "torchvision" in sys.modules or names[0] in sys.modules:
        return

    def is_compile_supported(device_type: str) -> bool:
        from torch._dynamo.utils import is_compile_supported as is_supported

        return bool(is_supported(device_type))

    def disable(function: Any, recursive: bool = True, **_: Any) -> Any:
        return function

    stand_ins = {name: ModuleType(name) for name in names}
    vars(stand_ins[names[0]])["disable"] = disable
    vars(stand_ins[names[1]])["is_compile_supported"] = is_compile_supported
    sys.modules.update(stand_ins)
    try:
        importlib.import_module("torchvision")
        importlib.import_module("timm")
    except (ImportError, AttributeError) as error:
        raise ImportError(
            f"importing the installed torchvision or timm uses more of torch._dynamo than expected ({error}): install "
            "the releases that requirements.txt names, or add what is missing to the stand-ins in "
            "crossmodal/encoders/torchvision_guard.py"
        ) from error
    finally:
        for name in names:
            del sys.modules[name]
