"""Which client a request comes from."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.datastructures import Headers
from starlette.types import Scope

Network = IPv4Network | IPv6Network


def networks(named: Sequence[str]) -> list[Network]:
    """Addresses and networks (`10.0.0.0/8`) as networks.

    Raises:
        ValueError: One is neither.
    """
    return [ip_network(name) for name in named]


def client_name(scope: Scope, trusted_proxies: Sequence[Network]) -> str:
    """The client's address, or its /64 network for IPv6, of which one machine has all addresses.

    X-Forwarded-For is believed only as far as trusted proxies wrote it: read from its end, the first address
    that is no trusted proxy's is the client's. All that stands before it the client may have made up.
    """
    peer = str((scope.get("client") or ("",))[0] or "")
    forwarded = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
    address = _address(peer)
    while address is not None and forwarded and any(address in network for network in trusted_proxies):
        named = _address(forwarded.pop())
        if named is None:
            break
        address = named
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
