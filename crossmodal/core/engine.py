"""How an encoder runs: with which library, on which device, in which arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

Backend = Literal["openvino", "torch"]
Precision = Literal["fp32", "bf16", "fp16", "int8"]
BACKENDS: tuple[Backend, ...] = ("openvino", "torch")
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "fp16", "int8")
Auto = Literal["auto"]
AUTO: Auto = "auto"


@dataclass(frozen=True)
class Engine:
    """An engine that exists on this machine; `device` is `cpu`, `cuda:N` or `mps`."""

    backend: Backend = "torch"
    device: str = "cpu"
    precision: Precision = "fp32"

    def __str__(self) -> str:
        return f"{self.backend} on {self.device} in {self.precision}"


@dataclass(frozen=True)
class EngineRequest:
    """The values of `--engine`, `--device` and `--precision`; each may be `auto`."""

    backend: Backend | Auto = AUTO
    device: str = AUTO
    precision: Precision | Auto = AUTO

    def __str__(self) -> str:
        return f"{self.backend} {self.device} {self.precision}"

    @classmethod
    def parse(cls, text: str) -> EngineRequest:
        """The request that `str` wrote, for the settings of an Executor."""
        backend, device, precision = text.split()
        return cls(cast("Backend", backend), device, cast("Precision", precision))


@dataclass(frozen=True)
class MadeWith:
    """The arithmetic of a collection's vectors, as its manifest records it.

    `mixes` says whether vectors in another arithmetic rank equally well beside them: always for floating point; for
    int8 if the check of the quantized model shows it.

    Raises:
        ValueError: The precision is unknown.
    """

    precision: Precision = "fp32"
    mixes: bool = True

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"unknown precision {self.precision!r}")

    def accepts(self, precision: Precision) -> bool:
        """Whether vectors in a precision may be compared with those of the collection."""
        return precision == self.precision or self.mixes

    def mixes_with(self, other: MadeWith) -> bool:
        """Whether the vectors of two collections may be in one."""
        return self.accepts(other.precision) and other.accepts(self.precision)


TORCH = Engine()
"""The reference: torch on the CPU in float32."""
OPENVINO = Engine("openvino")
"""OpenVINO on the CPU in float32; its vectors equal those of `TORCH` to 1e-5."""
AUTOMATIC = EngineRequest()
"""Lets the program choose all of it."""
FLOAT32 = MadeWith()
"""The precision of collections whose manifest does not name one."""
