"""Shared types: records that dataset readers yield, documents in the store, and model specifications."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.families import modalities_of

Modality = Literal["image", "text"]
MODALITIES: tuple[Modality, ...] = ("image", "text")

Pixels = NDArray[np.uint8]  # (height, width, 3) RGB, or (n, height, width, 3)
Vectors = NDArray[np.float32]  # (n, dim), L2-normalised
Keys = NDArray[np.int64]  # (n,) row keys of the store, the ids in a vector index


def image_id(content: bytes) -> str:
    """The id of a picture: the hexadecimal SHA-1 of its encoded bytes."""
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


def caption_id(text: str, image: str) -> str:
    """The id of a caption: the hexadecimal SHA-1 of its modality, its text and its picture's id."""
    return hashlib.sha1(f"text\0{text}\0{image}".encode(), usedforsecurity=False).hexdigest()


DERIVED_TAGS = frozenset({"filename", "folder", "split"})
"""Tags derived from a picture's location in its data set; every run recomputes them."""


@dataclass(frozen=True)
class ImageRecord:
    """A picture of a data set with its captions, as a reader yields it; the picture is not opened yet.

    `content` reads the encoded bytes of a picture embedded in another file, such as a Parquet file; `path` is then
    that file's path followed by the picture's name. If `content` is None, `path` is an image file.
    `real_folder` is the absolute path of the file's folder with symbolic links resolved, if the reader knows it.
    """

    path: Path
    captions: tuple[str, ...] = ()
    tags: dict[str, Any] = field(default_factory=dict)
    content: Callable[[], bytes] | None = None
    real_folder: str | None = field(default=None, repr=False, compare=False)

    @cached_property
    def real_path(self) -> str:
        """The absolute path with symbolic links resolved when it was first asked for, which identifies the file."""
        if self.real_folder is None:
            return os.path.realpath(self.path)
        path = os.path.join(self.real_folder, self.path.name)
        return os.path.realpath(path) if os.path.islink(path) else path


@dataclass(frozen=True)
class Failure:
    """A picture or caption that could not be indexed, and why; `path` identifies the item."""

    path: str
    reason: str
    modality: Modality = "image"

    def to_dict(self) -> dict[str, str]:
        """The path and the reason, JSON-ready."""
        return {"path": self.path, "reason": self.reason}


@dataclass(frozen=True)
class Skipped:
    """Number of files or folders that a reader skips for one reason, with one of them as an example.

    `excluded` are their absolute paths if rules of the user leave them out. Pictures that were indexed from these paths
    count as gone.
    """

    reason: str
    n: int
    example: str
    excluded: tuple[str, ...] = ()


Record = ImageRecord | Failure | Skipped
"""An item that a dataset reader yields."""


@dataclass(frozen=True)
class Document:
    """An image or a caption in the store; its vector and thumbnail are stored separately."""

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
    """A model's image preprocessing: geometry, which the normalizer applies, and statistics, which the encoder applies.

    `resize` is open_clip's resize mode: `shortest` (resize the short side, crop the centre), `longest`
    (fit and pad with `fill`), `squash` (ignore the aspect ratio). `resize_px` is the length of the short side
    (for `squash`, of both sides) before the centre crop to `size_px`; 0 means `size_px`.
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
    """The properties that two vectors must share to be comparable.

    `weights` is the requested name, `weights_hash` the hash of the loaded weights. `base` is the dense encoder whose
    vectors a sparse model maps to words; None for a dense model.
    """

    family: str
    weights: str
    weights_hash: str
    dim: int
    preprocessing: Preprocessing
    base: ModelSpec | None = None

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """The modalities that its encoder encodes; not stored, as they follow from the family."""
        return self.base.modalities if self.base else modalities_of(self.family)

    @property
    def has_lexical(self) -> bool:
        """Whether the model weights terms, so that collections of it have a term index and a caption index."""
        return self.base is not None

    @property
    def encoder(self) -> ModelSpec:
        """The spec of the encoder that makes the vectors: `base`, or the spec itself."""
        return self.base or self

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary, the inverse of `from_dict`."""
        values = asdict(self)
        if self.base is None:
            del values["base"]
        else:
            values["base"] = self.base.to_dict()
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelSpec:
        """The specification that `to_dict` wrote."""
        preprocessing = dict(values["preprocessing"])
        for name in ("mean", "std"):
            preprocessing[name] = tuple(preprocessing[name])
        base = None if values.get("base") is None else cls.from_dict(values["base"])
        return cls(**{**values, "preprocessing": Preprocessing(**preprocessing), "base": base})

    def __str__(self) -> str:
        suffix = f" on {self.base}" if self.base else ""
        return f"{self.family} {self.weights} ({self.weights_hash[:12]}){suffix}"
