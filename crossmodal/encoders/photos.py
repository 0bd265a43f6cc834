"""The bundled `photos` weights: photographs and English, as `-m clip --weights photos`.

A folder in the same format, as `-t train -m clip --weights photos` writes it, is loaded by its path.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from crossmodal.core.errors import InputError
from crossmodal.core.types import Modality, ModelSpec, Preprocessing, Vectors
from crossmodal.encoders import registry
from crossmodal.encoders.pixels import channels_last
from crossmodal.encoders.reading import unread_part
from crossmodal.encoders.two_towers import TwoTowers
from crossmodal.encoders.weights import sha256, unit_rows
from crossmodal.encoders.wordpiece import WordPiece

FAMILY, NAME = "clip", registry.PHOTOS
BUNDLED_FOLDER = registry.bundled_folder(FAMILY, NAME)
CONFIG_NAME, WEIGHTS_NAME, VOCABULARY_NAME = "photos_config.json", "model.safetensors", "vocab.txt"
SCALE_SUFFIX = ".row_scale"
"""Ends the name of the scales of a matrix that is stored in 8 bits."""

CONTEXT_LENGTH = 128
MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3
IMAGE_GROUP = 4
"""Pictures that go through the tower together. The largest map takes 4.8 MB a picture, and a block of more than 32 MB
is new memory to malloc each time: eight together take 1.4 times the processor time."""

TEXT_GROUP = 32
"""Texts that are encoded together, of about the same length."""


@dataclass(frozen=True)
class PhotoShape:
    """What the configuration file says of the model.

    `trained_dim`, `class_dim` and `feature_dim` are the three parts of the space, `image_parts` their shares of a
    picture's squared length. The text tower's layers from `branch_from` exist twice: as published, for the classes'
    part, and trained, for the first.
    """

    variant: str = "lite0"
    size_px: int = 224
    resize: Literal["squash", "shortest"] = "shortest"
    trained_dim: int = 256
    class_dim: int = 160
    feature_dim: int = 224
    hidden: int = 1024
    branch_from: int = 3
    image_parts: tuple[float, float, float] = (0.29, 0.26, 0.45)
    class_temperature: float = 2.0
    vocab_size: int = 30522

    @property
    def dim(self) -> int:
        """The length of a vector."""
        return self.trained_dim + self.class_dim + self.feature_dim

    @property
    def preprocessing(self) -> Preprocessing:
        """How the image tower wants its pictures: scaled as (x - 127) / 128."""
        return Preprocessing(self.size_px, self.resize, "bicubic", MEAN, STD)


def read_shape(folder: Path) -> PhotoShape:
    """The configuration in a folder of weights.

    Raises:
        InputError: It is missing or damaged.
    """
    try:
        told: dict[str, Any] = json.loads((folder / CONFIG_NAME).read_text("utf8"))
        return PhotoShape(**{**told, "image_parts": tuple(told["image_parts"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / CONFIG_NAME} is missing or damaged: {error!r}") from error


def folder_of(weights: str) -> Path | None:
    """The folder that `photos`, or a path to weights in its format, stands for; None for other names."""
    folder = BUNDLED_FOLDER if weights == NAME else Path(weights)
    return folder if weights == NAME or (folder / CONFIG_NAME).is_file() else None


def resolve(weights: str, folder: Path) -> ModelSpec:
    """The spec of a folder that `folder_of` found; torch is not imported.

    Raises:
        InputError: A file is missing or damaged.
    """
    shape = read_shape(folder)
    name = weights if weights == NAME else str(folder.resolve())
    return ModelSpec(FAMILY, name, sha256(folder / WEIGHTS_NAME), shape.dim, shape.preprocessing)


def files(folder: Path) -> list[Path]:
    """The files that the encoder reads."""
    return [folder / name for name in (CONFIG_NAME, WEIGHTS_NAME, VOCABULARY_NAME)]


LEAST_KNOWN = 0.8
"""English captions have more of their words whole in the vocabulary, German, Spanish and French ones less."""


def foreign_note(weights: str, captions: Sequence[str]) -> str:
    """What to say of captions in another language than English, empty where they are in English or `weights` others."""
    folder = folder_of(weights)
    if folder is None or not captions:
        return ""
    share = WordPiece.read(folder / VOCABULARY_NAME, CONTEXT_LENGTH).known_share(captions)
    if share >= LEAST_KNOWN:
        return ""
    return (
        f"the captions seem to be in another language than English, the only one that the weights {weights} know: they "
        f"have {share:.0%} of the words, so captions and queries in this language find little"
    )


class PhotosEncoder(TwoTowers):
    """The `photos` model on the CPU, in float32 unless `use_bf16` is called."""

    def __init__(self, spec: ModelSpec, folder: Path, towers: tuple[Modality, ...], threads: int | None) -> None:
        """Loads the weights and keeps the towers named; `threads` is torch's, None for its own."""
        import torch

        from crossmodal.encoders.photo_model import load_folder

        if threads:
            torch.set_num_threads(threads)
        super().__init__(spec, load_folder(folder))
        self.towers = towers
        if "image" in towers:
            self._model.image_tower = channels_last(self._model.image_tower)
        else:
            del self._model.image_tower, self._model.image_head
        if "text" in towers:
            self._tokenizer = WordPiece.read(folder / VOCABULARY_NAME, CONTEXT_LENGTH)
        else:
            del self._model.text_tower, self._model.branch, self._model.text_head

    @property
    def logit_bias(self) -> float | None:
        """None: the model is trained with InfoNCE."""
        return None

    def _encoded(self, images: Any) -> Any:
        return self._torch.cat([self._model.encode_image(group) for group in images.split(IMAGE_GROUP)])

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """As `Encoder.encode_texts`; a text is cut after 128 tokens."""
        vectors = np.empty((len(texts), self.spec.dim), np.float32)
        rows = [self._tokenizer.encode(text) for text in texts]
        by_length = sorted(range(len(rows)), key=lambda place: len(rows[place]))
        with self._torch.inference_mode():
            for start in range(0, len(rows), TEXT_GROUP):
                group = by_length[start : start + TEXT_GROUP]
                ids = self._torch.from_numpy(self._tokenizer.padded([rows[place] for place in group]))
                vectors[group] = self._model.encode_text(ids).float().numpy()
        return unit_rows(vectors)

    def unread(self, text: str) -> str:
        """As `Encoder.unread`."""
        return unread_part(self._tokenizer.encode, text)
