"""QueryEncoder: as TextEncoder, for a sparse collection, whose queries may weigh words: `dog^2 -cat`."""

from typing import Any

from docarray import DocList
from jina import requests

from crossmodal.core.errors import InputError
from crossmodal.core.protocols import Encoder
from crossmodal.core.types import Vectors
from crossmodal.lexical.model import SparseEncoder, spoken_part
from crossmodal.search.fusion import fusion_of_parts, has_part
from executors.schema import MediaDoc, valid_docs
from executors.text_encoder import TextEncoder


class QueryEncoder(TextEncoder):
    """A query is encoded without weights and words to avoid; a caption, and a health check, as it is."""

    @requests(on="/encode")
    def encode_parts(self, docs: DocList[MediaDoc], **_: Any) -> DocList[MediaDoc]:
        """Fills `embedding`."""
        for doc in valid_docs(docs, "text"):
            if doc.text.strip() and not spoken_part(doc.text):
                doc.error = f"{doc.text!r} has only words to avoid: add what is looked for"
        return self.encoded(docs, _vectors)

    @requests(on="/search")
    def encode_queries(self, docs: DocList[MediaDoc], parameters: dict[str, Any], **_: Any) -> DocList[MediaDoc]:
        """Fills `embedding`, where the search will need it."""
        generation, encoder = self.encoders.current()
        if not _by_words_alone(encoder, parameters):
            return self.encode_parts(docs)
        for doc in valid_docs(docs, "text"):
            doc.generation = generation
        return docs


def _by_words_alone(encoder: Encoder, parameters: dict[str, Any]) -> bool:
    asked, target = str(parameters.get("fusion") or ""), str(parameters.get("target") or "image")
    if not isinstance(encoder, SparseEncoder) or encoder.needs_text_vectors or target != "image" or not asked:
        return False
    try:
        return not has_part(fusion_of_parts(asked), "dense")
    except InputError:  # the ranker says so
        return False


def _vectors(encoder: Encoder, texts: list[str]) -> Vectors:
    # After a reindex, a collection may have a model of another family.
    return encoder.encode_queries(texts) if isinstance(encoder, SparseEncoder) else encoder.encode_texts(texts)
