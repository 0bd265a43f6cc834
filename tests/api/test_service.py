"""Everything a service answers beside /search, and how it starts, ends and fails."""

from __future__ import annotations

import io
import socket
import time
from contextlib import suppress
from pathlib import Path

import grpc
import httpx
import psutil
import pytest
from conftest import START_LIMIT_S, TOY, RunApp, Service, run_script, started
from PIL import Image

from cli.serve import _restart_after
from crossmodal.core.errors import StateError


def test_status_says_what_is_served(query_service: Service) -> None:
    told = httpx.get(query_service.url + "/status").json()
    assert (told["images"], told["captions"]) == (200, 1000)
    assert told["model"]["weights"] == "scenes"
    assert told["collection"] == "toy-data"
    assert told["acknowledged"] == "one machine"


def test_health_goes_through_the_encoders(query_service: Service) -> None:
    response = httpx.get(query_service.url + "/healthz", timeout=20)
    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


def test_pictures_and_thumbnails(query_service: Service) -> None:
    body = {"data": ["a star"], "top_k": 1}
    match = httpx.post(query_service.url + "/search", json=body).json()["data"]["docs"][0]["matches"][0]
    picture = httpx.get(match["uri"])
    assert picture.content == (TOY / "images" / match["tags"]["filename"]).read_bytes()
    assert picture.headers["content-type"] == "image/jpeg"
    assert picture.headers["x-content-type-options"] == "nosniff"
    thumbnail = httpx.get(match["uri"].replace("/images/", "/thumbnails/"))
    assert max(Image.open(io.BytesIO(thumbnail.content)).size) <= 256
    for path in ("/images/none", "/thumbnails/none", "/images/..%2f..%2fetc%2fpasswd"):
        assert httpx.get(query_service.url + path).status_code == 404


