"""QueryEncoder: the TextEncoder of a sparse collection, whose queries may weight words: `dog^2 -cat`."""

from typing import Any

from jina import requests

from crossmodal.core.errors import InputError
from crossmodal.search.encoding import check_wanted_words, encode_query_texts, needs_vector
from crossmodal.search.query import SearchOptions
from executors.schema import Docs, valid_docs
from executors.text_encoder import TextEncoder


class QueryEncoder(TextEncoder):
    """Encodes queries without their weights and words to avoid; captions and health checks unchanged."""

    @requests(on="/encode")
    def encode_parts(self, docs: Docs, **_: Any) -> Docs:
        """Fills `embedding`."""
        return self._encoded_queries(docs)

    @requests(on="/search")
    def encode_queries(self, docs: Docs, parameters: dict[str, Any], **_: Any) -> Docs:
        """Fills `embedding` if the fusion of the search uses vectors."""
        generation, encoder = self.encoders.current()
        if needs_vector(encoder, SearchOptions.from_parameters(parameters)):
            return self._encoded_queries(docs)
        for doc in valid_docs(docs, "text"):
            doc.generation = generation
        return docs

    def _encoded_queries(self, docs: Docs) -> Docs:
        for doc in valid_docs(docs, "text"):
            try:
                check_wanted_words(doc.text)
            except InputError as error:
                doc.error = str(error)
        return self.encoded(docs, encode_query_texts)
