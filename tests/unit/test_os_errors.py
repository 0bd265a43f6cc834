"""What is said of a file that the operating system refuses, and what is found out before anything is written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from others import UID, as_another_user

from crossmodal.core.os_errors import ENVIRONMENT_ERRNOS, read_failure, reason, why_not_readable, why_not_writable


@pytest.mark.parametrize("number", sorted(ENVIRONMENT_ERRNOS))
def test_every_refusal_has_a_reason_and_a_next_step(number: int, tmp_path: Path) -> None:
    told = reason(OSError(number, os.strerror(number)), tmp_path / "a")
    assert "\n" not in told
    assert len(told.split()) >= 6, told


def test_any_other_error_is_told_by_its_name() -> None:
    assert reason(OSError(errno.ENOTTY, "Inappropriate ioctl")) == "Inappropriate ioctl"
    assert reason(OSError("only words")) == "only words"


def test_only_what_cannot_be_understood_is_damaged(tmp_path: Path) -> None:
    assert read_failure(ValueError("no JSON"), tmp_path) == "is damaged: no JSON"
    assert read_failure(OSError(errno.EIO, "Input/output error"), tmp_path).startswith("can't be read: the disk failed")


def test_places_that_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    assert why_not_writable(tmp_path / "file") is None
    assert why_not_writable(tmp_path / "new") is None
    assert why_not_writable(tmp_path / "a" / "b" / "new", makes_folders=True) is None
    assert why_not_writable(Path(os.devnull)) is None
    assert (tmp_path / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_places_that_cannot_be_written_whoever_asks(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    (tmp_path / "round").symlink_to(tmp_path / "round")
    for name, told in {
        "none/new": "there is no folder",
        "file/new": "not a folder",
        "nowhere": "symbolic link",
        "round/new": "circle",
        "x" * 300: "too long",
    }.items():
        assert told in str(why_not_writable(tmp_path / name)), name
    assert "too long" in str(why_not_writable(tmp_path / ("x" * 300) / "a", makes_folders=True))
    assert "not a folder" in str(why_not_writable(tmp_path / "file" / "a" / "b", makes_folders=True))


def test_the_owner_is_told_to_change_the_mode(tmp_path: Path) -> None:
    own = tmp_path / "my file"
    own.write_text("x")
    own.chmod(0)

    def ask() -> None:
        assert str(why_not_readable(own)).endswith(f"with mode ----------. Run chmod u+rwX '{own}'")

    if os.getuid() == 0:
        os.chown(own, UID, UID)
    as_another_user(ask, tmp_path)


def test_who_may_is_told_to_another_user(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "file").write_text("x")
    (tmp_path / "secret").write_text("x")
    (tmp_path / "secret").chmod(0o600)
    me = f"(uid {os.getuid()})"

    def ask() -> None:
        assert me in str(why_not_writable(closed / "new"))
        assert me in str(why_not_writable(closed / "file"))
        assert me in str(why_not_writable(closed / "a" / "b", makes_folders=True))
        assert why_not_readable(closed / "file") is None
        assert "-rw-------" in str(why_not_readable(tmp_path / "secret"))

    as_another_user(ask, tmp_path)