def test_another_origin_may_ask(query_service: Service) -> None:
    headers = {"Origin": "http://elsewhere.test", "Access-Control-Request-Method": "POST"}
    answer = httpx.options(query_service.url + "/search", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"


def test_api_documents_work_offline(query_service: Service) -> None:
    paths = httpx.get(query_service.url + "/openapi.json").json()["paths"]
    assert {"/search", "/status", "/healthz", "/images/{picture_id}", "/thumbnails/{picture_id}"} <= set(paths)
    page = httpx.get(query_service.url + "/docs").text
    assert "swagger-ui" in page
    assert "https://" not in page


JINA_CLIENT = """
import sys
from serving.jina.supervisor import prepare_jina
prepare_jina()
from docarray import DocList
from jina import Client
from executors.schema import MediaDoc, to_array
port, protocol, picture = int(sys.argv[1]), sys.argv[2], sys.argv[3]
docs = DocList[MediaDoc]([MediaDoc(id="q1", modality="text", text="two hearts")])
if protocol != "http":
    docs.insert(0, MediaDoc(id="q2", modality="image", content=to_array(open(picture, "rb").read())))
    docs.append(MediaDoc(id="q3", text="nobody said what it is"))
client = Client(host="127.0.0.1", port=port, protocol=protocol)
found = client.post("/search", inputs=docs, parameters={"top_k": 3}, return_type=DocList[MediaDoc])
for doc in found:
    if doc.error:
        print(doc.id, doc.error)
        continue
    print(doc.id, [match.modality for match in doc.matches], doc.matches[0].scores["cosine"] > 0)
"""


@pytest.mark.parametrize(("protocol", "offset"), [("http", 0), ("grpc", 1), ("websocket", 0)])
def test_jina_client(query_service: Service, tmp_path: Path, protocol: str, offset: int) -> None:
    script, picture = tmp_path / "client.py", TOY / "images" / "test-00003.jpg"
    script.write_text(JINA_CLIENT)
    done = run_script(script, str(query_service.port + offset), protocol, picture)
    lines = done.stdout.splitlines()
    text = "q1 ['image', 'image', 'image'] True"
    if protocol == "http":
        assert lines == [text], done.stderr
    else:  # in the order they were asked in, whatever branch they took
        picture = "q2 ['text', 'text', 'text'] True"
        assert lines == [picture, text, "q3 modality '': expected 'image' or 'text'"], done.stderr


def listening(service: Service) -> list[tuple[psutil.Process, set[int]]]:
    """The processes that listen, each with its ports."""
    children = psutil.Process(service.process.pid).children(recursive=True)
    ports = [{c.laddr.port for c in one.net_connections("tcp") if c.status == psutil.CONN_LISTEN} for one in children]
    return [(child, own) for child, own in zip(children, ports, strict=True) if own]


def executors_of(service: Service) -> list[psutil.Process]:
    """The processes that listen on a port of their own: all Executors but the gateway."""
    return [child for child, ports in listening(service) if not ports & {service.port, service.port + 1}]


def test_a_dead_executor_is_told_and_the_service_comes_back(toy_workspace: Path) -> None:
    with started("query_restful", toy_workspace) as service:
        executors = executors_of(service)
        assert len(executors) == 7
        executors[0].kill()
        executors[0].wait(10)
        health = httpx.get(service.url + "/healthz", timeout=20)
        assert health.status_code == 503
        answers = []
        with suppress(httpx.TransportError):  # when it starts again
            for _ in range(20):
                answers.append(httpx.post(service.url + "/search", json={"data": ["x"]}, timeout=20))
        assert {(answer.status_code, answer.json()["status"]["code"]) for answer in answers} == {(503, "ERROR")}
        assert wait_until_ready(service)
        assert service.process.poll() is None
        again = httpx.post(service.url + "/search", json={"data": ["a red ring"]}, timeout=20)
        assert again.status_code == 200


def test_a_gateway_that_was_killed_comes_back_on_its_port(toy_workspace: Path) -> None:
    with started("query_restful", toy_workspace) as service:
        (gateway,) = [child for child, ports in listening(service) if service.port in ports]
        gateway.kill()
        gateway.wait(10)
        assert wait_until_ready(service)
        again = httpx.post(service.url + "/search", json={"data": ["a red ring"]}, timeout=20)
        assert again.status_code == 200


def test_what_ends_again_and_again_is_not_started_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSMODAL_STARTED_AGAIN", " ".join([f"{time.time():.0f}"] * 5))
    with pytest.raises(StateError, match="6 times within 10 minutes, the last was ranker"):
        _restart_after("ranker (exit code -9)")


def wait_until_ready(service: Service) -> bool:
    end = time.monotonic() + START_LIMIT_S
    while time.monotonic() < end and service.process.poll() is None:
        with suppress(httpx.TransportError):
            if httpx.get(service.url + "/readyz", timeout=20).status_code == 200:
                return True
        time.sleep(0.2)
    return False


def test_sigterm_leaves_no_process_and_no_port(toy_workspace: Path) -> None:
    with started("query_restful", toy_workspace) as service:
        children = psutil.Process(service.process.pid).children(recursive=True)
        service.process.terminate()
        assert service.process.wait(60) in (0, 130)  # 130 where it was still starting
        _, alive = psutil.wait_procs(children, timeout=30)
        assert alive == []
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", service.port))


def test_a_service_that_is_killed_leaves_no_process(toy_workspace: Path) -> None:
    with started("query_restful", toy_workspace) as service:
        children = psutil.Process(service.process.pid).children(recursive=True)
        service.process.kill()
        service.process.wait(10)
        _, alive = psutil.wait_procs(children, timeout=30)
        assert alive == []


def test_a_taken_port_is_said_at_once(run_app: RunApp, toy_workspace: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run_app("-t", "query_restful", "-w", toy_workspace, "--port", str(port))
    assert done.returncode == 1
    assert f"port {port}" in done.stderr
    assert "--port" in done.stderr


def test_so_is_one_that_another_service_has_for_grpc(
    run_app: RunApp, toy_workspace: Path, query_service: Service
) -> None:
    done = run_app("-t", "query_restful", "-w", toy_workspace, "--port", str(query_service.port + 1))
    assert done.returncode == 1
    assert f"port {query_service.port + 1} on 127.0.0.1 can't be used" in done.stderr
    assert done.stderr.count("\n") == 1


def test_nothing_listens_to_other_machines(query_service: Service) -> None:
    processes = [query_service.process.pid, *(p.pid for p in psutil.Process(query_service.process.pid).children(True))]
    listening = [c.laddr for pid in processes for c in psutil.Process(pid).net_connections() if c.status == "LISTEN"]
    assert len(listening) >= 8
    assert {address.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def test_an_executor_removes_no_folder_it_is_told_to(query_service: Service, tmp_path: Path) -> None:
    """Jina's service for replicas, which would."""
    processes = psutil.Process(query_service.process.pid).children(True)
    ports = {c.laddr.port for p in processes for c in p.net_connections() if c.status == "LISTEN"}
    folder = str(tmp_path).encode()
    command = b"\x0a" + bytes([len(folder)]) + folder  # field 1 of RestoreSnapshotCommand, the path
    for port in ports - {query_service.port}:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary("/jina.JinaExecutorRestore/restore")(command, timeout=10)
        assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert tmp_path.is_dir()
