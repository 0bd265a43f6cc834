"""The learned sparse model: heads that compute weights of words from the vectors of a frozen encoder.

`--weights` is a folder that training wrote, with

    sparse.json         the configuration: use of the heads, their encoder, and the hash of the words
    terms.json          the words, saved by `TermVocabulary`
    sparse.safetensors  the heads

There are two recipes: the thesis's (`thesis`), which predicts the words of the captions, and the distilled one
(`dense-to-sparse`); see `crossmodal.training.thesis_heads` and `distilled_heads`. This module does not need torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

from crossmodal.core.errors import InputError, StateError
from crossmodal.core.files import write_atomically
from crossmodal.core.os_errors import read_failure
from crossmodal.core.types import Modality, ModelSpec, Vectors
from crossmodal.lexical.terms import TermVocabulary

FAMILY, FORMAT = "sparse", 1
CONFIG_NAME, TERMS_NAME, HEADS_NAME = "sparse.json", "terms.json", "sparse.safetensors"

Recipe = Literal["thesis", "dense-to-sparse"]
QueryWeights = Literal["vocabulary", "words", "text", "expanded"]
"""The source of a query's weights: `vocabulary` takes 1 or TF-IDF, `words` a learned weight of each word, `text` the
text's vector for the words in the text, `expanded` the text's vector for any word."""

BY_VECTOR = ("text", "expanded")

Heads = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class SparseConfig:
    """The configuration of a sparse model.

    Attributes:
        recipe: The activation: `thesis` ends in ReLU, `dense-to-sparse` in log(1 + ReLU).
        base: The encoder whose vectors the heads were trained on.
        query: The source of a query's weights.
        max_terms: Maximum number of words of an image, the strongest; 0 for all.
        max_query_terms: The same for an expanded query.
    """

    recipe: Recipe
    base: ModelSpec
    query: QueryWeights
    max_terms: int = 64
    max_query_terms: int = 32

    @property
    def scoring(self) -> Literal["dot", "tf-idf"]:
        """The scoring of the inverted index; weights of the thesis's recipe rank best by TF-IDF."""
        return "tf-idf" if self.recipe == "thesis" else "dot"


