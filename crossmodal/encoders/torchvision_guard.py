"""Lets `import torchvision` succeed where its compiled part does not fit the installed torch.

A CUDA build of torchvision beside a CPU build of torch cannot load its operators, and importing it then
dies with "operator torchvision::nms does not exist": its Python part registers a shape rule for an
operator that was never declared. We need its transforms, not its operators, so where the compiled part
cannot be loaded the two missing operators are declared by name. A healthy torchvision is left alone.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

_declared: list[object] = []  # a declaration lasts as long as its Library object


def prepare_torchvision() -> bool:
    """Makes torchvision importable; call it before importing torchvision or open_clip.

    Returns:
        True where the compiled part is healthy, False where its operators were declared in its place
        (`torchvision.ops.nms` and `decode_jpeg` then raise when called).
    """
    if _declared:
        return False
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
        pass  # built against another torch (CUDA); the declarations below stand in
    operators = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        schema = f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        operators.define(schema)  # type: ignore[no-untyped-call]
    _declared.append(operators)
    return False
