"""Error answers: problem+json (RFC 9457) from the typed API, the legacy shape from the legacy paths."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import Scope

from crossmodal.core.errors import InputError, StateError
from crossmodal.core.os_errors import ENVIRONMENT_ERRNOS, reason
from crossmodal.core.rare_log import warn_rarely
from serving.http import legacy
from serving.http.openai_errors import is_openai_path, openai_failure
from serving.jina.flow_calls import UnavailableError
from serving.middleware.problem import Problem, problem_json

log = logging.getLogger(__name__)

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
MAX_FAULTS = 5
"""Most validation errors that the answer to one request lists."""
NOT_NOW = "the service can't do this now: try again later. Its log has the reason"

PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemAnswer"}}}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": description, "content": PROBLEM}
    for status, description in (
        (400, "The body is not JSON"),
        (404, "Not found"),
        (422, "The request is not valid; `detail` says why"),
        (503, "A part of the service does not answer"),
    )
}
"""Error answers of a typed route, for the OpenAPI document."""

_LEGACY = "crossmodal.legacy"


class RefusedError(Exception):
    """The request is refused for a reason other than invalid input, such as a missing document.

    Unlike that of a StateError, its detail is for clients.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.problem = Problem(status, detail)


def leave_to_legacy(request: Request) -> None:
    """Marks a request so that the application's handlers answer its errors in the legacy shape."""
    request.scope[_LEGACY] = True


class ProblemRoute(APIRoute):
    """A route whose errors are answered as problems, in OpenAI's shape under /v1/."""

    def get_route_handler(self) -> Handler:
        """The handler of the route, which answers errors as problems instead of raising them."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except Exception as error:
                if request.scope.get(_LEGACY):
                    raise
                return self.failure(request, error)

        return answer

    def failure(self, request: Request, error: Exception) -> Response:
        """The answer to a request whose handler raised an error."""
        return _openai_or_problem(request.scope, problem_of(error))


def problem_of(error: Exception) -> Problem:
    """The status and the message for an error.

    The messages of bugs, and of errors that only an operator can end, are logged and not sent: they have paths and
    addresses of this machine and its database.
    """
    if isinstance(error, RefusedError):
        return error.problem
    if isinstance(error, HTTPException):
        return Problem(error.status_code, str(error.detail), dict(error.headers or {}))
    if isinstance(error, RequestValidationError | ValidationError):
        faults = list(error.errors())
        malformed = any(fault["type"] == "json_invalid" for fault in faults)
        return Problem(400 if malformed else 422, "; ".join(map(_fault, faults[:MAX_FAULTS])))
    if isinstance(error, InputError):
        return Problem(422, str(error))
    if isinstance(error, StateError) or (isinstance(error, OSError) and error.errno in ENVIRONMENT_ERRNOS):
        why = reason(error) if isinstance(error, OSError) else error
        warn_rarely(log, f"requests are answered with status 503: {why}")
        return Problem(503, NOT_NOW)
    if isinstance(error, TimeoutError):
        return Problem(503, "no answer in time")
    if isinstance(error, UnavailableError):
        return Problem(504 if error.is_late else 503, f"a part of the service does not answer: {error}")
    log.error("unexpected error", exc_info=error)
    return Problem(500, f"unexpected error ({type(error).__name__}); the service's log has the details")


def _fault(fault: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in fault["loc"] if part != "body")
    return f"{place or 'body'}: {fault['msg']}"


def legacy_or_problem(scope: Scope, problem: Problem) -> Response:
    """A problem in the legacy shape on a legacy path, in OpenAI's under /v1/, else as problem+json."""
    return _legacy_failure(scope, problem) if scope["path"] in legacy.PATHS else _openai_or_problem(scope, problem)


def _openai_or_problem(scope: Scope, problem: Problem) -> Response:
    return openai_failure(problem) if is_openai_path(scope) else problem_json(scope, problem)


def _legacy_failure(scope: Scope, problem: Problem) -> Response:
    return JSONResponse(legacy.failure(problem.detail, legacy.root_of(scope["path"])), problem.status)


def add_error_handlers(app: FastAPI) -> None:
    """Adds handlers for errors of routes that are not a `ProblemRoute`, and of paths without a route."""

    @app.exception_handler(HTTPException)
    async def no_route(request: Request, error: HTTPException) -> Response:
        problem = problem_of(error)
        answer = legacy_or_problem(request.scope, problem)
        answer.headers.update(problem.headers)
        return answer

    async def failed(request: Request, error: Exception) -> Response:
        return _legacy_failure(request.scope, problem_of(error))

    for kind in (RequestValidationError, InputError, StateError, UnavailableError, RefusedError, Exception):
        app.add_exception_handler(kind, failed)
