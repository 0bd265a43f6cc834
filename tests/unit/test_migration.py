"""Collections that are copied to a database and back, with all numbers; differences that are named."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path
from random import Random
from uuid import uuid4

import numpy as np
import pytest
from ingest_world import as_somebody
from postgresql_server import PostgresqlServer

from crossmodal.collection import migration
from crossmodal.collection.collection import Collection, collections
from crossmodal.collection.comparison import compare
from crossmodal.collection.linked_workspace import link_workspace
from crossmodal.collection.migration import Migration, migrate
from crossmodal.collection.picture_map import PictureMap, read_map
from crossmodal.collection.places import workspace_at
from crossmodal.collection.random_conditions import random_condition
from crossmodal.collection.shared_state import CALIBRATION, MAP
from crossmodal.core.errors import InputError, NotWritableError, StateError
from crossmodal.core.types import Document, ModelSpec, Preprocessing, Vectors
from crossmodal.index.vector_replica import VectorReplica
from crossmodal.store import copying
from crossmodal.store.known_folders import FolderState, read_folders, write_folders
from crossmodal.store.records import NewDocument
from crossmodal.store.source_files import SourceFile
from crossmodal.store.sqlite import DocumentStore
from crossmodal.store.where import parse

psycopg = pytest.importorskip("psycopg", reason="requirements-scale.txt is not installed")
from crossmodal.collection import postgresql_target  # noqa: E402

DIM = 4
FOLDERS = {"/pictures": FolderState(7, is_mount=True)}
MODEL = ModelSpec("clip", "small", "0" * 64, DIM, Preprocessing(8))
OTHER = replace(MODEL, weights="other", weights_hash="1" * 64)
N = 70
TAGS = {"n": 1e16, "x": -0.0, "big": 1.5e300, "deep": {"a": [1, None, 0.25, True]}, "my tag": "ä'b%", "nothing": None}


def item(number: int, **fields: object) -> NewDocument:
    vector = np.random.default_rng(number).normal(size=DIM)
    unit = (vector / np.linalg.norm(vector)).astype(np.float32)
    document = Document(f"d{number}", "image", f"/pictures/{number}.jpg", tags={**TAGS, "number": number})
    thumbnail, content = f"thumbnail {number}".encode(), b"content" if number % 7 == 0 else None
    return NewDocument(replace(document, **fields), unit, thumbnail, content)  # type: ignore[arg-type]


def caption(number: int) -> NewDocument:
    made = item(number, modality="text", text=f"caption {number}", image_id=f"d{number - N}", uri="", tags={})
    return replace(made, thumbnail=None, content=None)


def filled(collection: Collection) -> Collection:
    """The collection with pictures, captions, removals, changed tags, source files, and files beside the store."""
    with collection.store(writable=True) as store:
        store.put([item(number) for number in range(N)])
        store.put([caption(N + number) for number in range(N)])
        store.remove([f"d{number}" for number in range(0, N, 10)])
        store.compact()
        store.remove(["d1", f"d{2 * N - 1}"])
        store.update([("d2", {"changed": True})])
        store.files.put("set", [SourceFile(f"/pictures/{number}.jpg", 1, number, f"d{number}") for number in range(N)])
        store.files.put("other set", [SourceFile("/copy.jpg", 1, 2, "d2")])
        keys = store.keys("image")
        points = np.zeros((len(keys), 2), np.float32)
        made = PictureMap(keys, points, "pca", store.last_seq(), store.store_id())
    write_folders(collection.folder, "set", FOLDERS)
    collection.write(CALIBRATION, b"calibration")
    collection.write(MAP, made.to_bytes())
    return collection


@pytest.fixture
def source(tmp_path: Path) -> Collection:
    """A collection of two generations in a folder."""
    first = filled(Collection.create(tmp_path / "source" / f"c{uuid4().hex[:8]}", MODEL))
    made = first.next_generation(OTHER)
    first.becomes_current(filled(made))
    return Collection.open(first.root)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty workspace, or a database without this collection."""
    if request.param == "sqlite":
        return str(tmp_path / "target")
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    return server.url


def quietly(_: int) -> None:
    pass


def reasons(collection: Collection, place: str) -> dict[str, str]:
    return {problem.item: problem.reason for problem in compare(collection, place, quietly)}


def change(collection: Collection, place: str, action: Callable[[Collection], None]) -> None:
    with workspace_at(place) as workspace:
        action(Collection.open(workspace / collection.root.name))


