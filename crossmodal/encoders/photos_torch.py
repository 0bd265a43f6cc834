"""The `photos` encoder in torch: for training's checks and for other devices than the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crossmodal.core.types import Modality, ModelSpec, Vectors
from crossmodal.encoders.network_encoder import token_groups
from crossmodal.encoders.photos import CONTEXT_LENGTH, VOCABULARY_NAME
from crossmodal.encoders.pixels import channels_last
from crossmodal.encoders.reading import unread_part
from crossmodal.encoders.two_towers import TwoTowers
from crossmodal.encoders.weights import unit_rows
from crossmodal.encoders.wordpiece import WordPiece

IMAGE_GROUP = 4
"""Images per forward pass. The largest feature map takes 4.8 MB per image, and malloc maps blocks of more than 32 MB
anew each time: groups of eight take 1.4 times the processor time."""


class PhotosTorchEncoder(TwoTowers):
    """The `photos` model in torch on the CPU, in float32 unless `use_bf16` is called."""

    def __init__(self, spec: ModelSpec, folder: Path, towers: tuple[Modality, ...], threads: int | None) -> None:
        """Loads `towers` of the weights in `folder`; `threads` None keeps torch's default."""
        import torch

        from crossmodal.encoders.photo_model import load_folder

        if threads:
            torch.set_num_threads(threads)
        super().__init__(spec, load_folder(folder))
        self.towers = towers
        if "image" in towers:
            self._model.image_tower = channels_last(self._model.image_tower)
        else:
            del self._model.image_tower, self._model.image_head
        if "text" in towers:
            self._tokenizer = WordPiece.read(folder / VOCABULARY_NAME, CONTEXT_LENGTH)
        else:
            del self._model.text_tower, self._model.branch, self._model.text_head

    @property
    def logit_bias(self) -> float | None:
        """None: the model is trained with InfoNCE."""
        return None

    def _encoded(self, images: Any) -> Any:
        return self._torch.cat([self._model.encode_image(group) for group in images.split(IMAGE_GROUP)])

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """As `Encoder.encode_texts`; a text is truncated after 128 tokens."""
        vectors = np.empty((len(texts), self.spec.dim), np.float32)
        with self._torch.inference_mode():
            for places, ids in token_groups(self._tokenizer, texts):
                vectors[places] = self._model.encode_text(self._torch.from_numpy(ids)).float().numpy()
        return unit_rows(vectors)

    def unread(self, text: str) -> str:
        """As `Encoder.unread`."""
        return unread_part(self._tokenizer.encode, text)
