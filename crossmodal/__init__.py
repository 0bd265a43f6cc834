"""Cross-modal image search: find images by text, captions by image, and images by image.

The library behind the application. It imports no web framework and no Jina; `executors/` and `serving/` adapt
it to a Jina Flow. `Client` and `AsyncClient` are the exception that goes over the network: they call the HTTP
API of a running service.

The public names are imported on first use, so `import crossmodal` takes no time:

    >>> import crossmodal
    >>> issubclass(crossmodal.InputError, crossmodal.CrossModalError)
    True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crossmodal.client import AsyncClient, Client, RefusedError, ServiceError
    from crossmodal.collection.collection import Collection
    from crossmodal.core.errors import CrossModalError, InputError, NotWritableError, PictureError, StateError
    from crossmodal.search.query import Query, SearchOptions
    from crossmodal.search.service import SearchService

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "Client",
    "Collection",
    "CrossModalError",
    "InputError",
    "NotWritableError",
    "PictureError",
    "Query",
    "RefusedError",
    "SearchOptions",
    "SearchService",
    "ServiceError",
    "StateError",
    "__version__",
]

_MODULES = {
    "crossmodal.client": ("AsyncClient", "Client", "RefusedError", "ServiceError"),
    "crossmodal.collection.collection": ("Collection",),
    "crossmodal.core.errors": ("CrossModalError", "InputError", "NotWritableError", "PictureError", "StateError"),
    "crossmodal.search.query": ("Query", "SearchOptions"),
    "crossmodal.search.service": ("SearchService",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Imports a public name on first access.

    Raises:
        AttributeError: `name` is not public.
    """
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, imported or not."""
    return sorted({*globals(), *__all__})