def test_there_and_back_nothing_differs(source: Collection, place: str, tmp_path: Path) -> None:
    seen: list[int] = []
    n_there = 2 * N - 2 * N // 10 - 3
    assert migrate(source, place, seen.append) == Migration(n_there, 2 * n_there)
    assert sum(seen) == 2 * n_there
    assert reasons(source, place) == {}
    with workspace_at(place) as workspace:
        there = Collection.open(workspace / source.root.name)
        back = str(tmp_path / "back")
        migrate(there, back, quietly)
    assert reasons(source, back) == {}
    returned = Collection.open(tmp_path / "back" / source.root.name)
    with source.store() as before, returned.store() as after:
        keys = {each.document.id: key for key, each in before.everything(0, 1_000)}
        assert {each.document.id: key for key, each in after.everything(0, 1_000)} == keys
        assert before.store_id() != after.store_id()
        assert read_map(returned.folder).is_current(after)
        assert after.files.paths_of("d2") == ["/copy.jpg", "/pictures/2.jpg"]
    assert returned.calibration_path.read_bytes() == b"calibration"
    assert collections(tmp_path / "back") == [source.root.name]
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == [source.root.name]
    assert any(returned.index_folder.iterdir())


def test_the_known_folders_of_each_generation_come_along(source: Collection, tmp_path: Path) -> None:
    migrate(source, str(tmp_path / "target"), quietly)
    copy = Collection.open(tmp_path / "target" / source.root.name)
    assert copy.generation == source.generation != ""
    for generation in (copy, Collection.open_generation(copy.root, "")):
        assert read_folders(generation.folder, "set") == FOLDERS


