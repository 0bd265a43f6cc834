"""ImageLoader: reads the bytes of a picture, and derives its id from them."""

from pathlib import Path
from typing import Any

from docarray import DocList
from jina import Executor, requests

from crossmodal.core.errors import PictureError
from crossmodal.core.types import MODALITIES, image_id
from crossmodal.images.sources import from_data_uri, from_file, is_data_uri
from executors.schema import MediaDoc, to_array, to_bytes, valid_docs


class ImageLoader(Executor):
    """Puts the encoded picture into `content`.

    Paths are read only in the private Flow of an indexing job (`read_paths`), so clients can't read files.
    """

    def __init__(self, read_paths: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.read_paths = read_paths

    @requests(on=["/search", "/encode", "/health"])
    def load(self, docs: DocList[MediaDoc], **_: Any) -> DocList[MediaDoc]:
        """Loads the pictures of queries, and keeps their ids."""
        refuse_unknown(docs)
        for doc in valid_docs(docs, "image"):
            self._load(doc)
        return docs

    @requests(on="/index")
    def load_and_name(self, docs: DocList[MediaDoc], **_: Any) -> DocList[MediaDoc]:
        """Loads pictures to index, and sets their ids from their content."""
        refuse_unknown(docs, vectors=False)
        for doc in valid_docs(docs, "image"):
            content = self._load(doc)
            if content is not None:
                doc.id = image_id(content)
        return docs

    def _load(self, doc: MediaDoc) -> bytes | None:
        try:
            content = self._content(doc)
        except PictureError as error:
            doc.error = str(error)
            return None
        doc.content = to_array(content)
        return content

    def _content(self, doc: MediaDoc) -> bytes:
        if doc.content is not None:
            # A path from a client must not be treated as a file of this machine.
            doc.uri = doc.uri if self.read_paths else ""
            return to_bytes(doc.content)
        if is_data_uri(doc.uri):
            uri, doc.uri = doc.uri, ""
            return from_data_uri(uri)
        if self.read_paths and doc.uri:
            return from_file(Path(doc.uri))
        raise PictureError("paths and URLs are not read: send the picture itself, as bytes or a data URI")


def refuse_unknown(docs: DocList[MediaDoc], *, vectors: bool = True) -> None:
    """Sets `error` of documents with an unknown modality, which the Flow sends here so that none is lost.

    A vector is a valid query, but can't be indexed without a document: `vectors` says whether to accept it.
    """
    for doc in docs:
        is_vector = vectors and doc.modality == "vector" and doc.embedding is not None
        if doc.modality not in MODALITIES and not is_vector and not doc.error:
            doc.error = f"modality {doc.modality!r}: expected 'image' or 'text'"
