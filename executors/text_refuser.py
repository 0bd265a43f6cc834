"""TextRefuser: replaces the text encoder if the collection's model encodes images only."""

from pathlib import Path
from typing import Any

from jina import requests

from crossmodal.collection.collection import Collection
from executors.base import CrossModalExecutor
from executors.context import unescaped
from executors.schema import Docs, valid_docs


class TextRefuser(CrossModalExecutor):
    """Refuses all texts except those of health checks."""

    def __init__(self, collection: str, threads: int = 0, engine: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spec = Collection.open(Path(unescaped(collection))).model

    @requests(on=["/index", "/search", "/encode"])
    def refuse(self, docs: Docs, **_: Any) -> Docs:
        """Sets `error` of all texts."""
        for doc in valid_docs(docs, "text"):
            doc.error = f"this collection has the model {self.spec}, which encodes images only: search with a picture"
        return docs

    @requests(on="/health")
    def health(self, docs: Docs, **_: Any) -> Docs:
        """Returns the documents unchanged."""
        return docs
