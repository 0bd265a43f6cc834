"""Examples of a search over HTTP: from the request to their vectors."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from crossmodal.core.types import Vectors
from crossmodal.images.sources import is_data_uri
from crossmodal.search.examples import Example, UnknownExampleError, ids_of, pictures_of, vectors_of
from crossmodal.search.query import Query
from crossmodal.store.protocol import Store
from executors.schema import MediaDoc, to_array
from serving.http.errors import RefusedError
from serving.http.url_pictures import Fetched, is_url, picture_of

EXAMPLES = ("likes", "unlikes")
"""The fields of examples, which a form may repeat."""
_NAME = "example"


def examples_in(sent: Sequence[str], field: str, fetched: Fetched) -> list[Example]:
    """The examples of a field, as ids, and as the pictures of data URIs and fetched URLs.

    Raises:
        InputError: A picture can't be read; the message has its place.
    """
    return [
        picture_of(one, f"{field}.{i}", fetched) if is_data_uri(one) or is_url(one) else one
        for i, one in enumerate(sent)
    ]


def example_docs(query: Query) -> list[MediaDoc]:
    """The pictures among the examples, to encode: the liked ones, then the unliked."""
    return [
        MediaDoc(id=uuid.uuid4().hex, modality="image", content=to_array(example), tags={_NAME: f"{field}.{i}: "})
        for field, examples in zip(EXAMPLES, (query.likes, query.unlikes), strict=True)
        for i, example in enumerate(examples)
        if isinstance(example, bytes)
    ]


def name_of_example(doc: MediaDoc) -> str:
    """The beginning of an error about a document of `example_docs`, empty for any other."""
    return str(doc.tags.get(_NAME, ""))


def example_vectors(query: Query, encoded: Sequence[Vectors], store: Store) -> tuple[list[Vectors], list[Vectors]]:
    """The vectors of the liked and of the unliked examples.

    Args:
        query: The query.
        encoded: The vectors of its `example_docs`.
        store: The collection with the documents that are examples.

    Raises:
        RefusedError: An example is not a document.
    """
    n_liked = len(pictures_of(query.likes))
    stored = store.vectors_of(ids_of(one for one in query.likes + query.unlikes if isinstance(one, str)))
    try:
        liked = vectors_of(query.likes, encoded[:n_liked], stored, "likes")
        return liked, vectors_of(query.unlikes, encoded[n_liked:], stored, "unlikes")
    except UnknownExampleError as error:
        raise RefusedError(404, str(error)) from error
