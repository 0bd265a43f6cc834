"""Messages for PostgreSQL errors that the server, the network or the given values cause."""

from __future__ import annotations

import psycopg

from crossmodal.core.errors import CrossModalError, InputError, NotWritableError, StateError

_STOP_CLIENTS = "stop other clients, or raise max_connections"
_NEXT_STEPS = {
    "password authentication failed": "check the user and the password (PGPASSWORD, or a line in ~/.pgpass)",
    "no password supplied": "set PGPASSWORD, or add a line to ~/.pgpass",
    "does not exist": "create it, or correct the address",
    "resolve host": "check the name of the host",
    "too many": _STOP_CLIENTS,  # clients already; connections for a role or a database
    "connection slots": _STOP_CLIENTS,
    "is starting up": "try again in a moment",
    "is shutting down": "try again in a moment",
    "terminating connection": "try again in a moment",
    "permission denied": "ask the owner of the database for the right to connect",
}
"""By a part of the server's message: libpq gives no error code if a connection fails."""
_MESSAGES = {
    "08": "the connection was lost",
    "57": "the server stopped the request",
    "53100": "the server's disk is full",
    "53": "the server is out of resources",
    "55": "the server is busy",
    "40": "another transaction was in the way",
    "58": "the server's disk failed",
    "XX": "the server reports damage",
    "42P01": "the store was removed by another process",
    "25006": "the server no longer accepts changes: it may have become a standby",
}
"""By the beginning of an error's SQLSTATE."""
_KEPT = "acknowledged documents are safe; run the command again to continue"


def unreachable(name: str, error: psycopg.Error) -> StateError:
    """The reason why a connection could not be opened."""
    cause = _first_line(error).rsplit("FATAL:  ")[-1].removeprefix("connection failed: ")
    step = next((step for part, step in _NEXT_STEPS.items() if part in cause), "check the address and the server")
    return StateError(f"{name} can't be opened: {cause}: {step}")


def explained(name: str, error: psycopg.Error) -> CrossModalError | None:
    """The error with the reason if the server, the network or a value is at fault; None for other errors."""
    code = error.sqlstate or ""
    if code == "22P05" or (not code and "NUL" in str(error)):
        return InputError("PostgreSQL can't store the character U+0000: remove it from the document's text or tags")
    if code == "42501":
        return NotWritableError(f"{name} can't be written to: {_first_line(error)}: ask the owner of the database")
    if not code and isinstance(error, psycopg.OperationalError):
        code = "08"
    for start in (code, code[:2]):
        if start in _MESSAGES:
            return StateError(f"{name}: {_MESSAGES[start]} ({_first_line(error)}); {_KEPT}")
    return None


def _first_line(error: psycopg.Error) -> str:
    return (error.diag.message_primary or str(error)).partition("\n")[0].strip()
