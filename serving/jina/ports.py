"""Ports that stay free until the part of a Flow that is to listen on them does.

A port that is free as it is chosen may be taken seconds later, when an Executor has loaded its model and wants to
listen: by another Flow that chose the same one, or by any outgoing connection, which gets a port of the same range.
"""

from __future__ import annotations

import atexit
import errno
import ipaddress
import socket
import sys
from contextlib import ExitStack
from typing import Any

LOOPBACK = "127.0.0.1"
TRIES = 100
"""A machine that has free ports has two in a row long before."""
TAKEN = frozenset({errno.EADDRINUSE, errno.EACCES})

_kept = ExitStack()
"""The ports of `reserve_port_pair`, until the process ends."""
atexit.register(_kept.close)


def reserve_port_pair() -> int:
    """A port of this machine that nobody has, and neither the one after it: both are kept for this process, and those
    that it starts.

    Raises:
        OSError: No socket can be had, or no such port is found.
    """
    for _ in range(TRIES):
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port = int(probe.getsockname()[1])
        with ExitStack() as both:
            try:
                both.enter_context(held(LOOPBACK, port))
                both.enter_context(held(LOOPBACK, port + 1))
            except OverflowError:  # the last port there is
                continue
            except OSError as error:
                if error.errno not in TAKEN:
                    raise
                continue
            _kept.push(both.pop_all())
            return port
    raise OSError(errno.EADDRINUSE, f"no two free ports in a row were found on {LOOPBACK}")


def held(host: str, port: int, *, alone: bool = True) -> socket.socket:
    """Keeps a port until the socket is closed: Linux gives it away no more, yet servers of ours can listen on it.

    The socket is bound and does not listen, and shares its port with sockets that ask to share it, as those of gRPC
    and asyncio do. Elsewhere than on Linux this only looks whether the port is free.

    Args:
        host: An IPv4 or IPv6 address of this machine.
        port: Which.
        alone: Whether it must be nobody's. Else connections of a service that has just ended may linger on it, and
            others may hold it, but none listen.

    Raises:
        OSError: It can't be had.
    """
    with ExitStack() as until_it_is_bound:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        holder = until_it_is_bound.enter_context(socket.socket(family))
        if not alone:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(_bound_to(host, port))
        if sys.platform == "linux":
            # Only now: a service that listens for gRPC shares its port with all that had asked for it before.
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            until_it_is_bound.pop_all()
    return holder


def addresses_of(host: str) -> list[str]:
    """The IPv4 and IPv6 addresses that a name of this machine stands for; an address stands for itself.

    Raises:
        OSError: The name is not known; `socket.gaierror`.
        UnicodeError: It can be no name.
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys(_with_scope(sockaddr) for *_, sockaddr in found))


def _with_scope(sockaddr: Any) -> str:
    """The address, with the interface that a link-local one is of."""
    address, scope = str(sockaddr[0]), sockaddr[3] if len(sockaddr) == 4 else 0
    return f"{address}%{scope}" if scope and "%" not in address else address


def _bound_to(host: str, port: int) -> Any:
    """What `bind` takes; that of an address with an interface has its number."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0][4]


def in_url(host: str) -> str:
    """The host as a URL, or a target of gRPC, has it: an IPv6 address in brackets.

    >>> in_url("::1"), in_url("127.0.0.1"), in_url("pictures.test")
    ('[::1]', '127.0.0.1', 'pictures.test')
    """
    return f"[{host}]" if ":" in host else host


def to_ask(host: str) -> str:
    """The host by which a service is asked on this machine that listens on `host`."""
    return "localhost" if host in (LOOPBACK, "0.0.0.0", "::", "") else host


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def grpc_address(host: str, *, has_keys: bool) -> str:
    """Where gRPC listens, which knows no keys: where there are any, only this machine reaches it."""
    return LOOPBACK if has_keys and not is_loopback(host) else host
