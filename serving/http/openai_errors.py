"""Errors in the shape of OpenAI's API, which its clients read."""

from __future__ import annotations

from starlette.responses import JSONResponse
from starlette.types import Scope

from serving.middleware.problem import Problem

PREFIX = "/v1/"
"""The paths whose errors have this shape."""

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}


def is_openai_path(scope: Scope) -> bool:
    """Whether the errors of a request have the shape of OpenAI's."""
    return str(scope["path"]).startswith(PREFIX)


def openai_failure(problem: Problem, param: str | None = None, code: str | None = None) -> JSONResponse:
    """A problem in OpenAI's shape; an invalid request has the status 400.

    Args:
        problem: The problem.
        param: The field of the request that is wrong.
        code: A word for programs; by default that of the status, or none.
    """
    status = 400 if problem.status == 422 else problem.status
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    error = {"message": problem.detail, "type": kind, "param": param, "code": code or _CODES.get(status)}
    return JSONResponse({"error": error}, status, dict(problem.headers))
