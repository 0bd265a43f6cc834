"""Ports that are kept until somebody of ours listens on them."""

import asyncio
import errno
import os
import socket
import struct
import sys
from concurrent import futures

import grpc
import pytest

from serving.jina.ports import LOOPBACK, held, reserve_port_pair

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a port for a bound socket")

TAKEN = os.strerror(errno.EADDRINUSE)
IP_LOCAL_PORT_RANGE = 51
"""Of Linux 6.3: ip(7)."""


def _come_from(port: int, to: int) -> int:
    """Connects to a port; what the kernel chose to come from, with this port alone to choose from."""
    with socket.socket() as caller:
        caller.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, struct.pack("I", port << 16 | port))
        caller.connect((LOOPBACK, to))
        return int(caller.getsockname()[1])


def _unused() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def test_no_outgoing_connection_gets_a_held_port() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        to = server.getsockname()[1]
        free, kept = _unused(), reserve_port_pair()
        try:
            assert _come_from(free, to) == free  # or the next line would show nothing
        except OSError as error:
            if error.errno == errno.ENOPROTOOPT:
                pytest.skip("this kernel chooses from all ports")
            raise
        with pytest.raises(OSError, match=os.strerror(errno.EADDRNOTAVAIL)):
            _come_from(kept, to)


@pytest.mark.parametrize("server", ["asyncio", "grpc"])
def test_a_port_is_held_once(server: str) -> None:
    port = reserve_port_pair()
    with socket.socket() as other, pytest.raises(OSError, match=TAKEN):
        other.bind((LOOPBACK, port))
    with pytest.raises(OSError, match=TAKEN):
        held(LOOPBACK, port)
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, server == "grpc")
        listening.bind((LOOPBACK, port))
        held(LOOPBACK, port, alone=False).close()
        listening.listen()
        with pytest.raises(OSError, match=TAKEN):
            held(LOOPBACK, port, alone=False)


def test_servers_of_asyncio_and_grpc_listen_on_held_ports() -> None:
    port = reserve_port_pair()

    async def is_heard() -> bool:
        heard = asyncio.Event()

        def hear(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()
            heard.set()

        async with await asyncio.start_server(hear, LOOPBACK, port):
            _, caller = await asyncio.open_connection(LOOPBACK, port)
            caller.close()
            return await asyncio.wait_for(heard.wait(), 5)

    assert asyncio.run(is_heard())
    server = grpc.server(futures.ThreadPoolExecutor(1))
    assert server.add_insecure_port(f"{LOOPBACK}:{port + 1}") == port + 1
    server.start()
    with grpc.insecure_channel(f"{LOOPBACK}:{port + 1}") as channel:
        grpc.channel_ready_future(channel).result(5)
    server.stop(None).wait()


def test_no_socket_to_be_had_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> socket.socket:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr("serving.jina.ports.held", refuse)
    with pytest.raises(OSError, match="too many open files"):
        reserve_port_pair()
    monkeypatch.setattr("serving.jina.ports.held", _taken)
    with pytest.raises(OSError, match="no two consecutive free ports"):
        reserve_port_pair()


def _taken(*_: object) -> socket.socket:
    raise OSError(errno.EADDRINUSE, TAKEN)