def test_from_one_database_to_another(source: Collection, postgresql: PostgresqlServer, tmp_path: Path) -> None:
    migrate(source, postgresql.url, quietly)
    with psycopg.connect(postgresql.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {source.root.name}")
    other = postgresql.url_of(database=source.root.name)
    change(source, postgresql.url, lambda collection: migrate(collection, other, quietly))
    assert reasons(source, other) == {}


def test_numbers_go_on_where_they_were(source: Collection, place: str) -> None:
    with source.store(writable=True) as store:
        last = store.everything(0, 1_000)[-1]
        store.remove([last[1].document.id])  # the newest key is no longer in use
    migrate(source, place, quietly)

    def add(collection: Collection) -> None:
        with collection.store(writable=True) as store, source.store(writable=True) as original:
            index = collection.index(store, "image")
            for each in (store, original):
                each.put([item(1_000)])
                assert each.everything(last[0], 10)[0][0] == 2 * N + 1
            assert store.last_seq() == original.last_seq()
            assert index.search(item(1_000).vector[None], 1)[1].tolist() == [[2 * N + 1]]

    change(source, place, add)
    assert reasons(source, place) == {}


def test_rollback_works_in_the_copy(source: Collection, place: str) -> None:
    migrate(source, place, quietly)

    def roll_back(collection: Collection) -> None:
        before = collection.roll_back()
        assert before.model == MODEL
        with before.store(writable=True) as store:
            assert store.put([item(1_000)]) == ["indexed"]

    change(source, place, roll_back)


def test_a_first_generation_that_is_gone(source: Collection, place: str) -> None:
    source.becomes_current(filled(source.next_generation(MODEL)))
    latest = Collection.open(source.root)
    migrate(latest, place, quietly)
    assert reasons(latest, place) == {}


def test_a_collection_without_earlier_states(tmp_path: Path, place: str) -> None:
    plain = filled(Collection.create(tmp_path / "source" / f"c{uuid4().hex[:8]}", MODEL))
    migrate(plain, place, quietly)
    assert reasons(plain, place) == {}


def stopping_after(n_calls: int) -> Callable[[int], None]:
    calls = iter(range(n_calls))

    def progress(_: int) -> None:
        next(calls)

    return progress


def test_an_interrupted_copy_is_invisible_and_continued(source: Collection, place: str) -> None:
    for n_calls in (1, 2):  # in the earlier state, in the current one
        with pytest.raises(StopIteration):
            migrate(source, place, stopping_after(n_calls))
        with workspace_at(place) as workspace:
            assert source.root.name not in collections(workspace)
    with source.store(writable=True) as store:
        store.remove(["d3"])
        store.put([item(1_000), item(3)])  # d3 has another key than in the copy
        store.update([("d4", {"late": True})])
        store.files.forget(["/pictures/5.jpg"])
    result = migrate(source, place, quietly)
    assert 0 < result.copied < 2 * result.documents
    assert reasons(source, place) == {}


def test_changes_during_the_copy_are_caught_up(source: Collection, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = copying.mirror
    calls: list[bool] = []

    def mirror_and_change(*arguments: object, **options: object) -> int:
        n: int = original(*arguments, **options)  # type: ignore[arg-type]
        calls.append(True)
        if len(calls) == 2:  # after the current state was copied, before it is locked
            with source.store(writable=True) as store:
                store.put([item(1_000)])
                store.remove(["d11"])
                store.describe([replace(item(12).document, uri="/moved.jpg")])
        return n

    monkeypatch.setattr(migration, "mirror", mirror_and_change)
    migrate(source, place, quietly)
    assert len(calls) == 3
    assert reasons(source, place) == {}


def test_a_state_that_is_no_longer_the_current_one_is_not_copied(source: Collection, place: str) -> None:
    source.roll_back()
    with pytest.raises(StateError, match="was made the current one meanwhile"):
        migrate(source, place, quietly)
    migrate(Collection.open(source.root), place, quietly)
    assert reasons(Collection.open(source.root), place) == {}


def test_a_writer_that_goes_on_is_named(source: Collection, place: str) -> None:
    with source.store(writable=True), pytest.raises(StateError, match="another process is writing to"):
        migrate(source, place, quietly)
    assert migrate(source, place, quietly).copied == 0


def test_writers_wait_until_a_database_is_copied(
    source: Collection, postgresql: PostgresqlServer, tmp_path: Path
) -> None:
    migrate(source, postgresql.url, quietly)
    link_workspace(tmp_path / "cache", postgresql.url)
    shared = Collection.open(tmp_path / "cache" / source.root.name)
    waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with (
        shared.store(writable=True) as one,
        shared.store(writable=True) as other,
        psycopg.connect(postgresql.url, autocommit=True) as connection,
        ThreadPoolExecutor() as threads,
    ):
        locked = one.copying.locked()
        check_lock = locked.__enter__()
        waiting = threads.submit(other.put, [item(1_000)])
        while not connection.execute(waits).fetchone():
            time.sleep(0.01)
        check_lock()
        assert one.document("d1000") is None
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'")
        assert waiting.result() == ["indexed"]
        with pytest.raises(psycopg.OperationalError) as lost:
            check_lock()
        with pytest.raises(StateError, match="run the command again"):
            locked.__exit__(type(lost.value), lost.value, None)


# -- differences


def by_hand(collection: Collection, place: str, statement: str) -> None:
    """Changes a row of the current state in the database of a place."""
    schema = f"crossmodal_{collection.root.name}/2"
    with psycopg.connect(place) as connection:
        connection.execute(f'SET search_path TO "{schema}"')
        assert connection.execute(statement).rowcount == 1


def test_what_was_changed_by_hand_is_named(source: Collection, postgresql: PostgresqlServer) -> None:
    migrate(source, postgresql.url, quietly)
    for statement in (
        "UPDATE documents SET width = 7 WHERE id = 'd2'",
        "UPDATE documents SET tags = tags - 'x', uri = '' WHERE id = 'd3'",
        "UPDATE documents SET seq = 9999 WHERE id = 'd4'",
        "UPDATE thumbnails SET jpeg = '' WHERE key = 6",
        "UPDATE vectors SET vector = overlay(vector placing '0' from 1) WHERE key = 7",
        "DELETE FROM vectors WHERE key = 8",
        f"UPDATE documents SET id = 'e' WHERE id = 'd{N + 2}'",
        f"DELETE FROM documents WHERE id = 'd{N + 3}'",
        "UPDATE files SET size = 9 WHERE path = '/copy.jpg'",
        "UPDATE shared_files SET content = '', version = 9 WHERE name = 'map.npz'",
    ):
        by_hand(source, postgresql.url, statement)
    found = reasons(source, postgresql.url)
    assert found.pop(str(source.folder / "map.npz")) == "differs"
    with source.store() as store:
        assert "'text': " in found.pop(store.name)  # the numbers of documents
    assert found == {
        "d2": "differs in width",
        "d3": "differs in uri, tags",
        "d4": "differs in sequence number",
        "d5": "differs in thumbnail",
        "d6": "differs in vector",
        "d7": "differs in its vector, which is missing",
        f"d{N + 2}": f"has the key {N + 3}, which is that of e there",
        f"d{N + 3}": f"has the key {N + 4} only here",
        "/copy.jpg": "its record as a source file differs",
    }


def test_documents_that_only_the_copy_has_are_named(source: Collection, place: str) -> None:
    migrate(source, place, quietly)

    def add(collection: Collection) -> None:
        with collection.store(writable=True) as store:
            store.put([item(1_000)])

    change(source, place, add)
    assert reasons(source, place)["d1000"] == f"has the key {2 * N + 1} only there"


def test_equal_documents_with_other_results_are_named(
    source: Collection, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(source, place, quietly)
    results = count()

    def search(_: object, queries: Vectors, k: int) -> tuple[Vectors, None]:
        return np.full((len(queries), k), next(results), np.float32), None

    monkeypatch.setattr(VectorReplica, "search", search)
    monkeypatch.setattr(DocumentStore, "ids_where", lambda *_: [str(next(results))])
    found = reasons(source, place)
    assert set(found.values()) == {"a search for its vector has other results there", "selects other documents there"}


def test_random_conditions_are_valid() -> None:
    rng = Random(0)
    made = (item(1), item(2, mime_type="image/png", width=5), caption(N + 1), item(3, text="a\0'b", tags={'"': 1}))
    documents = [each.document for each in made]
    for _ in range(500):
        parse(random_condition(rng, documents))


# -- places that refuse


def test_another_collection_of_this_name_is_not_touched(source: Collection, place: str) -> None:
    migrate(source, place, quietly)
    with source.store(writable=True) as store:
        store.update([("d2", {"late": True})])
    with pytest.raises(StateError, match=r"has a collection c\w+ with other content \(d2: differs in tags\)"):
        migrate(source, place, quietly)
    change(source, place, lambda collection: collection.write(MAP, b"mine"))
    assert set(reasons(source, place).values()) == {"differs in tags", "differs"}


def test_a_folder_that_is_no_collection_is_not_touched(source: Collection, tmp_path: Path) -> None:
    folder = tmp_path / "target" / source.root.name
    folder.mkdir(parents=True)
    (folder / "mine.txt").touch()
    with pytest.raises(StateError, match=r"has something else with the name .*: move it away, or choose another place"):
        migrate(source, str(tmp_path / "target"), quietly)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]


def test_a_collection_that_appears_meanwhile_is_not_replaced(source: Collection, place: str) -> None:
    def appear(_: int) -> None:
        with workspace_at(place) as workspace:
            Collection.create(workspace / source.root.name, MODEL)

    with pytest.raises(StateError, match=r"has got a collection|is not empty"):
        migrate(source, place, appear)
    with workspace_at(place) as workspace, Collection.open(workspace / source.root.name).store(writable=True) as store:
        assert store.counts() == {"image": 0, "text": 0}


def test_two_copies_at_once_are_refused(source: Collection, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql_target, "TIMEOUT_S", 1.0)

    def again(_: int) -> None:
        with pytest.raises(StateError, match=r"another process (copies|is writing)"):
            migrate(source, place, quietly)
        raise StopIteration

    with pytest.raises(StopIteration):
        migrate(source, place, again)


def test_a_copy_in_a_newer_format_is_refused(source: Collection, postgresql: PostgresqlServer) -> None:
    migrate(source, postgresql.url, quietly)
    by_hand(source, postgresql.url, "UPDATE format SET number = 999")
    for action in (migrate, compare):
        with pytest.raises(StateError, match=r"has format 999, .*update the program"):
            action(source, postgresql.url, quietly)


def test_places_that_can_not_be_used_are_refused_with_the_reason(
    source: Collection, postgresql: PostgresqlServer, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    for place, error, why in (
        (postgresql.url.replace("tester@", "tester:secret@"), InputError, "remove the password from the address"),
        (postgresql.url_of(database="none"), StateError, 'database "none" does not exist: create it'),
        ("mysql://ann@db/x", InputError, "the address of a store is postgresql://"),
        (str(tmp_path / "file"), StateError, "a folder"),
    ):
        with pytest.raises(error, match=why) as caught:
            migrate(source, place, quietly)
        assert "secret" not in str(caught.value)
    with pytest.raises(StateError, match="no index in"):
        compare(source, str(tmp_path / "nothing"), quietly)
    with pytest.raises(InputError, match="at most 48 characters"):
        migrate(Collection.create(tmp_path / "source" / ("x" * 49), MODEL), postgresql.url, quietly)


def test_a_collection_that_can_not_be_locked_is_not_copied(source: Collection, folder_of_all: Path) -> None:
    shutil.copytree(source.root, folder_of_all / "c")
    for path in (folder_of_all / "c").rglob("*"):
        path.chmod(path.stat().st_mode & ~0o222)
    with as_somebody(), pytest.raises(NotWritableError, match="can't be written to"):
        migrate(Collection.open(folder_of_all / "c"), str(folder_of_all / "target"), quietly)
    assert not (folder_of_all / "target").exists()


def test_a_character_that_a_database_can_not_store_is_named(source: Collection, postgresql: PostgresqlServer) -> None:
    with source.store(writable=True) as store:
        store.update([("d2", {"bad": "\0"})])
    with pytest.raises(InputError, match=r"d2: PostgreSQL can't store the character U\+0000: remove it from the tags"):
        migrate(source, postgresql.url, quietly)
