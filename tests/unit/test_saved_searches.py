"""Saved searches: in the stores, and in everything that copies a collection."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from fastapi import FastAPI
from postgresql_server import PostgresqlServer
from starlette.testclient import TestClient
from stores import OpenStore

from crossmodal.collection.collection import Collection
from crossmodal.collection.comparison import differences
from crossmodal.collection.linked_workspace import link_workspace
from crossmodal.collection.migration import migrate
from crossmodal.collection.transfer import export_collection, import_collection
from crossmodal.core.errors import InputError, StateError
from crossmodal.core.types import Document, ModelSpec, Preprocessing
from crossmodal.ingest.reindex import ReindexJob
from crossmodal.store.records import NewDocument
from crossmodal.store.saved_searches import copy_searches
from executors.kv_indexer import KeyValueIndexer
from executors.schema import MediaDoc
from serving.http.saved_searches import add_saved_searches
from serving.middleware import PrivateLocation

MODEL = ModelSpec("clip", "photos", "0" * 64, 2, Preprocessing(224))
HEARTS = {"request": {"text": "two hearts -red", "exclude": ["näve"]}, "address": "/?q=two+hearts"}
DOGS = {"request": {"text": "a dog", "after": "2023"}, "address": ""}


def test_they_are_kept_by_name(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        assert store.searches.all() == {}
        store.searches.put("b ❤", HEARTS)
        store.searches.put("a/b", DOGS)
    with open_store(writable=True) as store:
        assert list(store.searches.all().items()) == [("a/b", DOGS), ("b ❤", HEARTS)]
        store.searches.put("a/b", HEARTS)
        assert store.searches.remove("b ❤")
        assert not store.searches.remove("b ❤")
        store.compact()
        assert store.searches.all() == {"a/b": HEARTS}


def test_saving_a_search_is_no_change_of_the_documents(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        before = store.last_seq()
        store.searches.put("a", HEARTS)
        assert store.last_seq() == before


@pytest.mark.parametrize("name", ["", " a", "a ", ".", "..", "x" * 101, "a\nb", "a\x00b", "\ud800"])
def test_a_name_that_nobody_could_type_again_is_refused(open_store: OpenStore, name: str) -> None:
    with open_store(writable=True) as store, pytest.raises(InputError, match="name"):
        store.searches.put(name, HEARTS)


def test_all_of_them_are_copied(open_store: OpenStore, tmp_path: Path) -> None:
    from crossmodal.store.sqlite import DocumentStore

    with open_store(writable=True) as store, DocumentStore(tmp_path, writable=True) as other:
        store.searches.put("a", HEARTS)
        store.searches.put("b", DOGS)
        other.searches.put("b", HEARTS)
        other.searches.put("c", HEARTS)
        copy_searches(store.searches, other.searches)
        assert other.searches.all() == {"a": HEARTS, "b": DOGS}


@pytest.fixture(params=["sqlite", "postgresql"])
def collection(request: pytest.FixtureRequest, tmp_path: Path) -> Collection:
    """A collection with documents and a saved search."""
    workspace = tmp_path / "workspace"
    if request.param == "postgresql":
        server: PostgresqlServer = request.getfixturevalue("postgresql")
        link_workspace(workspace, server.url)
    made = Collection.create(workspace / f"c{uuid4().hex}", MODEL)
    with made.store(writable=True) as store:
        vector = np.array([1, 0], np.float32)
        store.put([NewDocument(Document(f"t{n}", "text", text="a dog"), vector) for n in range(12)])
        store.searches.put("hearts", HEARTS)
    return made


def searches_of(collection: Collection) -> Any:
    with Collection.open(collection.root).store() as store:
        return store.searches.all()


def test_they_survive_a_reindex_and_a_rollback(collection: Collection) -> None:
    job = ReindexJob(collection)
    made = collection.next_generation(MODEL)
    with collection.store(writable=True) as store:
        store.searches.put("dogs", DOGS)  # while it is encoded
    job.finish(made, without_failures=False)
    assert searches_of(collection) == {"hearts": HEARTS, "dogs": DOGS}
    with Collection.open(collection.root).store(writable=True) as store:
        store.searches.remove("hearts")
    Collection.open(collection.root).roll_back()
    assert searches_of(collection) == {"dogs": DOGS}


def test_a_state_that_is_not_the_current_one_takes_none(collection: Collection, request: pytest.FixtureRequest) -> None:
    if "postgresql" not in request.node.name:
        pytest.skip("a folder's earlier state is kept from writers by its lock")
    job, old = ReindexJob(collection), collection.store(writable=True)
    job.finish(collection.next_generation(MODEL), without_failures=False)
    with old, pytest.raises(StateError, match="current one"):
        old.searches.put("a", HEARTS)


def test_they_are_exported_and_imported(collection: Collection, tmp_path: Path) -> None:
    assert export_collection(collection, tmp_path / "c.parquet") == 12
    taken = import_collection(tmp_path / "c.parquet", tmp_path / "elsewhere").collection
    assert searches_of(taken) == {"hearts": HEARTS}
    with taken.store(writable=True) as store:
        store.searches.put("hearts", DOGS)
    import_collection(tmp_path / "c.parquet", tmp_path / "elsewhere")
    assert searches_of(taken) == {"hearts": DOGS}, "those that are there stay"


def test_they_are_migrated_and_compared(collection: Collection, tmp_path: Path) -> None:
    migrate(collection, str(tmp_path / "elsewhere"), lambda _: None)
    copy = Collection.open(tmp_path / "elsewhere" / collection.root.name)
    assert searches_of(copy) == {"hearts": HEARTS}
    assert list(differences(collection, copy, lambda _: None)) == []
    with copy.store(writable=True) as store:
        store.searches.put("hearts", DOGS)
    assert [problem.item for problem in differences(collection, copy, lambda _: None)] == ["hearts"]


def test_a_collection_of_the_format_before_is_read_without_any(tmp_path: Path) -> None:
    golden = Path(__file__).resolve().parent.parent / "golden" / "format-3"
    old = Collection.open(Path(shutil.copytree(golden, tmp_path / "old")))
    with old.store() as store:
        assert store.searches.all() == {}
        assert store.readings.exist() == (False, False)
        assert len(store.everything(0, 100)) == 9
    with old.store(writable=True) as store:
        store.searches.put("a", HEARTS)
        assert store.searches.all() == {"a": HEARTS}


# -- over HTTP


class Flow:
    """The Flow, with its writing Executor alone."""

    def __init__(self, indexer: KeyValueIndexer) -> None:
        self._indexer = indexer

    async def answers(self, docs: list[MediaDoc], endpoint: str, _: Any) -> list[MediaDoc]:
        assert endpoint == "/searches"
        return list(await asyncio.to_thread(self._indexer.save_searches, docs))  # type: ignore[arg-type]


@pytest.fixture
def client(collection: Collection, request: pytest.FixtureRequest) -> Iterator[TestClient]:
    app = FastAPI()
    indexer = KeyValueIndexer(collection=str(collection.root))
    with collection.store() as store:
        opened: Any = SimpleNamespace(current=lambda: ("", SimpleNamespace(store=store)))
        flow: Any = Flow(indexer)
        add_saved_searches(app, opened, flow, writable=getattr(request, "param", True))
        if "hidden" in request.node.name:
            app.add_middleware(PrivateLocation)
        yield TestClient(app)
    indexer.close()


def test_saving_opening_and_removing(client: TestClient) -> None:
    told = client.get("/searches").json()
    assert told == {"searches": [{"name": "hearts", **HEARTS}], "writable": True}
    saved = client.put("/searches/a%2Fb%20%E2%9D%A4", json=DOGS)
    assert (saved.status_code, saved.json()) == (200, {"name": "a/b ❤", **DOGS})
    assert [one["name"] for one in client.get("/searches").json()["searches"]] == ["a/b ❤", "hearts"]
    assert client.put("/searches/hearts", json=DOGS).status_code == 200
    removed = client.delete("/searches/hearts")
    assert removed.json() == {"name": "hearts", **DOGS}
    assert client.delete("/searches/hearts").status_code == 404


@pytest.mark.parametrize(
    ("request_", "detail"),
    [
        ({"txt": "a"}, "txt"),
        ({"where": "tags."}, "where"),
        ({"image": "data:image/png;base64,aa"}, "only its URL"),
        ({"text": "a", "unlikes": ["data:image/png;base64,aa"]}, "only its URL"),
        ({"text": "a", "top_k": 0}, "top_k"),
    ],
)
def test_what_could_not_be_searched_for_is_refused(client: TestClient, request_: Any, detail: str) -> None:
    refused = client.put("/searches/a", json={"request": request_})
    assert refused.status_code == 422
    assert detail in refused.json()["detail"]


@pytest.mark.parametrize("client", [False], indirect=True)
def test_a_service_that_only_reads_says_so(client: TestClient) -> None:
    assert client.get("/searches").json()["writable"] is False
    for refused in (client.put("/searches/a", json=DOGS), client.delete("/searches/hearts")):
        assert refused.status_code == 403
        assert "--writable" in refused.json()["detail"]


def test_those_by_place_are_hidden_from_clients_that_may_not_know_it(client: TestClient) -> None:
    with_place = {"text": "a", "where": "tags.place = 'Oslo'"}
    for asked in (with_place, {"near": "Oslo"}):
        assert client.put("/searches/oslo", json={"request": asked}).status_code == 403
    assert client.put("/searches/oslo", json=DOGS).status_code == 200
    assert len(client.get("/searches").json()["searches"]) == 2
