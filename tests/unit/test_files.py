"""Files that are replaced atomically."""

import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crossmodal.core.files import atomic_path, atomic_writer, write_atomically, write_output


def test_the_new_file_takes_the_name_once_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]


def test_a_name_may_be_as_long_as_the_file_system_permits(tmp_path: Path) -> None:
    name = "é" * 127
    write_atomically(tmp_path / name, b"new")
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("write", [atomic_path, atomic_writer])
def test_a_body_that_raises_leaves_the_old_file(tmp_path: Path, write: object) -> None:
    write_atomically(tmp_path / "a", b"old")
    with pytest.raises(ZeroDivisionError), write(tmp_path / "a"):  # type: ignore[operator]
        raise ZeroDivisionError
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_a_file_has_the_permissions_that_are_asked_for(tmp_path: Path) -> None:
    with atomic_writer(tmp_path / "a", 0o600) as file:
        assert (tmp_path / file.name).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file of this process can have more than 10 bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.usefixtures("full_disk")
@pytest.mark.parametrize("write", [write_output, write_atomically])
def test_a_file_that_does_not_fit_is_named_and_not_left_behind(
    tmp_path: Path, write: Callable[[Path, bytes], None]
) -> None:
    write(tmp_path / "fits", bytes(10))
    with pytest.raises(OSError, match=r"File too large: '.*/large'"):
        write(tmp_path / "large", bytes(11))
    assert [path.name for path in tmp_path.iterdir()] == ["fits"]
