"""Writes a CLIP model as a folder that open_clip and this program load."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from crossmodal.core.errors import StateError
from crossmodal.core.files import atomic_path
from crossmodal.core.types import Preprocessing
from crossmodal.encoders.clip_weights import CONFIG_NAME, WEIGHTS_NAME


def completed(config: dict[str, Any], vocab_size: int, **vision: int) -> dict[str, Any]:
    """A configuration with what a run decides: the number of tokens, and settings of its image tower."""
    return {
        **config,
        "vision_cfg": {**config["vision_cfg"], **vision},
        "text_cfg": {**config["text_cfg"], "vocab_size": vocab_size},
    }


def save_folder(model: torch.nn.Module, config: dict[str, Any], preprocessing: Preprocessing, folder: Path) -> None:
    """Writes weights in 16 bits and the configuration, in the layout open_clip calls `local-dir`; a file that is
    there stays whole until its successor is.

    Args:
        model: Its state is written.
        config: open_clip's `model_cfg`.
        preprocessing: What goes into `preprocess_cfg`.
        folder: The folder, which is there.

    Raises:
        StateError: A weight is not finite in 16 bits; nothing is written.
    """
    state = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    half = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    broken = [name for name, value in half.items() if not name.endswith("attn_mask") and not value.isfinite().all()]
    if broken:
        raise StateError(f"the weights can't be saved, they are not finite in 16 bits: {', '.join(broken[:3])}")
    told = {
        "mean": preprocessing.mean,
        "std": preprocessing.std,
        "interpolation": preprocessing.interpolation,
        "resize_mode": preprocessing.resize,
    }
    with atomic_path(folder / CONFIG_NAME) as config_path, atomic_path(folder / WEIGHTS_NAME) as weights_path:
        save_file({name: value.contiguous() for name, value in half.items()}, weights_path)
        os.chmod(weights_path, 0o644)
        content = json.dumps({"model_cfg": config, "preprocess_cfg": told}, indent=2) + "\n"
        config_path.write_text(content, "utf8")
