"""KeyValueIndexer: the one writer. What it answers `indexed` to is on the disk."""

from pathlib import Path
from typing import Any

import numpy as np
from docarray import DocList
from jina import requests

from crossmodal.core.types import caption_id
from crossmodal.index.collection import Collection
from crossmodal.store.sqlite import NewDocument
from executors.docs import MediaDoc, document_of, to_bytes
from executors.refusal import Refusing


class KeyValueIndexer(Refusing):
    """Commits documents and their vectors in one transaction a request."""

    def __init__(self, collection: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.store = Collection.open(Path(collection)).store(writable=True)

    @requests(on="/index")
    def index(self, docs: DocList[MediaDoc], **_: Any) -> DocList[MediaDoc]:
        """Stores what has a vector; sets `outcome`, and drops what need not travel on."""
        storable = [doc for doc in docs if not doc.error and doc.embedding is not None]
        for doc in storable:
            if doc.modality == "text":
                doc.id = caption_id(doc.text, doc.image_id)
                doc.mime_type = doc.mime_type or "text/plain"
        outcomes = self.store.put([_new_document(doc) for doc in storable])
        for doc, outcome in zip(storable, outcomes, strict=True):
            doc.outcome = outcome
        for doc in docs:
            doc.embedding = doc.thumbnail = doc.content = None
        return docs

    @requests(on=["/health", "/snapshot"])
    def health(self, docs: DocList[MediaDoc], **_: Any) -> DocList[MediaDoc]:
        """Passes on only if the store answers."""
        self.store.last_seq()
        return docs

    def close(self) -> None:
        """Closes the store."""
        self.store.close()


def _new_document(doc: MediaDoc) -> NewDocument:
    return NewDocument(
        document_of(doc),
        np.asarray(doc.embedding, np.float32),
        thumbnail=None if doc.thumbnail is None else to_bytes(doc.thumbnail),
        content=None if doc.content is None or doc.modality == "text" else to_bytes(doc.content),
    )
