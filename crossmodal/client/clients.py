"""Clients that send calls over HTTP: one that blocks and one that is awaited, with the same methods."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from types import TracebackType
from typing import Concatenate, Generic, ParamSpec, TypeVar, overload

import httpx

from crossmodal.client import calls
from crossmodal.client.calls import Call
from crossmodal.core.errors import CrossModalError, InputError, StateError

T = TypeVar("T")
P = ParamSpec("P")

DEFAULT_URL = "http://127.0.0.1:45678"
DEFAULT_TIMEOUT_S = 30.0


class ServiceError(StateError):
    """The service can't be reached, is overloaded, or failed; `status` is 0 if there was no response."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class RefusedError(InputError):
    """The service rejected the request (4xx); repeating it is rejected again."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class _Blocking(Generic[P, T]):
    """A call as a method that blocks until the response arrives."""

    def __init__(self, call: Callable[P, Call[T]]) -> None:
        self.call = call
        self.__doc__ = call.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> _Blocking[P, T]: ...
    @overload
    def __get__(self, client: Client, owner: type) -> Callable[P, T]: ...
    def __get__(self, client: Client | None, owner: type) -> _Blocking[P, T] | Callable[P, T]:
        """The method bound to a client."""
        if client is None:
            return self
        return _bound(client.send, self.call)


class _Awaited(Generic[P, T]):
    """A call as a method that returns an awaitable response."""

    def __init__(self, call: Callable[P, Call[T]]) -> None:
        self.call = call
        self.__doc__ = call.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> _Awaited[P, T]: ...
    @overload
    def __get__(self, client: AsyncClient, owner: type) -> Callable[P, Awaitable[T]]: ...
    def __get__(self, client: AsyncClient | None, owner: type) -> _Awaited[P, T] | Callable[P, Awaitable[T]]:
        """The method bound to a client."""
        if client is None:
            return self
        return _bound(client.send, self.call)


R = TypeVar("R")


def _bound(send: Callable[Concatenate[Call[T], ...], R], call: Callable[P, Call[T]]) -> Callable[P, R]:
    @wraps(call)
    def method(*args: P.args, **kwargs: P.kwargs) -> R:
        return send(call(*args, **kwargs))

    return method


class Client:
    """Blocking client of a service; `key` is an API key, if the service requires one."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        key: str = "",
        timeout_s: float = DEFAULT_TIMEOUT_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(base_url=url, headers=_headers(key), timeout=timeout_s, transport=transport)

    search = _Blocking(calls.search)
    encode = _Blocking(calls.encode)
    index = _Blocking(calls.index)
    update = _Blocking(calls.update)
    delete = _Blocking(calls.delete)
    document = _Blocking(calls.document)
    status = _Blocking(calls.status)

    def send(self, call: Call[T]) -> T:
        """Sends a call and returns its parsed response.

        Raises:
            RefusedError: The service rejected the request.
            ServiceError: The service can't be reached or failed.
        """
        try:
            response = self._http.request(call.method, call.path, json=call.json)
        except httpx.HTTPError as error:
            raise _unreachable(self._http.base_url, error) from error
        return _read(call, response)

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient:
    """Asynchronous client of a service, with the methods of `Client`."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        key: str = "",
        timeout_s: float = DEFAULT_TIMEOUT_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(base_url=url, headers=_headers(key), timeout=timeout_s, transport=transport)

    search = _Awaited(calls.search)
    encode = _Awaited(calls.encode)
    index = _Awaited(calls.index)
    update = _Awaited(calls.update)
    delete = _Awaited(calls.delete)
    document = _Awaited(calls.document)
    status = _Awaited(calls.status)

    async def send(self, call: Call[T]) -> T:
        """Sends a call and returns its parsed response; raises what `Client.send` raises."""
        try:
            response = await self._http.request(call.method, call.path, json=call.json)
        except httpx.HTTPError as error:
            raise _unreachable(self._http.base_url, error) from error
        return _read(call, response)

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _headers(key: str) -> dict[str, str]:
    return {"Accept": "application/json", **({"X-API-Key": key} if key else {})}


def _unreachable(url: httpx.URL, error: httpx.HTTPError) -> ServiceError:
    return ServiceError(f"{url} does not answer ({error or type(error).__name__}): is the service running?")


def _read(call: Call[T], response: httpx.Response) -> T:
    try:
        body = response.json()
    except ValueError:
        body = None
    if response.is_error:
        detail = body.get("detail") if isinstance(body, dict) else None
        raise _error(response, f"{call.path}: {detail or response.reason_phrase}")
    try:
        return call.parse(body)
    except (KeyError, TypeError, ValueError) as error:
        raise ServiceError(
            f"{call.path}: unexpected response; client and service may be of different versions ({error!r})",
            response.status_code,
        ) from error


def _error(response: httpx.Response, message: str) -> CrossModalError:
    status = response.status_code
    if status == 429 or status >= 500:
        wait = response.headers.get("Retry-After")
        return ServiceError(f"{message} (try again in {wait} s)" if wait else message, status)
    return RefusedError(message, status)
