"""SecurityHeaders: headers that restrict what a browser does with an answer."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""For the pages of the service: no external resources, no inline scripts, no framing."""

DOCS_POLICY = f"{PAGE_POLICY}; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'"
"""For Swagger UI, which needs an inline script; it shows the schema of the service and no text of users."""

OTHER_POLICY = "frame-ancestors 'none'"

_ALWAYS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY"}


class SecurityHeaders:
    """Adds security headers to every answer; headers that a route has set are kept.

    Cross-Origin-Resource-Policy is not set, so that other sites may show the pictures if CORS allows it.

    Args:
        app: The next application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, and adds the headers to its answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message.setdefault("headers", [])
                self._add(MutableHeaders(scope=message), scope["path"])
            await send(message)

        await self.app(scope, receive, send_with_headers)

    def _add(self, headers: MutableHeaders, path: str) -> None:
        is_page = headers.get("content-type", "").strip().lower().startswith("text/html")
        policy = (DOCS_POLICY if path == "/docs" else PAGE_POLICY) if is_page else OTHER_POLICY
        for name, value in {**_ALWAYS, "Content-Security-Policy": policy}.items():
            headers.setdefault(name, value)
