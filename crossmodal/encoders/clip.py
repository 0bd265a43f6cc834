"""CLIP through open_clip: any architecture and tag it knows, a local checkpoint, or our own small one.

What a name of weights means:

    scenes                      the bundled small CLIP (crossmodal/encoders/bundled/clip-scenes)
    photos                      the bundled model of photographs (crossmodal/encoders/photos.py)
    ViT-B-32/laion2b_s34b_b79k  architecture and tag; downloaded on first use
    ViT-B-16-SigLIP             the architecture alone, where open_clip lists exactly one tag for it
    ViT-B-32/random             the architecture with untrained weights, always the same: to measure speed
    ViT-B-32/some/file.pt       architecture and a local checkpoint (.pt, .bin, .safetensors)
    some/folder                 a folder with open_clip_config.json and its weights, as the hub's cache has them

A local file and random weights are prepared for as most published weights of their architecture are.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crossmodal.core.errors import InputError
from crossmodal.core.types import MODALITIES, Modality, ModelSpec, Precision, Preprocessing, Vectors
from crossmodal.encoders import clip_tokens, photos, registry
from crossmodal.encoders.clip_names import (
    FILE_ENDINGS,
    architecture_config,
    pretrained_config,
    usual_preprocessing,
    with_tag,
)
from crossmodal.encoders.hub import FILE_NAMES, tokenizer_folder, weights_file
from crossmodal.encoders.pixels import channels_last
from crossmodal.encoders.reading import unread_part
from crossmodal.encoders.two_towers import TwoTowers
from crossmodal.encoders.weights import check_unchanged, sha256, unfilled, unit_rows

FAMILY = "clip"
BUNDLED_FOLDER = registry.bundled_folder(FAMILY, registry.SCENES)
CONFIG_NAME, WEIGHTS_NAME, MERGES_NAME = "open_clip_config.json", "open_clip_model.safetensors", "bpe.txt.gz"
RANDOM, RANDOM_SEED = "random", 0
TEXT_GROUP = 32
"""Texts that are encoded together: more lose time to padding, fewer to the work that each call has."""


def resolve(weights: str) -> ModelSpec:
    """The spec of a name of weights; see the module for what names there are.

    Raises:
        InputError: An unknown architecture or tag, or no such file.
        StateError: The weights have to be downloaded and can't be.
    """
    of_photos = photos.folder_of(weights)
    if of_photos:
        return photos.resolve(weights, of_photos)
    folder = BUNDLED_FOLDER if weights == "scenes" else Path(weights)
    if folder.is_dir():
        if folder != BUNDLED_FOLDER:
            weights = str(folder.resolve())
        config = _read_config(folder)
        return _spec(weights, sha256(_weights_in(folder)), config["model_cfg"], config["preprocess_cfg"])
    weights = with_tag(weights)
    architecture, _, tag = weights.partition("/")
    model_config = architecture_config(architecture)
    if tag == RANDOM:
        return _spec(weights, f"random-{RANDOM_SEED}", model_config, usual_preprocessing(architecture))
    if tag.endswith(FILE_ENDINGS):
        file = Path(tag).resolve()
        return _spec(f"{architecture}/{file}", sha256(file), model_config, usual_preprocessing(architecture))
    pretrained = pretrained_config(architecture, tag)
    file = weights_file(weights, pretrained)
    clip_tokens.check_tokenizer(architecture)
    return _spec(weights, sha256(file), model_config, pretrained)


def fetch(weights: str) -> list[Path]:
    """The files that weights by name need, downloaded where they are missing: the weights, the tokenizer's.

    Raises:
        InputError, StateError: As `resolve`.
    """
    if weights == "scenes":
        return [BUNDLED_FOLDER / name for name in (CONFIG_NAME, WEIGHTS_NAME, MERGES_NAME)]
    if weights == photos.NAME:
        return photos.files(photos.BUNDLED_FOLDER)
    weights = with_tag(weights)
    architecture, _, tag = weights.partition("/")
    architecture_config(architecture)
    files = [weights_file(weights, pretrained_config(architecture, tag))]
    repository = clip_tokens.hub_tokenizer(architecture)
    if repository:
        files += sorted(path for path in tokenizer_folder(weights, repository).iterdir() if path.is_file())
    return files


def load(
    spec: ModelSpec,
    towers: tuple[Modality, ...] = MODALITIES,
    threads: int | None = None,
    precision: Precision = "fp32",
) -> ClipEncoder | photos.PhotosEncoder:
    """The encoder of a spec made by `resolve`; see `FamilyModule.load`."""
    check_unchanged(spec, resolve(spec.weights).weights_hash)
    folder = photos.folder_of(spec.weights)
    encoder = photos.PhotosEncoder(spec, folder, towers, threads) if folder else ClipEncoder(spec, towers, threads)
    if precision == "bf16":
        encoder.use_bf16()
    return encoder


class ClipEncoder(TwoTowers):
    """A CLIP model on the CPU, in float32 unless `use_bf16` is called."""

    def __init__(self, spec: ModelSpec, towers: tuple[Modality, ...], threads: int | None) -> None:
        """Loads the weights of `spec` and keeps the towers named; `threads` is torch's, None for its own."""
        from crossmodal.encoders.torchvision_guard import prepare_torchvision

        prepare_torchvision()
        import torch

        if threads:
            torch.set_num_threads(threads)
        super().__init__(spec, build(spec.weights).eval())
        self.towers = towers
        self._model.visual = channels_last(self._model.visual) if "image" in towers else None
        if "text" in towers:
            self._tokenizer = tokenizer_of(spec.weights)
        else:
            _drop(self._model, "transformer", "token_embedding", "text")
        _drop(self._model, "text_decoder")  # CoCa's, which writes captions

    @property
    def logit_bias(self) -> float | None:
        """What a model trained with a sigmoid loss (SigLIP) adds to that, else None.

        sigmoid(logit_scale * cosine + logit_bias) is then the probability that a picture and a text belong
        together. Source: Zhai et al. 2023, arXiv 2303.15343, algorithm 1. It changes no order.
        """
        bias = getattr(self._model, "logit_bias", None)
        return None if bias is None else float(bias.detach())

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """As `Encoder.encode_texts`; a text longer than the context is cut at its end, as CLIP does."""
        if len(texts) == 0:
            return np.empty((0, self.spec.dim), np.float32)
        with self._torch.inference_mode():
            return unit_rows(encode_alike(self._model, self._tokenizer(list(texts)), TEXT_GROUP).float().numpy())

    def unread(self, text: str) -> str:
        """As `Encoder.unread`."""
        return unread_part(lambda part: self._tokenizer([part])[0].tolist(), text)


