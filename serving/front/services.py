"""Calls the services of the slices, and notices which of them do not answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from starlette.types import Scope

from crossmodal.core.errors import StateError
from crossmodal.core.slices import Slice
from serving.front.merging import SliceAnswer, in_one

log = logging.getLogger(__name__)

ANSWER_S = 10.0
"""Time limit for a search of a slice; it is missing from the answer afterwards."""
WORK_S = 120.0
"""Time limit for a POST request that is passed on: pictures to encode or to save take long."""
STATUS_S = 3.0
CONNECT_S = 2.0
REFUSALS = frozenset({400, 403, 404, 422})
"""The statuses of a request that each slice refuses for the same reason; 403 of a search for a hidden location."""
_PASSED_ON = ("accept", "content-type")
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "date", "server"})


@dataclass(frozen=True)
class SliceAnswers:
    """The answers of the slices to one search.

    Attributes:
        answers: By slice, such as `2/4`.
        problems: By URL, why a service is not among the answers.
        refusal: The answer of a slice that refuses the request; None if none does.
    """

    answers: Mapping[str, SliceAnswer]
    problems: Mapping[str, str]
    refusal: httpx.Response | None = None


class SliceServices:
    """The services of all slices of one collection; used inside one event loop."""

    def __init__(self, urls: Sequence[str], transport: httpx.AsyncBaseTransport | None = None) -> None:
        """Takes their URLs; `transport` replaces the network in tests."""
        timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=32)
        self.urls = list(urls)
        self.names = [str(Slice(part, len(urls))) for part in range(1, len(urls) + 1)]
        self._clients = {
            url: httpx.AsyncClient(base_url=url, timeout=timeout, limits=limits, transport=transport) for url in urls
        }
        self._next = 0
        self._logged_missing: frozenset[str] = frozenset()

    async def close(self) -> None:
        """Closes the connections."""
        await asyncio.gather(*(client.aclose() for client in self._clients.values()))

    def missing(self, found: Mapping[str, Any], problems: Mapping[str, str]) -> list[str]:
        """The slices that are not among the found ones; logs them, with the problems, when they change."""
        missing = [name for name in self.names if name not in found]
        if self._logged_missing != frozenset(missing):
            self._logged_missing = frozenset(missing)
            reasons = "; ".join(f"{url}: {problem}" for url, problem in problems.items())
            log.warning("slices missing from answers: %s (%s)", ", ".join(missing) or "none any more", reasons)
        return missing

    # -- searching

    async def search(self, pages: Sequence[Any]) -> SliceAnswers:
        """The answers to requests for the pages of a search, each page sent to all slices."""
        outcomes = await asyncio.gather(*(self._pages(url, pages) for url in self.urls))
        answers: dict[str, SliceAnswer] = {}
        problems: dict[str, str] = {}
        for url, outcome in zip(self.urls, outcomes, strict=True):
            if isinstance(outcome, httpx.Response):
                return SliceAnswers({}, {}, outcome)
            if isinstance(outcome, str):
                problems[url] = outcome
            elif (name := outcome.get("slice")) not in self.names or name in answers:
                problems[url] = f"has {_described(name)}, which is not one of {len(self.urls)} different slices"
            else:
                answers[str(name)] = outcome
        return SliceAnswers(answers, problems)

    async def _pages(self, url: str, pages: Sequence[Any]) -> SliceAnswer | str | httpx.Response:
        """The joined pages of a slice, the reason why there are none, or its refusal."""
        try:
            responses = await asyncio.gather(*(self._clients[url].post("/search", json=page) for page in pages))
            for response in responses:
                if response.status_code in REFUSALS and _is_problem(response):
                    return response
                if not response.is_success:
                    return _reason(response)
            return in_one([_object_of(response, "results") for response in responses])
        except (httpx.HTTPError, ValueError) as error:
            return str(error) or type(error).__name__

    # -- what the services are

    async def states(self) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
        """The answers of /status by URL, and the problems of the services that do not answer.

        Raises:
            StateError: None answers, or they do not belong together; the message names the services.
        """
        states, problems = await self._states()
        if not states:
            raise StateError("no slice answers: " + "; ".join(f"{url}: {problem}" for url, problem in problems.items()))
        owners: dict[str, str] = {}
        for url, state in states.items():
            name = str(state.get("slice"))
            if name not in self.names:
                raise StateError(
                    f"--slices: {url} has {_described(state.get('slice'))}, expected one of {', '.join(self.names)}: "
                    f"give the URLs of all {name.partition('/')[2] or 'N'} slices of one collection"
                )
            if name in owners:
                raise StateError(f"--slices: {owners[name]} and {url} both have slice {name}: each is needed once")
            owners[name] = url
        (first_url, first), *others = states.items()
        for url, state in others:
            for key in ("collection", "store", "model"):
                if state.get(key) != first.get(key):
                    raise StateError(
                        f"--slices: {url} has another {key} than {first_url}: {_short(state, key)}, not "
                        f"{_short(first, key)}"
                    )
        return states, problems

    async def _states(self) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
        outcomes = await asyncio.gather(*(self._state(url) for url in self.urls))
        pairs = list(zip(self.urls, outcomes, strict=True))
        states = {url: outcome for url, outcome in pairs if isinstance(outcome, dict)}
        return states, {url: outcome for url, outcome in pairs if isinstance(outcome, str)}

    async def _state(self, url: str) -> dict[str, Any] | str:
        try:
            response = await self._clients[url].get("/status", timeout=STATUS_S)
            return _object_of(response, "collection") if response.is_success else _reason(response)
        except (httpx.HTTPError, ValueError) as error:
            return str(error) or type(error).__name__

    # -- everything else

    async def passed_on(self, scope: Scope, body: bytes, further: Mapping[str, str]) -> httpx.Response:
        """The answer of any service to a request that all answer alike; its body is not read yet.

        Args:
            scope: The request.
            body: Its body.
            further: Headers to add.

        Raises:
            StateError: None answers.
        """
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        headers = {name: value for name, value in headers.items() if name in _PASSED_ON} | dict(further)
        timeout = httpx.Timeout(WORK_S if scope["method"] == "POST" else ANSWER_S, connect=CONNECT_S)
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        self._next += 1
        turn = self._next % len(self.urls)
        problems = []
        for url in self.urls[turn:] + self.urls[:turn]:
            client = self._clients[url]
            path = client.base_url.raw_path.rstrip(b"/") + scope["raw_path"] + query
            target = client.base_url.copy_with(raw_path=path)
            try:
                request = client.build_request(scope["method"], target, headers=headers, content=body, timeout=timeout)
                response = await client.send(request, stream=True)
            except httpx.HTTPError as error:
                problems.append(f"{url}: {error or type(error).__name__}")
                continue
            if response.status_code < 500:
                return response
            await response.aclose()
            problems.append(f"{url}: status {response.status_code}")
        raise StateError(f"no slice answers: {'; '.join(problems)}")


def headers_of(response: httpx.Response) -> list[tuple[str, str]]:
    """The headers of an answer that are passed on."""
    return [(name, value) for name, value in response.headers.items() if name.lower() not in _HOP_BY_HOP]


def _is_problem(response: httpx.Response) -> bool:
    """Whether a node has refused the request, and not a proxy that has lost its node."""
    content_type: str = response.headers.get("content-type", "")
    return content_type.startswith("application/problem+json")


def _object_of(response: httpx.Response, field: str) -> dict[str, Any]:
    """The JSON object in an answer.

    Raises:
        ValueError: It is not one, or does not have the field, so it is of another program.
    """
    content = response.json()
    if not isinstance(content, dict) or field not in content:
        raise ValueError(f"the answer is not JSON with `{field}`: is the URL that of a node?")
    return content


def _reason(response: httpx.Response) -> str:
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = ""
    return f"status {response.status_code}{f', {detail}' if detail else ''}"


def _described(name: object) -> str:
    return f"slice {name}" if name else "all documents"


def _short(state: Mapping[str, Any], key: str) -> str:
    value = state.get(key)
    return "{family} {weights}".format(**value) if key == "model" and isinstance(value, dict) else str(value)
