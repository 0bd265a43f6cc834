"""Pictures given by URL: those of this service are read from the store, others are fetched if allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from crossmodal.core.errors import InputError, PictureError
from crossmodal.images.decode import MAX_BYTES
from crossmodal.images.fetch import FetchRules, fetch_picture
from crossmodal.images.sources import from_data_uri, is_data_uri
from serving.http.errors import RefusedError

MAX_URLS = 16
"""Most URLs in one request."""
AT_ONCE = 4
"""Most URLs that are fetched at the same time, by all requests together."""
MAX_HELD_BYTES = 4 * MAX_BYTES
"""Limit on the fetched pictures of all requests together, each counted until its request is answered."""
NOT_ALLOWED = "URLs are not fetched here: send the picture itself, or start the service with --allow-url-fetch"

Fetched = Mapping[str, bytes | PictureError]
"""The picture of each URL, or the error that fetching it raised."""
PictureReader = Callable[[str], "bytes | None"]
"""Returns the picture of a URL of this service, None for other URLs."""


def is_url(uri: str | None) -> bool:
    """Whether a URI is an http or https URL."""
    return (uri or "")[:8].lower().startswith(("http://", "https://"))


def picture_of(uri: str, field: str, fetched: Fetched) -> bytes:
    """The encoded picture of a data URI or a fetched URL.

    Raises:
        InputError: A path, which is never read, a URL that could not be fetched, or a damaged data URI.
    """
    if uri in fetched:
        content = fetched[uri]
        if isinstance(content, PictureError):
            raise InputError(f"{field}: {content}") from content
        return content
    if not is_data_uri(uri):
        raise InputError(f"{field}: {uri[:80]!r} is not read: send the picture itself, as data:image/...;base64,...")
    try:
        return from_data_uri(uri)
    except InputError as error:
        raise InputError(f"{field}: {error}") from error


class UrlPictures:
    """Fetches the pictures of requests, within limits for each request and for all together.

    Args:
        rules: The hosts and limits of fetching; None to fetch nothing.
        reader_of: Returns the reader of this service's pictures, which are not fetched, for a request.
    """

    def __init__(self, rules: FetchRules | None, reader_of: Callable[[Request], PictureReader]) -> None:
        self._rules, self._reader_of = rules, reader_of
        self._slots = asyncio.Semaphore(AT_ONCE)
        self.held_bytes = 0

    @asynccontextmanager
    async def fetched(self, request: Request, uris: Iterable[str | None]) -> AsyncIterator[Fetched]:
        """The pictures of those of the URIs that are URLs, each fetched once and held for the block.

        Raises:
            InputError: A URL of another server while fetching is off, or too many URLs.
            RefusedError: The fetched pictures of current requests exceed `MAX_HELD_BYTES`.
        """
        urls = list(dict.fromkeys(uri for uri in uris if uri and is_url(uri)))
        if not urls:
            yield {}
            return
        if len(urls) > MAX_URLS:
            raise InputError(f"{len(urls)} URLs in one request, at most {MAX_URLS} are allowed: split the request")
        pictures: dict[str, bytes | PictureError] = {}
        read = self._reader_of(request)
        try:
            for outcome in await asyncio.gather(
                *(self._get(url, read, pictures) for url in urls), return_exceptions=True
            ):
                if isinstance(outcome, BaseException):
                    raise outcome
            yield pictures
        finally:
            self.held_bytes -= _size(pictures)

    async def _get(self, url: str, read: PictureReader, pictures: dict[str, bytes | PictureError]) -> None:
        async with self._slots:
            if self.held_bytes >= MAX_HELD_BYTES:
                raise RefusedError(503, "too many large pictures at once: try again")
            try:
                picture = await run_in_threadpool(read, url) or await self._fetch(url)
            except PictureError as error:
                pictures[url] = error
                return
            pictures[url] = picture
            self.held_bytes += len(picture)

    async def _fetch(self, url: str) -> bytes:
        if self._rules is None:
            raise InputError(f"{url[:80]!r} is not read: {NOT_ALLOWED}")
        try:
            return await fetch_picture(url, self._rules)
        except PictureError as error:
            raise PictureError(f"{url[:80]!r} was not fetched: {error}") from error


def _size(pictures: Fetched) -> int:
    return sum(len(picture) for picture in pictures.values() if isinstance(picture, bytes))
