"""Pictures that a request names by URL: this service's own are read from the store, others fetched if allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from crossmodal.core.errors import InputError, PictureError, StateError
from crossmodal.images.decode import MAX_BYTES
from crossmodal.images.fetch import FetchRules, fetch_picture

MAX_URLS = 16
"""In one request."""
AT_ONCE = 4
MAX_HELD_BYTES = 4 * MAX_BYTES
"""For the fetched pictures of all requests together, until each is answered."""
NOT_ALLOWED = "URLs are not fetched here: send the picture itself, or start the service with --allow-url-fetch"

Fetched = Mapping[str, bytes | PictureError]
"""The picture of each URL, or the error of fetching it."""
Own = Callable[[str], "bytes | None"]
"""Returns the picture of a URL of this service, None for other URLs."""


def is_url(uri: str | None) -> bool:
    """Whether a URI is a web address; a path and a data URI are not."""
    return (uri or "")[:8].lower().startswith(("http://", "https://"))


class UrlPictures:
    """Fetches the pictures of requests, within limits for each request and for all together.

    Args:
        rules: What may be fetched; None for nothing at all.
        own_of: Reads the pictures of ours that a request may name, which need no fetching.
    """

    def __init__(self, rules: FetchRules | None, own_of: Callable[[Request], Own]) -> None:
        self._rules, self._own_of = rules, own_of
        self._places = asyncio.Semaphore(AT_ONCE)
        self.held_bytes = 0

    @asynccontextmanager
    async def fetched(self, request: Request, uris: Iterable[str | None]) -> AsyncIterator[Fetched]:
        """The pictures of those of the URIs that are URLs, each fetched once, kept until the block is left.

        Raises:
            InputError: One that is not ours, and nothing is fetched here; or these are too many.
            StateError: Too many large ones at the same time.
        """
        urls = list(dict.fromkeys(uri for uri in uris if uri and is_url(uri)))
        if len(urls) > MAX_URLS:
            raise InputError(f"{len(urls)} URLs in one request, and {MAX_URLS} are fetched at most: ask in parts")
        found: dict[str, bytes | PictureError] = {}
        own = self._own_of(request)
        try:
            for outcome in await asyncio.gather(*(self._get(url, own, found) for url in urls), return_exceptions=True):
                if isinstance(outcome, BaseException):
                    raise outcome
            yield found
        finally:
            self.held_bytes -= _size(found)

    async def _get(self, url: str, own: Own, found: dict[str, bytes | PictureError]) -> None:
        async with self._places:
            if self.held_bytes >= MAX_HELD_BYTES:
                raise StateError("too many large pictures at once: try again")
            try:
                picture = await run_in_threadpool(own, url) or await self._from_elsewhere(url)
            except PictureError as error:
                found[url] = error
                return
            found[url] = picture
            self.held_bytes += len(picture)

    async def _from_elsewhere(self, url: str) -> bytes:
        if self._rules is None:
            raise InputError(f"{url[:80]!r} is not read: {NOT_ALLOWED}")
        try:
            return await fetch_picture(url, self._rules)
        except PictureError as error:
            raise PictureError(f"{url[:80]!r} was not fetched: {error}") from error


def _size(found: Fetched) -> int:
    return sum(len(picture) for picture in found.values() if isinstance(picture, bytes))
