"""ImageLoader: finds the bytes of a picture."""

from typing import Any

from jina import requests

from crossmodal.core.errors import PictureError
from crossmodal.core.types import MODALITIES
from crossmodal.images.sources import from_data_uri, is_data_uri
from executors.base import CrossModalExecutor
from executors.schema import Docs, MediaDoc, to_array, valid_docs


class ImageLoader(CrossModalExecutor):
    """Puts the encoded picture into `content`, or checks that a path is allowed, which the normalizer reads.

    Paths are read only in the private Flow of an indexing job (`read_paths`), so clients can't read files. The bytes
    of a file are not sent from here: sending a photograph of 1 MB takes a third of the time of decoding it.
    """

    def __init__(self, read_paths: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.read_paths = read_paths

    @requests(on=["/search", "/encode", "/health"])
    def load(self, docs: Docs, **_: Any) -> Docs:
        """Loads the pictures of queries."""
        refuse_unknown(docs)
        return self._load(docs)

    @requests(on="/index")
    def load_to_index(self, docs: Docs, **_: Any) -> Docs:
        """Loads pictures to index."""
        refuse_unknown(docs, vectors=False)
        return self._load(docs)

    def _load(self, docs: Docs) -> Docs:
        for doc in valid_docs(docs, "image"):
            try:
                self._set_content(doc)
            except PictureError as error:
                doc.error = str(error)
        return docs

    def _set_content(self, doc: MediaDoc) -> None:
        if doc.content is not None:
            # A path from a client must not be treated as a file of this machine.
            doc.uri = doc.uri if self.read_paths else ""
        elif is_data_uri(doc.uri):
            uri, doc.uri = doc.uri, ""
            doc.content = to_array(from_data_uri(uri))
        elif not (self.read_paths and doc.uri):
            raise PictureError("paths and URLs are not read: send the picture itself, as bytes or a data URI")


def refuse_unknown(docs: Docs, *, vectors: bool = True) -> None:
    """Sets `error` of documents with an unknown modality, which the Flow sends here so that none is lost.

    A vector is a valid query, but can't be indexed without a document: `vectors` says whether to accept it.
    """
    for doc in docs:
        is_vector = vectors and doc.modality == "vector" and doc.embedding is not None
        if doc.modality not in MODALITIES and not is_vector and not doc.error:
            doc.error = f"modality {doc.modality!r}: expected 'image' or 'text'"
