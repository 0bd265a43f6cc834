"""Learned sparse vectors: a frozen encoder, heads that turn its vectors into weights of words, the words.

What `--weights` means here: a folder that training wrote, with

    sparse.json         how the heads are to be used, the encoder they stand on, the hash of the words
    terms.json          the words, as `TermVocabulary` saves them
    sparse.safetensors  the heads

Two recipes make such a folder: the thesis's (`thesis`: what words would the captions have?) and the distilled
one (`dense-to-sparse`). `crossmodal.training.thesis_heads` and `distilled_heads` have them. Nothing here needs torch.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

from crossmodal.core.errors import InputError, StateError
from crossmodal.core.os_errors import read_failure
from crossmodal.core.types import Modality, ModelSpec, Vectors
from crossmodal.lexical.terms import TermVocabulary

FAMILY, FORMAT = "sparse", 1
CONFIG_NAME, TERMS_NAME, HEADS_NAME = "sparse.json", "terms.json", "sparse.safetensors"

Recipe = Literal["thesis", "dense-to-sparse"]
QueryWeights = Literal["vocabulary", "words", "text", "expanded"]
"""Where the weights of a query come from: the vocabulary's own (1, or TF-IDF); one learned for each word; the
text's vector, for the words that are in the text; the text's vector, for any word."""

BY_VECTOR = ("text", "expanded")

Heads = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class SparseConfig:
    """How the heads are used.

    Attributes:
        recipe: `thesis` ends in ReLU, `dense-to-sparse` in log(1 + ReLU).
        base: The encoder whose vectors the heads were trained on.
        query: Where a query's weights come from.
        max_terms: The most words a picture keeps, its strongest; 0 keeps all.
        max_query_terms: The same of an expanded query.
    """

    recipe: Recipe
    base: ModelSpec
    query: QueryWeights
    max_terms: int = 64
    max_query_terms: int = 32

    @property
    def scoring(self) -> Literal["dot", "tf-idf"]:
        """How the inverted index scores words of this recipe: the thesis's rank best by TF-IDF."""
        return "tf-idf" if self.recipe == "thesis" else "dot"


