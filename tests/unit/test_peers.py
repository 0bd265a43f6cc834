"""Parts of `benchmarks/peers.py` that need no peer: ratios, the table, and the report of a failed program."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

Import = Callable[[str], Any]
BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Import:
    """Imports a module of the benchmarks."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return import_module


def test_each_round_gives_one_ratio(benchmark: Import) -> None:
    module = benchmark("peers_results")
    seconds = module.Measured("index_500", "index", "s", values={"crossmodal": [2, 4, 2], "clip-retrieval": [8, 8, 2]})
    per_s = module.Measured("queries", "queries", "/s", True, values={"crossmodal": [30, 40], "clip-retrieval": [3, 2]})
    assert seconds.times_better("clip-retrieval") == [4, 2, 1]
    assert seconds.figures() == {
        "index_500_crossmodal_s": 2,
        "index_500_clip_retrieval_s": 8,
        "index_500_over_clip_retrieval": 2,
        "index_500_over_clip_retrieval_low": 1,
        "index_500_over_clip_retrieval_high": 4,
    }
    assert per_s.figures()["queries_crossmodal_per_s"] == 35
    assert per_s.figures()["queries_over_clip_retrieval"] == 15


def test_the_table_has_a_column_for_each_peer(benchmark: Import) -> None:
    module = benchmark("peers_results")
    rows = [
        module.Measured("index_again", "index again", "s", values={"crossmodal": [1.0, 1.0], "rclip": [0.9, 1.1]}),
        module.Measured("queries", "queries", "/s", True, values={"crossmodal": [300], "clip-retrieval": [20]}),
    ]
    assert module.table(rows).splitlines() == [
        "| work | this program | clip-retrieval | rclip |",
        "|---|---|---|---|",
        "| index again | 1.00 s |  | 1.00 s: **1.00 times** (0.90 to 1.10) |",
        "| queries | 300/s | 20.0/s: **15.00 times** (15.00 to 15.00) |  |",
    ]


def test_a_failure_names_program_command_and_last_lines(benchmark: Import) -> None:
    module = benchmark("peers_setup")
    command = [sys.executable, "-c", "print(*range(40), sep='\\n'); raise SystemExit('no such package')"]
    with pytest.raises(module.ProgramError) as caught:
        module.run("rclip", command)
    lines = str(caught.value).splitlines()
    assert lines[0] == "rclip: exit status 1"
    assert command[0] in lines[1]
    assert lines[-1].strip() == "no such package"
    assert len(lines) == 3 + module.LAST_LINES


def test_an_environment_is_reused_while_its_packages_are_the_same(
    benchmark: Import, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = benchmark("peers_setup")
    commands: list[list[str]] = []

    def run(_: str, command: list[str]) -> None:
        commands.append(command)
        (tmp_path / "p").mkdir(exist_ok=True)

    monkeypatch.setattr(module, "run", run)
    for packages in (["one==1"], ["one==1"], ["one==2"]):
        python = module.environment(tmp_path, "p", packages)
    assert python == tmp_path / "p" / "bin" / "python"
    installed = [command[-1] for command in commands if "install" in command]
    assert installed == ["one==1", "one==2"]


def test_names_of_found_pictures(benchmark: Import) -> None:
    module = benchmark("peers_programs")
    output = (
        '0.083\t"/tmp/a/small/000012.jpg"\n/tmp/a/000003.JPG {"filename": "000007.jpg"} 0.123456.jpg /tmp/1234567.jpg'
    )
    assert module.names_in(output) == ["000012", "000003", "000007"]
