"""Fetches a picture from a URL with protection against server-side request forgery (SSRF).

The host is resolved once. All of its addresses must be public, and the connection goes to one of these addresses, not
to the name, which defeats DNS rebinding. The name is sent in the Host header and in TLS (SNI), where the certificate is
verified against it. Every redirect is checked like a new URL. Proxies, cookies and credentials of the environment are
not used.

The error message for a forbidden address is the same whether or not a server listens there.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import httpx

from crossmodal import __version__
from crossmodal.core.errors import PictureError
from crossmodal.images.decode import MAX_BYTES

Address = IPv4Address | IPv6Address

CONNECT_TIMEOUT_S = 3.0

_PORTS = {"http": 80, "https": 443}
_REDIRECTS = {301, 302, 303, 307, 308}
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_HEADERS = {"Accept": "image/*", "Accept-Encoding": "identity", "User-Agent": f"crossmodal/{__version__}"}

_UNICAST_6 = ip_network("2000::/3")
_NAT64 = ip_network("64:ff9b::/96")
_NOT_PUBLIC = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
        "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
        "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",  # Azure's metadata service and DNS: internal, although the number is public
        "2001::/23",  # Teredo and other protocol assignments
        "2001:db8::/32", "3fff::/20",  # documentation
        "2002::/16",  # 6to4
    )
)  # fmt: skip
"""Networks that are always refused; the tables of `ipaddress` differ between Python versions."""


def is_public(address: Address) -> bool:
    """Whether an address is globally routable and outside all special-purpose networks.

    False for all IPv6 outside 2000::/3: loopback, link-local, unique-local, multicast, IPv4-mapped and
    IPv4-compatible addresses. False for 6to4 and Teredo, which embed an IPv4 address. A NAT64 address is judged by
    its embedded IPv4 address, since an IPv6-only network reaches all IPv4 hosts through NAT64.
    """
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return False
        if address in _NAT64:
            return is_public(IPv4Address(address.packed[-4:]))
        if address not in _UNICAST_6:
            return False
    return address.is_global and not any(address in network for network in _NOT_PUBLIC)


async def resolve(host: str, port: int) -> list[str]:
    """All distinct addresses of a host, in the system's order of preference."""
    entries = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))


@dataclass(frozen=True)
class FetchRules:
    """Limits and allowed targets of a fetch.

    Attributes:
        max_bytes: Largest body in bytes, counted while it arrives.
        timeout_s: Time limit for the whole fetch: name resolution, redirects and the body.
        max_redirects: Number of redirects that are followed.
        ports: Allowed ports.
        is_allowed: Whether an address is allowed; all addresses of a host must be.
        resolve: Resolves a host and a port to addresses.
        tls: TLS context for https; None for the default certificate authorities.
    """

    max_bytes: int = MAX_BYTES
    timeout_s: float = 10.0
    max_redirects: int = 3
    ports: frozenset[int] = frozenset(_PORTS.values())
    is_allowed: Callable[[Address], bool] = is_public
    resolve: Callable[[str, int], Awaitable[Sequence[str]]] = resolve
    tls: ssl.SSLContext | None = None


DEFAULT_RULES = FetchRules()


async def fetch_picture(url: str, rules: FetchRules = DEFAULT_RULES) -> bytes:
    """The undecoded body of an http or https URL; the bytes need not be a valid picture.

    Raises:
        PictureError: The URL or its port is not allowed, the host is not public, the time limit passed, the status is
            not 200, the content type is not a picture's, or the body is compressed, truncated, empty or too large.
    """
    try:
        async with asyncio.timeout(rules.timeout_s):
            for _ in range(rules.max_redirects + 1):
                result = await _fetch_once(_checked(url, rules.ports), rules)
                if isinstance(result, bytes):
                    return result
                url = result
    except TimeoutError as error:
        raise PictureError(f"the picture did not arrive within {rules.timeout_s:g} s") from error
    raise PictureError(f"more than {rules.max_redirects} redirects")


def _checked(text: str, ports: frozenset[int]) -> httpx.URL:
    """The parsed URL, if scheme, host and port are allowed; opens no connection."""
    try:
        url = httpx.URL(text)
        host = url.raw_host.decode("ascii")
    except (httpx.InvalidURL, ValueError) as error:
        raise PictureError(f"{text[:80]!r} is not a URL") from error
    if url.scheme not in _PORTS:
        raise PictureError(f"{url.scheme or 'no scheme'!r}: only http and https URLs are fetched")
    if url.userinfo:
        raise PictureError("the URL contains a user name or a password: remove it")
    if not _is_host(host):
        raise PictureError(f"{host[:80]!r} is neither a host name nor an address in its usual notation")
    if _port(url) not in ports:
        raise PictureError(f"port {_port(url)} is not allowed, only {', '.join(map(str, sorted(ports)))}")
    return url


