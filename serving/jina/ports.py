"""Ports that are reserved until the part of a Flow that is to listen on them does.

A port that is free when it is chosen may be taken seconds later, when an Executor has loaded its model and begins to
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

from crossmodal.core.errors import StateError
from crossmodal.core.os_errors import reason

LOOPBACK = "127.0.0.1"
TRIES = 100
"""Attempts at random ports; a machine that has free ports needs a few."""
TAKEN = frozenset({errno.EADDRINUSE, errno.EACCES})

_kept = ExitStack()
"""The ports of `reserve_port_pair`, until the process ends."""
atexit.register(_kept.close)


def reserve_port_pair() -> int:
    """Reserves two consecutive free ports for this process and its children, and returns the first.

    Raises:
        OSError: No socket can be made, or no such pair is found.
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
    """Reserves a port until the socket is closed: no other program gets it, yet servers of ours can listen on it.

    The socket is bound and does not listen, and shares its port with sockets that ask for that, as those of gRPC
    and asyncio do. Elsewhere than on Linux this only checks that the port is free.

    Args:
        host: An IPv4 or IPv6 address of this machine.
        port: The port.
        alone: Whether the port must be unused. Otherwise connections of a service that has just ended may linger on
            it, and other sockets may be bound to it, but none may listen.

    Raises:
        OSError: The port can't be reserved.
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
    """The IPv4 and IPv6 addresses of a host name of this machine; an address is its own.

    Raises:
        OSError: The name is not known; `socket.gaierror`.
        UnicodeError: No host name looks like that.
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys(_with_scope(sockaddr) for *_, sockaddr in found))


def _with_scope(sockaddr: Any) -> str:
    """The address; a link-local one with its interface."""
    address, scope = str(sockaddr[0]), sockaddr[3] if len(sockaddr) == 4 else 0
    return f"{address}%{scope}" if scope and "%" not in address else address


def _bound_to(host: str, port: int) -> Any:
    """The argument of `bind`, in which an interface is a number."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0][4]


def in_url(host: str) -> str:
    """The host as it stands in a URL or a gRPC target: an IPv6 address in brackets.

    >>> in_url("::1"), in_url("127.0.0.1"), in_url("pictures.test")
    ('[::1]', '127.0.0.1', 'pictures.test')
    """
    return f"[{host}]" if ":" in host else host


def to_ask(host: str) -> str:
    """The host by which clients on this machine reach a service that listens on `host`."""
    return "localhost" if host in (LOOPBACK, "0.0.0.0", "::", "") else host


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def grpc_address(host: str, *, has_keys: bool) -> str:
    """Where gRPC listens. It has no API keys: where HTTP needs them, only this machine reaches it."""
    return LOOPBACK if has_keys and not is_loopback(host) else host


def service_ports(holders: ExitStack, host: str, port: int) -> None:
    """Reserves a port of the service at all addresses of `--host`, until `holders` is closed.

    Raises:
        StateError: The host is not known, or the port can't be used; the message says what to do.
    """
    try:
        addresses = addresses_of(host)
    except (OSError, UnicodeError) as error:
        raise StateError(
            f"--host {host}: no address of that name is known; use an address of this machine, 127.0.0.1 or ::1 for "
            "itself alone, 0.0.0.0 or :: for all of its addresses"
        ) from error
    for address in addresses:
        try:
            holders.enter_context(held(address, port, alone=False))
        except OSError as error:
            raise StateError(f"port {port} on {address} can't be used ({error.strerror}): {_advice(error)}") from error


def _advice(error: OSError) -> str:
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return "this machine has no such address; give one that it has with --host, or 0.0.0.0 or :: for all of them"
    if error.errno == errno.EACCES:
        return "ports below 1024 are for the administrator: choose another with --port"
    if error.errno == errno.EADDRINUSE:
        return "stop what listens there, or choose another with --port"
    return reason(error)
