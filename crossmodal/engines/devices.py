"""The devices of this machine on which torch can run."""

from __future__ import annotations

import re
from pathlib import Path

from crossmodal.core.engine import AUTO, Precision
from crossmodal.core.errors import InputError

NVIDIA = Path("/dev/nvidiactl")
GPU_BATCH = 256
"""Most images or texts per batch on a GPU; larger batches are hardly faster."""
_NAME = re.compile(r"cpu|mps|cuda(:\d+)?")


def batch_size(device: str, on_cpu: int) -> int:
    """Items of a batch on the device of a `--device`: `on_cpu`, or at least `GPU_BATCH` on a GPU."""
    return on_cpu if resolve(device) == "cpu" else max(on_cpu, GPU_BATCH)


def resolve(name: str) -> str:
    """`cpu`, `mps` or `cuda:N` for a value of `--device`; imports torch for a GPU only.

    `auto` is the first CUDA device if the machine has one, else the CPU.

    Raises:
        InputError: The name is unknown, or the machine lacks the device.
    """
    if name == AUTO:
        return "cuda:0" if NVIDIA.exists() and _n_cuda() else "cpu"
    if not _NAME.fullmatch(name):
        raise InputError(f"--device {name}: expected auto, cpu, cuda, cuda:N or mps")
    if name == "cpu":
        return name
    import torch

    if name == "mps":
        if not torch.backends.mps.is_available():
            raise InputError("--device mps: this machine has no Apple GPU that torch can use: use --device cpu")
        return name
    number, n_devices = int(name.partition(":")[2] or 0), _n_cuda()
    if n_devices == 0:
        reason = "torch is installed without CUDA" if torch.version.cuda is None else "no CUDA device was found"
        raise InputError(f"--device {name}: {reason}: use --device cpu, or install a build of torch for CUDA")
    if number >= n_devices:
        known = ", ".join(f"cuda:{number}" for number in range(n_devices))
        raise InputError(f"--device {name}: this machine has no such device, only {known}")
    return f"cuda:{number}"


def fastest_precision(device: str) -> Precision:
    """The fastest floating-point precision of a GPU whose cosines stay within 0.003 of fp32."""
    import torch

    if device == "mps":
        return "fp32"
    return "bf16" if torch.cuda.get_device_capability(device)[0] >= 8 else "fp16"


def _n_cuda() -> int:
    import torch

    return torch.cuda.device_count()
