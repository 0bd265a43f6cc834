"""The store: one writer, many readers, nothing twice."""

import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crossmodal.core.errors import StateError
from crossmodal.core.types import Document
from crossmodal.store.sqlite import FILE_NAME, DocumentStore, NewDocument

DIM = 4


def item(name: str, modality: str = "text", **fields: object) -> NewDocument:
    vector = np.zeros(DIM, np.float32)
    vector[len(name) % DIM] = 1
    return NewDocument(Document(name, modality, **fields), vector)  # type: ignore[arg-type]


def test_put_and_read_back(tmp_path: Path) -> None:
    document = Document(
        "id1", "image", "/pictures/ä.jpg", "image/jpeg", "", 640, 480, "",
        {"filename": "ä.jpg", "split": "test", "n": 3, "deep": {"a": [1, None]}},
    )  # fmt: skip
    with DocumentStore(tmp_path, writable=True) as store:
        assert store.put([NewDocument(document, np.eye(DIM, dtype=np.float32)[0], b"jpeg", b"content")]) == ["indexed"]
        assert store.document("id1") == document
        assert store.document("id2") is None
        assert store.thumbnail("id1") == b"jpeg"
        assert store.content("id1") == b"content"
        assert store.counts() == {"image": 1, "text": 0}


def test_thumbnail_and_content_may_be_missing(tmp_path: Path) -> None:
    with DocumentStore(tmp_path, writable=True) as store:
        store.put([item("a", "image")])
        assert store.thumbnail("a") is None
        assert store.content("a") is None
        assert store.thumbnail("nobody") is None


def test_put_again_changes_nothing(tmp_path: Path) -> None:
    with DocumentStore(tmp_path, writable=True) as store:
        store.put([item("a"), item("bb")])
        before = store.vectors_after("text", 0)
        assert store.put([item("a"), item("bb")]) == ["unchanged", "unchanged"]
        after = store.vectors_after("text", 0)
        assert [x.tolist() for x in before[:2]] == [x.tolist() for x in after[:2]]
        assert store.last_seq() == 2
        assert store.counts()["text"] == 2


def test_outcomes_come_in_the_order_given(tmp_path: Path) -> None:
    with DocumentStore(tmp_path, writable=True) as store:
        store.put([item("b")])
        assert store.put([item("a"), item("b"), item("c"), item("a")]) == [
            "indexed", "unchanged", "indexed", "unchanged",
        ]  # fmt: skip
        assert store.put([]) == []


def test_what_is_said_of_a_known_document_is_refreshed(tmp_path: Path) -> None:
    with DocumentStore(tmp_path, writable=True) as store:
        store.put([item("a", "image", uri="/old.jpg", tags={"split": "train"}, width=3)])
        moved = item("a", "image", uri="/new.jpg", tags={"split": "test"}, width=3)
        assert store.put([moved]) == ["unchanged"]
        assert store.document("a") == moved.document


def test_a_failed_put_leaves_nothing(tmp_path: Path) -> None:
    with DocumentStore(tmp_path, writable=True) as store:
        with pytest.raises(sqlite3.IntegrityError):
            store.put([item("a"), item("b", "sound")])
        assert store.document("a") is None
        assert store.last_seq() == 0
        assert store.put([item("a")]) == ["indexed"]


def test_vectors_come_in_order_and_in_pages(tmp_path: Path) -> None:
    with DocumentStore(tmp_path, writable=True) as store:
        store.put([item("x" * n, "text" if n % 3 else "image") for n in range(1, 11)])
        seq, pages, vectors = 0, [], []
        while True:
            keys, rows, new_seq = store.vectors_after("text", seq, limit=3)
            if new_seq == seq:
                break
            seq = new_seq
            pages.append(len(keys))
            vectors.append(rows)
            assert rows.shape == (len(keys), DIM)
            assert rows.dtype == np.float32
        assert pages == [3, 3, 1]
        found = np.concatenate(vectors).argmax(axis=1).tolist()
        assert found == [n % DIM for n in range(1, 11) if n % 3]


