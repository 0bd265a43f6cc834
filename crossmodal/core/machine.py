"""What this process may use of the machine: cores and memory, within the limits of its container.

Source: Linux kernel documentation, Control Group v2 (`cpu.max`, `memory.max`), and v1 (`cpu.cfs_quota_us`,
`memory.limit_in_bytes`).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS, OWN_CGROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def cores() -> int:
    """The cores that the process may use, at least 1; a quota of 1.5 counts as 2."""
    quotas = [_quota(cgroup) for cgroup in _cgroups()]
    return max(1, min([len(os.sched_getaffinity(0)), *map(math.ceil, filter(None, quotas))]))


def memory_bytes() -> int:
    """The memory that the process may use."""
    names = ("memory.max", "memory.limit_in_bytes")
    limits = [int(limit) for cgroup in _cgroups() for name in names for limit in _numbers(cgroup / name)]
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *limits])


def _cgroups() -> Iterator[Path]:
    """The folders of the process's control groups, and of those above, which limit it too.

    In a container, the path of a group may be the host's, and the group itself is the root of the folder.
    """
    try:
        lines = OWN_CGROUP.read_text("utf8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        root = CGROUPS / controllers
        group = root / path.lstrip("/")
        while group != root and ".." not in group.parts:
            yield group
            group = group.parent
        yield root


def _quota(cgroup: Path) -> float | None:
    """The cores that a group may use, None for no limit."""
    numbers = _numbers(cgroup / "cpu.max")
    if not numbers:
        numbers = _numbers(cgroup / "cpu.cfs_quota_us") + _numbers(cgroup / "cpu.cfs_period_us")
    return numbers[0] / numbers[1] if len(numbers) == 2 and numbers[0] > 0 else None


def _numbers(path: Path) -> list[float]:
    """The numbers in a file; none if it does not exist or states no limit."""
    try:
        return [float(word) for word in path.read_text("utf8").split()]
    except (OSError, ValueError):  # `max`
        return []


CORES = cores()
