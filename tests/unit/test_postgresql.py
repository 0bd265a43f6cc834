"""The store in PostgreSQL: several writers, refusals that name the cause, and servers that go away."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from postgresql_server import PostgresqlServer, binaries
from stores import OpenStore, new_postgresql

from crossmodal.core.errors import InputError, NotWritableError, StateError
from crossmodal.core.types import Document
from crossmodal.index.vector_replica import VectorReplica
from crossmodal.store.protocol import Store
from crossmodal.store.records import NewDocument
from crossmodal.store.source_files import SourceFile

psycopg = pytest.importorskip("psycopg", reason="requirements-scale.txt is not installed")
from crossmodal.store import postgresql_connection, postgresql_server  # noqa: E402
from crossmodal.store.postgresql import PostgresqlStore  # noqa: E402
from crossmodal.store.postgresql_errors import explained, unreachable  # noqa: E402

DIM = 4
WRITERS, COMMITS = 4, 15


def item(name: str, **fields: object) -> NewDocument:
    return NewDocument(Document(name, "text", **fields), np.eye(DIM, dtype=np.float32)[hash(name) % DIM])  # type: ignore[arg-type]


def names(store: Store) -> set[str]:
    return {document.id for document in store.by_keys(store.keys("text").tolist()).values()}


@pytest.fixture
def open_postgresql(postgresql: PostgresqlServer) -> OpenStore:
    return new_postgresql(postgresql)


@pytest.fixture
def own_server() -> Iterator[PostgresqlServer]:
    """A server that the test may stop."""
    found = binaries()
    if found is None:
        pytest.skip("no PostgreSQL server runs here")
    server = PostgresqlServer(found)
    yield server
    server.close()


# -- several writers


def test_a_follower_of_several_writers_misses_nothing(open_postgresql: OpenStore) -> None:
    open_postgresql(writable=True).close()
    is_done = threading.Event()

    def write(writer: int) -> None:
        with open_postgresql(writable=True) as store:
            for commit in range(COMMITS):
                store.put([item(f"{writer} {commit} {n}") for n in range(3)] + [item(f"shared {commit}")])

    followed: list[int] = []
    seqs = [0]

    def follow() -> None:
        with open_postgresql() as store:
            while True:
                is_last = is_done.is_set()
                found = store.changes_after("text", seqs[-1], limit=5)
                assert found is not None
                followed.extend(found.added.tolist())
                seqs.append(found.last_seq)
                if is_last and found.is_all:
                    return

    writers = [threading.Thread(target=write, args=[n]) for n in range(WRITERS)]
    follower = threading.Thread(target=follow)
    for thread in (*writers, follower):
        thread.start()
    for thread in writers:
        thread.join()
    is_done.set()
    follower.join()
    with open_postgresql() as store:
        assert followed == store.keys("text").tolist()
        assert store.last_seq() == len(followed) == WRITERS * COMMITS * 3 + COMMITS
    assert seqs == sorted(seqs)


def test_patches_of_several_writers_add_up(open_postgresql: OpenStore) -> None:
    with open_postgresql(writable=True) as one, open_postgresql(writable=True) as two:
        one.put([item("a")])
        threads = [
            threading.Thread(target=store.update, args=[[("a", {f"{n} {place}": n})]])
            for n in range(10)
            for place, store in enumerate((one, two))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = one.document("a")
        assert found is not None
        assert len(found.tags) == 20


def test_a_store_is_created_once(open_postgresql: OpenStore) -> None:
    ids: set[str] = set()

    def create() -> None:
        with open_postgresql(writable=True) as store:
            ids.add(store.store_id())

    threads = [threading.Thread(target=create) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 1


# -- refusals


def test_a_server_that_refuses_is_named_with_the_cause(postgresql: PostgresqlServer) -> None:
    rules = postgresql.folder / "data" / "pg_hba.conf"
    before = rules.read_text()
    with psycopg.connect(postgresql.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE locked LOGIN PASSWORD 'secret'")
        connection.execute("CREATE ROLE guest LOGIN")
        connection.execute("CREATE ROLE many LOGIN CONNECTION LIMIT 0")
        rules.write_text(f"local all locked scram-sha-256\n{before}")
        connection.execute("SELECT pg_reload_conf()")
    for _ in range(1_000):  # the server reads the file a little later
        try:
            psycopg.connect(postgresql.url_of("locked")).close()
        except psycopg.OperationalError:
            break
        time.sleep(0.01)

    def refusal(url: str, *, writable: bool = True) -> str:
        with pytest.raises(StateError) as caught:
            PostgresqlStore(url, "refused", writable=writable)
        assert "\n" not in str(caught.value)
        assert "wrong" not in str(caught.value)
        return str(caught.value)

    address = f"postgresql://locked@{postgresql.folder}/postgres"
    wrong = refusal(postgresql.url_of("locked:wrong"))
    assert wrong.startswith(f"{address} can't be opened: ")
    assert wrong.endswith(
        'password authentication failed for user "locked": '
        "check the user and the password (PGPASSWORD, or a line in ~/.pgpass)"
    )
    assert refusal(postgresql.url_of("locked")).endswith(
        "no password supplied: set PGPASSWORD, or add a line to ~/.pgpass"
    )
    assert refusal(postgresql.url_of("many")).endswith(
        'too many connections for role "many": stop other clients, or raise max_connections'
    )
    assert refusal(postgresql.url_of(database="none")).endswith(
        'database "none" does not exist: create it, or correct the address'
    )
    assert refusal("postgresql://127.0.0.1:1/none").endswith("Connection refused: check the address and the server")
    assert "permission denied for database postgres: ask the owner" in refusal(postgresql.url_of("guest"))
    with pytest.raises(InputError, match="the address of a store is postgresql://USER@HOST/DATABASE"):
        PostgresqlStore("pictures", "refused")


def test_an_old_server_is_refused(open_postgresql: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql_server, "OLDEST", 99)
    with pytest.raises(StateError, match=r"is PostgreSQL \d\d: version 99 or newer is needed"):
        open_postgresql()


def test_a_database_of_another_encoding_is_refused(postgresql: PostgresqlServer) -> None:
    with psycopg.connect(postgresql.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    with pytest.raises(StateError, match="has the encoding LATIN1: create the database with ENCODING 'UTF8'"):
        PostgresqlStore(postgresql.url_of(database="latin"), "refused")


def test_reading_where_there_is_nothing(open_postgresql: OpenStore) -> None:
    with pytest.raises(StateError, match=r"no index in postgresql://.* run `python app.py -t index` first"):
        open_postgresql()


@pytest.mark.parametrize("writable", [False, True])
def test_a_newer_format_is_refused(postgresql: PostgresqlServer, writable: bool) -> None:
    schema = f"newer_{writable}".lower()
    PostgresqlStore(postgresql.url, schema, writable=True).close()
    with psycopg.connect(postgresql.url) as connection:
        connection.execute(f"UPDATE {schema}.format SET number = 999")
    with pytest.raises(StateError, match=r"has format 999.*update the program"):
        PostgresqlStore(postgresql.url, schema, writable=writable)


@pytest.mark.parametrize("field", ["id", "text", "uri"])
def test_a_nul_is_refused(open_postgresql: OpenStore, field: str) -> None:
    with open_postgresql(writable=True) as store:
        document = Document(**{"id": "good", "modality": "text", field: "a\0b"})  # type: ignore[arg-type]
        with pytest.raises(InputError, match=r"U\+0000"):
            store.put([item("a"), NewDocument(document, np.ones(DIM, np.float32))])
        with pytest.raises(InputError, match=r"a: PostgreSQL can't store the character U\+0000.*tags"):
            store.put([item("a", tags={"x": ["\0"]})])
        with pytest.raises(InputError, match=r"U\+0000"):
            store.document("a\0")
        assert store.put([item("a", tags={"x": r"\u0000"})]) == ["indexed"]


def test_a_full_disk_of_the_server_is_told() -> None:
    told = str(explained("postgresql://db", psycopg.errors.DiskFull("could not extend file: No space left on device")))
    assert told.startswith("postgresql://db: the server's disk is full (could not extend file")
    assert told.endswith("run the command again to continue")


@pytest.mark.parametrize(
    ("told", "step"),
    [
        ("sorry, too many clients already", "stop other clients"),
        ("remaining connection slots are reserved for roles with the SUPERUSER attribute", "stop other clients"),
        ("the database system is starting up", "try again"),
        ("terminating connection due to administrator command", "try again"),
    ],
)
def test_a_refusal_names_the_next_step(told: str, step: str) -> None:
    error = psycopg.OperationalError(f"connection failed: FATAL:  {told}")
    assert str(unreachable("postgresql://db", error)).startswith(f"postgresql://db can't be opened: {told}: {step}")


# -- servers that go away


def test_a_lost_connection_is_replaced(postgresql: PostgresqlServer, open_postgresql: OpenStore) -> None:
    with open_postgresql(writable=True) as store:
        assert isinstance(store, PostgresqlStore)
        store.put([item("a")])
        with pytest.raises(StateError, match=r"the server stopped the request .*run the command again"):
            store._server.rows("SELECT pg_terminate_backend(pg_backend_pid())")
        assert store.put([item("a"), item("b")]) == ["unchanged", "indexed"]
        with psycopg.connect(postgresql.url) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
        assert names(store) == {"a", "b"}
        assert store.last_seq() == 2


def test_a_server_that_answers_nothing_is_given_up(
    own_server: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_connection, "TIMEOUT_S", 1.0)
    with PostgresqlStore(own_server.url, "store", writable=True) as writer:
        writer.put([item("a")])
        with PostgresqlStore(own_server.url, "store") as reader:
            with own_server.paused():
                for store in (reader, writer):
                    with pytest.raises(StateError, match=r"can't be opened: no answer within 1 s: check the address"):
                        store.last_seq()
                with pytest.raises(StateError, match=r"can't be opened: connection timeout expired: check the address"):
                    reader.last_seq()
            assert (reader.last_seq(), writer.last_seq()) == (1, 1)


def test_a_query_of_a_reader_ends_in_time(
    postgresql: PostgresqlServer, open_postgresql: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_connection, "READ_S", 0.5)
    monkeypatch.setattr(postgresql_connection, "GRACE_S", 0.1)
    with open_postgresql(writable=True) as writer, open_postgresql() as reader:
        assert isinstance(writer, PostgresqlStore)
        assert isinstance(reader, PostgresqlStore)
        with pytest.raises(StateError, match=r"the server stopped the request \(.*statement timeout\)"):
            reader._server.rows("SELECT pg_sleep(60)")
        reader._server.rows("SELECT set_config('statement_timeout', '0', false)")  # as if the server did not notice
        with pytest.raises(StateError, match=r"the connection was lost \(no answer within 0\.6 s\)"):
            reader._server.rows("SELECT pg_sleep(60)")
        assert reader.last_seq() == 0
        assert writer._server.row("SHOW statement_timeout") == ("0",)  # a writer waits for other writers
    url = f"{postgresql.url}&options=-c%20statement_timeout%3D90s"
    with postgresql_connection.connect(url, is_limited=True) as connection:
        assert connection.execute("SHOW statement_timeout").fetchone() == ("90s",)
        assert connection.limit_s == pytest.approx(90.1)


def test_a_killed_server_loses_nothing_that_was_acknowledged(
    own_server: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_connection, "TIMEOUT_S", 1.0)
    with PostgresqlStore(own_server.url, "store", writable=True) as store:
        for n in range(20):
            store.put([item(f"{n}")])
        own_server.stop(kill=True)
        with pytest.raises(StateError, match=r"can't be opened|the connection was lost"):
            store.put([item("late")])
        own_server.start()
        assert names(store) == {f"{n}" for n in range(20)}
        assert store.put([item("late")]) == ["indexed"]


def test_a_killed_writer_leaves_whole_commits(postgresql: PostgresqlServer) -> None:
    script = (
        "import itertools, sys; sys.path[:0] = sys.argv[2:]\n"
        "from test_postgresql import PostgresqlStore, item\n"
        "with PostgresqlStore(sys.argv[1], 'killed', writable=True) as store:\n"
        "    for n in itertools.count():\n"
        "        store.put([item(f'{n} {m}') for m in range(10)]); print(n, flush=True)\n"
    )
    here = Path(__file__).parent
    paths = [str(here), str(here.parent), str(here.parents[1])]
    process = subprocess.Popen([sys.executable, "-c", script, postgresql.url, *paths], stdout=subprocess.PIPE)
    assert process.stdout is not None
    for _ in range(3):
        last = int(process.stdout.readline())
    process.kill()
    rest, _ = process.communicate()
    acknowledged = int([str(last), *rest.decode().split()][-1])
    with PostgresqlStore(postgresql.url, "killed", writable=True) as store:
        n_commits, n_more = divmod(len(names(store)), 10)
        assert n_more == 0
        assert acknowledged + 1 <= n_commits <= acknowledged + 2
        assert store.put([item("next")]) == ["indexed"]
        assert store.last_seq() == 10 * n_commits + 1


def test_acknowledged_is_on_the_disk_whatever_the_default(postgresql: PostgresqlServer) -> None:
    with psycopg.connect(postgresql.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE hasty LOGIN SUPERUSER")
        connection.execute("ALTER ROLE hasty SET synchronous_commit = off")
    with PostgresqlStore(postgresql.url_of("hasty"), "hasty", writable=True) as store:
        assert store._server.row("SHOW synchronous_commit") == ("on",)


def test_a_follower_starts_over_after_a_failover_that_lost_commits(
    own_server: PostgresqlServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The standby is promoted without the last commits of the primary, and assigns their numbers again."""
    with PostgresqlStore(own_server.url, "store", writable=True) as primary:
        primary.put([item("kept 1"), item("kept 2")])
    own_server.stop()
    data = own_server.folder / "data"
    copy = own_server.folder / "standby"
    subprocess.run(["cp", "-a", data, copy], check=True)
    (copy / "standby.signal").touch()
    own_server.start()
    with PostgresqlStore(own_server.url, "store", writable=True) as primary:
        primary.put([item("lost 1"), item("lost 2")])
        index = VectorReplica(primary, "text", tmp_path, DIM)
        index.rebuild()
        lost = set(primary.keys("text").tolist()) - {1, 2}
        assert len(index) == 4
        own_server.stop(kill=True)
        shutil.rmtree(data)
        copy.rename(data)
        own_server.start()
        with pytest.raises(NotWritableError, match=r"it is a standby\. Use the address of the primary"):
            PostgresqlStore(own_server.url, "store", writable=True)
        assert index.refresh() > 0  # reads from the standby, where the commits are missing
        assert len(index) == 2
        assert "has lost 2 changes, those with the numbers 3 to 4: a standby that lacks them" in caplog.text
        with psycopg.connect(own_server.url) as connection:
            connection.execute("SELECT pg_promote()")
        primary.put([item("new 1"), item("new 2"), item("new 3")])
        assert lost < set(primary.keys("text").tolist())
        index.refresh()
        assert len(index) == 5
        assert primary.data_version()[0] == 1
        assert len(VectorReplica(primary, "text", tmp_path, DIM)) == 5


def test_the_records_of_long_paths(open_postgresql: OpenStore) -> None:
    rng = np.random.default_rng(0)
    long = "/" + "".join(map(chr, rng.integers(0x4E00, 0x9FFF, 1300)))  # incompressible, 3,900 bytes
    with open_postgresql(writable=True) as store:
        store.put([NewDocument(Document("p", "image"), np.ones(DIM, np.float32))])
        store.files.put(long, [SourceFile(long, 1, 2, "p"), SourceFile("/other", 1, 2, "nobody")])
        assert store.files.by_source() == {long: [SourceFile(long, 1, 2, "p")]}
        store.files.put("set", [SourceFile(long, 3, 4, "p")])
        assert store.files.by_source() == {"set": [SourceFile(long, 3, 4, "p")]}
        assert store.files.paths_of("p") == [long]
        store.files.forget([long])
        assert store.files.by_source() == {}
