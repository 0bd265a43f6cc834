"""The two towers of VSE++, and their folder.

Source: Faghri, Fleet, Kiros, Fidler 2017, "VSE++: Improving Visual-Semantic Embeddings with Hard Negatives",
arXiv 1707.05612, section 4.1.
"""

from __future__ import annotations

import json
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from crossmodal.core.files import atomic_path
from crossmodal.encoders.torchvision_guard import prepare_torchvision

prepare_torchvision()

import timm  # noqa: E402
import torch  # noqa: E402
from safetensors import SafetensorError  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402
from torch.nn.utils.rnn import pack_padded_sequence  # noqa: E402

from crossmodal.core.errors import InputError  # noqa: E402
from crossmodal.encoders import photos  # noqa: E402
from crossmodal.encoders.lite_shape import LITE_FEATURES  # noqa: E402
from crossmodal.encoders.photo_towers import EfficientNetLite  # noqa: E402
from crossmodal.encoders.vocabulary import Vocabulary  # noqa: E402
from crossmodal.encoders.vse_config import (  # noqa: E402
    CONFIG_NAME,
    VOCABULARY_NAME,
    WEIGHTS_NAME,
    VseConfig,
    read_config,
)
from crossmodal.encoders.weights import save_tensors, unfilled  # noqa: E402


class ImageTower(nn.Module):
    """A CNN without its classifier, and one linear layer into the joint space."""

    def __init__(self, config: VseConfig) -> None:
        """Builds the tower with random weights: the CNN as timm initialises it, the linear layer Xavier-uniform.

        The weights of the backbone `photos` are uninitialised and must be loaded.

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
        """The pooled features of the CNN, (n, width) float32, not normalised.

        Args:
            images: (n, 3, image_size, image_size) float32, normalised with the mean and std of the configuration.
        """
        features: Tensor = self.backbone(images)
        return features

    def project(self, features: Tensor) -> Tensor:
        """Features (n, width) to unit vectors (n, joint_dim): L2 normalisation, linear, L2 normalisation."""
        joint = F.normalize(self.fc(F.normalize(features, dim=1)), dim=1)
        return joint.abs() if self.absolute else joint

    def forward(self, images: Tensor) -> Tensor:
        """Images, as `features` takes them, to unit vectors (n, joint_dim)."""
        return self.project(self.features(images))


class TextTower(nn.Module):
    """Word embeddings and a one-layer GRU, whose last state is the vector."""

    def __init__(self, vocab_size: int, word_dim: int, joint_dim: int, absolute: bool = False) -> None:
        """Builds the tower with random weights: the embedding uniform in (-0.1, 0.1), the GRU with torch's default."""
        super().__init__()
        self.embed = nn.Embedding(vocab_size, word_dim)
        self.rnn = nn.GRU(word_dim, joint_dim, num_layers=1, batch_first=True)
        self.absolute = absolute
        nn.init.uniform_(self.embed.weight, -0.1, 0.1)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Texts to unit vectors (n, joint_dim): the GRU's state after the last word of each text.

        Args:
            ids: (n, length) int64, padded with 0.
            lengths: (n,) int64, in any order, each from 1 to `length`.

        Returns:
            Rows in the order of `ids`; a row depends neither on the other texts nor on the padding.
        """
        packed = pack_padded_sequence(self.embed(ids), lengths.cpu(), batch_first=True, enforce_sorted=False)
        _, last = self.rnn(packed)
        return self.joint(last[0])

    def joint(self, states: Tensor) -> Tensor:
        """States (n, joint_dim) of the GRU after the last words to unit vectors."""
        vectors = F.normalize(states, dim=1)
        return vectors.abs() if self.absolute else vectors


class VseModel(NamedTuple):
    """A VSE++ model with its configuration and vocabulary."""

    config: VseConfig
    vocabulary: Vocabulary
    image_tower: ImageTower
    text_tower: TextTower


def new_model(config: VseConfig, vocabulary: Vocabulary) -> VseModel:
    """An untrained model, initialised with torch's global generator."""
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

    Temporary files are written first and then renamed, so that an existing model is kept if writing fails. Other files
    in the folder are not changed.

    Args:
        folder: The folder, created if missing.
        config: The configuration of both towers.
        vocabulary: The words of the text tower.
        image_tower: Its weights get the keys `image.*`.
        text_tower: Its weights get the keys `text.*`.
        half: Whether to store the weights in 16 bits instead of 32.

    Raises:
        ValueError: A weight is not finite in the stored type.
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
        save_tensors(state, weights_path)


def load_folder(folder: Path) -> VseModel:
    """The model in a folder of weights, float32 on the CPU, in evaluation mode.

    Raises:
        InputError: A file is missing, damaged, or doesn't match the others.
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
