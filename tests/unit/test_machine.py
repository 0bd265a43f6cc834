"""Cores and memory within the limits of a container."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from crossmodal.core import machine

REAL = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
ALL = len(os.sched_getaffinity(0))


@pytest.fixture
def cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(machine, "CGROUPS", tmp_path / "fs")
    monkeypatch.setattr(machine, "OWN_CGROUP", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(16))
    return tmp_path


def limit(cgroups: Path, own: str, **files: str) -> None:
    (cgroups / "own").write_text(own)
    for name, content in files.items():
        path = cgroups / "fs" / name.replace("__", "/").replace("-", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def test_without_control_groups_the_machine_counts(cgroups: Path) -> None:
    assert (machine.cores(), machine.memory_bytes()) == (16, REAL)


@pytest.mark.parametrize(("quota", "cores"), [("max 100000", 16), ("150000 100000", 2), ("5000 100000", 1)])
def test_version_2(cgroups: Path, quota: str, cores: int) -> None:
    limit(cgroups, "0::/\n", **{"cpu-max": quota, "memory-max": "1048576\n"})
    assert (machine.cores(), machine.memory_bytes()) == (cores, 2**20)


def test_a_group_above_limits_too(cgroups: Path) -> None:
    limit(cgroups, "0::/pod/container\n", **{"pod__container__cpu-max": "max 100000", "pod__cpu-max": "300000 100000"})
    limit(cgroups, "0::/pod/container\n", **{"pod__container__memory-max": "max", "pod__memory-max": "4096"})
    assert (machine.cores(), machine.memory_bytes()) == (3, 4096)


def test_the_path_of_the_host_falls_back_to_the_root(cgroups: Path) -> None:
    limit(cgroups, "0::/../../of/the/host\n", **{"cpu-max": "200000 100000"})
    assert machine.cores() == 2


def test_version_1(cgroups: Path) -> None:
    limit(
        cgroups, "5:memory:/docker/ab\n4:cpu,cpuacct:/docker/ab\n",
        **{"memory__memory-limit_in_bytes": "8192", "cpu,cpuacct__cpu-cfs_quota_us": "400000",
           "cpu,cpuacct__cpu-cfs_period_us": "100000"},
    )  # fmt: skip
    assert (machine.cores(), machine.memory_bytes()) == (4, 8192)


def test_no_limit_in_version_1(cgroups: Path) -> None:
    limit(
        cgroups, "4:cpu,cpuacct:/\n",
        **{"cpu,cpuacct__cpu-cfs_quota_us": "-1", "cpu,cpuacct__cpu-cfs_period_us": "100000"},
    )  # fmt: skip
    assert (machine.cores(), machine.memory_bytes()) == (16, REAL)


def test_this_machine() -> None:
    assert 1 <= machine.cores() <= ALL
    assert 2**20 < machine.memory_bytes() <= REAL
