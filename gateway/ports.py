"""Ports that stay free until the part of a Flow that is to listen on them does.

A port that is free as it is chosen may be taken seconds later, when an Executor has loaded its model and wants to
listen: by another Flow that chose the same one, or by any outgoing connection, which gets a port of the same range.
"""

from __future__ import annotations

import atexit
import socket
import sys
from contextlib import ExitStack

LOOPBACK = "127.0.0.1"

_kept = ExitStack()
"""The ports of `free_ports`, until the process ends."""
atexit.register(_kept.close)


def free_ports() -> int:
    """A port of this machine that nobody has, and neither the one after it: both are kept for this process, and those
    that it starts.
    """
    while True:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port = int(probe.getsockname()[1])
        with ExitStack() as both:
            try:
                both.enter_context(held(LOOPBACK, port))
                both.enter_context(held(LOOPBACK, port + 1))
            except (OSError, OverflowError):
                continue
            _kept.push(both.pop_all())
            return port


def held(host: str, port: int, *, alone: bool = True) -> socket.socket:
    """Keeps a port until the socket is closed: Linux gives it away no more, yet servers of ours can listen on it.

    The socket is bound and does not listen, and shares its port with sockets that ask to share it, as those of gRPC
    and asyncio do. Elsewhere than on Linux this only looks whether the port is free.

    Args:
        host: An address of this machine.
        port: Which.
        alone: Whether it must be nobody's. Else connections of a service that has just ended may linger on it, and
            others may hold it, but none listen.

    Raises:
        OSError: It can't be had.
    """
    with ExitStack() as until_it_is_bound:
        holder = until_it_is_bound.enter_context(socket.socket())
        if not alone:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((host, port))
        if sys.platform == "linux":
            # Only now: a service that listens for gRPC shares its port with all that had asked for it before.
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            until_it_is_bound.pop_all()
    return holder
