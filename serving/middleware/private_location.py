"""PrivateLocation: shows where pictures were taken to clients with a key only."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crossmodal.core.errors import InputError
from crossmodal.metadata.tags import LOCATION_TAGS
from crossmodal.store.condition import Condition, fields_of
from crossmodal.store.where import parse
from serving.middleware.keys import key_of
from serving.middleware.problem import Problem, Responder, problem_json, refuse

REFUSAL = Problem(
    403, "where pictures were taken is shown only with a key: leave it out of the condition, or send a key"
)
_IN_SCOPE = "crossmodal.location_is_hidden"
_NEAR = ("near", "within_km")
_NAMES = [json.dumps(name).encode() for name in LOCATION_TAGS]


def hides_location(scope: Scope) -> bool:
    """Whether the client of a request may not know where pictures were taken."""
    return bool(scope.get(_IN_SCOPE))


def names_location(condition: Condition) -> bool:
    """Whether a condition depends on where pictures were taken.

    >>> names_location(parse("width > 9 and not (tags.place = 'Oslo')")), names_location(parse("tags.places = 1"))
    (True, False)
    """
    return any(LOCATION_TAGS.intersection(field.names[:1]) for field in fields_of(condition))


class PrivateLocation:
    """Removes location tags from the JSON of answers to clients without a key, and refuses to filter by them.

    Every field with the name of a location tag is removed, so that no route can show one by mistake; only the
    description of the API keeps them, which has no data. Conditions in URLs are checked here; routes check those of
    bodies by `hides_location` and `names_location`.

    Args:
        app: The next application.
        answer: Returns the response of a refusal.
    """

    def __init__(self, app: ASGIApp, *, answer: Responder = problem_json) -> None:
        self.app = app
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on the request; its answer is held back until it is whole if it is JSON."""
        if scope["type"] != "http" or key_of(scope) is not None or scope["path"] == "/openapi.json":
            await self.app(scope, receive, send)
        elif _asks_for_location(scope):
            await refuse(self._answer, REFUSAL, scope, receive, send)
        else:
            scope[_IN_SCOPE] = True
            await self.app(scope, receive, _JsonAnswer(send))


def _asks_for_location(scope: Scope) -> bool:
    fields = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    return any(name in fields for name in _NEAR) or any(map(_is_about_location, fields.get("where", [])))


def _is_about_location(where: str) -> bool:
    try:
        return names_location(parse(where))
    except InputError:  # the route reports it
        return False


class _JsonAnswer:
    """Sends an answer on, without location tags if it is JSON."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message = {}
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and "json" in Headers(raw=message["headers"]).get(
            "content-type", ""
        ):
            self._start = message
        elif message["type"] == "http.response.body" and self._start:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._send_all()
        else:
            await self._send(message)

    async def _send_all(self) -> None:
        body = bytes(self._body)
        if any(name in body for name in _NAMES):
            body = json.dumps(without_location(json.loads(body)), separators=(",", ":")).encode()
        MutableHeaders(raw=self._start["headers"])["content-length"] = str(len(body))
        await self._send(self._start)
        await self._send({"type": "http.response.body", "body": body})


def without_location(value: Any) -> Any:
    """A JSON value without the fields that have the name of a location tag."""
    if isinstance(value, dict):
        return {name: without_location(item) for name, item in value.items() if name not in LOCATION_TAGS}
    if isinstance(value, list):
        return [without_location(item) for item in value]
    return value
