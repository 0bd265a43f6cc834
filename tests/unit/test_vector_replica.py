"""An index that follows its store: catching up, snapshots, damage, shards."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from crossmodal.core.errors import StateError
from crossmodal.core.files import checksum, write_atomically
from crossmodal.core.types import Document, Keys, Modality, Vectors
from crossmodal.index.config import IndexConfig
from crossmodal.index.dense import DenseIndex
from crossmodal.index.vector_replica import VectorReplica
from crossmodal.store.locks import FILE_NAME
from crossmodal.store.sqlite import DocumentStore, NewDocument

DIM = 16


def items(names: list[str], modality: str = "text") -> list[NewDocument]:
    made = []
    for name in names:
        vector = np.random.default_rng([ord(c) for c in name]).normal(size=DIM).astype(np.float32)
        made.append(NewDocument(Document(name, modality), vector / np.linalg.norm(vector)))  # type: ignore[arg-type]
    return made


def names(prefix: str, n: int) -> list[str]:
    return [f"{prefix}{i}" for i in range(n)]


def opened(store: DocumentStore, folder: Path, shard: int = 0, n_shards: int = 1) -> VectorReplica:
    return VectorReplica(store, "text", folder / "index", DIM, shard, n_shards)


def all_of(store: DocumentStore) -> tuple[Keys, Vectors]:
    changes = store.changes_after("text", 0)
    assert changes is not None
    return changes.added, changes.vectors


def finds_everything(index: VectorReplica) -> bool:
    """Whether each vector of the store is found under its own key, and nothing else is there."""
    keys, vectors = all_of(index.store)
    if not len(keys):
        return len(index) == 0
    scores, found = index.search(vectors, 1)
    return len(index) == len(keys) and found[:, 0].tolist() == keys.tolist() and bool((scores > 0.999).all())


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """A collection folder with 20 texts and a snapshot of them."""
    with DocumentStore(tmp_path, writable=True) as store:
        store.put(items(names("a", 20)))
        assert opened(store, tmp_path).snapshot()
    return tmp_path


def test_it_holds_what_the_store_has(tmp_path: Path) -> None:
    with DocumentStore(tmp_path, writable=True) as store:
        store.put(items(names("a", 30)) + items(names("p", 5), "image"))
        index = opened(store, tmp_path)
        assert len(index) == 30
        assert finds_everything(index)


def test_it_follows_another_connection(tmp_path: Path) -> None:
    with DocumentStore(tmp_path, writable=True) as writer:
        writer.put(items(["a"]))
        with DocumentStore(tmp_path) as reader:
            index = opened(reader, tmp_path)
            assert index.refresh() == 0
            new = items(["b", "c"])
            writer.put([*new, *items(["p"], "image")])
            assert index.search(new[0].vector[None], 1)[0][0, 0] > 0.999
            assert len(index) == 3
            writer.put(items(["d"]))
            assert index.refresh() == 1
            assert index.refresh() == 0
            writer.put(items(["a", "b"]))
            assert index.refresh() == 0
            assert finds_everything(index)


def test_an_empty_store(tmp_path: Path) -> None:
    with DocumentStore(tmp_path, writable=True) as store:
        index = opened(store, tmp_path)
        assert len(index) == 0
        assert not index.snapshot()
        assert index.search(np.eye(1, DIM, dtype=np.float32), 2)[1].tolist() == [[-1, -1]]


def test_a_snapshot_is_written_once_for_the_same_content(snapshot: Path) -> None:
    with DocumentStore(snapshot) as store:
        index = opened(store, snapshot)
        before = sorted((snapshot / "index").iterdir())
        assert not index.snapshot()
        assert sorted((snapshot / "index").iterdir()) == before


def test_a_large_store_that_was_compacted_is_followed(tmp_path: Path) -> None:
    """More documents than are read at a time."""
    with DocumentStore(tmp_path, writable=True) as store:
        store.put(items(names("c", 10_100)))
        store.remove(names("c", 50))
        store.compact()
        assert len(opened(store, tmp_path)) == 10_050


def test_a_snapshot_is_used(snapshot: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    asked = []
    original = DocumentStore.changes_after

    def remember(self: DocumentStore, modality: Modality, seq: int, **options: int) -> object:
        asked.append(seq)
        return original(self, modality, seq, **options)

    monkeypatch.setattr(DocumentStore, "changes_after", remember)
    with DocumentStore(snapshot) as store:
        index = opened(store, snapshot)
        assert asked == [20]
        assert finds_everything(index)
    assert not caplog.records


def test_what_came_after_the_snapshot_is_replayed(snapshot: Path) -> None:
    with DocumentStore(snapshot, writable=True) as store:
        store.put(items(names("b", 7)))
        index = opened(store, snapshot)
        assert len(index) == 27
        assert finds_everything(index)
        assert index.snapshot()
        assert len(list((snapshot / "index").glob("*.vectors.npy"))) == 1
        assert finds_everything(opened(store, snapshot))


@pytest.mark.parametrize("damage", ["truncated", "flipped", "emptied", "removed"])
def test_a_damaged_snapshot_is_made_again(snapshot: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    [path] = (snapshot / "index").glob("*.vectors.npy")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    {
        "truncated": lambda: path.write_bytes(content[:100]),
        "flipped": lambda: path.write_bytes(content),
        "emptied": lambda: path.write_bytes(b""),
        "removed": path.unlink,
    }[damage]()
    with caplog.at_level(logging.WARNING), DocumentStore(snapshot) as store:
        assert finds_everything(opened(store, snapshot))
    assert "the snapshot is not usable" in caplog.text


@pytest.mark.parametrize(
    "pointer",
    [
        "",
        "{",
        "{}",
        "[]",
        "null",
        "3",
        '{"format": 2}',
        '{"format": 1, "file": "x", "sha256": "y", "last_seq": 1}',
        '{"format": 2, "stem": 5, "files": [], "store_id": "", "last_seq": 1, "count": 1, "dim": 16}',
    ],
)
def test_a_damaged_pointer_is_passed_over(snapshot: Path, pointer: str, caplog: pytest.LogCaptureFixture) -> None:
    (snapshot / "index" / "text-0-of-1.json").write_text(pointer)
    with caplog.at_level(logging.WARNING), DocumentStore(snapshot) as store:
        assert finds_everything(opened(store, snapshot))
    assert "the snapshot is not usable" in caplog.text


@pytest.mark.parametrize("name", ["format", "stem", "files", "store_id", "last_seq", "count", "dim", "built_for"])
@pytest.mark.parametrize("value", [None, "x", -1, 1.5, True, [], {"../x": ""}, {"x": 1}])
def test_a_pointer_with_a_wrong_entry_is_passed_over(snapshot: Path, name: str, value: object) -> None:
    pointer = snapshot / "index" / "text-0-of-1.json"
    pointer.write_text(json.dumps({**json.loads(pointer.read_text()), name: value}))
    with DocumentStore(snapshot) as store:
        assert finds_everything(opened(store, snapshot))


def test_a_snapshot_of_a_kind_that_is_no_longer_built_is_built_again(snapshot: Path) -> None:
    folder = snapshot / "index"
    pointer = json.loads((folder / "text-0-of-1.json").read_text())
    rows = folder / f"{pointer['stem']}.rows.npz"
    with np.load(rows) as file:
        arrays = dict(file)
    np.savez(rows, **{**arrays, "kind": "flat-sq8"})
    pointer["files"][rows.name] = checksum(rows)
    (folder / "text-0-of-1.json").write_text(json.dumps(pointer))
    with DocumentStore(snapshot) as store:
        index = opened(store, snapshot)
        assert "flat-sq8" in index.opening_problem
        assert finds_everything(index)


def test_a_bug_is_not_taken_for_a_damaged_snapshot(snapshot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DenseIndex, "load", lambda *_: None.frozen)  # type: ignore[attr-defined]
    with DocumentStore(snapshot) as store, pytest.raises(AttributeError):
        opened(store, snapshot)


def test_a_pointer_with_a_sequence_number_in_letters(snapshot: Path) -> None:
    pointer = snapshot / "index" / "text-0-of-1.json"
    pointer.write_text(json.dumps({**json.loads(pointer.read_text()), "last_seq": "twenty"}))
    with DocumentStore(snapshot) as store:
        assert finds_everything(opened(store, snapshot))


def test_an_index_of_another_dim_is_passed_over(snapshot: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (
        DocumentStore(snapshot) as store,
        caplog.at_level(logging.WARNING),
        pytest.raises(ValueError, match="expected"),
    ):
        VectorReplica(store, "text", snapshot / "index", DIM + 1)
    assert "does not match this store" in caplog.text


@pytest.mark.parametrize("n_texts", [5, 20, 40])
def test_a_snapshot_of_another_store_is_passed_over(snapshot: Path, n_texts: int) -> None:
    """The database was removed and made anew, with fewer, as many and more texts, and `index/` was left."""
    for path in snapshot.glob(f"{FILE_NAME}*"):
        path.unlink()
    with DocumentStore(snapshot, writable=True) as store:
        store.put(items(names("other", n_texts)))
        assert finds_everything(opened(store, snapshot))


@pytest.mark.parametrize("n_shards", [2, 3])
def test_shards_part_the_keys(tmp_path: Path, n_shards: int) -> None:
    with DocumentStore(tmp_path, writable=True) as store:
        store.put(items(names("a", 25)))
        shards = [opened(store, tmp_path, shard, n_shards) for shard in range(n_shards)]
        keys, vectors = all_of(store)
        held = [set(shard.search(vectors, 25)[1].ravel().tolist()) - {-1} for shard in shards]
        assert sorted(key for part in held for key in part) == keys.tolist()
        assert all(key % n_shards == shard for shard, part in enumerate(held) for key in part)
        assert sum(len(shard) for shard in shards) == 25
        assert all(shard.snapshot() for shard in shards)
        again = [opened(store, tmp_path, shard, n_shards) for shard in range(n_shards)]
        assert [len(shard) for shard in again] == [len(shard) for shard in shards]
        assert len(list((tmp_path / "index").glob("*.vectors.npy"))) == n_shards


def test_snapshots_of_modalities_and_shards_do_not_meet(snapshot: Path) -> None:
    with DocumentStore(snapshot, writable=True) as store:
        store.put(items(names("p", 3), "image"))
        image = VectorReplica(store, "image", snapshot / "index", DIM)
        half = opened(store, snapshot, 0, 2)
        assert (len(image), len(half)) == (3, 10)
        assert image.snapshot()
        assert half.snapshot()
        assert len(list((snapshot / "index").glob("*.vectors.npy"))) == 3


def test_removed_documents_are_not_found_any_more(snapshot: Path) -> None:
    with DocumentStore(snapshot, writable=True) as store:
        index = opened(store, snapshot)
        [gone] = items(["a3"])
        store.remove(["a3", "a7"])
        assert index.search(gone.vector[None], 1)[0][0, 0] < 0.999
        assert len(index) == 18
        assert finds_everything(index)
        assert finds_everything(opened(store, snapshot))
        assert index.snapshot()
        assert finds_everything(opened(store, snapshot))
        store.put([gone])
        assert finds_everything(index)


def test_compacting_leaves_no_removed_vectors_in_the_files(snapshot: Path) -> None:
    with DocumentStore(snapshot, writable=True) as store:
        index = opened(store, snapshot)
        store.remove(names("a", 10))
        index.compact()
        assert (index.index.n_dead, index.index.n_tail, len(index)) == (0, 0, 10)
        store.compact()
        again = opened(store, snapshot)
        assert (again.index.n_dead, again.index.n_tail) == (0, 0)
        assert finds_everything(again)


def test_an_index_that_missed_removals_starts_over(snapshot: Path) -> None:
    with DocumentStore(snapshot, writable=True) as store:
        with DocumentStore(snapshot) as other:
            following = opened(other, snapshot)
            store.remove(["a0"])
            store.compact()
            store.put(items(["b"]))
            assert finds_everything(following)
        assert finds_everything(opened(store, snapshot))


def test_rebuilding_takes_everything_from_the_store(snapshot: Path) -> None:
    for path in (snapshot / "index").iterdir():
        path.write_bytes(b"")
    with DocumentStore(snapshot) as store:
        index = opened(store, snapshot)
        index.rebuild()
        assert finds_everything(index)
        assert opened(store, snapshot).opening_problem == ""


def test_an_index_whose_rebuild_was_stopped_goes_on_at_the_next_search(
    snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object, **__: object) -> None:
        raise StateError("the connection was lost")

    with DocumentStore(snapshot) as store:
        index = opened(store, snapshot)
        monkeypatch.setattr(store, "changes_after", lost)
        with pytest.raises(StateError, match="the connection was lost"):
            index.rebuild()
        monkeypatch.undo()
        assert finds_everything(index)


def test_an_older_snapshot_that_another_process_writes_meanwhile_hides_nothing(
    snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_both(path: Path, content: bytes) -> None:
        older = path.read_bytes()
        write_atomically(path, content)
        write_atomically(path, older)

    with DocumentStore(snapshot, writable=True) as store:
        index = opened(store, snapshot)
        store.put(items(names("b", 9)))
        index.refresh()
        monkeypatch.setattr("crossmodal.index.replica.write_atomically", write_both)
        assert index.snapshot()
        assert finds_everything(index)


def test_a_serving_index_takes_over_what_another_process_has_compacted(snapshot: Path) -> None:
    with DocumentStore(snapshot) as reader, DocumentStore(snapshot, writable=True) as store:
        serving = opened(reader, snapshot)
        store.remove(names("a", 10))
        serving.refresh()
        assert serving.index.n_dead == 10
        opened(store, snapshot).compact()
        store.put(items(["b"]))
        assert finds_everything(serving)
        assert serving.index.n_dead == 0


def test_a_disk_that_takes_no_snapshot_leaves_the_old_one(snapshot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with DocumentStore(snapshot, writable=True) as store:
        index = opened(store, snapshot)
        store.put(items(names("b", 9)))
        index.refresh()
        before = sorted((snapshot / "index").iterdir())
        monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(StateError, match=r"the disk is full.*-t rebuild"):
            index.snapshot()
        monkeypatch.undo()
        assert sorted((snapshot / "index").iterdir()) == before
        assert finds_everything(index)
        assert finds_everything(opened(store, snapshot))


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    write_atomically(path, b"old")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("no space")))
    with pytest.raises(OSError, match="no space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    monkeypatch.undo()
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


def test_faiss_cannot_write_either(snapshot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("write error (No space left on device)")

    with DocumentStore(snapshot, writable=True) as store:
        index = VectorReplica(store, "text", snapshot / "index", DIM, index_config=IndexConfig("hnsw-fp16"))
        store.put(items(names("b", 9)))
        index.refresh()
        monkeypatch.setattr("faiss.write_index", fail)
        with pytest.raises(StateError, match="No space left"):
            index.compact()
        monkeypatch.undo()
        assert finds_everything(index)
        assert index.snapshot()
