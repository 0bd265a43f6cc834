"""Search in SQL: the vectors of a store in tables of pgvector."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from postgresql_server import PostgresqlServer
from stores import new_postgresql

from crossmodal.collection import lifecycle
from crossmodal.collection.collection import Collection
from crossmodal.collection.linked_workspace import link_workspace
from crossmodal.collection.verification import verify
from crossmodal.core.errors import InputError, StateError
from crossmodal.core.slices import Slice
from crossmodal.core.types import Document, Modality, ModelSpec, Preprocessing, Vectors
from crossmodal.index.config import IndexConfig
from crossmodal.index.dense import DenseIndex
from crossmodal.store import pgvector
from crossmodal.store.pgvector import PgVectors
from crossmodal.store.postgresql import PostgresqlStore
from crossmodal.store.records import NewDocument
from crossmodal.store.where import parse

psycopg = pytest.importorskip("psycopg", reason="requirements-scale.txt is not installed")

DIM, N = 24, 3_000
MODEL = ModelSpec("clip", "some", "0" * 64, DIM, Preprocessing(224))


def vectors(n: int, seed: int = 0) -> Vectors:
    made = np.random.default_rng(seed).normal(size=(n, DIM)).astype(np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made


def items(made: Vectors, prefix: str, modality: Modality = "image") -> list[NewDocument]:
    return [NewDocument(Document(f"{prefix}{n}", modality, width=n), vector) for n, vector in enumerate(made)]


@pytest.fixture(scope="module")
def with_pgvector(postgresql: PostgresqlServer) -> PostgresqlServer:
    with psycopg.connect(postgresql.url) as connection:
        rows = connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'").fetchall()
    if not rows:
        pytest.skip("the server does not have pgvector")
    return postgresql


@pytest.fixture(scope="module", params=["", "&options=-c%20enable_seqscan%3Doff%20-c%20enable_sort%3Doff"])
def filled(request: pytest.FixtureRequest, with_pgvector: PostgresqlServer) -> Iterator[PostgresqlStore]:
    """A store of N pictures, half of which were there before the tables, and some captions.

    The second one searches the graph wherever that is possible; the planner would compare so few vectors one by one.
    """
    with PostgresqlStore(with_pgvector.url + request.param, f"pgvector {uuid4().hex}", writable=True) as store:
        made = items(vectors(N), "p")
        store.put(made[: N // 2])
        for modality in ("image", "text"):
            store.sql_vectors.build(modality, DIM)  # type: ignore[arg-type]
        store.put(made[N // 2 :])
        store.put(items(vectors(5, 1), "t", "text"))
        yield store


def expected(store: PostgresqlStore, query: Vectors, k: int, where: str = "") -> dict[int, float]:
    changes = store.changes_after("image", 0)
    assert changes is not None
    index = DenseIndex(DIM)
    index.add(changes.added, changes.vectors)
    allowed = store.keys_where(parse(where), "image") if where else None
    scores, keys = index.search(query[None], k, allowed)
    return {key: score for key, score in zip(keys[0].tolist(), scores[0].tolist(), strict=True) if key >= 0}


@pytest.mark.parametrize(
    ("where", "k"),
    [
        ("", 10), ("", 300), ("", N + 100), ("width < 1500", 10), ("width = 2999", 10), ("width in (1, 5, 9)", 10),
        ("width < 0", 10), ("tags.year = 3", 10), ("id like 'p1%'", 50), ("modality = 'image' and width > 2000", 10),
    ],
)  # fmt: skip
def test_it_finds_what_a_flat_index_finds(filled: PostgresqlStore, where: str, k: int) -> None:
    hits = n_expected = 0
    for query in vectors(5, seed=2):
        exact = expected(filled, query, k, where)
        found = filled.sql_vectors.nearest("image", query, k, parse(where) if where else None)
        scores = [score for _, score in found]
        assert scores == sorted(scores, reverse=True)
        assert len(found) == len(exact)
        hits += len(exact.keys() & dict(found).keys())
        n_expected += len(exact)
        for key, score in found:
            assert score == pytest.approx(exact.get(key, score), abs=1e-5)
    assert hits >= 0.95 * n_expected


def test_a_condition_that_few_meet_is_exact(filled: PostgresqlStore) -> None:
    for query in vectors(5, seed=3):
        found = filled.sql_vectors.nearest("image", query, 20, parse("width in (3, 33, 333, 1333, 2333)"))
        assert dict(found) == pytest.approx(expected(filled, query, 20, "width in (3, 33, 333, 1333, 2333)"), abs=1e-5)
        assert len(found) == 5


def test_the_graph_can_be_searched_with_a_condition(filled: PostgresqlStore) -> None:
    with filled.sql_vectors._server.reading() as connection:
        if connection.execute("SHOW enable_seqscan").fetchone() == ("on",):
            return  # the planner decides
        pgvector._add_to_path(connection)
        connection.execute(pgvector._SCAN, ["40"])
        for join, where in (("", "true"), ("JOIN documents USING (key)", "width >= 0")):
            rows = connection.execute(
                f"EXPLAIN SELECT key FROM vectors_image {join} WHERE {where} ORDER BY embedding <#> %s::vector LIMIT 5",
                [str(vectors(1)[0].tolist())],
            ).fetchall()
            assert "Index Scan using vectors_image_embedding_idx" in "\n".join(row[0] for row in rows)


def test_every_commit_is_searched_at_once(with_pgvector: PostgresqlServer) -> None:
    open_store = new_postgresql(with_pgvector)
    with open_store(writable=True) as store, open_store() as reader:
        assert isinstance(store, PostgresqlStore)
        assert isinstance(reader, PostgresqlStore)
        vectors_ = reader.sql_vectors
        assert not vectors_.is_built("image")
        store.sql_vectors.build("image", DIM)
        assert (vectors_.is_built("image"), vectors_.is_built("text")) == (True, False)
        made = vectors(3)
        store.put([*items(made, "p"), *items(made, "t", "text")])
        assert vectors_.count("image") == 3
        (found,) = vectors_.nearest("image", made[1], 1, None)
        assert store.by_keys([found[0]])[found[0]].id == "p1"
        store.put(items(made, "p"))  # known
        store.remove(["p1"])
        assert vectors_.count("image") == 2
        assert all(score < 0.99 for _, score in vectors_.nearest("image", made[1], 3, None))
        store.sql_vectors.drop()
        store.sql_vectors.drop()
        assert not vectors_.is_built("image")
        store.put(items(vectors(1, 4), "q"))


# -- of a collection


@pytest.fixture
def collection(with_pgvector: PostgresqlServer, tmp_path: Path) -> Iterator[Collection]:
    link_workspace(tmp_path / "w", with_pgvector.url)
    name = tmp_path.name.replace("_", "-")[:40]
    made = Collection.create(tmp_path / "w" / name, MODEL)
    with made.store(writable=True) as store:
        store.put([*items(vectors(50), "p"), *items(vectors(20, 1), "t", "text")])
    yield made
    with psycopg.connect(with_pgvector.url) as connection:
        connection.execute(f'DROP SCHEMA "crossmodal_{name}" CASCADE')


def test_a_collection_that_the_database_searches(collection: Collection) -> None:
    lifecycle.rebuild(collection)
    told = lifecycle.rebuild(collection, IndexConfig("pgvector"))
    assert {name: (index.vectors, index.kind) for name, index in told.items()} == {
        "image": (50, "pgvector"), "text": (20, "pgvector"),
    }  # fmt: skip
    collection = Collection.open(collection.folder)
    with collection.store() as store:
        index = collection.index(store, "image")
        queries = vectors(2)
        scores, keys = index.search_where(queries, 60, parse("width >= 1"))
        assert keys.shape == (2, 60)
        assert (keys >= 0).sum(axis=1).tolist() == [49, 49]
        assert keys[1, 0] == 2
        assert (scores[1, 0], scores[0, 49]) == (pytest.approx(1.0, abs=1e-5), -np.inf)
        assert (index.refresh(), index.snapshot(), index.n_unsaved) == (0, False, 0)
        later = collection.index(store, "image", 1, 2)
        assert (later.search(queries, 3)[1] == -1).all()  # the second shard
    assert [problem for problem in verify(collection, lambda _: None).problems if "index" in problem.item] == []
    with pytest.raises(InputError, match=r"--slice 2/4: the database has the vectors"):
        lifecycle.rebuild(collection, None, Slice(2, 4))
    assert lifecycle.rebuild(collection, IndexConfig("flat"))["image"].kind == "flat"
    with collection.store() as store:
        assert store.sql_vectors is not None
        assert not store.sql_vectors.is_built("image")


def test_a_collection_whose_tables_are_not_built(collection: Collection) -> None:
    changed = collection.with_index_config(IndexConfig("pgvector"))
    with changed.store(writable=True) as store:
        index = changed.index(store, "image")
        assert len(index) == 0
        with pytest.raises(StateError, match=r"no tables of pgvector for this collection yet: run"):
            index.search(vectors(1), 1)
        assert index.snapshot()
        assert len(index) == 50
        assert index.search(vectors(1), 1)[1].tolist() == [[1]]


def test_other_stores_and_servers_are_refused(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = Collection.create(tmp_path / "local" / "c", MODEL)
    local.store(writable=True).close()
    with pytest.raises(InputError, match=r"--index pgvector needs the store in PostgreSQL: give --store"):
        local.with_index_config(IndexConfig("pgvector"))
    for rows, told in (
        ([], "does not have the extension pgvector: install it there"),
        ([("0.7.4", True)], r"has pgvector 0\.7\.4, 0\.8 or newer is needed: ALTER EXTENSION vector UPDATE"),
        ([("0.5.1", False)], r"has pgvector 0\.5\.1, 0\.8 or newer is needed: install a newer one there"),
    ):
        with collection.store() as store:
            assert isinstance(store.sql_vectors, PgVectors)
            monkeypatch.setattr(store.sql_vectors._server, "rows", lambda _, rows=rows: rows)
            with pytest.raises(StateError, match=told):
                store.sql_vectors.check()
