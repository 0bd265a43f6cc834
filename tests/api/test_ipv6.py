"""Services on IPv6: HTTP, gRPC, and the addresses that are printed."""

from __future__ import annotations

import socket
from pathlib import Path

import grpc
import httpx
import pytest
from conftest import RunApp, started
from grpc_health.v1 import health_pb2, health_pb2_grpc

from serving.jina.ports import addresses_of, held, in_url


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6 loopback")


def _answers_grpc(address: str, port: int) -> bool:
    with grpc.insecure_channel(f"{in_url(address)}:{port}", [("grpc.enable_http_proxy", 0)]) as channel:
        asked = health_pb2.HealthCheckRequest()
        return bool(health_pb2_grpc.HealthStub(channel).Check(asked, timeout=10).status)


@ipv6
@pytest.mark.parametrize(
    ("host", "addresses", "others"), [("::1", ["::1"], ["127.0.0.1"]), ("::", ["::1", "127.0.0.1"], [])]
)
def test_a_service_on_ipv6(toy_workspace: Path, host: str, addresses: list[str], others: list[str]) -> None:
    with started("query_restful", toy_workspace, host=host) as service:
        for address in addresses:
            url = f"http://{in_url(address)}:{service.port}"
            found = httpx.post(f"{url}/search", json={"text": "three stars", "top_k": 1}, timeout=20).json()
            assert found["results"], found
            answered = httpx.post(f"{url}/search", json={"data": ["a red ring"]}, timeout=20).json()
            picture = answered["search"]["docs"][0]["matches"][0]["uri"]
            assert picture.startswith(f"{url}/images/")
            assert httpx.get(picture, timeout=20).status_code == 200
            assert httpx.get(f"{url}/healthz", timeout=20).status_code == 200
            assert _answers_grpc(address, service.port + 1)
        for address in others:
            with pytest.raises(httpx.ConnectError):
                httpx.get(f"http://{in_url(address)}:{service.port}/status", timeout=20)


@ipv6
def test_a_port_of_ipv6_that_is_taken_is_told(run_app: RunApp, toy_workspace: Path) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as other:
        port = other.getsockname()[1]
        done = run_app("-t", "query_restful", "-w", toy_workspace, "--host", "[::1]", "--port", str(port))
    assert done.returncode == 1
    assert f"port {port} on ::1 can't be used" in done.stderr
    assert "another port with --port" in done.stderr


@ipv6
def test_a_port_of_ipv6_is_held() -> None:
    with held("::1", 0) as holder:
        assert holder.family == socket.AF_INET6
        with pytest.raises(OSError, match="in use"):
            held("::1", holder.getsockname()[1])


def test_names_and_addresses() -> None:
    assert addresses_of("127.0.0.1") == ["127.0.0.1"]
    assert "127.0.0.1" in addresses_of("localhost") or "::1" in addresses_of("localhost")


@pytest.mark.parametrize(
    ("host", "told"),
    [("not a name", "the name has no known address"), ("192.0.2.1", "this machine does not have the address")],
)
def test_a_wrong_host_is_told(run_app: RunApp, toy_workspace: Path, host: str, told: str) -> None:
    done = run_app("-t", "query_restful", "-w", toy_workspace, "--host", host)
    assert done.returncode == 1
    assert told in done.stderr
    assert "0.0.0.0 or ::" in done.stderr
    assert done.stderr.count("\n") == 1
