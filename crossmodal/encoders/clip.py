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
from functools import partial
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
from crossmodal.encoders.clip_text import check_text_tower, is_causal, text_vectors, without_padding
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
from crossmodal.encoders.torch_encoder import TorchEncoder
from crossmodal.encoders.weights import check_unchanged, sha256

if TYPE_CHECKING:
    from crossmodal.encoders.exportable import TorchTower
    from crossmodal.encoders.network_encoder import Tokens

FAMILY = "clip"
TEXT_GROUP = 32
"""Texts per batch on the CPU: larger batches waste time on padding, smaller ones on the overhead of a call."""


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
    if folder:
        from crossmodal.encoders.photos_torch import PhotosTorchEncoder

        return PhotosTorchEncoder(spec, folder, towers, threads, engine)
    return ClipEncoder(spec, towers, threads, engine)


def networks(spec: ModelSpec) -> dict[Modality, TorchTower]:
    """As `FamilyModule.networks`."""
    import torch

    from crossmodal.encoders.exportable import FromIds, TorchTower, image_tower

    check_unchanged(spec, resolve(spec.weights).weights_hash)
    model = build(spec.weights).eval()
    check_text_tower(model)
    reader = tokens(spec)
    ids = torch.from_numpy(reader.padded([reader.encode(text) for text in ("a dog", "two cats")]))
    text = FromIds(model, partial(text_vectors, model))
    return {
        "image": image_tower(model.visual, model.encode_image, spec.preprocessing),
        "text": TorchTower(text, ids, is_fixed_length=not is_causal(model)),
    }


def tokens(spec: ModelSpec) -> Tokens:
    """As `FamilyModule.tokens`."""
    return bpe_of(spec.weights) or WholeTokens(tokenizer_of(spec.weights))


class WholeTokens:
    """A tokenizer of open_clip, which pads each text to the context length."""

    def __init__(self, tokenizer: Any) -> None:
        """Stores a function from texts to ids (n, context length)."""
        self._tokenizer = tokenizer
        self.context_length = len(self.encode(""))

    def encode(self, text: str) -> list[int]:
        """As `Tokens.encode`."""
        ids: list[int] = self._tokenizer([text])[0].tolist()
        return ids

    def padded(self, rows: Sequence[Sequence[int]]) -> NDArray[np.int64]:
        """As `Tokens.padded`."""
        return np.array(rows, np.int64)


class ClipEncoder(TorchEncoder):
    """A CLIP model in torch."""

    def __init__(self, spec: ModelSpec, towers: tuple[Modality, ...], threads: int | None, engine: Engine) -> None:
        """Loads `towers` of the weights of `spec`; `threads` None keeps torch's default."""
        from crossmodal.encoders.torchvision_guard import prepare_torchvision

        prepare_torchvision()
        super().__init__(spec, towers, threads, engine)
        model = build(spec.weights).eval()
        model.visual = channels_last(model.visual) if "image" in towers else None
        if "text" in towers:
            check_text_tower(model)
            self._tokenizer = tokenizer_of(spec.weights)
        else:
            _drop(model, "transformer", "token_embedding", "text")
        _drop(model, "text_decoder")  # CoCa's caption decoder
        self._model = self._place(model)

    @property
    def logit_scale(self) -> float:
        """The learned inverse temperature, which multiplies a cosine."""
        return float(self._model.logit_scale.detach().exp())

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
        self._check_has("text")
        vectors = np.empty((len(texts), self.spec.dim), np.float32)
        if len(texts) == 0:
            return vectors
        tokens = self._tokenizer(list(texts))
        is_one_batch = len(texts) <= TEXT_GROUP
        order = np.arange(len(texts)) if is_one_batch else tokens.argmax(dim=-1).argsort().numpy()
        ids: NDArray[np.int64] = tokens.numpy()[order]

        def inputs(part: slice) -> tuple[NDArray[np.int64]]:
            return (without_padding(ids[part]) if is_causal(self._model) else ids[part],)

        vectors[order] = self._unit_vectors(self._text_vectors, len(ids), inputs, TEXT_GROUP)
        return vectors

    @property
    def image_module(self) -> Any:
        """As `TorchEncoder.image_module`."""
        return self._model.visual

    def image_vectors(self, images: Any) -> Any:
        """As `TorchEncoder.image_vectors`."""
        return self._model.encode_image(images)

    def _text_vectors(self, ids: Any) -> Any:
        return text_vectors(self._model, ids)

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
