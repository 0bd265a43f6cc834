"""Malformed requests for benchmarks/fuzz.py; each is determined by a seed and its number, so it can be repeated."""

from __future__ import annotations

import base64
import io
import json
import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any

import numpy as np
from PIL import Image

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")
ODD_TEXTS = (
    "", " ", "\0", "\ud800", "\ufffe", "a" * 20_000, "🦓" * 500, "-", '-"', '"', "' OR 1=1 --", "${jndi:ldap://x}",
    "<script>alert(1)</script>", "../../etc/passwd", "%00", "\r\nX: y", "نص", "\u202e", "{{7*7}}", "%s%n", "(" * 2_000,
)  # fmt: skip
ODD_NUMBERS = (0, -1, 1, 2**31, 2**63, -(2**63), 10**400, 1e308, -0.0, float("nan"), float("inf"), 0.5, True)
ODD_URIS = (
    "/etc/passwd", "file:///etc/passwd", "../x", "data:", "data:image/png;base64,", "data:image/png;base64,====",
    "data:text/html,<b>", "data:image/png," + "%" * 50, "http://127.0.0.1/", "http://169.254.169.254/latest/",
    "http://[::1]/", "http://0x7f.1/", "http://localhost:22/", "gopher://127.0.0.1/", "http://", "javascript:1",
)  # fmt: skip
ODD_CONDITIONS = (
    "width > 1", "tags.a = 1 and", "((((", "tags." + "a" * 5_000 + " = 1", "1 = 1; DROP TABLE documents", "'",
    "not " * 500, "(" * 3_000 + "width > 9e9" + ")" * 3_000, "tags.n in (1, 'a', null)", "width > 1e999",
    "tags.a like '%%%%%'", "\0",
)  # fmt: skip
PATHS = ("/search", "/encode", "/index", "/update", "/delete")
NAMES = (
    "..%2f..%2fetc%2fpasswd", "%00", "a" * 5_000, "%ff%fe", "'--", "..", ".", "%2e%2e/%2e%2e/etc/passwd", "💥", "x?y=1",
    "a//b", "\\..\\..\\x", "%", "%zz", ";",
)  # fmt: skip
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW", "get", "P\x00ST", "")
TYPES = (
    "application/json", "text/plain", "multipart/form-data", "multipart/form-data; boundary=x", "application/xml", "",
    "application/json; charset=utf-7", "multipart/form-data; boundary=" + "b" * 300, "image/png", "\xff",
)  # fmt: skip
HEADERS = (
    ("Accept", "text/html;q=x,*/*;q=nan"), ("Origin", "null"), ("X-Forwarded-For", "\x7f, 1.1.1.1"),
    ("Range", "bytes=-"),
    ("X-API-Key", "cm_é"), ("Authorization", "Bearer"), ("Cookie", "a" * 4_000), ("Host", "evil.test"), ("Host", "["),
    ("Expect", "100-continue"), ("Content-Encoding", "gzip"), ("Upgrade", "websocket"), ("Accept-Encoding", "br;q=9"),
    ("If-None-Match", "\xfe"), ("X-Long", "y" * 70_000), ("If-Modified-Since", "never"), ("Transfer-Encoding", "gzip"),
)  # fmt: skip


@dataclass(frozen=True)
class HttpCase:
    """A request as raw bytes; `is_whole` is False if it is truncated and the sender closes the connection."""

    raw: bytes
    is_whole: bool = True


def http_case(rng: Random) -> HttpCase:
    """A malformed or almost correct request."""
    kind = rng.random()
    if kind < 0.15:
        path = rng.choice(("/images/", "/thumbnails/", "/documents/", "/web/", "/", "/docs/")) + rng.choice(NAMES)
        return HttpCase(_raw(rng.choice(METHODS), path, [], b""))
    path = rng.choice(PATHS) if rng.random() < 0.9 else rng.choice(PATHS) + "?" + rng.choice(NAMES)
    headers = [("Content-Type", rng.choice(TYPES) if rng.random() < 0.1 else "application/json")]
    if rng.random() < 0.1:
        headers.append(rng.choice(HEADERS))
    if kind < 0.25:
        return _form(rng, path)
    body = json.dumps(_body(rng, path), allow_nan=True).encode()
    if rng.random() < 0.3:
        body = damaged(rng, body)
    if rng.random() < 0.03:
        body = b"[" * 100_000 + body
    raw = _raw("POST" if rng.random() < 0.95 else rng.choice(METHODS), path, headers, body)
    if rng.random() < 0.05:
        return HttpCase(raw[: rng.randrange(1, len(raw))], is_whole=False)
    return HttpCase(damaged(rng, raw), is_whole=False) if rng.random() < 0.03 else HttpCase(raw)


def damaged(rng: Random, content: bytes) -> bytes:
    """Content with bits flipped, truncated, with a part repeated, or with random bytes."""
    if not content:
        return content
    changed = bytearray(content)
    kind, place = rng.randrange(4), rng.randrange(len(content))
    if kind == 0:
        for _ in range(rng.choice((1, 3, 30))):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    elif kind == 1:
        del changed[place:]
    elif kind == 2:
        changed[place:place] = content[place : place + 500]
    else:
        changed[place : place + 20] = rng.randbytes(20)
    return bytes(changed)


