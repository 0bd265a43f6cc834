"""The address of the client that sent a request."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.datastructures import Headers
from starlette.types import Scope

Network = IPv4Network | IPv6Network


def networks(texts: Sequence[str]) -> list[Network]:
    """The networks of addresses and networks (`10.0.0.0/8`).

    Raises:
        ValueError: A text is neither.
    """
    return [ip_network(text) for text in texts]


def client_name(scope: Scope, trusted_proxies: Sequence[Network]) -> str:
    """The client's address, or its /64 network for IPv6, because one machine can use all addresses of a /64.

    Only the part of X-Forwarded-For that trusted proxies wrote is used: read from its end, the first address that does
    not belong to a trusted proxy is the client's. The client can forge everything before it.
    """
    peer = str((scope.get("client") or ("",))[0] or "")
    forwarded = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
    address = _address(peer)
    while address is not None and forwarded and any(address in network for network in trusted_proxies):
        previous = _address(forwarded.pop())
        if previous is None:
            break
        address = previous
    if isinstance(address, IPv6Address):
        return str(ip_network((address, 64), strict=False))
    return peer if address is None else str(address)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
