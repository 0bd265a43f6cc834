"""The answers with which middleware refuses requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send


@dataclass(frozen=True)
class Problem:
    """The reason for refusing a request; `headers` are those of the status, such as Retry-After."""

    status: int
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The name of the status."""
        return HTTPStatus(self.status).phrase


Responder = Callable[[Scope, Problem], Response]
"""Returns the response for a problem; the middleware adds the problem's headers to it."""

Paths = Callable[[Scope], bool]
"""Returns whether a request matches, by its path and method."""


def problem_json(_: Scope, problem: Problem) -> Response:
    """The problem as problem+json. Source: RFC 9457, Nottingham, Wilde and Dalal, 2023."""
    body = {"type": "about:blank", "title": problem.title, "status": problem.status, "detail": problem.detail}
    return JSONResponse(body, problem.status, media_type="application/problem+json")


def none_of_them(_: Scope) -> bool:
    """Matches no request."""
    return False


async def refuse(answer: Responder, problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the problem."""
    response = answer(scope, problem)
    response.headers.update({"Cache-Control": "no-store", **problem.headers})
    await response(scope, receive, send)
