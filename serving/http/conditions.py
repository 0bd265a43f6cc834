"""What the conditions of clients may compare."""

from __future__ import annotations

from fastapi import Request

from crossmodal.core.errors import InputError
from crossmodal.store.condition import Condition, fields_of
from crossmodal.store.where import parse
from serving.http.errors import RefusedError
from serving.middleware.private_location import REFUSAL, hides_location, names_location


def client_condition(where: str) -> Condition:
    """The condition of a client.

    Raises:
        InputError: It is malformed, or compares `uri`: with `like`, the path of a file could be guessed.
    """
    condition = parse(where)
    if any(field.column == "uri" for field in fields_of(condition)):
        raise InputError("condition: a service does not compare `uri`, the path of a file: use filename or tags.folder")
    return condition


def check_condition(request: Request, where: str) -> None:
    """Checks a condition of a request; an empty one is none.

    Raises:
        RefusedError: It depends on the location, which the client may not know.
        InputError: As `client_condition`.
    """
    if where and names_location(client_condition(where)) and hides_location(request.scope):
        raise RefusedError(REFUSAL.status, REFUSAL.detail)
