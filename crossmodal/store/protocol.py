"""The store of a collection: what every implementation of it does.

The store is authoritative; indexes are rebuilt from it. Any number of processes read while others write. When `put`,
`update` or `remove` returns, its changes are durable. The two implementations are `crossmodal.store.sqlite` (one file,
one writing process) and `crossmodal.store.postgresql` (a server, several writing machines).

Errors of the user or the machine are `StateError` or `InputError`; a store raises other errors only for a bug.

The file is longer than 300 lines because it says what each method of a store does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Literal, Protocol, Self

from crossmodal.core.types import Document, Keys, Modality, Vectors
from crossmodal.store.condition import Condition
from crossmodal.store.copying import Copying
from crossmodal.store.readings import Readings
from crossmodal.store.records import NewDocument, StoreChanges
from crossmodal.store.saved_searches import SavedSearches
from crossmodal.store.source_files import SourceFile

Outcome = Literal["indexed", "unchanged"]


class SourceFiles(Protocol):
    """The file that each picture was read from, with its size and time."""

    def of_source(self, source: str) -> dict[str, SourceFile]:
        """The files of a data set, by path."""
        ...

    def by_source(self) -> dict[str, list[SourceFile]]:
        """All files, by data set."""
        ...

    def paths_of(self, image_id: str) -> list[str]:
        """The paths of a picture in alphabetical order; several if there are copies of its file."""
        ...

    def put(self, source: str, files: Iterable[SourceFile]) -> None:
        """Records files of pictures that are in the store, in one transaction."""
        ...

    def forget(self, paths: Iterable[str]) -> None:
        """Deletes the records of files in one transaction; their pictures stay."""
        ...


class SqlVectors(Protocol):
    """The vectors of a store in tables that its database searches."""

    def check(self) -> None:
        """Checks that the database can search vectors.

        Raises:
            StateError: It can't; the message has the next step.
        """
        ...

    def is_built(self, modality: Modality) -> bool:
        """Whether the table of a modality exists; from then on, every commit writes to it."""
        ...

    def build(self, modality: Modality, dim: int) -> None:
        """Makes the table from the vectors (dim,) of the store, again if it exists. Writers wait until it is done.

        Raises:
            StateError: The database can't search vectors, or can't be written to.
        """
        ...

    def drop(self) -> None:
        """Removes the tables, if they exist."""
        ...

    def count(self, modality: Modality) -> int:
        """The number of vectors of a modality."""
        ...

    def nearest(
        self, modality: Modality, query: Vectors, k: int, condition: Condition | None
    ) -> list[tuple[int, float]]:
        """The k nearest documents of a unit vector (dim,), among those that meet the condition: keys and cosines.

        Best first, ties by ascending key. All that meet a condition are found; otherwise the search is approximate.
        """
        ...


class Store(Protocol):
    """Documents by id, and vectors in the order of their commits."""

    @property
    def name(self) -> str:
        """The name of the store in messages: its path or its URL without the password."""
        ...

    @property
    def sql_vectors(self) -> SqlVectors | None:
        """The vectors in SQL, None if this kind of store never has them."""
        ...

    @property
    def files(self) -> SourceFiles:
        """The files that the pictures were read from."""
        ...

    @property
    def readings(self) -> Readings:
        """The text that was read in the pictures."""
        ...

    @property
    def searches(self) -> SavedSearches:
        """The searches that users have given a name."""
        ...

    @property
    def copying(self) -> Copying:
        """Reads and writes rows with their numbers, for exact copies."""
        ...

    def close(self) -> None:
        """Closes the store, which can't be used afterwards."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    # -- writing

    def put(self, items: Sequence[NewDocument]) -> list[Outcome]:
        """Commits documents in one transaction; a known id keeps its key and its vector.

        Returns:
            For each item, in order: `indexed` if its id is new, `unchanged` if it is known; `uri` and `tags` of a
            known document are still updated, but not the tag `text` of a picture that was read. The reading of an item
            is stored if the picture has none.

        Raises:
            StateError: The store can't be written to; nothing was stored, unless the connection was lost during the
                commit. Repeating the call is safe.
            InputError: Tags contain NaN or Infinity.
        """
        ...

    def describe(self, documents: Iterable[Document]) -> None:
        """Updates `uri` and `tags` of existing documents, in one transaction."""
        ...

    def update(self, changes: Iterable[tuple[str, dict[str, Any]]]) -> list[bool]:
        """Changes tags in one transaction, each by a merge patch: None removes a name, other values are set.

        Args:
            changes: Ids with their patches.

        Returns:
            For each id, in order, whether the document exists.

        Source: RFC 7396 (JSON Merge Patch).
        """
        ...

    def add_content(self, image_id: str, content: bytes) -> None:
        """Stores the encoded bytes of an existing picture that has none stored yet."""
        ...

    def remove(self, ids: Iterable[str]) -> list[Document]:
        """Removes documents, and with a picture its captions, in one transaction.

        Returns:
            The removed documents; unknown ids are ignored.
        """
        ...

    def compact(self) -> tuple[int, int]:
        """Returns the space of removed documents to the file system.

        An index that has not applied all removals yet starts over at its next refresh.

        Returns:
            Bytes on the disk before and after.
        """
        ...

    # -- reading

    def size_bytes(self) -> int:
        """Size on the disk."""
        ...

    def data_version(self) -> tuple[int, int]:
        """Changes with every commit of any process. Takes microseconds, so every query may call it."""
        ...

    def problems(self) -> Iterator[tuple[str, str]]:
        """(item, reason with the next step) of each inconsistency in the store itself."""
        ...

    def store_id(self) -> str:
        """A unique name, assigned when the store was created."""
        ...

    def last_seq(self) -> int:
        """The sequence number of the newest commit, 0 in an empty store."""
        ...

    def behind_s(self) -> float:
        """The age of the oldest commit that may be missing here, in seconds, at most; 0 unless this is a standby."""
        ...

    def acknowledged(self) -> str:
        """Where a commit is when `put` returns: `one machine`, or also a synchronous standby.

        `remote_write` is the memory of the standby, `remote_flush` its disk, `remote_apply` also what it answers.
        `primary decides` if this is a standby itself.
        """
        ...

    def counts(self) -> dict[Modality, int]:
        """The number of documents of each modality."""
        ...

    def known(self, ids: Iterable[str]) -> dict[str, Document]:
        """The documents with these ids, without unknown ids."""
        ...

    def without_content(self, ids: Iterable[str]) -> list[str]:
        """The ids of those pictures that exist and whose encoded bytes are not stored."""
        ...

    def document(self, document_id: str) -> Document | None:
        """The document with this id, None if there is none."""
        ...

    def by_keys(self, keys: Iterable[int]) -> dict[int, Document]:
        """The documents with these keys, without unknown keys."""
        ...

    def captions_of(self, image_ids: Iterable[str]) -> dict[str, list[Document]]:
        """The captions of each picture that has some, in the order of their commits."""
        ...

    def caption_texts_of(self, image_ids: Iterable[str]) -> dict[str, list[str]]:
        """The texts of the captions of each picture that has some, in the order of their commits."""
        ...

    def captions_by_keys(self, keys: Iterable[int]) -> list[tuple[int, str, int | None]]:
        """The captions of pictures among these keys, rising: key, text, and the key of the picture.

        The key of the picture is None if it is not in the store (yet).
        """
        ...

    def random_captions(self, n: int) -> list[Document]:
        """At most n random captions of different pictures, at a cost that does not grow with the store."""
        ...

    def ids_where(self, condition: Condition) -> list[str]:
        """The ids of the documents for which a condition is true, in the order of their commits."""
        ...

    def keys_where(self, condition: Condition, modality: Modality) -> Keys:
        """The keys (n,) of the documents of a modality for which a condition is true, rising.

        They are read again only after a commit, and must not be modified.
        """
        ...

    def keys(self, modality: Modality) -> Keys:
        """All keys (n,) of a modality, rising."""
        ...

    def tag_texts(self, modality: Modality, names: Sequence[str]) -> list[tuple[Any, ...]]:
        """The key of each document of a modality, rising, and its tags of these names that are texts, else None."""
        ...

    def tag_lists(self, modality: Modality, name: str) -> list[tuple[int, list[str]]]:
        """The key of each document of a modality whose tag of this name is a list, rising, and the texts in it."""
        ...

    def changes_after(
        self,
        modality: Modality,
        seq: int,
        limit: int = 10_000,
        *,
        forgotten: int = 0,
        epoch: int = 0,
        with_vectors: bool = True,
    ) -> StoreChanges | None:
        """The documents that were added and removed after `seq`, oldest first.

        A document that was added and removed in between is in neither list, or in `removed` only.

        Args:
            modality: The modality of the documents.
            seq: The last known sequence number; 0 for none.
            limit: The largest number of added documents to return.
            forgotten: `forgotten` of the previous result when a caller continues: removals that were dropped before
                it started are of documents that it never received.
            epoch: `epoch` of the previous result.
            with_vectors: Whether to read the vectors; otherwise they are empty.

        Returns:
            The changes; None if the caller must start at 0, because removals since `seq` are no longer recorded, or
            the store may have lost commits that the caller knows (another epoch).
        """
        ...

    def vectors_of(self, ids: Iterable[str]) -> dict[str, Vectors]:
        """The vectors (dim,) of these ids, without unknown ids."""
        ...

    def caption_vectors_of(self, image_ids: Iterable[str]) -> dict[str, Vectors]:
        """The vectors (m, dim) of each picture's captions, without pictures that have none."""
        ...

    def everything(self, after_key: int, limit: int) -> list[tuple[int, NewDocument]]:
        """At most `limit` documents with keys above `after_key`, rising, with all their stored data."""
        ...

    def thumbnail(self, image_id: str) -> bytes | None:
        """The JPEG thumbnail of a picture, None if the picture does not exist."""
        ...

    def thumbnails(self, keys: Iterable[int]) -> dict[int, bytes]:
        """The JPEG thumbnails of the pictures with these keys, without unknown keys."""
        ...

    def content(self, image_id: str) -> bytes | None:
        """The encoded bytes of a picture; None if they are not stored, in which case `uri` is its file."""
        ...
