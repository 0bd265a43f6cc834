"""Hashes of large files, kept between processes. `LARGE` is lowered, so that small files count as large."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from crossmodal.core.errors import InputError
from crossmodal.encoders import hash_cache, weights

CONTENT = b"weights" * 1000
AN_HOUR_NS = 3_600_000_000_000


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were read to be hashed."""
    names: list[str] = []
    digest = hashlib.file_digest

    def count(file: Any, name: str) -> Any:
        names.append(Path(file.name).name)
        return digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", count)
    return names


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the cache in an empty folder; files count as settled at once."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(hash_cache, "LARGE", 100)
    monkeypatch.setattr(hash_cache, "SETTLED_NS", -AN_HOUR_NS)
    return tmp_path / "cache" / "crossmodal-search" / "hashes.json"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(CONTENT)
    return path


def expected(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_large_file_is_hashed_once(file: Path, hashed: list[str], tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(file)
    for path in (file, file, tmp_path / "link", tmp_path / "." / file.name):
        assert weights.sha256(path) == expected(file)
    assert hashed == [file.name]


def test_a_small_file_is_hashed_each_time(tmp_path: Path, hashed: list[str], cache: Path) -> None:
    (tmp_path / "small").write_bytes(b"x" * 99)
    assert [weights.sha256(tmp_path / "small") for _ in range(2)] == [expected(tmp_path / "small")] * 2
    assert hashed == ["small"] * 2
    assert not cache.exists()


@pytest.mark.parametrize("change", ["size", "content", "content, time restored", "replaced, time restored"])
def test_a_changed_file_is_hashed_anew(file: Path, hashed: list[str], tmp_path: Path, change: str) -> None:
    os.utime(file, (1, 1))
    changed_ns = file.stat().st_ctime_ns
    weights.sha256(file)
    if change == "size":
        file.write_bytes(CONTENT + b"!")
    elif change.startswith("content"):
        file.write_bytes(CONTENT[::-1])
    else:
        (tmp_path / "other").write_bytes(CONTENT[::-1])
        (tmp_path / "other").replace(file)
    while change.endswith("restored") and (file.stat().st_mtime != 1 or file.stat().st_ctime_ns == changed_ns):
        os.utime(file, (1, 1))
    assert [weights.sha256(file) for _ in range(2)] == [expected(file)] * 2
    assert hashed == [file.name] * 2


def test_a_file_that_was_just_written_is_not_stored(
    file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, hashed: list[str]
) -> None:
    monkeypatch.setattr(hash_cache, "SETTLED_NS", AN_HOUR_NS)
    assert weights.sha256(file) == expected(file)
    assert not cache.exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"PATH": 1}', b'{"PATH": []}', b"[" * 100_000])
def test_a_damaged_cache_is_replaced(
    file: Path, cache: Path, hashed: list[str], content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    cache.parent.mkdir(parents=True)
    cache.write_bytes(content.replace(b"PATH", str(file).encode()))
    assert [weights.sha256(file) for _ in range(2)] == [expected(file)] * 2
    assert hashed == [file.name]
    assert all(record.levelno == logging.INFO for record in caplog.records)


def test_a_cache_that_cannot_be_written(file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "cache").write_text("a file instead of a folder")
    assert [weights.sha256(file) for _ in range(2)] == [expected(file)] * 2
    assert f"the hash of {file} is not kept" in caplog.text


def test_entries_of_missing_files_are_dropped(file: Path, cache: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(CONTENT)
    weights.sha256(other)
    other.unlink()
    weights.sha256(file)
    assert list(json.loads(cache.read_bytes())) == [str(file)]


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none can't be read: No such file"):
        weights.sha256(tmp_path / "none")
