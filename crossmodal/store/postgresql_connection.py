"""A connection to a PostgreSQL server: how it is opened, and how long it waits."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any, TypeVar

import psycopg
from psycopg import sql
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from crossmodal.core.errors import InputError
from crossmodal.store.postgresql_errors import unreachable

TIMEOUT_S = 10.0
"""How long a call waits for a connection: for a new one, for the answer of an idle one, for one of another thread."""
READ_S = 30.0
"""How long a store that is only read waits for the answer to a query, unless the server's defaults say otherwise."""
GRACE_S = 5.0
"""How much longer it waits for the server to say that the time is up; a server that hangs does not say it."""
T = TypeVar("T")
_DEFAULTS = """
    SELECT set_config('default_transaction_isolation', 'read committed', false),
           set_config('synchronous_commit', CASE value WHEN 'off' THEN 'on' ELSE value END, false)
    FROM current_setting('synchronous_commit') AS value
"""
_LIMIT = """
    SELECT extract(epoch FROM set_config('statement_timeout', value, false)::interval)
    FROM coalesce(nullif(current_setting('statement_timeout'), '0'), %s) AS value
"""
_KEEPALIVE = "keepalives_idle=30 keepalives_interval=10 keepalives_count=3 tcp_user_timeout=60000"
"""A connection through a network that fails is given up after a minute, not after hours; the URL may have others."""


class NoAnswerError(psycopg.OperationalError):
    """The server has not answered in time."""


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that is closed if the server does not answer within `limit_s`; None for no limit."""

    limit_s: float | None = None

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """As of the base class; every method that waits for the server calls it.

        Raises:
            NoAnswerError: The server has not answered in time.
        """
        try:
            return super().wait(gen, interval, timeout or self.limit_s)
        except psycopg.errors._WaitTimeout as error:
            self.close()
            raise NoAnswerError(f"no answer within {timeout or self.limit_s:g} s") from error

    def check_alive(self) -> None:
        """Raises psycopg.OperationalError if the server does not answer within `TIMEOUT_S`."""
        limit_s, self.limit_s = self.limit_s, TIMEOUT_S
        self.execute("")
        self.limit_s = limit_s


def connect(url: str, *, is_limited: bool = False) -> Connection:
    """A connection in autocommit mode, without a schema.

    What it commits is durable, and it waits for locks instead of failing, whatever the server's defaults.

    Args:
        url: The address of the database.
        is_limited: Whether each query has a time limit: the `statement_timeout` of the user, the database or the
            address if there is one, else `READ_S`.

    Raises:
        InputError: The URL is invalid.
        StateError: The server can't be reached, or refuses the user.
    """
    name = name_of(url)
    address = make_conninfo(_KEEPALIVE, **conninfo_to_dict(url))
    try:
        connection = Connection.connect(address, connect_timeout=int(TIMEOUT_S), autocommit=True)
        connection.limit_s = TIMEOUT_S
        connection.execute(_DEFAULTS)
        limit = connection.execute(_LIMIT, [f"{READ_S}s"]).fetchone() if is_limited else None
        connection.limit_s = None if limit is None else float(limit[0]) + GRACE_S
    except psycopg.OperationalError as error:
        raise unreachable(name, error) from error
    return connection


def use_schema(connection: Connection, schema: str) -> None:
    """Makes a schema, which may not exist, the one of unqualified names."""
    connection.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema)))


def name_of(url: str) -> str:
    """The URL without the password and the options.

    >>> name_of("postgresql://ann:secret@db.example/pictures?sslmode=require")
    'postgresql://ann@db.example/pictures'
    >>> name_of("postgresql://ann@one,two:5433/pictures?target_session_attrs=read-write")
    'postgresql://ann@one,two:5433/pictures'

    Raises:
        InputError: The URL is not one of PostgreSQL.
    """
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        raise InputError("the address of a store is postgresql://USER@HOST/DATABASE") from error
    user = f"{parts['user']}@" if "user" in parts else ""
    hosts = zip_longest(str(parts.get("host", "")).split(","), str(parts.get("port", "")).split(","), fillvalue="")
    addresses = ",".join(f"{host}:{port}" if port else host for host, port in hosts)
    return f"postgresql://{user}{addresses}/{parts.get('dbname', '')}"