def _drop(model: Any, *names: str) -> None:
    for name in names:
        if hasattr(model, name):
            delattr(model, name)


def encode_tokens(model: Any, ids: Any) -> Any:
    """`model.encode_text(ids)`, with the columns after the last end token cut off where that is exact.

    A causal tower that pools at the end token never looks past it, so padding only costs time: 24 to 111
    texts a second at length 18 of 77 for ViT-B-32.
    """
    import torch
    from open_clip.model import CLIP

    causal = type(model) is CLIP and model.attn_mask is not None and model.text_pool_type == "argmax"
    if not causal:
        return model.encode_text(ids)
    ends = ids.argmax(dim=-1)
    length = int(ends.max()) + 1
    ids = ids[:, :length]
    dtype = model.transformer.get_cast_dtype()
    x = model.token_embedding(ids).to(dtype) + model.positional_embedding[:length].to(dtype)
    x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
    x = model.ln_final(x)[torch.arange(len(ids)), ends]
    projection = model.text_projection
    if projection is None:
        return x
    return projection(x) if isinstance(projection, torch.nn.Linear) else x @ projection


def encode_alike(model: Any, ids: Any, group_size: int) -> Any:
    """`encode_tokens(model, ids)` in groups of that size, of texts that are about as long: less of it is padding.

    The captions of toy data, 12 to 42 tokens long, are encoded 1.4 times as fast in groups of 32 as in ones of 128 as
    they come.
    """
    import torch

    if len(ids) <= group_size:
        return encode_tokens(model, ids)
    by_length = ids.argmax(dim=-1).argsort()
    parts = [encode_tokens(model, ids[group]) for group in by_length.split(group_size)]
    return torch.cat(parts)[by_length.argsort()]


