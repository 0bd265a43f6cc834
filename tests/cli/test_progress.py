"""What is shown of the progress of long work, on a terminal and elsewhere."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

import cli.progress
from cli.progress import Count, Meter
from crossmodal.datasets import registry as data_sets


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_nothing_is_shown_of_no_work(stream: type[io.StringIO], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream())
    with Meter("pictures", 5, earlier="pictures decoded"):
        pass
    assert sys.stderr.getvalue() == ""  # type: ignore[attr-defined]


def test_a_file_receives_a_line_of_the_last_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with Meter("pictures", lambda: 4, earlier="pictures decoded") as meter:
        meter.advance_earlier()
        meter.advance()
        meter.advance(3)
    shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert shown.startswith("pictures: 4/4  ")
    assert shown.count("\n") == 1


def test_a_terminal_shows_both_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    with Meter("pictures", 5, earlier="pictures decoded") as meter:
        for _ in range(5):
            meter.advance_earlier()
        meter.advance(3)
    *_, decoded, indexed = (line for line in sys.stderr.getvalue().splitlines() if "/5" in line)  # type: ignore[attr-defined]
    assert "pictures decoded" in decoded
    assert "5/5" in decoded
    assert "3/5" in indexed
    assert "/s" in indexed


def test_a_terminal_shows_how_many_pictures_were_found_while_a_folder_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli.progress, "COUNT_EVERY_S", 0)
    (tmp_path / "a").mkdir()
    for name in ("1.jpg", "2.jpg", "a/3.jpg", "a/note.md"):
        (tmp_path / name).touch()
    for stream in (Terminal, io.StringIO):
        monkeypatch.setattr(sys, "stderr", stream())
        with Count("pictures found") as count:
            data_sets.read(str(tmp_path), progress=count.show)
        shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
        assert [f"pictures found: {n}" in shown for n in (1, 2, 3)] == [stream is Terminal] * 3
        assert shown.rpartition("\r")[2] == ""
