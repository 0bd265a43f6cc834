"""The documents that are sent between Executors, in one schema for all of them.

Encoded pictures and thumbnails are one-dimensional uint8 arrays. The annotations here are real types, not strings,
since Jina reads them: no `from __future__ import annotations`.
"""

import os
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Dict, Optional

import numpy as np
from docarray import BaseDoc, DocList
from docarray.proto import DocProto
from docarray.typing import NdArray
from pydantic import AfterValidator, Field

from crossmodal.core.errors import InputError
from crossmodal.core.types import MODALITIES, Document
from executors.codec import read_value, write_value

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]
else:
    Array = NdArray  # what docarray takes for an array; plain numpy arrays are assigned to it


class _Doc(BaseDoc):
    """A schema that `executors.codec` writes and reads; a field that the schema lacks is left out."""

    def to_protobuf(self) -> DocProto:
        """The message of the document, with all its fields."""
        message = DocProto()
        self.write_to(message)
        return message

    def write_to(self, message: DocProto) -> None:
        """Writes all fields into an empty message."""
        data = message.data
        for name, value in self.__dict__.items():
            write_value(data[name], value)

    @classmethod
    def from_protobuf(cls, pb_msg: DocProto) -> Any:
        """The document of a message.

        Raises:
            ValueError: A value that its field does not take, or a damaged array.
        """
        fields, data = cls.model_fields, pb_msg.data
        return cls(**{name: read_value(data[name], cls.nested.get(name)) for name in data if name in fields})

    nested: ClassVar[Dict[str, Any]] = {}
    """The type of the list in each field that holds documents."""


INT32 = 2**31


def portable(value: Any) -> Any:
    """A JSON value whose integers of more than 32 bits are floats, since docarray's messages can't carry them."""
    if isinstance(value, dict):
        return {name: portable(one) for name, one in value.items()}
    if isinstance(value, list):
        return [portable(one) for one in value]
    if isinstance(value, int) and not -INT32 <= value < INT32 and abs(value) < 2**1000:
        return float(value)
    return value


Tags = Annotated[Dict[str, Any], AfterValidator(portable)]


class MatchDoc(_Doc):
    """A match of a query: a stored document and its scores.

    `scores` has the `cosine`, or in a search by words `fused`, which it is ranked by, and the score of each part that
    found it. `why` has the contribution of each word to the score of the words.

    The id is a plain string: docarray makes a pydantic validator for every id of its own type that it reads, which
    takes more than a millisecond per match.

    `picture` is of a search for a page: the fields of `crossmodal.search.hydration.Picture`.
    """

    id: str = ""  # type: ignore[assignment]  # docarray has a type of its own
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
    picture: Dict[str, Any] = {}


Matches = DocList[MatchDoc]  # each such expression makes a new class


def _new_id() -> str:
    return os.urandom(16).hex()


class MediaDoc(_Doc):
    """An image or a text on its way through a Flow.

    In: `modality`, and `text`, or `uri` (a data URI or, where the Flow allows it, a path), or `content`
    (the encoded picture). On the way: `pixels` (size, size, 3) uint8, `thumbnail`, `embedding` (dim,)
    float32, `generation`, the one of the collection whose model encodes it; `found`, the cosine of each candidate
    under its `name_of_match`. Out: `matches`, or `outcome`; `error` says why a document could not be taken in,
    and every Executor passes such a document on untouched. `note` is what its sender should know all the same, such as
    words that were not read. `fusion` is of a search by words: how its parts were joined. `page` is of a search for a
    page: its `fits` and `more` are those of `crossmodal.search.results.SearchResults`.
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
    thumbnail: Optional[Array] = None
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
    page: Dict[str, Any] = {}
    nested: ClassVar[Dict[str, Any]] = {"matches": Matches}

    def __init__(self, **values: Any) -> None:
        # The usual list would be copied, which docarray does through a pickle, with a progress bar.
        super().__init__(**{"matches": Matches(), **values})


Docs = DocList[MediaDoc]


def to_array(content: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Bytes as an array (n,) uint8."""
    return np.frombuffer(content, np.uint8)


def to_bytes(array: Any) -> bytes:
    """The bytes of an array (n,) uint8."""
    return np.asarray(array, np.uint8).tobytes()


def name_of_match(modality: str, key: int) -> str:
    """The name of a match until it is looked up: its modality and its row in the store."""
    return f"{modality}/{key}"


def modality_and_key(name: str) -> tuple[str, int]:
    """The two parts of a `name_of_match`.

    Raises:
        InputError: Not such a name; it came from a client.
    """
    modality, _, key = name.partition("/")
    if modality not in MODALITIES or not (key.isdecimal() and len(key) < 19):
        raise InputError(f"found: {name[:40]!r} names no document")
    return modality, int(key)


def score_of(match: MatchDoc) -> float:
    """The score that a match is ranked by."""
    return match.scores["fused"] if "fused" in match.scores else match.scores["cosine"]


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


def valid_docs(docs: DocList[MediaDoc], modality: str) -> list[MediaDoc]:
    """The documents of a modality that have no error."""
    return [doc for doc in docs if doc.modality == modality and not doc.error]