def build(weights: str) -> Any:
    """The open_clip model with its weights, float32 on the CPU."""
    import open_clip
    import torch
    from safetensors import SafetensorError

    folder = BUNDLED_FOLDER if weights == "scenes" else Path(weights)
    architecture, _, tag = weights.partition("/")
    try:
        if folder.is_dir():
            with unfilled():
                return open_clip.create_model(f"local-dir:{folder}", precision="fp32", device="cpu")
        if tag == RANDOM:
            with torch.random.fork_rng():
                torch.manual_seed(RANDOM_SEED)
                return open_clip.create_model(
                    architecture, load_weights=False, pretrained_text=False, precision="fp32", device="cpu",
                    **clip_tokens.text_tower_options(architecture),
                )  # fmt: skip
        quick_gelu = False
        if tag.endswith(FILE_ENDINGS):
            file = Path(tag)
        else:
            pretrained = pretrained_config(architecture, tag)
            file, quick_gelu = weights_file(weights, pretrained), bool(pretrained.get("quick_gelu"))
        with unfilled():
            return open_clip.create_model(
                architecture, pretrained=str(file), precision="fp32", device="cpu", force_quick_gelu=quick_gelu,
                **clip_tokens.text_tower_options(architecture),
            )  # fmt: skip
    except (RuntimeError, KeyError, EOFError, OSError, ValueError, TypeError, AttributeError, AssertionError,
            StopIteration, pickle.UnpicklingError, SafetensorError) as error:  # fmt: skip
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"the weights {weights} could not be loaded into their architecture: {reason}") from error


def config_of(weights: str) -> dict[str, Any]:
    """open_clip's `model_cfg` of resolved weights."""
    folder = BUNDLED_FOLDER if weights == "scenes" else Path(weights)
    if folder.is_dir():
        return dict(_read_config(folder)["model_cfg"])
    return architecture_config(weights.partition("/")[0])


def merges_of(weights: str) -> Path | None:
    """The vocabulary of its own that a folder of weights has, or None."""
    merges = (BUNDLED_FOLDER if weights == "scenes" else Path(weights)) / MERGES_NAME
    return merges if merges.is_file() else None


def tokenizer_of(weights: str) -> Any:
    """open_clip's tokenizer of resolved weights, texts to ids (n, context length)."""
    from open_clip.tokenizer import SimpleTokenizer

    folder = BUNDLED_FOLDER if weights == "scenes" else Path(weights)
    if not folder.is_dir():
        return clip_tokens.tokenizer_for(weights.partition("/")[0])
    merges, text_config = folder / MERGES_NAME, _read_config(folder)["model_cfg"]["text_cfg"]
    if merges.exists():
        return SimpleTokenizer(bpe_path=str(merges), context_length=text_config["context_length"])
    return clip_tokens.tokenizer_in(folder, text_config)


def _read_config(folder: Path) -> dict[str, Any]:
    _weights_in(folder)
    if not (folder / CONFIG_NAME).exists():
        raise InputError(f"{folder} is no folder of weights: {CONFIG_NAME} missing")
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG_NAME).read_text("utf8"))
        config["model_cfg"]["vision_cfg"], config["model_cfg"]["embed_dim"], config["preprocess_cfg"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / CONFIG_NAME} is damaged: {error!r}") from error
    return config


def _weights_in(folder: Path) -> Path:
    for name in FILE_NAMES:
        if (folder / name).exists():
            return folder / name
    raise InputError(f"{folder} is no folder of weights: {WEIGHTS_NAME} missing")


def _spec(weights: str, weights_hash: str, model: dict[str, Any], preprocess: dict[str, Any]) -> ModelSpec:
    size = model["vision_cfg"].get("image_size", 224)
    wanted = Preprocessing(size_px=size if isinstance(size, int) else int(size[0]))
    preprocessing = Preprocessing(
        size_px=wanted.size_px,
        resize=preprocess.get("resize_mode", wanted.resize),
        interpolation=preprocess.get("interpolation", wanted.interpolation),
        mean=tuple(preprocess.get("mean", wanted.mean)),
        std=tuple(preprocess.get("std", wanted.std)),
        fill=preprocess.get("fill_color", wanted.fill),
    )
    return ModelSpec(FAMILY, weights, weights_hash, int(model["embed_dim"]), preprocessing)