class SparseModel:
    """Weights of words from the dense vectors of a frozen encoder.

    The heads are `image.0.weight` (out, in), `image.0.bias`, `image.1.weight` and so on, ReLU between them;
    `text.N` likewise where a query is weighed by its vector, and `words` (V,) where each word has its own weight.
    """

    def __init__(self, config: SparseConfig, vocabulary: TermVocabulary, heads: Heads) -> None:
        """Puts the parts together.

        Raises:
            StateError: The heads are not of these words, or not of this encoder's vectors.
        """
        self.config, self.vocabulary, self.heads = config, vocabulary, heads
        self._check()

    @property
    def needs_text_vectors(self) -> bool:
        """Whether a query has to go through the text encoder too."""
        return self.config.query in BY_VECTOR

    def image_weights(self, vectors: Vectors) -> csr_matrix:
        """The weights (n, V) float32, greater than 0, of pictures with these (n, dim) dense vectors."""
        return strongest(self._activations("image", vectors), self.config.max_terms)

    def text_weights(self, texts: Sequence[str], vectors: Vectors | None = None) -> csr_matrix:
        """The weights (n, V) float32 of queries without weights and minus signs.

        Args:
            texts: n texts.
            vectors: (n, dim) their dense vectors, where `needs_text_vectors`.
        """
        if self.config.query == "expanded":
            return strongest(self._activations("text", self._required(vectors)), self.config.max_query_terms)
        own = self.vocabulary.encode(texts)
        if self.config.query == "vocabulary":
            return own
        own.data[:] = 1
        of_words = self.heads["words"] if self.config.query == "words" else None
        factors = of_words[None] if of_words is not None else self._activations("text", self._required(vectors))
        weighted = csr_matrix(own.multiply(factors), dtype=np.float32)
        weighted.eliminate_zeros()
        return weighted

    def query_weights(self, text: str, vector: Vectors | None = None) -> csr_matrix:
        """The weights (1, V) float32 of a query as a person writes it: `dog^2 -cat`.

        What the model gives a word is multiplied by what the person gives it; a word that the model gives
        nothing, as it does to words to be avoided, has the model's mean weight of the query.

        Args:
            text: The query.
            vector: (1, dim) the dense vector of `spoken_part(text)`, where `needs_text_vectors`.
        """
        asked = self.vocabulary.encode_query(text)
        given = self.text_weights([spoken_part(text)], vector)
        if not asked.nnz or self.config.query == "vocabulary":
            return given if self.config.query == "expanded" else asked
        usual = float(given.data.mean()) if given.nnz else 1.0
        weights = given.toarray()[0]
        terms = asked.indices
        weights[terms] = np.where(weights[terms] > 0, weights[terms], usual) * asked.data
        return csr_matrix(weights[None])

    def strongest_words(self, vector: Vectors, at_most: int) -> list[tuple[str, float]]:
        """The strongest words of a picture with this (dim,) vector, and their weights, falling."""
        row = strongest(self._activations("image", vector[None]), min(at_most, self.config.max_terms or at_most))
        found = [(self.vocabulary.words[i], float(w)) for i, w in zip(row.indices, row.data, strict=True)]
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))

    def save(self, folder: Path) -> None:
        """Writes the folder; each file gets its name once it is whole, `sparse.json` last."""
        from safetensors.numpy import save_file

        folder.mkdir(parents=True, exist_ok=True)
        self.vocabulary.save(folder / TERMS_NAME)
        partial = folder / f"{HEADS_NAME}.partial"
        save_file({name: np.ascontiguousarray(array) for name, array in self.heads.items()}, partial)
        os.chmod(partial, 0o644)
        partial.replace(folder / HEADS_NAME)
        config = self.config
        told = {
            "format": FORMAT,
            "recipe": config.recipe,
            "query": config.query,
            "max_terms": config.max_terms,
            "max_query_terms": config.max_query_terms,
            "n_terms": len(self.vocabulary),
            "words_hash": words_hash(self.vocabulary),
            "base": config.base.to_dict(),
        }
        partial = folder / f"{CONFIG_NAME}.partial"
        partial.write_text(json.dumps(told, indent=2) + "\n", "utf8")
        partial.replace(folder / CONFIG_NAME)

    @classmethod
    def load(cls, folder: Path, terms: Path | None = None) -> SparseModel:
        """The model `save` wrote.

        Args:
            folder: The folder.
            terms: The file of the words where it is not the folder's own; it must have the same words.

        Raises:
            InputError: There is no such folder.
            StateError: A file is missing, damaged, or of another vocabulary.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        config, hash_of_words = read_config(folder)
        terms = terms or folder / TERMS_NAME
        vocabulary = TermVocabulary.load(terms)
        if words_hash(vocabulary) != hash_of_words:
            raise StateError(
                f"{terms} ({len(vocabulary)} words) is not the vocabulary the model in {folder} was trained with: "
                "give the model its own, or train it again"
            )
        try:
            heads = load_file(folder / HEADS_NAME)
        except (OSError, SafetensorError) as error:
            raise StateError(f"{folder / HEADS_NAME} can't be read: {error}; train the model again") from error
        return cls(config, vocabulary, heads)

    def _activations(self, modality: Modality, vectors: Vectors) -> Vectors:
        found = np.asarray(vectors, np.float32)
        for number in range(self._depth(modality)):
            weight, bias = self.heads[f"{modality}.{number}.weight"], self.heads[f"{modality}.{number}.bias"]
            found = np.maximum(found @ weight.T + bias, 0)
        return np.log1p(found) if self.config.recipe == "dense-to-sparse" else found

    def _depth(self, modality: Modality) -> int:
        return sum(name.startswith(f"{modality}.") and name.endswith(".weight") for name in self.heads)

    def _required(self, vectors: Vectors | None) -> Vectors:
        if vectors is None:
            raise ValueError(f"queries of the kind {self.config.query!r} need the text's dense vectors")
        return vectors

    def _check(self) -> None:
        wanted: tuple[Modality, ...] = ("image", "text") if self.needs_text_vectors else ("image",)
        for modality in wanted:
            width, number = self.config.base.dim, 0
            while (weight := self.heads.get(f"{modality}.{number}.weight")) is not None:
                bias = self.heads.get(f"{modality}.{number}.bias")
                if weight.ndim != 2 or weight.shape[1] != width or bias is None or bias.shape != weight.shape[:1]:
                    raise StateError(f"head {modality}.{number} does not fit {width} inputs: train the model again")
                width, number = weight.shape[0], number + 1
            self._check_width(f"the {modality} head", width if number else 0)
        if self.config.query == "words":
            self._check_width("the weights of words", len(self.heads.get("words", ())))
        if not all(np.isfinite(array).all() for array in self.heads.values()):
            raise StateError("the heads have weights that are not finite: train the model again")

    def _check_width(self, what: str, width: int) -> None:
        if width != len(self.vocabulary):
            raise StateError(
                f"{what} has {width} words, the vocabulary {len(self.vocabulary)}: this is a checkpoint for another "
                "vocabulary; train the model again"
            )


def strongest(weights: Vectors, at_most: int) -> csr_matrix:
    """The `at_most` greatest of each row that are above 0, all of them with 0; equal ones by ascending column.

    >>> strongest(np.array([[1, 0, 3, 1]], np.float32), 2).toarray().tolist()
    [[1.0, 0.0, 3.0, 0.0]]
    """
    if at_most and weights.shape[1] > at_most:
        best = np.argsort(-weights, axis=1, kind="stable")[:, :at_most]
        kept = np.zeros_like(weights)
        np.put_along_axis(kept, best, np.take_along_axis(weights, best, axis=1), axis=1)
        weights = kept
    return csr_matrix(weights)


def spoken_part(text: str) -> str:
    """A query without its weights and without what is to be avoided, for an encoder that reads sentences.

    >>> spoken_part("big dog^2 on sand -cat")
    'big dog on sand'
    """
    parts = [part.partition("^")[0] for part in text.split() if not part.startswith("-") and not part.endswith("^0")]
    return " ".join(parts)


def words_hash(vocabulary: TermVocabulary) -> str:
    """The SHA-256 of the words in their order, in hexadecimal."""
    return hashlib.sha256("\n".join(vocabulary.words).encode()).hexdigest()


def read_config(folder: Path) -> tuple[SparseConfig, str]:
    """The configuration in a model's folder, and the hash of its words.

    Raises:
        InputError: There is no configuration in the folder.
        StateError: The configuration is damaged.
    """
    path = folder / CONFIG_NAME
    if not path.is_file():
        raise InputError(f"{folder} is not a sparse model, without {CONFIG_NAME}: make one with `-t train -m sparse`")
    try:
        told: dict[str, Any] = json.loads(path.read_text("utf8"))
        if told["format"] != FORMAT or told["recipe"] not in get_args(Recipe):
            raise ValueError(f"its format is {told['format']!r}, its recipe {told['recipe']!r}")
        if told["query"] not in get_args(QueryWeights):
            raise ValueError(f"its queries are {told['query']!r}")
        base = ModelSpec.from_dict(told["base"])
        limits = int(told["max_terms"]), int(told["max_query_terms"])
        return SparseConfig(told["recipe"], base, told["query"], *limits), str(told["words_hash"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StateError(f"{path} {read_failure(error, path)}; train the model again") from error
