"""Stores that may only be read: those of another user, on a read-only file system, and with a writer elsewhere."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from others import as_another_user, read_only

from crossmodal.collection.collection import Collection, collections
from crossmodal.core.errors import NotWritableError, StateError
from crossmodal.core.types import Document, ModelSpec, Preprocessing
from crossmodal.store.locks import FILE_NAME, LOCK_NAME
from crossmodal.store.sqlite import DocumentStore, NewDocument
from crossmodal.store.sqlite_errors import explained

DIM = 4


def _item(name: str) -> NewDocument:
    return NewDocument(Document(name, "text", text=name), np.eye(DIM, dtype=np.float32)[0])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store with one document, closed."""
    folder = tmp_path / "store"
    with DocumentStore(folder, writable=True) as store:
        store.put([_item("first")])
    return folder


def _count(store: DocumentStore) -> int:
    return store.counts()["text"]


def test_a_reader_who_may_not_write_reads_and_leaves_nothing(folder: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}

    def ask() -> None:
        with DocumentStore(folder) as store:
            assert _count(store) == 1
            changes = store.changes_after("text", 0)
            assert changes is not None
            assert len(changes.added) == 1

    as_another_user(ask, folder)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_who_may_write_is_said_and_nothing_is_called_damaged(folder: Path) -> None:
    def ask() -> None:
        with pytest.raises(NotWritableError, match=r"belongs to .*\(uid 0\) with mode d.*Run it as that user") as found:
            DocumentStore(folder, writable=True)
        assert "damaged" not in str(found.value)
        with pytest.raises(NotWritableError, match="can't be created"):
            Collection.create(folder / "new", _model())

    as_another_user(ask, folder)


@pytest.mark.parametrize("closed", [FILE_NAME, "."])
def test_a_store_that_may_not_be_read(folder: Path, closed: str) -> None:
    def ask() -> None:
        with pytest.raises(
            StateError, match=r"can't be (read|opened): permission denied for uid .* belongs to"
        ) as found:
            DocumentStore(folder)
        assert "damaged" not in str(found.value)

    (folder / closed).chmod(0)
    as_another_user(ask, folder.parent)


def test_a_file_of_a_folder_that_may_be_written_may_not(folder: Path) -> None:
    folder.chmod(0o777)
    (folder / LOCK_NAME).chmod(0o666)

    def ask() -> None:
        with pytest.raises(NotWritableError, match=rf"{FILE_NAME} belongs to .*\(uid 0\)"):
            DocumentStore(folder, writable=True)
        with DocumentStore(folder) as store:
            assert _count(store) == 1

    as_another_user(ask, folder)


def test_a_reader_sees_what_the_owner_commits_later(folder: Path) -> None:
    to_owner, to_reader = os.pipe(), os.pipe()
    if os.fork() == 0:  # the owner, who writes, closes, and writes again, when told to
        try:
            for name in ("second", "third", "fourth"):
                os.read(to_owner[0], 1)
                with DocumentStore(folder, writable=True) as store:
                    store.put([_item(name)])
                    if name == "fourth":
                        os.write(to_reader[1], b"!")  # open still, with all that is new in the log
                        os.read(to_owner[0], 1)
                if name != "fourth":
                    os.write(to_reader[1], b"!")
        finally:
            os._exit(0)

    def ask() -> None:
        with DocumentStore(folder) as store:
            seen = [(_count(store), store.data_version())]
            for _ in range(3):
                os.write(to_owner[1], b"!")
                os.read(to_reader[0], 1)
                seen.append((_count(store), store.data_version()))
            os.write(to_owner[1], b"!")
        assert [n for n, _ in seen] == [1, 2, 3, 4]
        assert len({version for _, version in seen}) == 4

    try:
        as_another_user(ask, folder)
    finally:
        os.write(to_owner[1], b"!!!!")
        os.wait()
        for descriptor in (*to_owner, *to_reader):
            os.close(descriptor)


