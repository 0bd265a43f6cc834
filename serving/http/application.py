"""What the applications of a node and of a front node share: the title, and GET /docs."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi_offline import FastAPIOffline

from crossmodal import __version__
from serving.http.openapi import GROUPS, complete
from serving.middleware.access_policy import DOCS_FOLDER


def new_application(*, has_keys: bool, has_legacy: bool, **settings: Any) -> FastAPI:
    """Returns an application whose only route is GET /docs: the OpenAPI document in Swagger UI, without a network.

    All URLs in both are relative, and no route is redirected, because the service does not know the
    path that a reverse proxy may have stripped.

    Args:
        has_keys: Whether requests must send a key; GET /docs then asks for one.
        has_legacy: Whether POST /search also takes and answers the legacy shapes.
        settings: Further settings of FastAPI.
    """
    app = FastAPIOffline(
        title="Cross-modal search",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        servers=[{"url": "./"}],
        openapi_tags=[{"name": group} for group in GROUPS],
        redirect_slashes=False,
        static_url=f"/{DOCS_FOLDER}",
        **settings,
    )
    complete(app, has_keys=has_keys, has_legacy=has_legacy)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title=app.title,
            swagger_js_url=f"{DOCS_FOLDER}/swagger-ui-bundle.js",
            swagger_css_url=f"{DOCS_FOLDER}/swagger-ui.css",
            swagger_favicon_url="web/icon.svg",
        )

    return app
