"""The two towers of VSE++ and the folder they are kept in.

Source: Faghri, Fleet, Kiros, Fidler 2017, "VSE++: Improving Visual-Semantic Embeddings with Hard Negatives",
arXiv 1707.05612, section 4.1.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, NamedTuple

from crossmodal.core.files import atomic_path
from crossmodal.encoders.torchvision_guard import prepare_torchvision

prepare_torchvision()

import timm  # noqa: E402
import torch  # noqa: E402
from safetensors import SafetensorError  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402
from torch.nn.utils.rnn import pack_padded_sequence  # noqa: E402

from crossmodal.core.errors import InputError  # noqa: E402
from crossmodal.core.os_errors import read_failure  # noqa: E402
from crossmodal.core.types import Preprocessing  # noqa: E402
from crossmodal.encoders import photos  # noqa: E402
from crossmodal.encoders.lite_shape import LITE_FEATURES  # noqa: E402
from crossmodal.encoders.photo_towers import EfficientNetLite  # noqa: E402
from crossmodal.encoders.vocabulary import Vocabulary  # noqa: E402
from crossmodal.encoders.weights import unfilled  # noqa: E402

CONFIG_NAME, VOCABULARY_NAME, WEIGHTS_NAME = "vse_config.json", "vocab.json", "model.safetensors"


@dataclass(frozen=True)
class VseConfig:
    """What a VSE++ model is made of, without its words and weights.

    `backbone` is a name of timm's, or `photos`, the image tower of the photos weights. For evaluation the short side
    of a picture is resized to `resize_px` and the centre cut out at `image_size`. `absolute` makes all coordinates
    positive, for order embeddings.
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
        """A JSON-ready dictionary; `from_dict` turns it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> VseConfig:
        """The configuration `to_dict` wrote.

        Raises:
            ValueError: A value is missing, unknown, or out of its range.
        """
        try:
            values = dict(values)
            for name in {"mean", "std"} & values.keys():
                values[name] = tuple(float(value) for value in values[name])
            found = cls(**values)
            sizes = (found.image_size, found.joint_dim, found.word_dim, found.resize_px)
            if not isinstance(found.backbone, str) or not all(isinstance(size, int) and size > 0 for size in sizes):
                raise ValueError("the backbone must be a text and the sizes whole numbers above 0")
        except TypeError as error:
            raise ValueError(str(error)) from error
        if found.interpolation not in ("bilinear", "bicubic"):
            raise ValueError(f"interpolation {found.interpolation!r} is neither bilinear nor bicubic")
        if len(found.mean) != 3 or len(found.std) != 3 or min(found.std) <= 0:
            raise ValueError("mean and std must be three numbers each, std above 0")
        if found.resize_px < found.image_size:
            raise ValueError(f"resize_px {found.resize_px} is less than image_size {found.image_size}")
        return found

    @property
    def preprocessing(self) -> Preprocessing:
        """How the model wants its pictures when it is used."""
        return Preprocessing(
            self.image_size, "shortest", self.interpolation, self.mean, self.std, resize_px=self.resize_px
        )


class ImageTower(nn.Module):
    """A CNN without its classifier, and one linear layer into the joint space."""

    def __init__(self, config: VseConfig) -> None:
        """Makes the tower with random weights: the CNN as timm starts it, the linear layer Xavier-uniform.

        The backbone `photos` has no weights until some are loaded.

        Raises:
            InputError: timm has no such backbone.
        """
        super().__init__()
        self.backbone: Any
        if config.backbone == photos.NAME:
            self.backbone = EfficientNetLite(photos.PhotoShape.variant)
            del self.backbone.classifier
            width = LITE_FEATURES
        elif timm.is_model(config.backbone):
            self.backbone = timm.create_model(config.backbone, pretrained=False, num_classes=0)
            width = self.backbone.head_hidden_size
        else:
            near = get_close_matches(config.backbone, timm.list_models(), n=3, cutoff=0.4)
            hint = f"did you mean {', '.join(near)}?" if near else "timm.list_models() lists them"
            raise InputError(f"unknown backbone {config.backbone!r}: {hint}")
        self.absolute = config.absolute
        self.fc = nn.Linear(width, config.joint_dim)
        nn.init.xavier_uniform_(self.fc.weight)
        nn.init.zeros_(self.fc.bias)

    def features(self, images: Tensor) -> Tensor:
        """The pooled features of the CNN, (n, width) float32, of any length.

        Args:
            images: (n, 3, image_size, image_size) float32, with the mean and std of the configuration
                already applied.
        """
        features: Tensor = self.backbone(images)
        return features

    def project(self, features: Tensor) -> Tensor:
        """Features (n, width) to vectors (n, joint_dim) of length 1: L2, linear, L2."""
        joint = F.normalize(self.fc(F.normalize(features, dim=1)), dim=1)
        return joint.abs() if self.absolute else joint

    def forward(self, images: Tensor) -> Tensor:
        """Images, as `features` takes them, to vectors (n, joint_dim) of length 1."""
        return self.project(self.features(images))


class TextTower(nn.Module):
    """Word embeddings and a one-layer GRU, whose last state is the vector."""

    def __init__(self, vocab_size: int, word_dim: int, joint_dim: int, absolute: bool = False) -> None:
        """Makes the tower with random weights: the embedding uniform in (-0.1, 0.1), the GRU as torch starts it."""
        super().__init__()
        self.embed = nn.Embedding(vocab_size, word_dim)
        self.rnn = nn.GRU(word_dim, joint_dim, num_layers=1, batch_first=True)
        self.absolute = absolute
        nn.init.uniform_(self.embed.weight, -0.1, 0.1)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Texts to vectors (n, joint_dim) of length 1, each the GRU's state after the text's last word.

        Args:
            ids: (n, length) int64, padded with 0.
            lengths: (n,) int64, in any order, each from 1 to `length`.

        Returns:
            Rows in the order of `ids`; they depend neither on one another nor on the padding.
        """
        packed = pack_padded_sequence(self.embed(ids), lengths.cpu(), batch_first=True, enforce_sorted=False)
        _, last = self.rnn(packed)
        joint = F.normalize(last[0], dim=1)
        return joint.abs() if self.absolute else joint


