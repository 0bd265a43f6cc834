"""Encodes the texts of queries with dense and sparse models."""

from __future__ import annotations

from collections.abc import Sequence

from crossmodal.core.errors import InputError
from crossmodal.core.protocols import Encoder
from crossmodal.core.types import Vectors
from crossmodal.search.fusion import fusion_of_parts, has_part
from crossmodal.search.query import SearchOptions


def encode_query_texts(encoder: Encoder, texts: Sequence[str]) -> Vectors:
    """Unit vectors (n, dim) of query texts; a sparse model does not encode weights and words to avoid."""
    if encoder.spec.has_lexical:
        from crossmodal.lexical.encoder import SparseEncoder

        if isinstance(encoder, SparseEncoder):
            return encoder.encode_queries(texts)
    return encoder.encode_texts(texts)


def check_wanted_words(text: str) -> None:
    """Checks that the query of a sparse collection has wanted words.

    Raises:
        InputError: All words of `text` follow a minus or have the weight 0.
    """
    from crossmodal.lexical.model import spoken_part

    if text.strip() and not spoken_part(text):
        raise InputError(f"{text!r} has only words to avoid: add words to search for")


def needs_vector(encoder: Encoder, options: SearchOptions) -> bool:
    """Whether the search for a text needs its vector, which is not the case if only words are compared."""
    if not encoder.spec.has_lexical or options.target not in (None, "image") or not options.fusion:
        return True
    from crossmodal.lexical.encoder import SparseEncoder

    if not isinstance(encoder, SparseEncoder) or encoder.needs_text_vectors:
        return True
    try:
        return has_part(fusion_of_parts(options.fusion), "dense")
    except InputError:  # reported by the ranker
        return True


def joined_notes(notes: Sequence[str]) -> str:
    """The distinct, non-empty notes about a query as one text."""
    return "; ".join(dict.fromkeys(note for note in notes if note))
