"""The `photos` model before training: published towers, new heads, and the closed-form parts of its space."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from crossmodal.core.errors import InputError
from crossmodal.encoders.photo_model import PhotoModel
from crossmodal.encoders.photo_towers import EfficientNetLite, MiniLM
from crossmodal.encoders.photos import PhotoShape
from crossmodal.training.photos_batches import Texts
from crossmodal.training.photos_texts import TEMPLATES, ClassWords, TextBank

CLASS_TEMPLATE = TEMPLATES.index("a photo of a {}")
FIRST_SCALE = 25.0


@torch.no_grad()
def begin(
    shape: PhotoShape,
    image_tower: EfficientNetLite,
    text_tower: MiniLM,
    features: Tensor,
    texts: Texts,
    bank: TextBank,
    dropout: float,
) -> PhotoModel:
    """The model to train, with two parts of its space computed in closed form.

    The class part projects class vectors (minus their mean) and text vectors (minus the mean over the captions) onto
    the principal axes of the class vectors. The feature part projects features onto their principal axes over the
    training images, each divided by the square root of the standard deviation along it.

    Args:
        shape: Sizes.
        image_tower: As published.
        text_tower: As published.
        features: (n, n_views, 1280) of the training images.
        texts: The indices of captions and class words in the bank.
        bank: The texts encoded by the text tower.
        dropout: Of the heads.

    Raises:
        InputError: There are fewer images than the feature part has dimensions.
    """
    if len(features) < shape.feature_dim:
        raise InputError(
            f"{len(features)} pictures are too few to start from the packages, which takes {shape.feature_dim}: "
            "start from the bundled weights, without --set start=packages"
        )
    model = PhotoModel(shape, dropout)
    model.image_tower, model.text_tower = image_tower, text_tower
    model.branch = nn.ModuleList(copy.deepcopy(layer) for layer in text_tower.layers[shape.branch_from :])
    words = ClassWords.read()
    classes = words.vectors(bank.pooled[list(texts.class_text(CLASS_TEMPLATE, len(words.words)))])
    classes = classes - classes.mean(0)
    axes = torch.linalg.svd(classes, full_matrices=False).Vh[: shape.class_dim]
    model.class_vectors.copy_(classes @ axes.T)
    captions = [number for numbers in texts.captions for number in numbers]
    mean = functional.normalize(bank.pooled[captions], dim=-1).mean(0)
    model.class_projection.weight.copy_(axes)
    model.class_projection.bias.copy_(-axes @ mean)
    original = features[:, 0]  # view 0 is not augmented
    _, lengths, axes = torch.linalg.svd(original - original.mean(0), full_matrices=False)
    axes = (axes / (lengths / math.sqrt(len(original))).sqrt()[:, None])[: shape.feature_dim]
    model.feature_projection.weight.copy_(axes)
    model.feature_projection.bias.copy_(-axes @ original.mean(0))
    nn.init.zeros_(model.gate.weight)
    nn.init.zeros_(model.gate.bias)
    model.logit_scale.fill_(math.log(FIRST_SCALE))
    for part in (model.class_projection, model.feature_projection):
        part.requires_grad_(False)
    return model