class SparseModel:
    """Computes weights of words from the dense vectors of a frozen encoder.

    The heads are `image.0.weight` (out, in), `image.0.bias`, `image.1.weight` and so on, with ReLU between the layers;
    `text.N` likewise if the query's vector determines its weights, and `words` (V,) if each word has a learned weight.
    """

    def __init__(self, config: SparseConfig, vocabulary: TermVocabulary, heads: Heads) -> None:
        """Stores the parts.

        Raises:
            StateError: The heads don't match the vocabulary or the encoder's dimension.
        """
        self.config, self.vocabulary, self.heads = config, vocabulary, heads
        self._check()

    @property
    def needs_text_vectors(self) -> bool:
        """Whether a query's weights depend on its dense vector."""
        return self.config.query in BY_VECTOR

    def image_weights(self, vectors: Vectors) -> csr_matrix:
        """The weights (n, V) float32, not negative, of images with dense vectors (n, dim)."""
        return strongest(self._activations("image", vectors), self.config.max_terms)

    def text_weights(self, texts: Sequence[str], vectors: Vectors | None = None) -> csr_matrix:
        """The weights (n, V) float32 of queries without query syntax (weights and minus signs).

        Args:
            texts: n texts.
            vectors: (n, dim) dense vectors of the texts; required if `needs_text_vectors`.
        """
        if self.config.query == "expanded":
            return strongest(self._activations("text", self._required(vectors)), self.config.max_query_terms)
        encoded = self.vocabulary.encode(texts)
        if self.config.query == "vocabulary":
            return encoded
        encoded.data[:] = 1
        of_words = self.heads["words"] if self.config.query == "words" else None
        factors = of_words[None] if of_words is not None else self._activations("text", self._required(vectors))
        weighted = csr_matrix(encoded.multiply(factors), dtype=np.float32)
        weighted.eliminate_zeros()
        return weighted

    def query_weights(self, text: str, vector: Vectors | None = None) -> csr_matrix:
        """The weights (1, V) float32 of a query with query syntax: `dog^2 -cat`.

        The model's weight of a word is multiplied by the weight in the query. If the model's weight is 0, as for words
        to avoid, the mean of the model's weights in the query is used instead.

        Args:
            text: The query.
            vector: (1, dim) dense vector of `spoken_part(text)`; required if `needs_text_vectors`.
        """
        from_query = self.vocabulary.encode_query(text)
        from_model = self.text_weights([spoken_part(text)], vector)
        if not from_query.nnz or self.config.query == "vocabulary":
            return from_model if self.config.query == "expanded" else from_query
        mean = float(from_model.data.mean()) if from_model.nnz else 1.0
        weights = from_model.toarray()[0]
        terms = from_query.indices
        weights[terms] = np.where(weights[terms] > 0, weights[terms], mean) * from_query.data
        return csr_matrix(weights[None])

    def strongest_words(self, vector: Vectors, at_most: int) -> list[tuple[str, float]]:
        """The words with the greatest weights of an image with a vector (dim,), as the function of this name."""
        return strongest_words(self.image_weights(vector[None]), self.vocabulary.words, at_most)

    def save(self, folder: Path) -> None:
        """Writes the folder; each file is replaced atomically, `sparse.json` last."""
        from safetensors.numpy import save

        folder.mkdir(parents=True, exist_ok=True)
        self.vocabulary.save(folder / TERMS_NAME)
        heads = {name: np.ascontiguousarray(array) for name, array in self.heads.items()}
        write_atomically(folder / HEADS_NAME, save(heads))
        config = self.config
        content = {
            "format": FORMAT,
            "recipe": config.recipe,
            "query": config.query,
            "max_terms": config.max_terms,
            "max_query_terms": config.max_query_terms,
            "n_terms": len(self.vocabulary),
            "words_hash": words_hash(self.vocabulary),
            "base": config.base.to_dict(),
        }
        write_atomically(folder / CONFIG_NAME, (json.dumps(content, indent=2) + "\n").encode())

    @classmethod
    def load(cls, folder: Path, terms: Path | None = None) -> SparseModel:
        """The model in a folder that `save` wrote.

        Args:
            folder: The folder.
            terms: Another file with the same vocabulary; None for the one in the folder.

        Raises:
            InputError: The folder is not a sparse model.
            StateError: A file is missing or damaged, or the vocabulary is another.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        config, hash_of_words = read_config(folder)
        terms = terms or folder / TERMS_NAME
        vocabulary = TermVocabulary.load(terms)
        if words_hash(vocabulary) != hash_of_words:
            raise StateError(
                f"{terms} ({len(vocabulary)} words) is not the vocabulary the model in {folder} was trained with: "
                "use the model's vocabulary, or train the model again"
            )
        try:
            heads = load_file(folder / HEADS_NAME)
        except (OSError, SafetensorError) as error:
            raise StateError(f"{folder / HEADS_NAME} can't be read: {error}; train the model again") from error
        return cls(config, vocabulary, heads)

    def _activations(self, modality: Modality, vectors: Vectors) -> Vectors:
        activations = np.asarray(vectors, np.float32)
        for number in range(self._depth(modality)):
            weight, bias = self.heads[f"{modality}.{number}.weight"], self.heads[f"{modality}.{number}.bias"]
            activations = np.maximum(activations @ weight.T + bias, 0)
        return np.log1p(activations) if self.config.recipe == "dense-to-sparse" else activations

    def _depth(self, modality: Modality) -> int:
        return sum(name.startswith(f"{modality}.") and name.endswith(".weight") for name in self.heads)

    def _required(self, vectors: Vectors | None) -> Vectors:
        if vectors is None:
            raise ValueError(f"queries of the kind {self.config.query!r} need the text's dense vectors")
        return vectors

    def _check(self) -> None:
        modalities: tuple[Modality, ...] = ("image", "text") if self.needs_text_vectors else ("image",)
        for modality in modalities:
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

    def _check_width(self, part: str, width: int) -> None:
        if width != len(self.vocabulary):
            raise StateError(
                f"{part} has {width} words, the vocabulary {len(self.vocabulary)}: this is a checkpoint for another "
                "vocabulary; train the model again"
            )


def strongest(weights: Vectors, at_most: int) -> csr_matrix:
    """The `at_most` greatest values of each row, or all for 0, ties by ascending column; other values become 0.

    >>> strongest(np.array([[1, 0, 3, 1]], np.float32), 2).toarray().tolist()
    [[1.0, 0.0, 3.0, 0.0]]
    """
    if at_most and weights.shape[1] > at_most:
        best = np.argsort(-weights, axis=1, kind="stable")[:, :at_most]
        kept = np.zeros_like(weights)
        np.put_along_axis(kept, best, np.take_along_axis(weights, best, axis=1), axis=1)
        weights = kept
    return csr_matrix(weights)


def strongest_words(weights: csr_matrix, words: Sequence[str], at_most: int) -> list[tuple[str, float]]:
    """The words with the greatest weights of an image, (1, V) weights, by falling weight, then alphabetically."""
    pairs = [(words[term], float(weight)) for term, weight in zip(weights.indices, weights.data, strict=True)]
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:at_most]


def spoken_part(text: str) -> str:
    """A query without weights and words to avoid, for the dense text encoder.

    >>> spoken_part("big dog^2 on sand -cat")
    'big dog on sand'
    """
    parts = [part.partition("^")[0] for part in text.split() if not part.startswith("-") and not part.endswith("^0")]
    return " ".join(parts)


def words_hash(vocabulary: TermVocabulary) -> str:
    """The SHA-256 of the words in order, in hexadecimal."""
    return hashlib.sha256("\n".join(vocabulary.words).encode()).hexdigest()


def read_config(folder: Path) -> tuple[SparseConfig, str]:
    """The configuration in a model's folder, and the hash of its words.

    Raises:
        InputError: The folder has no configuration.
        StateError: The configuration is damaged.
    """
    path = folder / CONFIG_NAME
    if not path.is_file():
        raise InputError(
            f"{folder} is not a sparse model: {CONFIG_NAME} is missing; train one with `-t train -m sparse`"
        )
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf8"))
        if content["format"] != FORMAT or content["recipe"] not in get_args(Recipe):
            raise ValueError(f"its format is {content['format']!r}, its recipe {content['recipe']!r}")
        if content["query"] not in get_args(QueryWeights):
            raise ValueError(f"its query is {content['query']!r}")
        base = ModelSpec.from_dict(content["base"])
        limits = int(content["max_terms"]), int(content["max_query_terms"])
        return SparseConfig(content["recipe"], base, content["query"], *limits), str(content["words_hash"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StateError(f"{path} {read_failure(error, path)}; train the model again") from error