class VseModel(NamedTuple):
    """A whole VSE++ model."""

    config: VseConfig
    vocabulary: Vocabulary
    image_tower: ImageTower
    text_tower: TextTower


def new_model(config: VseConfig, vocabulary: Vocabulary) -> VseModel:
    """An untrained model; torch's generator decides its weights."""
    text_tower = TextTower(len(vocabulary), config.word_dim, config.joint_dim, config.absolute)
    return VseModel(config, vocabulary, ImageTower(config), text_tower)


def save_folder(
    folder: Path,
    config: VseConfig,
    vocabulary: Vocabulary,
    image_tower: ImageTower,
    text_tower: TextTower,
    half: bool,
) -> None:
    """Writes a model as `vse_config.json`, `vocab.json` and `model.safetensors`.

    The files are written beside their places first and then renamed, so a model that is there already stays
    whole when writing fails. Other files of the folder are left alone.

    Args:
        folder: Made if it isn't there.
        config: The configuration of both towers.
        vocabulary: The words of the text tower.
        image_tower: Its weights get the keys `image.*`.
        text_tower: Its weights get the keys `text.*`.
        half: Keep the weights in 16 bits, not 32.

    Raises:
        ValueError: A weight is not finite, or not in 16 bits.
    """
    state = {f"image.{k}": v for k, v in image_tower.state_dict().items()}
    state |= {f"text.{k}": v for k, v in text_tower.state_dict().items()}
    dtype = torch.float16 if half else torch.float32
    state = {k: v.detach().cpu().to(dtype if v.is_floating_point() else v.dtype) for k, v in state.items()}
    broken = [k for k, v in state.items() if not v.isfinite().all()]
    if broken:
        raise ValueError(f"weights that are not finite in {dtype}: {', '.join(broken[:3])}")
    folder.mkdir(parents=True, exist_ok=True)
    with (
        atomic_path(folder / CONFIG_NAME) as config_path,
        atomic_path(folder / VOCABULARY_NAME) as vocabulary_path,
        atomic_path(folder / WEIGHTS_NAME) as weights_path,
    ):
        config_path.write_text(json.dumps(config.to_dict(), indent=2) + "\n", "utf8")
        vocabulary.save(vocabulary_path)
        save_file({k: v.contiguous() for k, v in state.items()}, weights_path)


def read_config(folder: Path) -> VseConfig:
    """The configuration of a folder.

    Raises:
        InputError: A file of the folder is missing, or the configuration damaged.
    """
    missing = [name for name in (CONFIG_NAME, VOCABULARY_NAME, WEIGHTS_NAME) if not (folder / name).is_file()]
    if missing:
        raise InputError(f"{folder} is no folder of a VSE++ model: {' and '.join(missing)} missing")
    try:
        values = json.loads((folder / CONFIG_NAME).read_text("utf8"))
        if not isinstance(values, dict):
            raise ValueError("it is no JSON object")
        return VseConfig.from_dict(values)
    except (ValueError, OSError, RecursionError) as error:
        raise InputError(f"{folder / CONFIG_NAME} {read_failure(error, folder / CONFIG_NAME)}") from error


def load_folder(folder: Path) -> VseModel:
    """The model of a folder, float32 on the CPU, in evaluation mode.

    Raises:
        InputError: A file is missing, damaged, or doesn't fit the others.
    """
    config = read_config(folder)
    with unfilled():
        model = new_model(config, Vocabulary.load(folder / VOCABULARY_NAME))
    path = folder / WEIGHTS_NAME
    try:
        state = load_file(path)
        for tower, prefix in ((model.image_tower, "image."), (model.text_tower, "text.")):
            part = {k.removeprefix(prefix): state.pop(k) for k in list(state) if k.startswith(prefix)}
            tower.load_state_dict(part)
            tower.eval()
        if state:
            raise RuntimeError(f"unknown keys {', '.join(sorted(state)[:3])}")
    except (RuntimeError, OSError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"the weights {path} don't fit {CONFIG_NAME} and {VOCABULARY_NAME}: {reason}") from error
    return model