def test_vectors_after_the_last(tmp_path: Path) -> None:
    with DocumentStore(tmp_path, writable=True) as store:
        store.put([item("a")])
        keys, vectors, seq = store.vectors_after("image", 0)
        assert (len(keys), len(vectors), seq) == (0, 0, 0)
        assert store.vectors_after("text", 1)[2] == 1


def test_documents_by_key(tmp_path: Path) -> None:
    with DocumentStore(tmp_path, writable=True) as store:
        items = [item(f"id-{n}") for n in range(1_201)]
        store.put(items)
        keys, _, _ = store.vectors_after("text", 0)
        found = store.by_keys([*keys.tolist(), -1, 10**9])
        assert [found[key] for key in keys.tolist()] == [i.document for i in items]
        assert len(found) == len(items)
        assert set(store.known([i.document.id for i in items] + ["nobody"])) == {i.document.id for i in items}
        assert store.by_keys([]) == {}
        assert store.known([]) == {}


def test_captions_of_a_picture_in_the_order_they_came(tmp_path: Path) -> None:
    with DocumentStore(tmp_path, writable=True) as store:
        store.put([item("p", "image"), item("z", image_id="p", text="one"), item("q", image_id="other")])
        store.put([item("a", image_id="p", text="two")])
        assert [d.text for d in store.captions_of("p")] == ["one", "two"]
        assert store.captions_of("nobody") == []


def test_another_connection_sees_what_was_committed(tmp_path: Path) -> None:
    with DocumentStore(tmp_path, writable=True) as writer:
        writer.put([item("a")])
        with DocumentStore(tmp_path) as reader:
            version = reader.data_version()
            assert reader.data_version() == version
            writer.put([item("b")])
            assert reader.data_version() != version
            assert reader.document("b") is not None
            assert reader.last_seq() == 2


def test_what_put_returned_is_there_after_reopening(tmp_path: Path) -> None:
    with DocumentStore(tmp_path, writable=True) as store:
        store.put([item("a")])
    with DocumentStore(tmp_path, writable=True) as store:
        assert store.put([item("a"), item("b")]) == ["unchanged", "indexed"]
        assert store.last_seq() == 2


def test_threads_may_share_a_store(tmp_path: Path) -> None:
    with DocumentStore(tmp_path, writable=True) as store:
        threads = [
            threading.Thread(target=lambda t=t: [store.put([item(f"{t}-{n}"), item("same")]) for n in range(10)])  # type: ignore[misc]
            for t in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.counts()["text"] == 41
        assert len(store.vectors_after("text", 0)[0]) == 41


def test_two_writers_wait_for_each_other(tmp_path: Path) -> None:
    with DocumentStore(tmp_path, writable=True) as one, DocumentStore(tmp_path, writable=True) as two:
        one.put([item("a")])
        assert two.put([item("a"), item("b")]) == ["unchanged", "indexed"]
        one.put([item("c")])
        keys, _, seq = two.vectors_after("text", 0)
        assert (len(keys), seq) == (3, 3)


def test_reading_where_there_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"no index in .* run `python app.py -t index` first"):
        DocumentStore(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    DocumentStore(tmp_path, writable=True).close()
    with DocumentStore(tmp_path) as reader, pytest.raises(sqlite3.OperationalError):
        reader.put([item("a")])


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

    monkeypatch.setattr("crossmodal.store.sqlite._migrations", lambda: [(7, "")])
    monkeypatch.setattr(sqlite3, "connect", remember)
    with pytest.raises(StateError, match="index` once"):
        DocumentStore(tmp_path)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0].execute("SELECT 1")


@pytest.mark.parametrize("writable", [False, True])
def test_a_file_that_is_no_database(tmp_path: Path, writable: bool) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"this is not a database at all" * 100)
    with pytest.raises(StateError, match=r"damaged|not a database"):
        DocumentStore(tmp_path, writable=writable)


def test_documents_of_one_id_do_not_replace_each_other(tmp_path: Path) -> None:
    with DocumentStore(tmp_path, writable=True) as store:
        first = item("a", text="first")
        store.put([first])
        store.put([NewDocument(replace(first.document, text="second"), np.eye(DIM, dtype=np.float32)[3])])
        found = store.document("a")
        assert found is not None
        assert found.text == "first"
        assert store.vectors_after("text", 0)[1].tolist() == [first.vector.tolist()]
