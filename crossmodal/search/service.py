"""SearchService: answers queries in this process, without a Flow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from crossmodal.collection.collection import Collection
from crossmodal.core.errors import InputError
from crossmodal.core.protocols import Encoder
from crossmodal.core.types import Modality, Vectors
from crossmodal.encoders.reading import unread_note
from crossmodal.search.combining import combined, part_weights
from crossmodal.search.encoding import check_wanted_words, encode_query_texts, joined_notes, needs_vector
from crossmodal.search.examples import Example, ids_of, pictures_of, refined, vectors_of
from crossmodal.search.query import Query, SearchOptions
from crossmodal.search.results import Candidates, ResultRanker, SearchResults
from crossmodal.search.retrieval import nearest, retrieval_depth, searched_modalities
from crossmodal.store.protocol import Store


class SearchService:
    """Searches one generation of a collection, read-only: a service may write to the collection at the same time.

    Example:
        with SearchService(collection, registry.load(collection.model)) as service:
            results = service.search(Query("a dog on a beach"))
    """

    def __init__(self, collection: Collection, encoder: Encoder) -> None:
        """Opens the store and, for a sparse collection, the word indexes; a vector index is opened by its first search.

        Args:
            collection: The collection.
            encoder: The encoder of the collection's model, with the towers that the queries need.

        Raises:
            StateError: The store can't be read.
        """
        self._model, self._encoder = collection.model, encoder
        self._ranker = ResultRanker.open(collection)
        self._index = cache(lambda modality: collection.index(self._ranker.store, modality))

    def __enter__(self) -> SearchService:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def store(self) -> Store:
        """The open store of the collection."""
        return self._ranker.store

    def close(self) -> None:
        """Closes the store."""
        self._ranker.close()

    def search(self, query: Query) -> SearchResults:
        """The results of a query.

        Raises:
            InputError: The query is empty, its text or picture can't be encoded, or the collection does not support the
                options.
        """
        options = query.without_unliked(self.store)
        candidates, note = self._retrieved(query, options)
        (results,) = self._ranker.results([candidates], options)
        if isinstance(results, InputError):
            raise results
        return replace(results, note=joined_notes([note, results.note]))

    def _retrieved(self, query: Query, options: SearchOptions) -> tuple[Candidates, str]:
        """The candidates of a query, and a note about text that was not encoded."""
        note, vector = "", None
        if query.modality != "text" or needs_vector(self._encoder, options):
            vector, note = self._vector(query)
        cosines: dict[Modality, dict[int, float]] = {}
        if vector is not None:
            depth = retrieval_depth(self._model, options.top_k)
            for modality in searched_modalities(query.modality, options, self._model):
                (cosines[modality],) = nearest(self._index(modality), vector[None], depth, options)
        return Candidates(query.modality, query.text_with_avoided, vector, cosines), note

    def _vector(self, query: Query) -> tuple[Vectors, str]:
        """The unit vector (dim,) of a query, and a note about text that was not encoded."""
        texts = [query.text] if query.text else []
        vectors, note = self._text_vectors([*texts, *query.avoided])
        wanted, avoided = list(vectors[: len(texts)]), list(vectors[len(texts) :])
        if query.picture is not None:
            wanted.append(self._picture_vector(query.picture))
        if query.like:
            wanted.append(self._stored_vector(query.like))
        if query.has_examples:
            liked = [*wanted[len(texts) :], *self._example_vectors(query.likes, "likes")]
            unliked = self._example_vectors(query.unlikes, "unlikes")
            return refined(wanted[0] if texts else None, liked, unliked, avoided, query.mix), note
        if not wanted:
            raise InputError("the query is empty: give words, a picture, or a document of the collection")
        if query.modality != "vector":
            return wanted[0], note
        weights = part_weights(bool(texts), len(wanted) - len(texts), query.mix)
        return combined(list(zip(wanted, weights, strict=True)), avoided), note

    def _text_vectors(self, texts: Sequence[str]) -> tuple[Vectors, str]:
        if texts and "text" not in self._model.modalities:
            raise InputError(
                f"this collection has the model {self._model}, which encodes images only: search with a picture"
            )
        for text in texts:
            if not text.strip():
                raise InputError("the text is empty")
            if self._model.has_lexical:
                check_wanted_words(text)
        if not texts:
            return np.empty((0, self._model.dim), np.float32), ""
        note = joined_notes([unread_note(self._encoder, text) for text in texts])
        return encode_query_texts(self._encoder, texts), note

    def _picture_vector(self, content: bytes) -> Vectors:
        from crossmodal.images.prepare import prepare  # a query without a picture starts faster without Pillow

        pixels = prepare(content, self._model.preprocessing, with_thumbnail=False).pixels
        vector: Vectors = self._encoder.encode_images(pixels[None])[0]
        return vector

    def _example_vectors(self, examples: Sequence[Example], field: str) -> list[Vectors]:
        stored = self._ranker.store.vectors_of(ids_of(one for one in examples if isinstance(one, str)))
        return vectors_of(examples, map(self._picture_vector, pictures_of(examples)), stored, field)

    def _stored_vector(self, document_id: str) -> Vectors:
        vectors = self._ranker.store.vectors_of([document_id])
        if document_id not in vectors:
            raise InputError(f"like: there is no document {document_id[:80]!r}: it may have been removed")
        return vectors[document_id]
