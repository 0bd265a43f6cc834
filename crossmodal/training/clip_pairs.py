"""Trains CLIP on captioned images: fine-tunes existing weights, or trains a small model from scratch."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crossmodal.encoders.torchvision_guard import prepare_torchvision

prepare_torchvision()

import torch  # noqa: E402
from open_clip.model import CLIP  # noqa: E402
from open_clip.tokenizer import SimpleTokenizer  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from crossmodal.core.types import Preprocessing  # noqa: E402
from crossmodal.encoders import clip, clip_text, clip_weights  # noqa: E402
from crossmodal.encoders.vocabulary import SPECIAL_WORDS, Vocabulary  # noqa: E402
from crossmodal.training.clip_folder import completed, save_folder  # noqa: E402
from crossmodal.training.device import Device  # noqa: E402
from crossmodal.training.loop import Schedule  # noqa: E402
from crossmodal.training.losses import contrastive  # noqa: E402
from crossmodal.training.merges import write_merges  # noqa: E402
from crossmodal.training.pairs import Augmentation, CaptionsPerEpoch  # noqa: E402

MAX_SCALE = 100.0
NOTHING = "nothing"
"""The value of `weights` that trains a small model from scratch."""

SMALL: dict[str, Any] = {
    "embed_dim": 256,
    "vision_cfg": {"layers": [1, 1, 1, 1], "head_width": 32},
    "text_cfg": {"context_length": 48, "width": 192, "heads": 6, "layers": 3},
}


@dataclass(frozen=True)
class ClipFineTuning:
    """Settings of a run; they are saved beside its weights.

    `learning_rate` None is 1e-3 from scratch and 1e-5 for existing weights. `image_size` and `width` (channels of the
    image tower's first convolutions) apply to a model trained from scratch.
    """

    weights: str = NOTHING
    image_size: int = 96
    width: int = 32
    epochs: int = 30
    batch_size: int = 128
    captions: CaptionsPerEpoch = "one"
    augmentation: Augmentation = "light"
    learning_rate: float | None = None
    warmup_share: float = 0.05
    weight_decay: float = 0.2
    word_dropout: float = 0.0
    min_count: int = 2
    patience: int = 0
    seed: int = 0

    @property
    def schedule(self) -> Schedule:
        """The settings of the training loop."""
        return Schedule(self.epochs, self.batch_size, self.captions, 1.0, self.patience, self.seed)


class ClipLearner:
    """A CLIP model, its tokenizer and its optimiser."""

    def __init__(
        self,
        settings: ClipFineTuning,
        model: Any,
        tokenizer: Any,
        config: dict[str, Any],
        preprocessing: Preprocessing,
        device: Device,
    ) -> None:
        self._settings, self._tokenizer, self._config, self._device = settings, tokenizer, config, device
        self.preprocessing = preprocessing
        self.module = model.to(device.device, memory_format=torch.channels_last)
        self._peak = settings.learning_rate or (1e-3 if settings.weights == NOTHING else 1e-5)
        matrices = [p for p in model.parameters() if p.ndim > 1]
        others = [p for p in model.parameters() if p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=self._peak,
            betas=(0.9, 0.98),
        )
        self._dropout = torch.Generator()

    @classmethod
    def start(cls, settings: ClipFineTuning, captions: Sequence[str], out: Path, device: Device) -> ClipLearner:
        """A learner with the weights of the settings, or with a new small model and a vocabulary from `captions`.

        Raises:
            InputError, StateError: As `encoders.clip.resolve`.
        """
        out.mkdir(parents=True, exist_ok=True)
        if settings.weights != NOTHING:
            spec = clip.resolve(settings.weights)
            model, tokenizer = clip_weights.build(spec.weights), clip_weights.tokenizer_of(spec.weights)
            if (merges := clip_weights.merges_of(spec.weights)) is not None:
                shutil.copyfile(merges, out / clip_weights.MERGES_NAME)
            return cls(settings, model, tokenizer, clip_weights.config_of(spec.weights), spec.preprocessing, device)
        words = sorted(Vocabulary.build(captions, settings.min_count).words[len(SPECIAL_WORDS) :])
        write_merges(words, out / clip_weights.MERGES_NAME)
        length = SMALL["text_cfg"]["context_length"]
        tokenizer = SimpleTokenizer(str(out / clip_weights.MERGES_NAME), context_length=length)
        config = completed(SMALL, tokenizer.vocab_size, image_size=settings.image_size, width=settings.width)
        torch.manual_seed(settings.seed)
        preprocessing = Preprocessing(settings.image_size)
        return cls(settings, CLIP(**config), tokenizer, config, preprocessing, device)

    def settings(self) -> dict[str, Any]:
        """The settings of the run, JSON-ready."""
        return asdict(self._settings)

    def begin_epoch(self, epoch: int) -> None:
        """Seeds the word dropout."""
        self._dropout.manual_seed(self._settings.seed * 100_003 + epoch)

    def begin_step(self, done: float) -> None:
        """Sets the learning rate: a linear warm-up times a cosine that falls to 0."""
        warm = min(1.0, (done + 1e-4) / self._settings.warmup_share)
        for group in self.optimizer.param_groups:
            group["lr"] = self._peak * warm * 0.5 * (1 + math.cos(math.pi * done))

    def loss(self, pixels: Tensor, captions: list[str]) -> Tensor:
        """The loss of a batch, (n, 3, side, side) uint8 and n captions."""
        if self._settings.word_dropout:
            captions = [self._drop_words(caption) for caption in captions]
        scores = self.encode_texts(captions).float() @ self.encode_images(pixels).float().T
        model = self.module
        return contrastive(scores * model.logit_scale.exp().clamp(max=MAX_SCALE))

    def _drop_words(self, caption: str) -> str:
        words = caption.split()
        kept = torch.rand(len(words), generator=self._dropout) >= self._settings.word_dropout
        return " ".join(word for word, is_kept in zip(words, kept.tolist(), strict=True) if is_kept) or caption

    def encode_images(self, pixels: Tensor) -> Tensor:
        """(n, 3, side, side) uint8 to (n, dim) of length 1."""
        images = self._device.normalised(pixels, self.preprocessing)
        with self._device.autocast():
            vectors: Tensor = self.module.encode_image(images)
        return F.normalize(vectors.float(), dim=-1)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Texts to (n, dim) of length 1, in order."""
        ids = self._tokenizer(list(texts)).to(self._device.device)
        with self._device.autocast():
            vectors: Tensor = clip_text.encode_tokens(self.module, ids)
        return F.normalize(vectors.float(), dim=-1)

    def export(self, folder: Path) -> None:
        """Writes the folder that `-m clip --weights FOLDER` loads, in float16."""
        save_folder(self.module, self._config, self.preprocessing, folder)