def test_what_was_left_in_the_log_is_read_or_named(folder: Path) -> None:
    pid = os.fork()
    if pid == 0:
        DocumentStore(folder, writable=True).put([_item("second")])
        os._exit(0)  # with the log as it is
    os.waitpid(pid, 0)
    assert (folder / f"{FILE_NAME}-wal").stat().st_size

    def ask() -> None:
        with DocumentStore(folder) as store:
            assert _count(store) == 2

    as_another_user(ask, folder)
    (folder / f"{FILE_NAME}-shm").unlink()

    def ask_without_an_index_of_the_log() -> None:
        with pytest.raises(StateError, match=r"stopped before it merged them from .*-wal.*-t verify"):
            DocumentStore(folder)

    as_another_user(ask_without_an_index_of_the_log, folder)


def test_a_read_only_file_system(folder: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from crossmodal.store.sqlite import DocumentStore\n"
        "print(DocumentStore(Path(sys.argv[1])).counts()['text'])\n"
        "try: DocumentStore(Path(sys.argv[1]), writable=True)\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    command = [*read_only([folder]), sys.executable, "-c", script, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.stdout.startswith("1\nNotWritableError "), done.stderr
    assert "mounted read-only" in done.stdout


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (sqlite3.SQLITE_FULL, "the disk is full"),
        (sqlite3.SQLITE_IOERR_WRITE, "the disk failed, or its quota"),
        (sqlite3.SQLITE_BUSY, "in use by another process"),
        (sqlite3.SQLITE_LOCKED, "in use by another process"),
        (sqlite3.SQLITE_CANTOPEN, "can't be opened"),
        (sqlite3.SQLITE_CORRUPT, "is damaged"),
        (sqlite3.SQLITE_CORRUPT_INDEX, "is damaged"),
        (sqlite3.SQLITE_NOTADB, "is damaged"),
        (sqlite3.SQLITE_NOMEM, "out of memory"),
    ],
)
def test_every_error_of_sqlite_has_its_own_words(folder: Path, code: int, told: str) -> None:
    error = sqlite3.OperationalError("as SQLite says it")
    error.sqlite_errorcode, error.sqlite_errorname = code, "SQLITE_X"
    message = str(explained(folder / FILE_NAME, error))
    assert told in message
    assert str(folder / FILE_NAME) in message
    assert ("damaged" in message) == ("damaged" in told)


def test_a_bug_stays_one(folder: Path) -> None:
    with DocumentStore(folder) as store, pytest.raises(sqlite3.OperationalError, match="no such table"):
        store.database.rows("SELECT * FROM elsewhere")


def test_a_page_that_is_damaged_is_named_while_reading(folder: Path) -> None:
    with DocumentStore(folder, writable=True) as store:
        store.put([_item(f"{n}" * 50) for n in range(2_000)])
    with (folder / FILE_NAME).open("r+b") as file:
        file.seek(16_384 * 3)
        file.write(b"\xff" * 16_384 * 20)
    with DocumentStore(folder) as store, pytest.raises(StateError, match=r"documents\.sqlite is damaged"):
        store.everything(0, 3_000)


def test_a_limit_of_open_files_is_no_damage(folder: Path) -> None:
    script = (
        "import resource, sys; from pathlib import Path; from crossmodal.store.sqlite import DocumentStore\n"
        "import os; resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir('/proc/self/fd')) - 1,) * 2)\n"
        "DocumentStore(Path(sys.argv[1]))"
    )
    command = [sys.executable, "-c", script, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert "StateError" in done.stderr
    assert "too many open files" in done.stderr
    assert "damaged" not in done.stderr


def test_folders_of_others_in_a_workspace_are_passed_by(tmp_path: Path) -> None:
    Collection.create(tmp_path / "mine", _model())
    (tmp_path / "closed").mkdir(mode=0)
    (tmp_path / "lost+found").mkdir(mode=0)
    as_another_user(lambda: _equal(collections(tmp_path), ["mine"]), tmp_path)


def _equal(found: object, expected: object) -> None:
    assert found == expected


def _model() -> ModelSpec:
    return ModelSpec("clip", "scenes", "0" * 64, DIM, Preprocessing(96))
