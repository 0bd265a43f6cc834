"""The open_clip model, configuration and tokenizer of resolved CLIP weights."""

from __future__ import annotations

import json
import pickle
from inspect import signature
from pathlib import Path
from typing import Any

from crossmodal.core.errors import InputError
from crossmodal.encoders import clip_bpe, clip_tokens, registry
from crossmodal.encoders.clip_bpe import ClipBpe
from crossmodal.encoders.clip_names import FILE_ENDINGS, architecture_config, pretrained_config
from crossmodal.encoders.hub import FILE_NAMES, weights_file
from crossmodal.encoders.torchvision_guard import prepare_torchvision
from crossmodal.encoders.weights import check_tensors, unfilled

BUNDLED_FOLDER = registry.bundled_folder("clip", registry.SCENES)
CONFIG_NAME, WEIGHTS_NAME, MERGES_NAME = "open_clip_config.json", "open_clip_model.safetensors", "bpe.txt.gz"
RANDOM, RANDOM_SEED = "random", 0


def build(weights: str) -> Any:
    """The open_clip model with its weights, float32 on the CPU.

    Raises:
        InputError: The weights are damaged, or belong to another architecture.
    """
    import open_clip
    import torch

    folder = BUNDLED_FOLDER if weights == registry.SCENES else Path(weights)
    if folder.is_dir():
        _check_config(folder)
        return _loaded(weights, weights_in(folder), f"local-dir:{folder}")
    architecture, _, tag = weights.partition("/")
    options = clip_tokens.text_tower_options(architecture)
    if tag == RANDOM:
        with torch.random.fork_rng():
            torch.manual_seed(RANDOM_SEED)
            return open_clip.create_model(
                architecture, load_weights=False, pretrained_text=False, precision="fp32", device="cpu", **options
            )
    if tag.endswith(FILE_ENDINGS):
        return _loaded(weights, Path(tag), architecture, pretrained=tag, **options)
    pretrained = pretrained_config(architecture, tag)
    file, quick_gelu = weights_file(weights, pretrained), bool(pretrained.get("quick_gelu"))
    return _loaded(weights, file, architecture, pretrained=str(file), force_quick_gelu=quick_gelu, **options)


def _loaded(weights: str, file: Path, model_name: str, **options: Any) -> Any:
    """The model with the weights of a file.

    open_clip raises an `AssertionError` for tensors of other sizes. The file is checked first, so a `TypeError` or
    `AttributeError` would be a bug and is not caught.
    """
    import open_clip
    from safetensors import SafetensorError

    try:
        check_tensors(file)
        with unfilled():
            return open_clip.create_model(model_name, precision="fp32", device="cpu", **options)
    except (RuntimeError, KeyError, EOFError, OSError, ValueError, AssertionError, pickle.UnpicklingError,
            SafetensorError) as error:  # fmt: skip
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"the weights {weights} could not be loaded into their architecture: {reason}") from error


def _check_config(folder: Path) -> None:
    """Checks that open_clip knows all names in a configuration.

    Raises:
        InputError: Some are unknown; the message lists them.
    """
    from open_clip import CLIP, CoCa, CustomTextCLIP
    from open_clip.model import CLIPTextCfg, CLIPVisionCfg

    config = read_config(folder)["model_cfg"]
    of_models = {name for kind in (CLIP, CustomTextCLIP, CoCa) for name in signature(kind).parameters}
    for values, known in (
        (config, of_models | {"custom_text"}),
        (config["vision_cfg"], set(CLIPVisionCfg.__dataclass_fields__)),
        (config.get("text_cfg"), set(CLIPTextCfg.__dataclass_fields__)),
    ):
        if not isinstance(values, dict) or not set(values) <= known:
            unknown = sorted(set(values) - known) if isinstance(values, dict) else [repr(values)]
            raise InputError(f"{folder / CONFIG_NAME} has {', '.join(unknown)}, which open_clip does not know")


def config_of(weights: str) -> dict[str, Any]:
    """open_clip's `model_cfg` of resolved weights."""
    folder = BUNDLED_FOLDER if weights == "scenes" else Path(weights)
    if folder.is_dir():
        return dict(read_config(folder)["model_cfg"])
    return architecture_config(weights.partition("/")[0])


def merges_of(weights: str) -> Path | None:
    """The file with the byte-pair merges in a folder of weights, or None if it has none."""
    merges = (BUNDLED_FOLDER if weights == "scenes" else Path(weights)) / MERGES_NAME
    return merges if merges.is_file() else None


def bpe_of(weights: str) -> ClipBpe | None:
    """The tokenizer of resolved weights without torch, or None if `tokenizer_of` is the only one.

    Raises:
        InputError: The merges in a folder of weights are damaged.
    """
    return clip_bpe.bpe_of(config_of(weights)["text_cfg"], merges_of(weights))


def tokenizer_of(weights: str) -> Any:
    """open_clip's tokenizer of resolved weights, texts to ids (n, context length)."""
    prepare_torchvision()
    from open_clip.tokenizer import SimpleTokenizer

    folder = BUNDLED_FOLDER if weights == "scenes" else Path(weights)
    if not folder.is_dir():
        return clip_tokens.tokenizer_for(weights.partition("/")[0])
    merges, text_config = folder / MERGES_NAME, read_config(folder)["model_cfg"]["text_cfg"]
    if merges.exists():
        return SimpleTokenizer(bpe_path=str(merges), context_length=text_config["context_length"])
    return clip_tokens.tokenizer_in(folder, text_config)


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration of a folder of weights.

    Raises:
        InputError: The configuration is missing or damaged, or the weights are missing.
    """
    weights_in(folder)
    if not (folder / CONFIG_NAME).exists():
        raise InputError(f"{folder} is not a folder of CLIP weights: {CONFIG_NAME} is missing")
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG_NAME).read_text("utf8"))
        config["model_cfg"]["vision_cfg"], config["model_cfg"]["embed_dim"], config["preprocess_cfg"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / CONFIG_NAME} is damaged: {error!r}") from error
    return config


def weights_in(folder: Path) -> Path:
    """The file of weights in a folder.

    Raises:
        InputError: The folder has no weights.
    """
    for name in FILE_NAMES:
        if (folder / name).exists():
            return folder / name
    raise InputError(f"{folder} is not a folder of CLIP weights: {WEIGHTS_NAME} is missing")
