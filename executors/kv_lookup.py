"""KeyValueLookup: the keys a vector index found, to the documents they stand for."""

import time
from pathlib import Path
from typing import Any

from docarray import DocList
from jina import requests

from crossmodal.index.collection import Collection
from executors.docs import MatchDoc, MediaDoc
from executors.refusal import Refusing


class KeyValueLookup(Refusing):
    """Joins the branches of a query and fills its matches from the store."""

    def __init__(self, collection: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.store = Collection.open(Path(collection)).store()

    @requests(on=["/search", "/health"])
    def look_up(self, docs: DocList[MediaDoc], **_: Any) -> DocList[MediaDoc]:
        """Fills the matches; one that was deleted in the meantime is left out."""
        start = time.perf_counter()
        found = self.store.by_keys({match.key for doc in docs for match in doc.matches})
        spent_ms = (time.perf_counter() - start) * 1e3
        for doc in docs:
            doc.embedding = None
            doc.matches = DocList[MatchDoc](
                MatchDoc(key=match.key, scores=match.scores, **vars(found[match.key]))
                for match in doc.matches
                if match.key in found
            )
            doc.timings_ms = {**doc.timings_ms, "lookup": spent_ms}
        return docs

    def close(self) -> None:
        """Closes the store."""
        self.store.close()
