"""What the typed API answers when something goes wrong: problem+json, whatever it was."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

import grpc
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from jina.excepts import InternalNetworkError
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from crossmodal.core.errors import InputError, StateError
from serving.middleware.problem import Problem, problem_json

log = logging.getLogger(__name__)

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
N_TOLD = 5
"""How many of the faults of one request are named."""

PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemAnswer"}}}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": description, "content": PROBLEM}
    for status, description in (
        (400, "No JSON"),
        (404, "Not here"),
        (422, "What is asked makes no sense; `detail` says why"),
        (503, "A part of the service does not answer"),
    )
}
"""For the API document."""

_LEGACY = "crossmodal.legacy"


class RefusedError(Exception):
    """A request that is answered with a problem; for what is no fault of the input's."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.problem = Problem(status, detail)


def leave_to_legacy(request: Request) -> None:
    """From here on, errors of this request are answered in the legacy shape, by the application's handlers."""
    request.scope[_LEGACY] = True


class ProblemRoute(APIRoute):
    """A route whose errors are answered as problems."""

    def get_route_handler(self) -> Handler:
        """The handler, with its errors turned into answers."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except Exception as error:
                if request.scope.get(_LEGACY):
                    raise
                return problem_json(request.scope, problem_of(error))

        return answer


def problem_of(error: Exception) -> Problem:
    """The status and the words for an error; a bug is logged, and not told."""
    if isinstance(error, RefusedError):
        return error.problem
    if isinstance(error, HTTPException):
        return Problem(error.status_code, str(error.detail), dict(error.headers or {}))
    if isinstance(error, RequestValidationError | ValidationError):
        told = list(error.errors())
        malformed = any(fault["type"] == "json_invalid" for fault in told)
        return Problem(400 if malformed else 422, "; ".join(map(_fault, told[:N_TOLD])))
    if isinstance(error, InputError):
        return Problem(422, str(error))
    if isinstance(error, StateError | TimeoutError):
        return Problem(503, str(error) or "no answer in time")
    if isinstance(error, InternalNetworkError):
        late = error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        return Problem(504 if late else 503, f"a part of the service does not answer: {error.details()}")
    log.error("unexpected error", exc_info=error)
    return Problem(500, f"unexpected error ({type(error).__name__}); the service's log has the details")


def _fault(fault: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in fault["loc"] if part != "body")
    return f"{place or 'body'}: {fault['msg']}"
