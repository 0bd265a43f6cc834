"""Which arithmetic the processor computes fast, and which it only emulates."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
INT8_FLAGS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})
BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})


@lru_cache(maxsize=1)
def flags() -> frozenset[str]:
    """The instruction sets of the processor by the names of Linux; empty on other systems."""
    try:
        lines = CPU_INFO.read_text("utf8").splitlines()
    except OSError:
        return frozenset()
    return frozenset(
        flag for line in lines if line.lower().startswith(("flags", "features")) for flag in line.split(":")[1].split()
    )


def has_fast_int8() -> bool:
    """Whether the processor multiplies 8-bit integers faster than float32: VNNI, AMX, or Arm's dot product."""
    return bool(flags() & INT8_FLAGS)


def has_fast_bf16() -> bool:
    """Whether the processor multiplies bfloat16 faster than float32; without, bf16 takes three times as long."""
    return bool(flags() & BF16_FLAGS)
