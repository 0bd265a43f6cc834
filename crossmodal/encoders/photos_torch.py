"""The `photos` encoder in torch: for training's checks and for other devices than the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.engine import TORCH, Engine
from crossmodal.core.types import Modality, ModelSpec, Vectors
from crossmodal.encoders.network_encoder import TEXT_GROUP
from crossmodal.encoders.photos import CONTEXT_LENGTH, VOCABULARY_NAME
from crossmodal.encoders.pixels import channels_last
from crossmodal.encoders.reading import unread_part
from crossmodal.encoders.torch_encoder import TorchEncoder
from crossmodal.encoders.wordpiece import WordPiece

IMAGE_GROUP = 4
"""Images per forward pass on the CPU. The largest feature map takes 4.8 MB per image, and malloc maps blocks of more
than 32 MB anew each time: groups of eight take 1.4 times the processor time."""


class PhotosTorchEncoder(TorchEncoder):
    """The `photos` model in torch."""

    image_group = IMAGE_GROUP

    def __init__(
        self,
        spec: ModelSpec,
        folder: Path,
        towers: tuple[Modality, ...],
        threads: int | None,
        engine: Engine = TORCH,
    ) -> None:
        """Loads `towers` of the weights in `folder`; `threads` None keeps torch's default."""
        from crossmodal.encoders.photo_model import load_folder

        super().__init__(spec, towers, threads, engine)
        model: Any = load_folder(folder)
        if "image" in towers:
            model.image_tower = channels_last(model.image_tower)
        else:
            del model.image_tower, model.image_head
        if "text" in towers:
            self._tokenizer = WordPiece.read(folder / VOCABULARY_NAME, CONTEXT_LENGTH)
        else:
            del model.text_tower, model.branch, model.text_head
        self._model = self._place(model)

    @property
    def logit_scale(self) -> float:
        """The learned inverse temperature, which multiplies a cosine."""
        return float(self._model.logit_scale.detach().exp())

    @property
    def logit_bias(self) -> float | None:
        """None: the model is trained with InfoNCE."""
        return None

    @property
    def image_module(self) -> Any:
        """As `TorchEncoder.image_module`."""
        return self._model.image_tower

    def image_vectors(self, images: Any) -> Any:
        """As `TorchEncoder.image_vectors`."""
        return self._model.encode_image(images)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """As `Encoder.encode_texts`; a text is truncated after 128 tokens."""
        self._check_has("text")
        rows = [self._tokenizer.encode(text) for text in texts]
        by_length = sorted(range(len(rows)), key=lambda place: len(rows[place]))

        def inputs(part: slice) -> tuple[NDArray[np.int64]]:
            return (self._tokenizer.padded([rows[place] for place in by_length[part]]),)

        vectors = np.empty((len(rows), self.spec.dim), np.float32)
        vectors[by_length] = self._unit_vectors(self._model.encode_text, len(rows), inputs, TEXT_GROUP)
        return vectors

    def unread(self, text: str) -> str:
        """As `Encoder.unread`."""
        return unread_part(self._tokenizer.encode, text)
