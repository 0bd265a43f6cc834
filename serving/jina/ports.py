"""Reserves the ports of a Flow until its parts listen on them.

A port that is free when it is chosen may be taken seconds later, when an Executor has loaded its model and starts to
listen: by another Flow that chose the same port, or by an outgoing connection, which gets a port of the same range.
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
"""Attempts with random ports; a few suffice on a machine with free ports."""
TAKEN = frozenset({errno.EADDRINUSE, errno.EACCES})

_reserved = ExitStack()
"""The reserved ports of `reserve_port_pair`, released when the process ends."""
atexit.register(_reserved.close)


def reserve_port_pair() -> int:
    """Reserves two consecutive free ports for this process and its children, and returns the first.

    Raises:
        OSError: A socket can't be created, or no pair is free.
    """
    for _ in range(TRIES):
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port = int(probe.getsockname()[1])
        with ExitStack() as both:
            try:
                both.enter_context(held(LOOPBACK, port))
                both.enter_context(held(LOOPBACK, port + 1))
            except OverflowError:  # the first port was 65535
                continue
            except OSError as error:
                if error.errno not in TAKEN:
                    raise
                continue
            _reserved.push(both.pop_all())
            return port
    raise OSError(errno.EADDRINUSE, f"no two consecutive free ports were found on {LOOPBACK}")


def held(host: str, port: int, *, alone: bool = True) -> socket.socket:
    """Reserves a port until the socket is closed: other programs can't take it, but servers of this program can listen.

    The socket is bound but does not listen, and shares its port with sockets that set SO_REUSEPORT, as those of gRPC
    and asyncio do. On other systems than Linux, this only checks that the port is free.

    Args:
        host: An IPv4 or IPv6 address of this machine.
        port: The port.
        alone: Whether the port must be unused. Otherwise, connections of a service that has just ended may remain on
            it, and other sockets may be bound to it, but none may listen.

    Raises:
        OSError: The port can't be reserved.
    """
    with ExitStack() as until_bound:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        holder = until_bound.enter_context(socket.socket(family))
        if not alone:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(_bound_to(host, port))
        if sys.platform == "linux":
            # Not before `bind`, which would then succeed on the port of a running gRPC service.
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            until_bound.pop_all()
    return holder


def addresses_of(host: str) -> list[str]:
    """The IPv4 and IPv6 addresses of a host name of this machine; an address is returned as it is.

    Raises:
        OSError: The name is not known; `socket.gaierror`.
        UnicodeError: The text is not a valid host name.
    """
    infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys(_with_scope(sockaddr) for *_, sockaddr in infos))


def _with_scope(sockaddr: Any) -> str:
    """The address, with its interface if it is link-local."""
    address, scope = str(sockaddr[0]), sockaddr[3] if len(sockaddr) == 4 else 0
    return f"{address}%{scope}" if scope and "%" not in address else address


def _bound_to(host: str, port: int) -> Any:
    """The argument of `bind`, in which the interface is a number."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0][4]


def in_url(host: str) -> str:
    """The host as written in a URL or a gRPC target: an IPv6 address in brackets.

    >>> in_url("::1"), in_url("127.0.0.1"), in_url("pictures.test")
    ('[::1]', '127.0.0.1', 'pictures.test')
    """
    return f"[{host}]" if ":" in host else host


def to_ask(host: str) -> str:
    """The host that clients on this machine use to reach a service that listens on `host`."""
    return "localhost" if host in (LOOPBACK, "0.0.0.0", "::", "") else host


def is_loopback(host: str) -> bool:
    """Whether an address is reachable only from this machine."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def grpc_address(host: str, *, is_restricted: bool) -> str:
    """The address that gRPC listens on: only reachable from this machine if HTTP is restricted, as gRPC has no keys."""
    return LOOPBACK if is_restricted and not is_loopback(host) else host


def service_ports(holders: ExitStack, host: str, port: int) -> None:
    """Reserves a port of the service on all addresses of `--host` until `holders` is closed.

    Raises:
        StateError: The host is not known, or the port can't be used; the message has the next step.
    """
    try:
        addresses = addresses_of(host)
    except (OSError, UnicodeError) as error:
        raise StateError(
            f"--host {host}: the name has no known address; use an address of this machine, 127.0.0.1 or ::1 for "
            "local clients only, 0.0.0.0 or :: for all addresses"
        ) from error
    for address in addresses:
        try:
            holders.enter_context(held(address, port, alone=False))
        except OSError as error:
            raise StateError(f"port {port} on {address} can't be used ({error.strerror}): {_advice(error)}") from error


def _advice(error: OSError) -> str:
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return "this machine does not have the address; choose another with --host, or 0.0.0.0 or :: for all addresses"
    if error.errno == errno.EACCES:
        return "ports below 1024 need administrator rights: choose another with --port"
    if error.errno == errno.EADDRINUSE:
        return "stop the program that listens there, or choose another port with --port"
    return reason(error)
