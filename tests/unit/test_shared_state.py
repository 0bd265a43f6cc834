"""A collection in PostgreSQL: every node has the same manifest, calibration and map, and its own indexes."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from postgresql_server import PostgresqlServer

from crossmodal.collection.collection import Collection, collections
from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.collection.linked_workspace import LINK, link_workspace
from crossmodal.collection.shared_state import CALIBRATION, MANIFEST, MAP
from crossmodal.collection.transfer import export_collection, import_collection
from crossmodal.core.errors import InputError, StateError
from crossmodal.core.types import Document, ModelSpec, Preprocessing
from crossmodal.index.config import IndexConfig
from crossmodal.store.records import NewDocument

MODEL = ModelSpec("clip", "small", "0" * 64, 4, Preprocessing(8))
OTHER = replace(MODEL, weights="other", weights_hash="1" * 64)
URL = "postgresql://ann@db.example/pictures"


@pytest.fixture
def nodes(postgresql: PostgresqlServer, tmp_path: Path) -> tuple[Path, Path]:
    """The folder of one new collection on two nodes."""
    for node in ("a", "b"):
        link_workspace(tmp_path / node, postgresql.url)
    name = f"my.Set_{uuid4().hex[:8]}"
    return tmp_path / "a" / name, tmp_path / "b" / name


def item(name: str, place: int) -> NewDocument:
    return NewDocument(Document(name, "text"), np.eye(4, dtype=np.float32)[place])


def test_what_one_node_indexes_the_other_finds(nodes: tuple[Path, Path]) -> None:
    one = Collection.create(nodes[0], MODEL)
    with one.store(writable=True) as store:
        store.put([item("a", 1)])
    other = Collection.open(nodes[1])
    assert other.model == MODEL
    with other.store() as reader, one.store(writable=True) as writer, other.store(writable=True) as second:
        index = other.index(reader, "text")
        assert len(index) == 1
        writer.put([item("b", 2)])
        second.put([item("b", 2), item("c", 3)])
        scores, keys = index.search(np.eye(4, dtype=np.float32)[[2, 3]], 1)
        assert scores[:, 0].tolist() == pytest.approx([1, 1])
        assert [reader.by_keys([key])[key].id for key in keys[:, 0].tolist()] == ["b", "c"]
        index.rebuild()
    assert (nodes[1] / "index").is_dir()
    assert not (nodes[0] / "index").exists()
    assert collections(nodes[0].parent) == collections(nodes[1].parent)
    assert nodes[0].name in collections(nodes[1].parent)


def test_an_exported_collection_is_imported_into_the_database(nodes: tuple[Path, Path], tmp_path: Path) -> None:
    local = Collection.create(tmp_path / "local" / "mine", MODEL)
    with local.store(writable=True) as store:
        store.put([item("a", 1), item("b", 2)])
        documents = store.everything(0, 10)
    export_collection(local, tmp_path / "mine.parquet")
    result = import_collection(tmp_path / "mine.parquet", nodes[0].parent, nodes[0].name)
    assert (result.indexed, result.unchanged) == (2, 0)
    with Collection.open(nodes[1]).store() as store:
        stored = store.everything(0, 10)
    assert [made.document for _, made in stored] == [made.document for _, made in documents]
    assert [made.vector.tolist() for _, made in stored] == [made.vector.tolist() for _, made in documents]


def test_another_model_is_refused(nodes: tuple[Path, Path]) -> None:
    Collection.create(nodes[0], MODEL)
    with pytest.raises(StateError, match=r"was indexed with .*, not with"):
        Collection.create(nodes[1], OTHER)
    assert Collection.create(nodes[1], MODEL).model == MODEL


def test_of_two_models_one_creates_the_collection(nodes: tuple[Path, Path]) -> None:
    outcomes: list[ModelSpec | None] = []

    def create(folder: Path, model: ModelSpec) -> None:
        try:
            outcomes.append(Collection.create(folder, model).model)
        except StateError:
            outcomes.append(None)

    threads = [threading.Thread(target=create, args=given) for given in zip(nodes, (MODEL, OTHER), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [created] = [model for model in outcomes if model is not None]
    assert Collection.open(nodes[0]).model == Collection.open(nodes[1]).model == created


def test_files_reach_the_other_node(nodes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg")
    from crossmodal.collection import postgresql_state

    monkeypatch.setattr(postgresql_state, "EVERY_S", 0.0)
    one = Collection.create(nodes[0], MODEL)
    cache = GenerationCache(str(nodes[1]), lambda collection: collection)
    one.write(CALIBRATION, b"one")
    one.write(MAP, b"two")
    assert one.with_index_config(IndexConfig("hnsw-fp16")).index_config.kind == "hnsw-fp16"

    def pull_in_background() -> None:
        cache.current()
        thread = cache._shared._thread  # type: ignore[attr-defined]
        thread.join()

    pull_in_background()
    copies = {path.name: path for path in nodes[1].iterdir()}
    assert copies.keys() == {MANIFEST, CALIBRATION, MAP}
    assert (copies[CALIBRATION].read_bytes(), copies[MAP].read_bytes()) == (b"one", b"two")
    assert Collection.open(nodes[1]).index_config.kind == "hnsw-fp16"
    unchanged = copies[MAP].stat()
    one.write(CALIBRATION, b"three")
    pull_in_background()
    assert copies[CALIBRATION].read_bytes() == b"three"
    assert copies[MAP].stat().st_ino == unchanged.st_ino
    cache.close()


def test_copies_of_a_collection_that_is_gone_are_removed(
    nodes: tuple[Path, Path], postgresql: PostgresqlServer
) -> None:
    psycopg = pytest.importorskip("psycopg")
    Collection.create(nodes[0], MODEL).write(MAP, b"map")
    Collection.open(nodes[1])
    with psycopg.connect(postgresql.url) as connection:
        connection.execute(f'DROP SCHEMA "crossmodal_{nodes[0].name}" CASCADE')
    with pytest.raises(StateError, match="no index in"):
        Collection.open(nodes[1])
    assert list(nodes[1].iterdir()) == []
    assert nodes[0].name not in collections(nodes[0].parent)


# -- generations


def add(collection: Collection, *names: str) -> Collection:
    with collection.store(writable=True) as store:
        vector = np.eye(collection.model.dim, dtype=np.float32)[0]
        store.put([NewDocument(Document(name, "text"), vector) for name in names])
    return collection


def in_store(collection: Collection) -> list[str]:
    with collection.store() as store:
        return sorted(store.known(["a", "b", "c"]))


def schemas_of(name: str, postgresql: PostgresqlServer) -> list[str]:
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(postgresql.url) as connection:
        rows = connection.execute("SELECT nspname FROM pg_namespace WHERE strpos(nspname, %s) > 0", [name]).fetchall()
    return sorted(row[0].partition(name)[2] for row in rows)


def test_a_new_generation_becomes_current_on_all_nodes(nodes: tuple[Path, Path]) -> None:
    first = add(Collection.create(nodes[0], MODEL), "a")
    made = add(first.next_generation(OTHER), "b")
    other = Collection.open(nodes[1])
    assert (other.model, in_store(other)) == (MODEL, ["a"])
    with other.store(writable=True) as writer:
        first.becomes_current(made)
        with pytest.raises(StateError, match=r"another state of this collection in .* is the current one"):
            writer.put([item("late", 0)])
    now = Collection.open(nodes[1])
    assert (now.model, now.generation, in_store(now)) == (OTHER, "generation-2", ["b"])
    assert now.roll_back() == Collection.open(nodes[1]) == other
    assert in_store(add(Collection.open(nodes[0]), "c")) == ["a", "c"]
    with pytest.raises(StateError, match="another state"):
        add(now, "late")
    assert Collection.open(nodes[0]).roll_back().model == OTHER


def test_a_service_follows_to_the_new_generation(nodes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg")
    from crossmodal.collection import postgresql_state

    monkeypatch.setattr(postgresql_state, "EVERY_S", 0.0)
    first = Collection.create(nodes[0], MODEL)
    cache = GenerationCache(str(nodes[1]), lambda collection: collection.model)
    assert cache.current() == ("", MODEL)
    first.becomes_current(first.next_generation(OTHER))
    for _ in range(1_000):
        if cache.current() == ("generation-2", OTHER):
            break
        time.sleep(0.01)
    assert cache.current() == ("generation-2", OTHER)
    cache.close()


def test_changes_of_another_node_stop_the_change_of_the_model(
    nodes: tuple[Path, Path], postgresql: PostgresqlServer
) -> None:
    first = add(Collection.create(nodes[0], MODEL), "a")
    made = add(first.next_generation(OTHER), "a")
    add(Collection.open(nodes[1]), "b")
    with pytest.raises(StateError, match="were changed while they were encoded again: run the command again"):
        first.becomes_current(made)
    assert in_store(add(Collection.open(nodes[0]), "c")) == ["a", "b", "c"]
    again = add(first.next_generation(OTHER), "a", "b", "c")
    assert schemas_of(nodes[0].name, postgresql) == ["", "/3"]
    with pytest.raises(StateError, match=r"no index in|removed by another process"):
        in_store(made)
    first.becomes_current(again)
    assert in_store(Collection.open(nodes[1])) == ["a", "b", "c"]


def test_a_node_that_was_overtaken_changes_nothing(nodes: tuple[Path, Path]) -> None:
    first = add(Collection.create(nodes[0], MODEL), "a")
    late = Collection.open(nodes[1])
    first.becomes_current(add(first.next_generation(OTHER), "b"))
    with pytest.raises(StateError, match=r"another node has made another state of .* the current one: start again"):
        late.next_generation(MODEL)
    now = Collection.open(nodes[1])
    made = now.next_generation(MODEL)
    assert Collection.open(nodes[0]).roll_back() == first
    with pytest.raises(StateError, match="start again"):
        now.becomes_current(made)
    assert in_store(Collection.open(nodes[1])) == ["a"]


def test_only_the_generation_before_is_kept(nodes: tuple[Path, Path], postgresql: PostgresqlServer) -> None:
    current = add(Collection.create(nodes[0], MODEL), "a")
    current.write(MAP, b"map")
    for model in (OTHER, MODEL, OTHER):
        made = add(current.next_generation(model), "b")
        current.becomes_current(made)
        current = Collection.open(nodes[0])
        assert Collection.open(nodes[1]).model == model
    for node in nodes:
        assert {path.name for path in node.iterdir()} == {"current.json", "generation-3", "generation-4"} | (
            {"writer.lock"} if (node / "writer.lock").exists() else set()
        )
    assert schemas_of(nodes[0].name, postgresql) == ["", "/3", "/4"]
    assert collections(nodes[1].parent).count(nodes[1].name) == 1
    add(current, "c")
    assert in_store(Collection.open(nodes[1])) == ["b", "c"]


# -- the link of a workspace


def test_a_long_name_is_refused(nodes: tuple[Path, Path]) -> None:
    with pytest.raises(InputError, match="at most 48 characters in PostgreSQL"):
        Collection.create(nodes[0].parent / ("x" * 49), MODEL)
    assert Collection.create(nodes[0].parent / ("x" * 48), MODEL).model == MODEL


def test_a_workspace_is_linked_once(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    workspace = tmp_path / "new" / "workspace"
    link_workspace(workspace, URL)
    link_workspace(workspace, URL)
    with pytest.raises(StateError, match=f"is the cache of {URL}, not of {URL}2: choose another"):
        link_workspace(workspace, f"{URL}2")


@pytest.mark.parametrize("url", ["postgresql://ann:secret@db/x", "postgresql://ann@db/x?password=secret"])
def test_a_password_is_not_written(tmp_path: Path, url: str) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(InputError, match="remove the password from the address, and set PGPASSWORD") as caught:
        link_workspace(tmp_path, url)
    assert "secret" not in str(caught.value)
    assert not (tmp_path / LINK).exists()


@pytest.mark.parametrize("url", ["", "pictures", "mysql://ann@db/x", "host=db dbname=x"])
def test_another_address_is_refused(tmp_path: Path, url: str) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(InputError, match="the address of a store is postgresql://USER@HOST/DATABASE"):
        link_workspace(tmp_path, url)


def test_a_workspace_with_collections_is_not_linked(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    Collection.create(tmp_path / "mine", MODEL)
    with pytest.raises(StateError, match="has collections in SQLite: choose another folder"):
        link_workspace(tmp_path, URL)


def test_a_damaged_link_is_reported(tmp_path: Path) -> None:
    (tmp_path / LINK).write_text("{}")
    with pytest.raises(StateError, match=r"store\.json is damaged .*: remove it, and give --store again"):
        Collection.open(tmp_path / "mine")


def test_without_psycopg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / LINK).write_text(f'{{"store": "{URL}"}}')
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "crossmodal.collection.postgresql_state", raising=False)
    with pytest.raises(StateError, match=r"needs psycopg .*: pip install 'psycopg\[binary\]'"):
        Collection.open(tmp_path / "mine")
