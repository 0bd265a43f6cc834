"""CLIP encoders, built with open_clip: published weights, local checkpoints, and the bundled models.

Names of weights:

    scenes                      the bundled small CLIP (crossmodal/encoders/bundled/clip-scenes)
    photos                      the bundled model of photographs (crossmodal/encoders/photos.py)
    ViT-B-32/laion2b_s34b_b79k  an architecture and a tag; downloaded on first use
    ViT-B-16-SigLIP             an architecture for which open_clip lists exactly one tag
    ViT-B-32/random             an architecture with reproducible random weights, to measure speed
    ViT-B-32/some/file.pt       an architecture and a local checkpoint (.pt, .bin, .safetensors)
    some/folder                 a folder with open_clip_config.json and its weights, as in the hub's cache

For a local file and for random weights, images are preprocessed as for most published weights of the architecture.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.engine import TORCH, Engine
from crossmodal.core.protocols import Encoder
from crossmodal.core.types import MODALITIES, Modality, ModelSpec, Preprocessing, Vectors
from crossmodal.encoders import clip_tokens, photos
from crossmodal.encoders.clip_names import (
    FILE_ENDINGS,
    architecture_config,
    pretrained_config,
    usual_preprocessing,
    with_tag,
)
from crossmodal.encoders.clip_text import check_text_tower, encode_alike, is_causal
from crossmodal.encoders.clip_weights import (
    BUNDLED_FOLDER,
    CONFIG_NAME,
    MERGES_NAME,
    RANDOM,
    RANDOM_SEED,
    WEIGHTS_NAME,
    bpe_of,
    build,
    read_config,
    tokenizer_of,
    weights_in,
)
from crossmodal.encoders.hub import tokenizer_folder, weights_file
from crossmodal.encoders.pixels import channels_last
from crossmodal.encoders.reading import unread_part
from crossmodal.encoders.two_towers import TwoTowers
from crossmodal.encoders.weights import check_unchanged, sha256, unit_rows

if TYPE_CHECKING:
    from crossmodal.encoders.exportable import TorchTower
    from crossmodal.encoders.network_encoder import Tokens
    from crossmodal.encoders.photos_torch import PhotosTorchEncoder

FAMILY = "clip"
TEXT_GROUP = 32
"""Texts per batch: larger batches waste time on padding, smaller ones on the overhead of a call."""


def resolve(weights: str) -> ModelSpec:
    """The spec of a name of weights; the module docstring lists the names.

    Raises:
        InputError: The architecture, tag or file is unknown.
        StateError: The weights must be downloaded and can't be.
    """
    of_photos = photos.folder_of(weights)
    if of_photos:
        return photos.resolve(weights, of_photos)
    folder = BUNDLED_FOLDER if weights == "scenes" else Path(weights)
    if folder.is_dir():
        if folder != BUNDLED_FOLDER:
            weights = str(folder.resolve())
        config = read_config(folder)
        return _spec(weights, sha256(weights_in(folder)), config["model_cfg"], config["preprocess_cfg"])
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
    """The files of named weights and of their tokenizer, downloaded if missing.

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
    engine: Engine = TORCH,
) -> Encoder:
    """The encoder of a spec made by `resolve`; see `FamilyModule.load`."""
    check_unchanged(spec, resolve(spec.weights).weights_hash)
    folder = photos.folder_of(spec.weights)
    encoder: ClipEncoder | PhotosTorchEncoder
    if folder:
        from crossmodal.encoders.photos_torch import PhotosTorchEncoder

        encoder = PhotosTorchEncoder(spec, folder, towers, threads)
    else:
        encoder = ClipEncoder(spec, towers, threads)
    if engine.precision == "bf16":
        encoder.use_bf16()
    return encoder


def networks(spec: ModelSpec) -> dict[Modality, TorchTower]:
    """As `FamilyModule.networks`."""
    import torch

    from crossmodal.encoders.exportable import CausalText, TorchTower, WholeText, image_tower

    check_unchanged(spec, resolve(spec.weights).weights_hash)
    model = build(spec.weights).eval()
    check_text_tower(model)
    reader = tokens(spec)
    ids = torch.from_numpy(reader.padded([reader.encode(text) for text in ("a dog", "two cats")]))
    causal = is_causal(model)
    return {
        "image": image_tower(model.visual, model.encode_image, spec.preprocessing),
        "text": TorchTower(CausalText(model) if causal else WholeText(model), ids, is_fixed_length=not causal),
    }


def tokens(spec: ModelSpec) -> Tokens:
    """As `FamilyModule.tokens`."""
    return bpe_of(spec.weights) or WholeTokens(tokenizer_of(spec.weights))


class WholeTokens:
    """A tokenizer of open_clip, which pads each text to the context length."""

    def __init__(self, tokenizer: Any) -> None:
        """Stores a function from texts to ids (n, context length)."""
        self._tokenizer = tokenizer

    def encode(self, text: str) -> list[int]:
        """As `Tokens.encode`."""
        ids: list[int] = self._tokenizer([text])[0].tolist()
        return ids

    def padded(self, rows: Sequence[Sequence[int]]) -> NDArray[np.int64]:
        """As `Tokens.padded`."""
        return np.array(rows, np.int64)


class ClipEncoder(TwoTowers):
    """A CLIP model on the CPU, in float32 unless `use_bf16` is called."""

    def __init__(self, spec: ModelSpec, towers: tuple[Modality, ...], threads: int | None) -> None:
        """Loads `towers` of the weights of `spec`; `threads` None keeps torch's default."""
        from crossmodal.encoders.torchvision_guard import prepare_torchvision

        prepare_torchvision()
        import torch

        if threads:
            torch.set_num_threads(threads)
        super().__init__(spec, build(spec.weights).eval())
        self.towers = towers
        self._model.visual = channels_last(self._model.visual) if "image" in towers else None
        if "text" in towers:
            check_text_tower(self._model)
            self._tokenizer = tokenizer_of(spec.weights)
        else:
            _drop(self._model, "transformer", "token_embedding", "text")
        _drop(self._model, "text_decoder")  # CoCa's caption decoder

    @property
    def logit_bias(self) -> float | None:
        """The bias of a model trained with a sigmoid loss (SigLIP), else None.

        sigmoid(logit_scale * cosine + logit_bias) is the probability that image and text match. The bias does not
        affect the ranking.

        Source: Zhai et al. 2023, arXiv 2303.15343, algorithm 1.
        """
        bias = getattr(self._model, "logit_bias", None)
        return None if bias is None else float(bias.detach())

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """As `Encoder.encode_texts`; a text is truncated at the context length, as in CLIP."""
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


def _spec(weights: str, weights_hash: str, model: dict[str, Any], preprocess: dict[str, Any]) -> ModelSpec:
    size = model["vision_cfg"].get("image_size", 224)
    default = Preprocessing(size_px=size if isinstance(size, int) else int(size[0]))
    preprocessing = Preprocessing(
        size_px=default.size_px,
        resize=preprocess.get("resize_mode", default.resize),
        interpolation=preprocess.get("interpolation", default.interpolation),
        mean=tuple(preprocess.get("mean", default.mean)),
        std=tuple(preprocess.get("std", default.std)),
        fill=preprocess.get("fill_color", default.fill),
    )
    return ModelSpec(FAMILY, weights, weights_hash, int(model["embed_dim"]), preprocessing)
