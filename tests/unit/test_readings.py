"""The text in pictures in every store: read once, followed, copied, and never lost by indexing again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from signs import reading
from stores import NewStore, OpenStore

from crossmodal.collection.collection import Collection
from crossmodal.collection.transfer import export_collection, import_collection
from crossmodal.core.errors import InputError
from crossmodal.core.reading import MAX_TAG, Reading
from crossmodal.core.types import Document, ModelSpec, Preprocessing
from crossmodal.ingest.reindex import ReindexJob
from crossmodal.lexical.reading_replica import ReadingReplica
from crossmodal.store.copying import mirror
from crossmodal.store.records import NewDocument
from crossmodal.store.where import parse

VECTOR = np.eye(4, dtype=np.float32)[0]
MODEL = ModelSpec("clip", "small", "0" * 64, 4, Preprocessing(8))


def picture(name: str, read: Reading | None = None, **tags: object) -> NewDocument:
    return NewDocument(Document(name, "image", f"/{name}.jpg", tags=tags), VECTOR, b"jpeg", b"content", read)


def test_a_reading_is_put_and_read_back(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        store.put([picture("a", n=1), picture("b"), picture("c")])
        assert store.readings.exist() == (False, False)
        before = store.last_seq()
        assert store.readings.put([("a", reading("ÄPFEL 2 kg", "50%")), ("b", reading()), ("no", reading("x"))]) == 2
        assert store.last_seq() == before + 2
        assert store.readings.exist() == (True, True)
        assert store.readings.unread().tolist() == store.keys("image").tolist()[2:]
        assert store.readings.of(["a", "b", "c"]) == {"a": reading("ÄPFEL 2 kg", "50%"), "b": reading()}
        tags = {name: document.tags for name, document in store.known(["a", "b"]).items()}
        assert tags == {"a": {"n": 1, "text": "ÄPFEL 2 kg\n50%"}, "b": {}}
        assert store.ids_where(parse("tags.text contains '2 kg'")) == ["a"]


def test_the_text_stays_when_a_picture_is_indexed_again(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        store.put([picture("a", n=1)])
        store.readings.put([("a", reading("OPEN"))])
        store.put([picture("a", n=2)])
        assert store.known(["a"])["a"].tags == {"n": 2, "text": "OPEN"}
        store.describe([replace(picture("a", n=3).document, uri="/moved.jpg")])
        assert store.known(["a"])["a"].tags == {"n": 3, "text": "OPEN"}
        assert store.readings.exist() == (True, True)


def test_reading_again_replaces_and_removing_removes(open_store: OpenStore, tmp_path: Path) -> None:
    with open_store(writable=True) as store:
        store.put([picture("a"), picture("b", text="of a client")])
        replica = ReadingReplica(store, tmp_path)
        store.readings.put([("b", reading("BUS")), ("a", reading("BUS STOP"))])
        key_a, key_b = store.keys("image").tolist()
        assert replica.matches(["bus"]).keys.tolist() == [key_a, key_b]
        assert replica.matches(["stop"]).keys.tolist() == [key_a]
        store.readings.put([("a", reading())])
        assert "text" not in store.known(["a"])["a"].tags
        assert replica.matches(["bus"]).keys.tolist() == [key_b]
        store.remove(["b"])
        assert len(replica.matches(["bus"]).keys) == 0
        assert store.readings.exist() == (True, False)


def test_the_index_is_opened_from_its_snapshot_and_follows(open_store: OpenStore, tmp_path: Path) -> None:
    with open_store(writable=True) as store:
        store.put([picture("a"), picture("b"), picture("c")])
        store.readings.put([("c", reading("first")), ("a", reading("second"))])
        assert ReadingReplica(store, tmp_path).snapshot()
        store.readings.put([("b", reading("third")), ("c", reading("fourth"))])
        replica = ReadingReplica(store, tmp_path)
        a, b, c = store.keys("image").tolist()
        found = {word: replica.matches([word]).keys.tolist() for word in ("first", "second", "third", "fourth")}
        assert found == {"first": [], "second": [a], "third": [b], "fourth": [c]}
        store.remove(["a"])
        store.compact()
        assert len(ReadingReplica(store, tmp_path).matches(["second"]).keys) == 0


def test_a_mirror_has_the_readings_and_loses_stale_ones(new_store: NewStore) -> None:
    with new_store()(writable=True) as source, new_store()(writable=True) as target:
        source.put([picture("a"), picture("b")])
        source.readings.put([("a", reading("one")), ("b", reading("two"))])
        for text in ("one", "changed"):
            source.readings.put([("a", reading(text))])
            mirror(source, target, lambda _: None)
            last = source.copying.numbers().last_key
            assert target.readings.rows(0, last) == source.readings.rows(0, last)
            assert target.known(["a"]) == source.known(["a"])


def test_the_tag_of_a_long_text_is_cut() -> None:
    assert len(reading("word " * 999).tag) == MAX_TAG
    assert reading("short").tag == "short"


@pytest.mark.parametrize("content", ["{}", "[]", '{"engine": "e", "lines": [{"text": "a"}]}'])
def test_a_damaged_reading_is_refused(content: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        Reading.from_json(content)


def collection_with_text(folder: Path) -> Collection:
    made = Collection.create(folder, MODEL)
    with made.store(writable=True) as store:
        store.put([picture("a"), picture("b")])
        store.readings.put([("a", reading("KEPT"))])
    return made


def test_an_export_has_the_readings(tmp_path: Path) -> None:
    source, file = collection_with_text(tmp_path / "signs"), tmp_path / "signs.parquet"
    export_collection(source, file)
    imported = import_collection(file, tmp_path / "other").collection
    with imported.store() as store:
        assert store.readings.of(["a", "b"]) == {"a": reading("KEPT")}
        assert store.known(["a"])["a"].tags == {"text": "KEPT"}
    assert import_collection(file, tmp_path / "other").unchanged == 2


def test_an_import_adds_readings_to_known_pictures_only_if_they_have_none(tmp_path: Path) -> None:
    source, file = collection_with_text(tmp_path / "signs"), tmp_path / "signs.parquet"
    export_collection(source, file)
    other = Collection.create(tmp_path / "other" / "signs", MODEL)
    with other.store(writable=True) as store:
        store.put([picture("a"), picture("b")])
    import_collection(file, tmp_path / "other")
    with other.store(writable=True) as store:
        assert store.readings.of(["a"]) == {"a": reading("KEPT")}
        store.readings.put([("a", reading("NEWER"))])
    import_collection(file, tmp_path / "other")
    with other.store() as store:
        assert store.readings.of(["a"]) == {"a": reading("NEWER")}
        assert store.known(["a"])["a"].tags == {"text": "NEWER"}


def test_a_damaged_reading_in_a_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, file = collection_with_text(tmp_path / "signs"), tmp_path / "signs.parquet"
    with monkeypatch.context() as patched:
        patched.setattr(Reading, "to_json", lambda self: "{}")
        export_collection(source, file)
    with pytest.raises(InputError, match=r"row 1: the text read in the picture is damaged"):
        import_collection(file, tmp_path / "other")


def test_another_generation_has_the_readings(tmp_path: Path) -> None:
    old = collection_with_text(tmp_path / "signs")
    new = old.next_generation(replace(MODEL, weights="other", weights_hash="1" * 64))
    job = ReindexJob(old)
    with new.store(writable=True) as store:
        store.put([picture("b"), picture("a")])
    job.finish(new, without_failures=False)
    current = Collection.open(old.root)
    assert current.generation
    assert (current.index_folder / "readings.json").exists(), "each process would build the index again"
    with current.store() as store:
        assert store.readings.of(["a", "b"]) == {"a": reading("KEPT")}
    with current.roll_back().store() as store:
        assert store.readings.exist() == (True, True)