def _is_host(host: str) -> bool:
    """Whether a host is an address in its usual notation, or a name that no resolver parses as an address.

    Some resolvers parse 127.1, 2130706433, 0x7f.1 and 0177.0.0.1 as 127.0.0.1, so a host that ends in a number must
    be an address of four decimal numbers.
    """
    if _as_address(host) is not None:
        return True
    labels = host.split(".")
    return len(host) <= 253 and all(map(_LABEL.fullmatch, labels)) and not _NUMBER.fullmatch(labels[-1])


def _port(url: httpx.URL) -> int:
    return _PORTS[url.scheme] if url.port is None else url.port


def _as_address(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


async def _fetch_once(url: httpx.URL, rules: FetchRules) -> bytes | str:
    """The body, or a redirect's target, from the host's first address that accepts a connection."""
    host = url.raw_host.decode("ascii")
    failure: httpx.HTTPError | None = None
    for address in await _allowed_addresses(host, _port(url), rules):
        try:
            return await _get(url, host, address, rules)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            failure = error
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise PictureError(f"{host} closed the connection early or sent invalid HTTP") from error
    raise PictureError(f"no connection to {host}") from failure


async def _allowed_addresses(host: str, port: int, rules: FetchRules) -> list[str]:
    """The addresses of a host, if all of them are allowed.

    Unknown names and names of the internal network get the same message, so that it does not reveal which names exist.
    """
    try:
        resolved = [host] if _as_address(host) is not None else await rules.resolve(host, port)
        addresses = [ip_address(address) for address in resolved]
    except (OSError, ValueError):
        addresses = []
    if not addresses or not all(map(rules.is_allowed, addresses)):
        raise PictureError(f"{host} is not a public address")
    return [str(address) for address in addresses]


async def _get(url: httpx.URL, host: str, address: str, rules: FetchRules) -> bytes | str:
    timeout = httpx.Timeout(rules.timeout_s, connect=min(CONNECT_TIMEOUT_S, rules.timeout_s))
    tls = rules.tls or _default_tls()
    async with httpx.AsyncClient(verify=tls, trust_env=False, timeout=timeout) as client:
        request = client.build_request(
            "GET",
            url.copy_with(host=address, fragment=None),
            headers={"Host": url.netloc.decode("ascii"), **_HEADERS},
            extensions={"sni_hostname": host},
        )
        response = await client.send(request, stream=True, follow_redirects=False)
        async with aclosing(response):
            if response.status_code in _REDIRECTS and "location" in response.headers:
                return _joined(url, response.headers["location"])
            if response.status_code != 200:
                raise PictureError(f"{host} answered with status {response.status_code}")
            _check_headers(response.headers, rules.max_bytes)
            return await _body(response, rules.max_bytes)


def _joined(url: httpx.URL, location: str) -> str:
    try:
        return str(url.join(location))
    except (httpx.InvalidURL, ValueError) as error:
        raise PictureError(f"a redirect to {location[:80]!r}, which is not a URL") from error


def _check_headers(headers: httpx.Headers, max_bytes: int) -> None:
    content_type = headers.get("content-type", "no type").split(";")[0].strip().lower()
    if not content_type.startswith("image/") or content_type == "image/svg+xml":
        raise PictureError(f"content of type {content_type[:80]}: expected a raster picture, image/...")
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise PictureError(f"a body with content encoding {encoding[:80]}: expected no encoding")
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > max_bytes:
        raise PictureError(f"{int(length):,} bytes; the limit is {max_bytes:,}")


async def _body(response: httpx.Response, max_bytes: int) -> bytes:
    body = bytearray()
    async with aclosing(response.aiter_raw()) as chunks:  # type: ignore[type-var]
        async for chunk in chunks:
            if len(body) + len(chunk) > max_bytes:
                raise PictureError(f"more bytes than the limit of {max_bytes:,}")
            body += chunk
    if not body:
        raise PictureError("the body is empty")
    return bytes(body)


@lru_cache(maxsize=1)
def _default_tls() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)
