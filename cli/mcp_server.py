"""mcp: serves a collection over the Model Context Protocol."""

from __future__ import annotations

from importlib.util import find_spec

from cli.location import collection_of
from cli.printing import say_aside
from crossmodal.collection.collection import Collection
from crossmodal.collection.encoder import prepared_encoder
from crossmodal.core.errors import StateError
from crossmodal.core.protocols import Encoder
from crossmodal.core.settings import Settings


def check_installed() -> None:
    """Checks that the packages of the extra `mcp` are installed.

    Raises:
        StateError: They are not.
    """
    if find_spec("mcp") is None:
        raise StateError(
            "the package mcp is not installed: run `pip install 'crossmodal-search[mcp]'`, or in a checkout "
            "`pip install -r requirements-mcp.txt`"
        )


def serve(settings: Settings, *, hides_location: bool) -> None:
    """Serves the collection of the settings over standard input and output until the input ends.

    Raises:
        StateError: There is no collection.
    """
    from serving.mcp.server import serve as serve_tools
    from serving.mcp.tools import CollectionTools

    def load(collection: Collection) -> Encoder:
        return prepared_encoder(
            collection, collection.model.modalities, settings.threads or None, settings.engine, say_aside
        )

    root = collection_of(settings).root
    tools = CollectionTools(root, load, hides_location=hides_location)
    try:
        serve_tools(tools, root.name)
    finally:
        tools.close()
