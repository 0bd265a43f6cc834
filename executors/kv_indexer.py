"""KeyValueIndexer: the only writer. A document that it answers as `indexed` is on the disk."""

from pathlib import Path
from typing import Any

import numpy as np
from docarray import DocList
from jina import Executor, requests

from crossmodal.collection.collection import Collection
from crossmodal.core.types import caption_id
from crossmodal.store.sqlite import NewDocument
from crossmodal.store.where import parse
from executors.context import unescaped
from executors.schema import MediaDoc, document_of, to_bytes


class KeyValueIndexer(Executor):
    """Commits documents and their vectors in one transaction per request; it holds the collection's lock.

    In the writable query Flow it comes last, and gets changes only: the vector indexers there follow the store at the
    next search, as they do for commits of another process.
    """

    def __init__(self, collection: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.store = Collection.open(Path(unescaped(collection))).store(writable=True)

    @requests(on="/index")
    def index(self, docs: DocList[MediaDoc], **_: Any) -> DocList[MediaDoc]:
        """Stores documents that have a vector; sets `outcome`, and removes fields that are not needed any more."""
        storable = [doc for doc in docs if not doc.error and doc.embedding is not None]
        for doc in storable:
            if doc.modality == "text":
                doc.id = caption_id(doc.text, doc.image_id)
                doc.mime_type, doc.width, doc.height = "text/plain", 0, 0  # whatever the client has sent
        outcomes = self.store.put([_new_document(doc) for doc in storable])
        for doc, outcome in zip(storable, outcomes, strict=True):
            doc.outcome = outcome
        for doc in docs:
            doc.embedding = doc.thumbnail = doc.content = None
        return docs

    @requests(on="/update")
    def update(self, docs: DocList[MediaDoc], **_: Any) -> DocList[MediaDoc]:
        """Applies `tags`, a merge patch, to the tags of documents; sets `outcome`."""
        found = self.store.update((doc.id, doc.tags) for doc in docs)
        for doc, is_there in zip(docs, found, strict=True):
            doc.outcome = "updated" if is_there else "unknown"
        return docs

    @requests(on="/delete")
    def delete(self, docs: DocList[MediaDoc], parameters: dict[str, Any], **_: Any) -> DocList[MediaDoc]:
        """Removes documents by id, a picture with its captions, or all that meet the parameter `where`.

        Sets `outcome` of each, and adds a document for each other that was removed.
        """
        where = str(parameters.get("where") or "")
        ids = self.store.ids_where(parse(where)) if where else [doc.id for doc in docs]
        removed = self.store.remove(ids)
        gone = {document.id: document.modality for document in removed}
        for doc in docs:
            doc.outcome, doc.modality = ("removed", gone[doc.id]) if doc.id in gone else ("unknown", "")
        asked = {doc.id for doc in docs}
        others = (document for document in removed if document.id not in asked)
        docs.extend(MediaDoc(outcome="removed", **vars(document)) for document in others)
        return docs

    @requests(on=["/health", "/snapshot"])
    def health(self, docs: DocList[MediaDoc], **_: Any) -> DocList[MediaDoc]:
        """Passes documents on if the store can be read."""
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
