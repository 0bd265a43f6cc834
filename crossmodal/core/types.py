"""The nouns of the program: records on their way in, documents in the store, matches on their way out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Modality = Literal["image", "text"]
MODALITIES: tuple[Modality, ...] = ("image", "text")
Precision = Literal["fp32", "bf16"]

Pixels = NDArray[np.uint8]  # (height, width, 3) RGB, or (n, height, width, 3)
Vectors = NDArray[np.float32]  # (n, dim), L2-normalised
Keys = NDArray[np.int64]  # (n,) row keys of the store, the ids in a vector index


def image_id(content: bytes) -> str:
    """The id of a picture: the SHA-1 of its encoded bytes, in hexadecimal."""
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


def caption_id(text: str, image: str) -> str:
    """The id of a caption: the SHA-1 of its modality, text and the id of its picture."""
    return hashlib.sha1(f"text\0{text}\0{image}".encode(), usedforsecurity=False).hexdigest()


DERIVED_TAGS = frozenset({"filename", "folder", "split"})
"""Tags that follow from where a picture lies in its data set; a reader gives them anew each time."""


@dataclass(frozen=True)
class ImageRecord:
    """A picture of a data set with its captions, as a reader yields it: nothing is opened yet.

    `content` reads the encoded bytes of a picture that lies inside another file, such as a Parquet file; `path` is then
    that file's path with the picture's name below it. Where `content` is None, `path` is a file of its own.
    """

    path: Path
    captions: tuple[str, ...] = ()
    tags: dict[str, Any] = field(default_factory=dict)
    content: Callable[[], bytes] | None = None


@dataclass(frozen=True)
class Failure:
    """A picture or a caption that could not be taken in, and why; `path` names the item."""

    path: str
    reason: str
    modality: Modality = "image"


@dataclass(frozen=True)
class Skipped:
    """Files of a data set that a reader passes over for one and the same reason, with one of them as an example."""

    reason: str
    n: int
    example: str


Record = ImageRecord | Failure | Skipped
"""What a reader of a data set yields."""


@dataclass(frozen=True)
class Document:
    """An image or a caption as the store keeps it; the vector and the thumbnail are kept beside it."""

    id: str
    modality: Modality
    uri: str = ""
    mime_type: str = ""
    text: str = ""
    width: int = 0
    height: int = 0
    image_id: str = ""
    tags: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Preprocessing:
    """How a model wants its pictures: geometry (the normalizer's part) and statistics (the encoder's).

    `resize` is open_clip's resize mode: `shortest` (resize the short side, crop the centre), `longest`
    (fit and pad with `fill`), `squash` (ignore the aspect ratio). `resize_px` is the length the short side gets
    (for `squash`, both sides) before the centre is cut out at `size_px`; 0 is `size_px` itself.
    """

    size_px: int
    resize: Literal["shortest", "longest", "squash"] = "shortest"
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)
    fill: int = 0
    resize_px: int = 0


@dataclass(frozen=True)
class ModelSpec:
    """Everything that must be equal for two vectors to be comparable.

    `weights` is the name it was asked for by, `weights_hash` what it turned out to be. `base` is the encoder that
    makes the vectors where the model only gives them words.
    """

    family: str
    weights: str
    weights_hash: str
    dim: int
    preprocessing: Preprocessing
    base: ModelSpec | None = None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary; `from_dict` turns it back."""
        told = asdict(self)
        if self.base is None:
            del told["base"]
        else:
            told["base"] = self.base.to_dict()
        return told

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelSpec:
        """The spec `to_dict` wrote."""
        preprocessing = dict(values["preprocessing"])
        for name in ("mean", "std"):
            preprocessing[name] = tuple(preprocessing[name])
        base = values.get("base")
        stands_on = None if base is None else cls.from_dict(base)
        return cls(**{**values, "preprocessing": Preprocessing(**preprocessing), "base": stands_on})

    def __str__(self) -> str:
        on = f" on {self.base}" if self.base else ""
        return f"{self.family} {self.weights} ({self.weights_hash[:12]}){on}"
