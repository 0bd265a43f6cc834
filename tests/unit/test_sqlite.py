"""The store in SQLite: its file, and one writer beside many readers."""

import itertools
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from crossmodal.core.errors import StateError
from crossmodal.core.reading import Reading, ReadLine
from crossmodal.core.types import Document
from crossmodal.store import database
from crossmodal.store.locks import FILE_NAME
from crossmodal.store.source_files import SourceFile
from crossmodal.store.sqlite import DocumentStore, NewDocument
from crossmodal.store.where import parse

DIM = 4


def item(name: str, modality: str = "text", **fields: object) -> NewDocument:
    vector = np.zeros(DIM, np.float32)
    vector[len(name) % DIM] = 1
    return NewDocument(Document(name, modality, **fields), vector)  # type: ignore[arg-type]


def test_a_second_writer_is_refused_and_readers_are_not(tmp_path: Path) -> None:
    with DocumentStore(tmp_path, writable=True) as one:
        one.put([item("a")])
        with pytest.raises(StateError, match=f"another process is writing to {tmp_path}"):
            DocumentStore(tmp_path, writable=True)
        with DocumentStore(tmp_path) as reader:
            assert reader.document("a") is not None
        one.put([item("b")])
    with DocumentStore(tmp_path, writable=True) as two:
        assert two.put([item("a"), item("c")]) == ["unchanged", "indexed"]


def test_a_store_that_is_being_made_is_none_yet_or_whole(tmp_path: Path) -> None:
    """A reader beside the writer that makes the file never sees it half way through its migrations."""
    outcomes: set[str] = set()
    folders = [tmp_path / str(n) for n in range(20)]
    is_made = threading.Event()

    def read() -> None:
        while not is_made.is_set():
            for folder in folders:
                try:
                    DocumentStore(folder).close()
                except StateError as error:
                    outcomes.add(str(error).replace(str(folder), "FOLDER"))

    for folder in folders:
        folder.mkdir()
    reader = threading.Thread(target=read)
    reader.start()
    for folder in folders:
        DocumentStore(folder, writable=True).close()
    is_made.set()
    reader.join()
    assert outcomes <= {"no index in FOLDER: run `python app.py -t index` first"}


def test_a_writer_that_was_killed_locks_nobody_out(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from crossmodal.store.sqlite import DocumentStore\n"
        "store = DocumentStore(Path(sys.argv[1]), writable=True); print('open', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"open\n"
    with pytest.raises(StateError, match="another process"):
        DocumentStore(tmp_path, writable=True)
    process.kill()
    process.communicate()
    DocumentStore(tmp_path, writable=True).close()


def test_a_store_of_the_first_format_is_brought_up_by_a_writer(tmp_path: Path) -> None:
    first = database._migrations()[0][1]
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    connection.executescript(f"{first}\nPRAGMA user_version = 1;")
    connection.execute("INSERT INTO documents (id, modality, seq) VALUES ('a', 'text', 1)")
    connection.execute("UPDATE sequence SET last = 1")
    connection.commit()
    connection.close()
    with pytest.raises(StateError, match=r"format 1.*verify` once"):
        DocumentStore(tmp_path)
    with DocumentStore(tmp_path, writable=True) as store:
        assert store.document("a") is not None
        assert [document.id for document in store.remove(["a"])] == ["a"]
        assert store.last_seq() == 2


def test_reading_where_there_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"no index in .* run `python app.py -t index` first"):
        DocumentStore(tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("writable", [False, True])
def test_a_newer_format_is_refused(tmp_path: Path, writable: bool) -> None:
    DocumentStore(tmp_path, writable=True).close()
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(StateError, match=r"format 999.*update the program"):
        DocumentStore(tmp_path, writable=writable)


def test_a_refused_store_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    DocumentStore(tmp_path, writable=True).close()
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def remember(*args: object, **options: object) -> sqlite3.Connection:
        opened.append(connect(*args, **options))  # type: ignore[call-overload]
        return opened[-1]

    monkeypatch.setattr("crossmodal.store.database._migrations", lambda: [(7, "")])
    monkeypatch.setattr("crossmodal.store.database.OLDEST_READ", 7)
    monkeypatch.setattr(sqlite3, "connect", remember)
    with pytest.raises(StateError, match="verify` once"):
        DocumentStore(tmp_path)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0].execute("SELECT 1")


