"""Writes a CLIP model as a folder that open_clip and this program load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from crossmodal.core.errors import StateError
from crossmodal.core.files import atomic_path
from crossmodal.core.types import Preprocessing
from crossmodal.encoders.clip_weights import CONFIG_NAME, WEIGHTS_NAME
from crossmodal.encoders.weights import save_tensors


def completed(config: dict[str, Any], vocab_size: int, **vision: int) -> dict[str, Any]:
    """A copy of `config` with the size of the vocabulary and with changed settings of the image tower."""
    return {
        **config,
        "vision_cfg": {**config["vision_cfg"], **vision},
        "text_cfg": {**config["text_cfg"], "vocab_size": vocab_size},
    }


def save_folder(model: torch.nn.Module, config: dict[str, Any], preprocessing: Preprocessing, folder: Path) -> None:
    """Writes float16 weights and the configuration in open_clip's `local-dir` layout, atomically.

    Args:
        model: The model whose state is written.
        config: open_clip's `model_cfg`.
        preprocessing: Written as `preprocess_cfg`.
        folder: An existing folder.

    Raises:
        StateError: A weight is not finite in float16; nothing is written.
    """
    state = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    half = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    broken = [name for name, value in half.items() if not name.endswith("attn_mask") and not value.isfinite().all()]
    if broken:
        raise StateError(f"the weights can't be saved, they are not finite in 16 bits: {', '.join(broken[:3])}")
    preprocess_config = {
        "mean": preprocessing.mean,
        "std": preprocessing.std,
        "interpolation": preprocessing.interpolation,
        "resize_mode": preprocessing.resize,
    }
    with atomic_path(folder / CONFIG_NAME) as config_path, atomic_path(folder / WEIGHTS_NAME) as weights_path:
        save_tensors(half, weights_path)
        content = json.dumps({"model_cfg": config, "preprocess_cfg": preprocess_config}, indent=2) + "\n"
        config_path.write_text(content, "utf8")