def picture(rng: Random) -> bytes:
    """A picture file, damaged in most cases."""
    kind = rng.random()
    if kind < 0.15:
        return sound_picture(rng.choice(FORMATS))
    if kind < 0.20:
        return png_header(rng.choice((0, 1, 65_000, 2**31 - 1)), rng.choice((0, 1, 65_000, 2**31 - 1)))
    if kind < 0.205:
        return bomb()
    if kind < 0.25:
        return rng.randbytes(rng.choice((0, 1, 8, 500)))
    return damaged(rng, sound_picture(rng.choice(FORMATS)))


@lru_cache(maxsize=len(FORMATS))
def sound_picture(kind: str) -> bytes:
    """A small valid picture in a format."""
    pixels = np.random.default_rng(FORMATS.index(kind)).integers(0, 255, (40, 30, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG file with a header and no pixels."""
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + _chunk(b"IDAT", b"")
    )


@lru_cache(maxsize=1)
def bomb() -> bytes:
    """A decompression bomb: a small PNG just below the pixel limit, 240 MB as RGB."""
    side = 9_000
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes((side + 1) * side), 9)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def value(rng: Random, depth: int = 0) -> Any:
    """Any JSON value."""
    kind = rng.randrange(9 if depth < 3 else 6)
    if kind < 2:
        return rng.choice(ODD_TEXTS)
    if kind < 4:
        return rng.choice(ODD_NUMBERS)
    if kind == 4:
        return None
    if kind == 5:
        return rng.choice(ODD_URIS)
    if kind < 8:
        return [value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(("a", "text", "uri", "id", "\0", "$ref", "__proto__")): value(rng, depth + 1) for _ in range(3)}


def _uri(rng: Random) -> str:
    if rng.random() < 0.3:
        return rng.choice(ODD_URIS)
    kind = rng.choice(("image/png", "image/jpeg", "application/octet-stream", "image/svg+xml", "text/html"))
    coded = base64.b64encode(picture(rng))
    return f"data:{kind};base64," + (damaged(rng, coded) if rng.random() < 0.1 else coded).decode("latin-1")


def _item(rng: Random) -> Any:
    if rng.random() < 0.3:
        return rng.choice((_uri(rng), rng.choice(ODD_TEXTS), value(rng)))
    item = {"uri": _uri(rng)} if rng.random() < 0.6 else {"text": rng.choice(ODD_TEXTS)}
    for name in ("id", "modality", "image_id", "tags", "embedding"):
        if rng.random() < 0.15:
            item[name] = value(rng)
    return item


def _body(rng: Random, path: str) -> Any:
    if rng.random() < 0.05:
        return value(rng)
    if path.startswith("/index") or (path.startswith("/search") and rng.random() < 0.5):
        body: dict[str, Any] = {"data": [_item(rng) for _ in range(rng.choice((0, 1, 1, 1, 3)))]}
        parameters = {"top_k": rng.choice(ODD_NUMBERS), "where": rng.choice(ODD_CONDITIONS), "target": value(rng)}
        body["parameters"] = {name: content for name, content in parameters.items() if rng.random() < 0.3}
    elif path.startswith("/search"):
        body = {"text": rng.choice(ODD_TEXTS)} if rng.random() < 0.5 else {"image": _uri(rng)}
        others = {
            "like": rng.choice(ODD_TEXTS), "exclude": value(rng), "mix": rng.choice(ODD_NUMBERS),
            "where": rng.choice(ODD_CONDITIONS), "top_k": rng.choice(ODD_NUMBERS), "offset": rng.choice(ODD_NUMBERS),
            "min_score": value(rng), "vectors": value(rng),
        }  # fmt: skip
        body |= {name: content for name, content in others.items() if rng.random() < 0.2}
    elif path.startswith("/encode"):
        body = {"texts": [rng.choice(ODD_TEXTS)], "images": [_uri(rng)]}
    elif path.startswith("/update"):
        body = {"data": [{"id": rng.choice(ODD_TEXTS), "tags": {"a": value(rng)}}]}
    else:
        body = {"ids": [rng.choice(ODD_TEXTS)]} if rng.random() < 0.7 else {"where": rng.choice(ODD_CONDITIONS[1:])}
    if rng.random() < 0.2:
        body[rng.choice((*body, "header", "data", "mode"))] = value(rng)
    return body


def _form(rng: Random, path: str) -> HttpCase:
    parts = [
        b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
        % (
            rng.choice((b"image", b"text", b"exclude", b"top_k", b"", b"\xff")),
            rng.choice((b"", b'; filename="../../x.png"', b"; filename=")),
            picture(rng) if rng.random() < 0.5 else rng.choice(ODD_TEXTS).encode("utf-8", "surrogatepass"),
        )
        for _ in range(rng.choice((0, 1, 2, 60)))
    ]
    body = b"".join(parts) + b"--x--\r\n"
    body = damaged(rng, body) if rng.random() < 0.5 else body
    return HttpCase(_raw("POST", path, [("Content-Type", "multipart/form-data; boundary=x")], body))


def _raw(method: str, path: str, headers: list[tuple[str, str]], body: bytes) -> bytes:
    host = [] if any(name == "Host" for name, _ in headers) else [("Host", "127.0.0.1")]
    headers = [*host, ("Connection", "close"), *headers, ("Content-Length", str(len(body)))]
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {content}" for name, content in headers)]
    return "\r\n".join(lines).encode("utf-8", "surrogatepass") + b"\r\n\r\n" + body


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
