"""An encoder whose towers are compiled networks, and the tokens of its texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.errors import InputError
from crossmodal.core.types import Modality, ModelSpec, Pixels, Vectors
from crossmodal.encoders.pixels import check_pixels
from crossmodal.encoders.reading import unread_part
from crossmodal.encoders.weights import unit_rows

IMAGE_GROUP, TEXT_GROUP = 8, 32
"""Images and texts, of similar length, per inference; larger groups are not faster and take more memory."""
LENGTH_MULTIPLE = 16
"""The number of tokens of a query is a multiple of this."""
AT_MOST: Mapping[Modality, int | None] = {"image": IMAGE_GROUP, "text": None}
"""The argument of `CompiledNetwork` for each tower. A query waits for one inference, so all threads take part in it."""


class Network(Protocol):
    """A compiled network: (n, size_px, size_px, 3) uint8 or (n, length) int32 token ids to vectors (n, dim) float32.

    There is at least one row.
    """

    def __call__(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """The vectors of the inputs."""
        ...


class Tokens(Protocol):
    """A tokenizer.

    Attributes:
        context_length: Most tokens of a text.
    """

    context_length: int

    def encode(self, text: str) -> list[int]:
        """The token ids of a text, truncated to the context length."""
        ...

    def padded(self, rows: Sequence[list[int]]) -> NDArray[np.int64]:
        """Token ids of several texts as (n, length), padded."""
        ...


class NetworkEncoder:
    """An `Encoder` without torch."""

    def __init__(
        self,
        spec: ModelSpec,
        networks: Mapping[Modality, Network],
        tokens: Tokens | None = None,
        logit_scale: float | None = None,
        logit_bias: float | None = None,
    ) -> None:
        """Stores the networks of the loaded towers.

        Args:
            spec: The model.
            networks: A network for each loaded tower.
            tokens: The tokenizer, if the text tower is loaded.
            logit_scale: The learned inverse temperature of a CLIP model, else None.
            logit_bias: The bias of a CLIP model trained with a sigmoid loss, else None.
        """
        self.spec, self.towers = spec, tuple(networks)
        self._networks, self._tokens = networks, tokens
        self.logit_scale, self.logit_bias = logit_scale, logit_bias

    def encode_images(self, pixels: Pixels) -> Vectors:
        """As `Encoder.encode_images`."""
        network = self._network("image")
        check_pixels(pixels, self.spec.preprocessing.size_px)
        if not len(pixels):
            return np.empty((0, self.spec.dim), np.float32)
        return unit_rows(network(np.ascontiguousarray(pixels)))

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """As `Encoder.encode_texts`."""
        network = self._network("text")
        vectors = np.empty((len(texts), self.spec.dim), np.float32)
        assert self._tokens is not None
        multiple = LENGTH_MULTIPLE if len(texts) <= TEXT_GROUP else 1  # more, sorted, have few lengths
        for places, ids in token_groups(self._tokens, texts):
            filled = _filled(ids, multiple, self._tokens.context_length)
            vectors[places] = network(filled)[: len(places)]
        return unit_rows(vectors)

    def unread(self, text: str) -> str:
        """As `Encoder.unread`."""
        if "text" not in self.spec.modalities:
            return text
        assert self._tokens is not None
        return unread_part(self._tokens.encode, text)

    def _network(self, modality: Modality) -> Network:
        if modality not in self.spec.modalities:
            raise InputError(images_only(self.spec))
        if modality not in self._networks:
            raise ValueError(f"the encoder was loaded without its {modality} tower")
        return self._networks[modality]


def images_only(spec: ModelSpec) -> str:
    """The message for a text that a model without a text tower is to encode."""
    return f"{spec} encodes images only: search with a picture, or index with `-m clip`"


def _filled(ids: NDArray[np.int64], multiple: int, at_most: int) -> NDArray[np.int32]:
    """Token ids (n, length), padded with 0 to a multiple of `multiple` tokens, but not beyond `at_most`; from n = 3 on
    also with copies of the last text to a multiple of four.

    For a shape that it has not had before, OpenVINO prepares a network anew, which takes two to thirty times as long as
    encoding the texts; for a known shape other than the last one, encoding takes up to twice as long. The texts that
    wait in a service have any number and any lengths.
    """
    n, length = ids.shape
    shape = n if n <= 2 else n + -n % 4, min(length + -length % multiple, at_most)
    filled = np.zeros(shape, np.int32)
    filled[:n, :length] = ids
    filled[n:] = filled[n - 1]
    return filled


def token_groups(tokens: Tokens, texts: Sequence[str]) -> Iterator[tuple[list[int], NDArray[np.int64]]]:
    """Groups of texts of similar length: their indices in `texts`, and their padded token ids (n, length)."""
    rows = [tokens.encode(text) for text in texts]
    by_length = sorted(range(len(rows)), key=lambda place: len(rows[place]))
    for start in range(0, len(rows), TEXT_GROUP):
        places = by_length[start : start + TEXT_GROUP]
        yield places, tokens.padded([rows[place] for place in places])
