"""The configuration of a VSE++ model and the files of its folder, without importing torch."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from crossmodal.core.errors import InputError
from crossmodal.core.os_errors import read_failure
from crossmodal.core.types import Preprocessing

CONFIG_NAME, VOCABULARY_NAME, WEIGHTS_NAME = "vse_config.json", "vocab.json", "model.safetensors"


@dataclass(frozen=True)
class VseConfig:
    """The configuration of a VSE++ model.

    `backbone` is the name of a timm model, or `photos`, the image tower of the photos weights. For inference the short
    side of an image is resized to `resize_px`, and the centre is cropped to `image_size`. `absolute` makes all
    coordinates positive, for order embeddings.
    """

    backbone: str
    image_size: int = 224
    joint_dim: int = 1024
    word_dim: int = 300
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    resize_px: int = 256
    absolute: bool = False
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary, which `from_dict` reads."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> VseConfig:
        """The configuration in a dictionary of `to_dict`.

        Raises:
            ValueError: A value is missing, unknown, or out of range.
        """
        try:
            values = dict(values)
            for name in {"mean", "std"} & values.keys():
                values[name] = tuple(float(value) for value in values[name])
            config = cls(**values)
            sizes = (config.image_size, config.joint_dim, config.word_dim, config.resize_px)
            if not isinstance(config.backbone, str) or not all(isinstance(size, int) and size > 0 for size in sizes):
                raise ValueError("the backbone must be a text and the sizes whole numbers above 0")
        except TypeError as error:
            raise ValueError(str(error)) from error
        if config.interpolation not in ("bilinear", "bicubic"):
            raise ValueError(f"interpolation {config.interpolation!r} is neither bilinear nor bicubic")
        if len(config.mean) != 3 or len(config.std) != 3 or min(config.std) <= 0:
            raise ValueError("mean and std must be three numbers each, std above 0")
        if config.resize_px < config.image_size:
            raise ValueError(f"resize_px {config.resize_px} is less than image_size {config.image_size}")
        return config

    @property
    def preprocessing(self) -> Preprocessing:
        """The preprocessing of images for inference."""
        return Preprocessing(
            self.image_size, "shortest", self.interpolation, self.mean, self.std, resize_px=self.resize_px
        )


def read_config(folder: Path) -> VseConfig:
    """The configuration in a folder of weights.

    Raises:
        InputError: A file of the folder is missing, or the configuration is damaged.
    """
    missing = [name for name in (CONFIG_NAME, VOCABULARY_NAME, WEIGHTS_NAME) if not (folder / name).is_file()]
    if missing:
        are_missing = f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
        raise InputError(f"{folder} is not a folder of VSE++ weights: {are_missing}")
    try:
        values = json.loads((folder / CONFIG_NAME).read_text("utf8"))
        if not isinstance(values, dict):
            raise ValueError("it is not a JSON object")
        return VseConfig.from_dict(values)
    except (ValueError, OSError, RecursionError) as error:
        raise InputError(f"{folder / CONFIG_NAME} {read_failure(error, folder / CONFIG_NAME)}") from error
