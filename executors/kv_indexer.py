"""KeyValueIndexer: the only writer of the store. A document that it returns as `indexed` is durable."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from jina import requests

from crossmodal.collection.collection import Collection
from crossmodal.ingest.commit import commit
from crossmodal.store.sqlite import NewDocument
from crossmodal.store.where import parse
from executors.base import CrossModalExecutor
from executors.context import unescaped
from executors.schema import Docs, MediaDoc, document_of, fields_for_clients, to_bytes
from executors.shared_memory import received_thumbnail


class KeyValueIndexer(CrossModalExecutor):
    """Commits documents and their vectors in one transaction per request; holds the collection's lock.

    In the writable query Flow it is the last Executor and receives only changes: the vector indexers there read them
    from the store at the next search, like the commits of another process.
    """

    def __init__(self, collection: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.store = Collection.open(Path(unescaped(collection))).store(writable=True)

    @requests(on="/index")
    def index(self, docs: Docs, **_: Any) -> Docs:
        """Stores documents that have a vector; sets `outcome`, and removes fields that are no longer needed."""
        storable = [doc for doc in docs if not doc.error and doc.embedding is not None]
        committed = commit(self.store, [_new_document(doc) for doc in storable])
        for doc, (stored, outcome) in zip(storable, committed, strict=True):
            doc.id, doc.outcome = stored.id, outcome
            doc.mime_type, doc.width, doc.height = stored.mime_type, stored.width, stored.height
        for doc in docs:
            doc.embedding = doc.thumbnail = doc.content = None
            doc.thumbnail_at = 0
        return docs

    @requests(on="/update")
    def update(self, docs: Docs, **_: Any) -> Docs:
        """Applies `tags`, a merge patch, to the tags of documents; sets `outcome`."""
        are_known = self.store.update((doc.id, doc.tags) for doc in docs)
        for doc, is_known in zip(docs, are_known, strict=True):
            doc.outcome = "updated" if is_known else "unknown"
        return docs

    @requests(on="/delete")
    def delete(self, docs: Docs, parameters: dict[str, Any], **_: Any) -> Docs:
        """Removes documents by id, a picture with its captions, or all that meet the parameter `where`.

        Sets `outcome` of each document, and adds the other removed documents.
        """
        where = str(parameters.get("where") or "")
        ids = self.store.ids_where(parse(where)) if where else [doc.id for doc in docs]
        removed = self.store.remove(ids)
        modality_of = {document.id: document.modality for document in removed}
        for doc in docs:
            is_removed = doc.id in modality_of
            doc.outcome, doc.modality = ("removed", modality_of[doc.id]) if is_removed else ("unknown", "")
        requested = {doc.id for doc in docs}
        others = (document for document in removed if document.id not in requested)
        docs.extend(MediaDoc(outcome="removed", **fields_for_clients(document)) for document in others)
        return docs

    @requests(on="/searches")
    def save_searches(self, docs: Docs, **_: Any) -> Docs:
        """Saves the search in `text`, as JSON, under the name in `id`, or removes it without one; sets `outcome`."""
        for doc in docs:
            if doc.text:
                self.store.searches.put(doc.id, json.loads(doc.text))
                doc.outcome = "saved"
            else:
                doc.outcome = "removed" if self.store.searches.remove(doc.id) else "unknown"
        return docs

    @requests(on=["/health", "/snapshot"])
    def health(self, docs: Docs, **_: Any) -> Docs:
        """Returns the documents if the store can be read."""
        self.store.last_seq()
        return docs

    def close(self) -> None:
        """Closes the store."""
        self.store.close()


def _new_document(doc: MediaDoc) -> NewDocument:
    document, vector = document_of(doc), np.asarray(doc.embedding, np.float32)
    if doc.modality == "text":  # a client can send the other fields
        return NewDocument(document, vector)
    thumbnail = received_thumbnail(doc)
    return NewDocument(
        document,
        vector,
        thumbnail=None if thumbnail is None else to_bytes(thumbnail),
        content=None if doc.content is None else to_bytes(doc.content),
    )