@pytest.mark.parametrize("writable", [False, True])
def test_a_file_that_is_no_database(tmp_path: Path, writable: bool) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"this is not a database at all" * 100)
    with pytest.raises(StateError, match=r"damaged|not a database"):
        DocumentStore(tmp_path, writable=writable)


CALLS: dict[str, Callable[[DocumentStore], object]] = {
    "known": lambda store: store.known(["p1", "p2"]),
    "without_content": lambda store: store.without_content(["p1", "p2"]),
    "by_keys": lambda store: store.by_keys([1, 2]),
    "captions_of": lambda store: store.captions_of(["p1", "p2"]),
    "caption_texts_of": lambda store: store.caption_texts_of(["p1", "p2"]),
    "captions_by_keys": lambda store: store.captions_by_keys([1, 2]),
    "changes_after": lambda store: store.changes_after("text", 3, 4),
    "vectors_of": lambda store: store.vectors_of(["p1", "p2"]),
    "caption_vectors_of": lambda store: store.caption_vectors_of(["p1", "p2"]),
    "everything": lambda store: store.everything(3, 4),
    "thumbnails": lambda store: store.thumbnails([1, 2]),
    "content": lambda store: store.content("p1"),
    "random_captions": lambda store: store.random_captions(0),
    "readings.exist": lambda store: store.readings.exist(),
    "readings.of": lambda store: store.readings.of(["p1", "p2"]),
    "readings.changes_after": lambda store: store.readings.changes_after(store.last_seq() - 2),
    "files.paths_of": lambda store: store.files.paths_of("p1"),
    "keys_where": lambda store: store.keys_where(parse("image_id = 'p1'"), "text"),
    "ids_where": lambda store: store.ids_where(parse("image_id in ('p1', 'p2') or id = 'p1'")),
    "put": lambda store: store.put([item("new", "image"), item("p1", "image")]),
    "describe": lambda store: store.describe([Document("p1", "image", uri="/moved.jpg")]),
    "update": lambda store: store.update([("p1", {"n": 1})]),
    "remove": lambda store: store.remove(["p1", "p2"]),
    "files.put": lambda store: store.files.put("source", [SourceFile("/new.jpg", 1, 1, "p1")]),
    "files.forget": lambda store: store.files.forget(["/p1.jpg"]),
    "readings.put": lambda store: store.readings.put([("p1", Reading(""))]),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_concerns_a_few_documents_takes_as_many_steps_in_a_large_store(tmp_path: Path, name: str) -> None:
    small, large = (steps_of(tmp_path / str(n), n, CALLS[name]) for n in (10, 1000))
    assert 0 < large < 2 * small


@pytest.mark.parametrize(
    "read", [DocumentStore.counts, lambda store: store.keys_where(parse("tags.n is not null"), "image")]
)
def test_reading_all_documents_happens_once_between_two_commits(
    tmp_path: Path, read: Callable[[DocumentStore], object]
) -> None:
    def twice(store: DocumentStore) -> None:
        read(store)
        read(store)

    once, again = (steps_of(tmp_path / name, 1000, how) for name, how in (("once", read), ("again", twice)))
    assert once > 1000
    assert again < once + 20


def steps_of(folder: Path, n: int, read: Callable[[DocumentStore], object]) -> int:
    """Instructions of SQLite's virtual machine for a call of a store of `n` pictures, each with a caption."""
    folder.mkdir()
    with DocumentStore(folder, writable=True) as store:
        store.put([item(f"p{i}", "image") for i in range(n)])
        store.put([item(f"c{i}", image_id=f"p{i}") for i in range(n)])
        store.files.put("source", [SourceFile(f"/p{i}.jpg", 1, 1, f"p{i}") for i in range(n)])
        store.readings.put([(f"p{i}", Reading("", (ReadLine("a", 1.0, (0.0,) * 8),))) for i in range(n)])
        ticks = itertools.count()
        store.database._connection.set_progress_handler(lambda: next(ticks) < 0, 1)
        read(store)
        return next(ticks)
