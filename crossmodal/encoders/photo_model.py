"""The model of the `photos` weights: two towers, a shared space of three parts, and the file format.

The vector of an image concatenates, with fixed weights:

- a part trained on captions;
- the mean of the text vectors of ImageNet's thousand classes, weighted by the probability of each class (ConSE), which
  covers concepts that the training captions don't mention;
- the features reduced to fewer dimensions, for search by image.

The vector of a text has the first two parts, with a ratio that the model predicts from the text, and zeros in the
third.

Source: Norouzi et al. 2014 (ConSE), arXiv 1312.5650, equation 4.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from crossmodal.core.errors import InputError, StateError
from crossmodal.core.files import atomic_path
from crossmodal.encoders.lite_shape import LITE_FEATURES
from crossmodal.encoders.photo_towers import (
    BertLayer,
    EfficientNetLite,
    Head,
    MiniLM,
    mean_of_tokens,
    run_layers,
)
from crossmodal.encoders.photos import (
    CAPTION_GAIN,
    CONFIG_NAME,
    GATE_GAIN,
    LEAST_SHARE,
    SCALE_SUFFIX,
    VOCABULARY_NAME,
    WEIGHTS_NAME,
    PhotoShape,
    StoredWeights,
    TextShape,
    read_shape,
)
from crossmodal.encoders.weights import save_tensors, unfilled

LARGE = 100_000
"""Matrices of the text tower and the heads with at least this many elements are stored in 8 bits."""


class PhotoModel(nn.Module):
    """Both towers with their heads; the module docstring describes the parts of a vector."""

    def __init__(self, shape: PhotoShape, dropout: float = 0.0):
        """`dropout` applies to the heads, in training only."""
        super().__init__()
        self.shape = shape
        text = TextShape(vocab_size=shape.vocab_size)
        self.image_tower = EfficientNetLite(shape.variant)
        self.text_tower = MiniLM(text)
        self.branch = nn.ModuleList(BertLayer(text) for _ in range(text.layers - shape.branch_from))
        self.image_head = Head(LITE_FEATURES, shape.hidden, shape.trained_dim, dropout=dropout)
        self.text_head = Head(text.width, shape.hidden, shape.trained_dim, dropout=dropout)
        self.gate = nn.Linear(text.width, 1)
        self.class_vectors = nn.Parameter(torch.empty(1000, shape.class_dim), requires_grad=False)
        self.class_projection = nn.Linear(text.width, shape.class_dim)
        self.feature_projection = nn.Linear(LITE_FEATURES, shape.feature_dim)
        self.logit_scale = nn.Parameter(torch.empty(()))

    def image_vectors(self, features: Tensor) -> Tensor:
        """The image tower's features (n, 1280) to unit vectors (n, dim)."""
        logits = self.image_tower.classifier(features) / self.shape.class_temperature
        parts = (
            self.image_head(features),
            logits.softmax(-1) @ self.class_vectors,
            self.feature_projection(features),
        )
        weighted = zip(self.shape.image_parts, parts, strict=True)
        return torch.cat([math.sqrt(share) * functional.normalize(part, dim=-1) for share, part in weighted], 1)

    def text_vectors(self, published: Tensor, trained: Tensor) -> Tensor:
        """Mean states of the published and of the trained layers, (n, 384) each, to unit vectors (n, dim)."""
        direction = functional.normalize(published, dim=-1)
        share = torch.sigmoid(self.gate(GATE_GAIN * direction))
        caption = functional.normalize(self.text_head(CAPTION_GAIN * functional.normalize(trained, dim=-1)), dim=-1)
        classes = functional.normalize(self.class_projection(direction), dim=-1)
        zeros = caption.new_zeros(len(caption), self.shape.feature_dim)
        return torch.cat([share.sqrt() * caption, (1 - share).clamp_min(LEAST_SHARE).sqrt() * classes, zeros], 1)

    def encode_image(self, images: Tensor) -> Tensor:
        """(n, 3, size_px, size_px), scaled as (x - 127) / 128, to vectors (n, dim)."""
        return self.image_vectors(self.image_tower(images))

    def encode_text(self, ids: Tensor) -> Tensor:
        """Token ids (n, length), 0 for padding, to vectors (n, dim)."""
        present, tower = ids != 0, self.text_tower
        shared = tower.run(tower.embed(ids), present, last=self.shape.branch_from)
        published = tower.run(shared, present, first=self.shape.branch_from)
        trained = run_layers(self.branch, shared, present)
        return self.text_vectors(mean_of_tokens(published, present), mean_of_tokens(trained, present))


def save_folder(model: PhotoModel, vocabulary: list[str], folder: Path) -> None:
    """Writes weights, configuration and vocabulary; existing weights are replaced atomically.

    The image tower is stored in 16 bits. Matrices of at least `LARGE` elements elsewhere are stored in 8 bits with a
    scale per row.

    Raises:
        StateError: A weight is not finite; nothing is written.
    """
    model.image_tower.fold()
    stored: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        value = value.detach().float()
        if not value.isfinite().all() or value.abs().max() > torch.finfo(torch.float16).max:
            raise StateError(f"the weights can't be saved: {name} is not finite in 16 bits")
        if value.dim() == 2 and value.numel() >= LARGE:
            scale = value.abs().amax(1, keepdim=True).clamp_min(1e-12) / 127
            stored[name] = (value / scale).round().to(torch.int8)
            stored[name + SCALE_SUFFIX] = scale
        else:
            stored[name] = value.half().contiguous()
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / WEIGHTS_NAME) as temporary:
        save_tensors(stored, temporary)
        (folder / VOCABULARY_NAME).write_text("\n".join(vocabulary) + "\n", "utf8")
        (folder / CONFIG_NAME).write_text(json.dumps(asdict(model.shape), indent=2) + "\n", "utf8")


def load_folder(folder: Path) -> PhotoModel:
    """The model in a folder of weights, float32, in evaluation mode.

    Raises:
        InputError: The files are damaged, or don't belong together.
    """
    shape = read_shape(folder)
    try:
        state = {name: torch.from_numpy(value) for name, value in StoredWeights(folder).items()}
        with torch.device("meta"), unfilled():  # random initialisation on "meta" would import torch's compiler
            model = PhotoModel(shape)
        model.load_state_dict(state, assign=True)
    except (RuntimeError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"the weights in {folder} could not be loaded into their architecture: {reason}") from error
    return model.eval()
