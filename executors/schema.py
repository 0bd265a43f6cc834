"""The schema of the documents that are sent between Executors.

Encoded pictures and thumbnails are one-dimensional uint8 arrays. The annotations must be types, not strings, because
Jina reads them: no `from __future__ import annotations`.
"""

import os
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Dict, Optional

import numpy as np
from docarray import BaseDoc, DocList
from docarray.proto import DocListProto, DocProto
from docarray.typing import NdArray
from pydantic import AfterValidator, Field

from crossmodal.core.errors import InputError
from crossmodal.core.types import MODALITIES, Document
from executors.codec import read_value, write_value

if TYPE_CHECKING:
    from crossmodal.search.results import Match

    Array = np.ndarray[Any, Any]
else:
    Array = NdArray  # docarray's type of an array field, which accepts numpy arrays


class _Doc(BaseDoc):
    """A document that `executors.codec` reads and writes; unknown fields of a message are ignored.

    The default of each field but the id is empty or 0, and such values are not sent: most fields of a document are
    empty, and every part of a Flow reads and writes them. It is a value and no factory, because Jina's heads of several
    shards require fields without a default value.
    """

    def to_protobuf(self) -> DocProto:
        """The message of the document."""
        message = DocProto()
        self.write_to(message)
        return message

    def write_to(self, message: DocProto) -> None:
        """Writes the fields into an empty message."""
        data = message.data
        for name, value in self.__dict__.items():
            if isinstance(value, np.ndarray) or value or name == "id":
                write_value(data[name], value)

    @classmethod
    def from_protobuf(cls, pb_msg: DocProto) -> Any:
        """The document of a message.

        Raises:
            ValueError: A value does not have the type of its field, or an array is damaged.
        """
        fields, data = cls.model_fields, pb_msg.data
        return cls(**{name: read_value(data[name], cls.nested.get(name)) for name in data if name in fields})

    nested: ClassVar[Dict[str, Any]] = {}
    """The type of the list in each field that holds documents."""


INT32 = 2**31


def portable(value: Any) -> Any:
    """The JSON value with integers of more than 32 bits as floats, because the messages only have 32-bit integers."""
    if isinstance(value, dict):
        return {name: portable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [portable(item) for item in value]
    if isinstance(value, int) and not -INT32 <= value < INT32 and abs(value) < 2**1000:
        return float(value)
    return value


Tags = Annotated[Dict[str, Any], AfterValidator(portable)]


class MatchDoc(_Doc):
    """A match of a query: a stored document and its scores.

    `scores` has the `cosine`, or in a search by words the `fused` score, which determines the rank, and the scores of
    the parts that returned it. `why` has the contribution of each word to the score of the words.

    The id is a plain string, because docarray creates a pydantic validator for every id of its own type that it reads,
    which takes more than a millisecond per match.
    """

    id: str = ""  # type: ignore[assignment]  # docarray declares its own type
    modality: str = ""
    uri: str = ""
    mime_type: str = ""
    text: str = ""
    width: int = 0
    height: int = 0
    image_id: str = ""
    tags: Tags = {}
    scores: Dict[str, float] = {}
    why: Dict[str, float] = {}


Matches = DocList[MatchDoc]  # evaluated once, because each such expression creates a new class


def _new_id() -> str:
    return os.urandom(16).hex()


class MediaDoc(_Doc):
    """An image or a text in a Flow.

    Input: `modality`, and `text`, or `uri` (a data URI, or a path if the Flow allows it), or `content` (the encoded
    picture). Intermediate: `pixels` (size, size, 3) uint8 and `thumbnail`, or their places `pixels_at` and
    `thumbnail_at` (`executors.shared_memory`), `embedding` (dim,) float32, `generation`, that of the collection whose
    model encodes it, and `found`, the cosine of each candidate under its `name_of_match`.
    Output: `matches`, or of a search with a page `page` (`executors.page`), or `outcome`. `error` has the reason if the
    document could not be processed, and every Executor passes such a document on unchanged. `note` is information for
    the client, such as words that were not used. `fusion` is the fusion of a search by words.
    """

    id: str = Field(default_factory=_new_id)  # type: ignore[assignment]
    modality: str = ""
    uri: str = ""
    mime_type: str = ""
    text: str = ""
    width: int = 0
    height: int = 0
    image_id: str = ""
    tags: Tags = {}
    content: Optional[Array] = None
    pixels: Optional[Array] = None
    pixels_at: int = 0
    thumbnail: Optional[Array] = None
    thumbnail_at: int = 0
    embedding: Optional[Array] = None
    found: Dict[str, float] = {}
    matches: Matches = Matches()
    scores: Dict[str, float] = {}
    timings_ms: Dict[str, float] = {}
    outcome: str = ""
    error: str = ""
    generation: str = ""
    fusion: str = ""
    note: str = ""
    page: str = ""
    nested: ClassVar[Dict[str, Any]] = {"matches": Matches}

    def __init__(self, **values: Any) -> None:
        # The default list would be copied, for which docarray uses pickle, with a progress bar.
        super().__init__(**{"matches": Matches(), **values})


INTERNAL = frozenset(
    {"content", "pixels", "pixels_at", "thumbnail", "thumbnail_at", "embedding", "found", "matches", "page"}
)
"""The fields that clients with JSON do not get."""


class Docs(DocList[MediaDoc]):
    """The documents of a request."""

    def to_protobuf(self) -> DocListProto:
        """The message of the documents; docarray writes a message for each and copies it."""
        message = DocListProto()
        for doc in self:
            doc.write_to(message.docs.add())
        return message


def to_array(content: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Bytes as an array (n,) uint8."""
    return np.frombuffer(content, np.uint8)


def to_bytes(array: Any) -> bytes:
    """The bytes of an array (n,) uint8."""
    return np.asarray(array, np.uint8).tobytes()


def name_of_match(modality: str, key: int) -> str:
    """The name of a match before it is read from the store: its modality and its key."""
    return f"{modality}/{key}"


def modality_and_key(name: str) -> tuple[str, int]:
    """The two parts of a `name_of_match`.

    Raises:
        InputError: The name, which a client sent, is invalid.
    """
    modality, _, key = name.partition("/")
    if modality not in MODALITIES or not (key.isdecimal() and len(key) < 19):
        raise InputError(f"found: {name[:40]!r} is not the name of a match")
    return modality, int(key)


def score_of(match: MatchDoc) -> float:
    """The score that determines the rank of a match."""
    return match.scores["fused"] if "fused" in match.scores else match.scores["cosine"]


def match_doc(match: "Match") -> MatchDoc:
    """A match of a search as a document."""
    return MatchDoc(scores=match.scores, why=match.why, **fields_for_clients(match.document))


def fields_for_clients(document: Document) -> dict[str, Any]:
    """The fields of a stored document; `uri` is the path of its picture in the HTTP API, never on the disk."""
    picture = document.id if document.modality == "image" else document.image_id
    return {**vars(document), "uri": f"/images/{picture}" if picture else ""}


def document_of(doc: MediaDoc) -> Document:
    """The part of a document that is stored."""
    return Document(
        id=doc.id or "",
        modality="image" if doc.modality == "image" else "text",
        uri=doc.uri,
        mime_type=doc.mime_type,
        text=doc.text,
        width=int(doc.width),
        height=int(doc.height),
        image_id=doc.image_id,
        tags=dict(doc.tags),
    )


def valid_docs(docs: Docs, modality: str) -> list[MediaDoc]:
    """The documents of a modality that have no error."""
    return [doc for doc in docs if doc.modality == modality and not doc.error]
