"""ApiKeys: keys that allow reading or writing.

A key is `cm_ID_SECRET`, and the secret has 256 random bits. The keys file has the SHA-256 of each key, not a slow hash
such as scrypt. A slow hash protects passwords that can be guessed; 2^256 random secrets can't be guessed with either
hash, and a slow one would let clients with wrong keys keep the machine busy. The ID is not secret: it is in the file,
may be written into logs, and identifies the client for the rate limit.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crossmodal.core.errors import InputError, StateError
from crossmodal.core.files import atomic_writer
from crossmodal.core.os_errors import reason
from crossmodal.core.rare_log import warn_rarely
from serving.middleware.problem import Problem, Responder, problem_json, refuse

log = logging.getLogger(__name__)

Access = Literal["read", "write"]
Needs = Callable[[Scope], Access | None]
"""Returns the access that a request needs; None if it needs no key."""

_IN_SCOPE = "crossmodal.key"
_NO_HASH = "0" * 64
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class KeyRecord:
    """A key in the keys file. A key that may write may also read."""

    id: str
    sha256: str
    scope: Access
    created: str = ""
    note: str = ""

    def allows(self, access: Access) -> bool:
        """Whether the key has this access."""
        return self.scope in (access, "write")

    def is_sound(self) -> bool:
        """Whether the required fields have valid values."""
        are_texts = isinstance(self.id, str) and isinstance(self.sha256, str)
        return are_texts and self.scope in get_args(Access) and _SHA256.fullmatch(self.sha256) is not None


def new_key(scope: Access, note: str = "") -> tuple[str, KeyRecord]:
    """A new key, to be shown once and never stored, and its record for the keys file.

    Raises:
        InputError: The scope is not `read` or `write`.
    """
    if scope not in get_args(Access):
        raise InputError(f"scope {scope!r}: expected 'read' or 'write'")
    key_id = secrets.token_hex(4)
    key = f"cm_{key_id}_{secrets.token_urlsafe(32)}"
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return key, KeyRecord(key_id, _sha256(key), scope, created, note)


def read_keys(path: Path) -> list[KeyRecord]:
    """The records of a keys file, `{"keys": [{"id": ..., "sha256": ..., "scope": ...}, ...]}`.

    Raises:
        StateError: The file can't be read, is damaged, or can be written by others than its owner.
    """
    try:
        with path.open(encoding="utf8") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o022:
                raise StateError(f"{path}: others than its owner can write it, and so add keys: run chmod go-w on it")
            records = [KeyRecord(**record) for record in json.load(file)["keys"]]
    except FileNotFoundError as error:
        raise StateError(f"the keys file {path} does not exist: create it with `python app.py -t keys`") from error
    except OSError as error:
        raise StateError(f"{path} can't be read: {reason(error, path)}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise StateError(f"{path} is not a keys file: {error}") from error
    damaged = [record.id for record in records if not record.is_sound()]
    if damaged:
        raise StateError(f"{path}: key {damaged[0]!r} needs an id, a SHA-256 and the scope 'read' or 'write'")
    if len({record.id for record in records}) < len(records):
        raise StateError(f"{path}: two keys have the same id")
    return records


def write_keys(path: Path, records: Iterable[KeyRecord]) -> None:
    """Writes a keys file atomically, readable by its owner only."""
    content = json.dumps({"keys": [asdict(record) for record in records]}, indent=2)
    with atomic_writer(path, mode=0o600) as file:
        file.write(f"{content}\n".encode())


class KeyRing:
    """The keys of a file, which is read again when it changes, so that a removed key is refused at once.

    Raises:
        StateError: The file can't be read or is damaged; also raised by `find` when the file has changed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: tuple[int, int, int] | None = None
        self._records: dict[str, KeyRecord] = {}
        self._refresh()

    def find(self, key: str) -> KeyRecord | None:
        """The record of a key, None if the file does not have it."""
        self._refresh()
        parts = key.split("_", 2)
        record = self._records.get(parts[1]) if len(parts) == 3 else None
        is_known = hmac.compare_digest(_sha256(key), _NO_HASH if record is None else record.sha256)
        return record if is_known else None

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
        except OSError as error:
            raise StateError(f"{self._path} can't be read: {reason(error, self._path)}") from error
        version = (status.st_ino, status.st_mtime_ns, status.st_size)
        if version != self._version:
            self._records = {record.id: record for record in read_keys(self._path)}
            self._version = version  # set after reading, so that a damaged file is refused each time


def key_of(scope: Scope) -> KeyRecord | None:
    """The key of a request, None if ApiKeys found no valid one."""
    record: KeyRecord | None = scope.get(_IN_SCOPE)
    return record


class ApiKeys:
    """Checks the API key of requests that need one: 401 without a valid key, 403 if the key lacks the access.

    Answers to them are `Cache-Control: private`, so that no shared cache gives them to clients without a key.
    A key is sent as `Authorization: Bearer KEY` or `X-API-Key: KEY`, never in the URL, because URLs are logged.

    Args:
        app: The next application.
        ring: The keys.
        needs: Returns the access that a request needs. It should list the open paths and require a key for all others.
        answer: Returns the response of a refusal.
    """

    def __init__(self, app: ASGIApp, ring: KeyRing, needs: Needs, *, answer: Responder = problem_json) -> None:
        self.app = app
        self._ring = ring
        self._needs = needs
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on requests that are open or have a sufficient key, and stores the key in the scope."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        needed = self._needs(scope)
        if problem := self._problem(scope, needed):
            await refuse(self._answer, problem, scope, receive, send)
        else:
            await self.app(scope, receive, _privately(send) if needed else send)

    def _problem(self, scope: Scope, needed: Access | None) -> Problem | None:
        key = _presented(Headers(scope=scope))
        try:
            record = self._ring.find(key) if key else None
        except StateError as error:
            warn_rarely(log, f"keys can't be checked: {error}")
            return (
                Problem(503, "keys can't be checked at the moment; the service's log has the reason")
                if needed
                else None
            )
        if record is not None:
            scope[_IN_SCOPE] = record
        if needed is None or (record is not None and record.allows(needed)):
            return None
        if record is None:
            detail = (
                "the key is unknown" if key else "a key is required: send Authorization: Bearer KEY, or X-API-Key: KEY"
            )
            return Problem(401, detail, {"WWW-Authenticate": _challenge("invalid_token" if key else "")})
        challenge = f'{_challenge("insufficient_scope")}, scope="{needed}"'
        return Problem(403, f"the key does not allow {needed} access", {"WWW-Authenticate": challenge})


def _privately(send: Send) -> Send:
    """Sends answers that shared caches don't store."""

    async def send_privately(message: Message) -> None:
        if message["type"] == "http.response.start":
            message.setdefault("headers", [])
            headers = MutableHeaders(scope=message)
            headers["Cache-Control"] = headers.get("Cache-Control", "private").replace("public", "private")
        await send(message)

    return send_privately


def _presented(headers: Headers) -> str:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "").strip()


def _challenge(error: str) -> str:
    return 'Bearer realm="crossmodal"' + (f', error="{error}"' if error else "")


def _sha256(key: str) -> str:
    return hashlib.sha256(key.encode("utf8", "surrogatepass")).hexdigest()
