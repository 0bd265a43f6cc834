"""Encodes the images and captions of a data set, for evaluation and for training heads on frozen vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.batched import batched
from crossmodal.core.errors import InputError, PictureError
from crossmodal.core.protocols import Encoder
from crossmodal.core.types import ImageRecord, Pixels, Vectors
from crossmodal.images.prepare import prepare
from crossmodal.images.sources import of_record

TEXT_BATCH = 256

Advance = Callable[[int], None]
"""Called with the number of images encoded since the last call."""


@dataclass(frozen=True)
class EncodedSplit:
    """The images and captions of a split as vectors.

    Attributes:
        images: (n, dim) unit vectors.
        texts: (m, dim) unit vectors of the captions, or None if the encoder encodes images only.
        captions: m texts.
        image_of: (m,) int64, the image of each caption. The captions of an image are adjacent.
    """

    images: Vectors
    texts: Vectors | None
    captions: list[str]
    image_of: NDArray[np.int64]

    def caption_sets(self) -> list[str]:
        """The captions of each image joined into one text, in the order of the images."""
        joined: list[list[str]] = [[] for _ in range(len(self.images))]
        for caption, image in zip(self.captions, self.image_of, strict=True):
            joined[image].append(caption)
        return [" ".join(captions) for captions in joined]


def image_of_captions(records: Sequence[ImageRecord]) -> NDArray[np.int64]:
    """The index of each caption's record, (number of captions,) int64."""
    return np.repeat(np.arange(len(records)), [len(record.captions) for record in records])


def encode_split(encoder: Encoder, records: Sequence[ImageRecord], advance: Advance, batch_size: int) -> EncodedSplit:
    """The encoded images of records and all their captions.

    Raises:
        InputError: An image can't be read; the message names it.
    """
    images = encode_images(encoder, records, advance, batch_size)
    captions = [caption for record in records for caption in record.captions]
    return with_captions(encoder, images, captions, image_of_captions(records))


def with_captions(encoder: Encoder, images: Vectors, captions: list[str], image_of: NDArray[np.int64]) -> EncodedSplit:
    """A split of encoded images and their captions, which are encoded if the encoder supports texts."""
    texts = encode_texts(encoder, captions) if "text" in encoder.spec.modalities else None
    return EncodedSplit(images, texts, captions, image_of)


def encode_images(encoder: Encoder, records: Sequence[ImageRecord], advance: Advance, batch_size: int) -> Vectors:
    """Unit vectors (n, dim) of the images of records, in order.

    Raises:
        InputError: An image can't be read; the message names it.
    """
    batches = (np.stack([_pixels(encoder, record) for record in part]) for part in batched(records, batch_size))
    return encode_batches(encoder, batches, advance)


def encode_batches(encoder: Encoder, batches: Iterable[Pixels], advance: Advance) -> Vectors:
    """Unit vectors (n, dim) of batches (n_i, size_px, size_px, 3) uint8, in order."""
    vectors = [np.empty((0, encoder.spec.dim), np.float32)]
    for batch in batches:
        vectors.append(encoder.encode_images(batch))
        advance(len(batch))
    return np.concatenate(vectors)


def encode_texts(encoder: Encoder, texts: Sequence[str]) -> Vectors:
    """Unit vectors (m, dim) of texts, in order."""
    parts = [encoder.encode_texts(part) for part in batched(texts, TEXT_BATCH)]
    return np.concatenate([np.empty((0, encoder.spec.dim), np.float32), *parts])


def unreadable(record: ImageRecord, reason: object) -> str:
    """The message for an unreadable image, which ends the evaluation: figures without it would not be comparable."""
    return f"{record.path}: {reason}: repair it or remove it from the data set"


def _pixels(encoder: Encoder, record: ImageRecord) -> Pixels:
    try:
        return prepare(of_record(record), encoder.spec.preprocessing, with_thumbnail=False).pixels
    except PictureError as error:
        raise InputError(unreadable(record, error)) from error
