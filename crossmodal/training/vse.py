"""Trains VSE++ on captioned images.

Source: Faghri, Fleet, Kiros, Fidler 2017, arXiv 1707.05612, section 4.1: Adam with 2e-4, divided by 10 every 15 epochs,
30 epochs, batches of 128, gradients clipped at 2; first with a frozen CNN, then end to end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from crossmodal.encoders.torchvision_guard import prepare_torchvision

prepare_torchvision()

import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from crossmodal.core.errors import InputError, StateError  # noqa: E402
from crossmodal.encoders import photos  # noqa: E402
from crossmodal.encoders.photo_model import load_folder as load_photos  # noqa: E402
from crossmodal.encoders.vocabulary import Vocabulary  # noqa: E402
from crossmodal.encoders.vse_config import VseConfig  # noqa: E402
from crossmodal.encoders.vse_towers import VseModel, load_folder, new_model, save_folder  # noqa: E402
from crossmodal.training.device import Device  # noqa: E402
from crossmodal.training.loop import Schedule  # noqa: E402
from crossmodal.training.losses import contrastive, hinge  # noqa: E402
from crossmodal.training.pairs import Augmentation, CaptionsPerEpoch  # noqa: E402
from crossmodal.training.scene_batches import PictureBatch  # noqa: E402
from crossmodal.training.seeing import teach  # noqa: E402

Loss = Literal["max-of-hinges", "sum-of-hinges", "contrastive"]


@dataclass(frozen=True)
class VseTraining:
    """Settings of a run; they are saved beside its weights. The defaults are the paper's.

    `backbone` is the name of a timm model, which starts from random weights, or `photos`, the image tower of the
    bundled photos weights. `train_cnn_from` is the first epoch that trains the CNN; use 0 for random weights. If no
    epoch does, features are computed once for each image and its mirror image, without augmentation. The loss
    `contrastive` is not from the paper: it uses all negatives of a batch, which training from scratch needs;
    `temperature` applies to it alone. On scenes, `n_scenes` are drawn, and `seeing_steps` pretrain the CNN before the
    first epoch.
    """

    backbone: str = "resnet152"
    image_size: int = 224
    joint_dim: int = 1024
    word_dim: int = 300
    min_count: int = 4
    loss: Loss = "max-of-hinges"
    margin: float = 0.2
    temperature: float = 0.05
    word_dropout: float = 0.0
    epochs: int = 30
    batch_size: int = 128
    captions: CaptionsPerEpoch = "all"
    augmentation: Augmentation = "light"
    learning_rate: float = 2e-4
    decay_every: int = 15
    train_cnn_from: int = 0
    n_scenes: int = 30_000
    seeing_steps: int = 0
    weight_decay: float = 0.0
    patience: int = 0
    seed: int = 0

    @property
    def schedule(self) -> Schedule:
        """The settings of the training loop."""
        return Schedule(self.epochs, self.batch_size, self.captions, 2.0, self.patience, self.seed)

    @property
    def is_frozen(self) -> bool:
        """Whether the CNN is never trained."""
        return self.train_cnn_from >= self.epochs

    @property
    def config(self) -> VseConfig:
        """The configuration of the model."""
        if self.backbone == photos.NAME:
            preprocessing = photos.read_shape(photos.BUNDLED_FOLDER).preprocessing
            return VseConfig(
                self.backbone, self.image_size, self.joint_dim, self.word_dim, preprocessing.mean,
                preprocessing.std, resize_px=self.image_size, interpolation="bicubic",
            )  # fmt: skip
        # Scenes are square and not cropped. Photographs are resized to 256 for a crop of 224, as in the paper.
        resize_px = self.image_size if self.seeing_steps else self.image_size * 8 // 7
        return VseConfig(self.backbone, self.image_size, self.joint_dim, self.word_dim, resize_px=resize_px)


VSE_ON_SCENES = VseTraining(
    backbone="resnet10t", image_size=96, joint_dim=512, min_count=1, loss="contrastive", epochs=20, decay_every=14,
    learning_rate=1e-3, batch_size=256, n_scenes=40_000, seeing_steps=600,
)  # fmt: skip
"""The recipe of the bundled model: small enough for the repository, trained from scratch with a pretrained CNN."""

VSE_ON_PHOTOS = VseTraining(
    backbone=photos.NAME, joint_dim=512, min_count=2, loss="contrastive", temperature=0.07, epochs=4, decay_every=3,
    learning_rate=1.5e-3, batch_size=256, weight_decay=0.1, word_dropout=0.15, train_cnn_from=1000,
)  # fmt: skip
"""The recipe on the image tower of the photos weights, frozen unless `train_cnn_from` is less than `epochs`."""


class VseLearner:
    """Both towers, their optimiser and their loss."""

    def __init__(self, settings: VseTraining, model: VseModel, device: Device) -> None:
        self._settings, self._model, self._device = settings, model, device
        self.preprocessing = model.config.preprocessing
        self.module = torch.nn.ModuleList([model.image_tower, model.text_tower])
        self.module.to(device.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.AdamW(
            self.module.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self._dropout = torch.Generator()

    @classmethod
    def start(cls, settings: VseTraining, captions: Sequence[str], weights: str | None, device: Device) -> VseLearner:
        """A learner with the weights of a folder, or with new weights and a vocabulary from `captions`.

        Raises:
            InputError: The backbone is unknown, no word is frequent enough, or the folder has another model.
        """
        if weights is not None:
            return cls(settings, load_folder(Path(weights)), device)
        vocabulary = Vocabulary.build(captions, settings.min_count)
        if len(vocabulary) <= 4:
            raise InputError(
                f"no word occurs {settings.min_count} times in the train split's captions: "
                "choose a lower min_count or more captions"
            )
        torch.manual_seed(settings.seed)
        model = new_model(settings.config, vocabulary)
        if settings.backbone == photos.NAME:
            pretrained = load_photos(photos.BUNDLED_FOLDER).image_tower.state_dict()
            model.image_tower.backbone.load_state_dict(
                {name: value for name, value in pretrained.items() if not name.startswith("classifier.")}
            )
        return cls(settings, model, device)

    def settings(self) -> dict[str, Any]:
        """The settings of the run and the configuration of the model, JSON-ready."""
        return {**asdict(self._settings), "config": self._model.config.to_dict()}

    def begin_epoch(self, epoch: int) -> None:
        """Freezes the CNN before `train_cnn_from` and sets the learning rate."""
        settings = self._settings
        backbone = self._model.image_tower.backbone
        is_trained = epoch >= settings.train_cnn_from
        backbone.requires_grad_(is_trained)
        if not is_trained:
            backbone.eval()  # keeps the batch statistics
        self._dropout.manual_seed(settings.seed * 100_003 + epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * 0.1 ** (epoch // settings.decay_every)

    def begin_step(self, done: float) -> None:
        """Does nothing: the learning rate changes per epoch."""

    def loss(self, pixels: Tensor, captions: list[str]) -> Tensor:
        """The loss of a batch, (n, 3, side, side) uint8 and n captions."""
        settings = self._settings
        ids, lengths = self._ids(captions)
        if settings.word_dropout:
            dropped = torch.rand(ids.shape, generator=self._dropout) < settings.word_dropout
            ids = ids.masked_fill(dropped & (ids > 3), 3)
        image = self.encode_images(pixels)
        # With a frozen CNN the GRU takes nearly all of the time, and autocast more than halves it.
        with self._device.autocast() if settings.is_frozen else nullcontext():
            text = self._model.text_tower(ids.to(self._device.device), lengths)
        scores = text.float() @ image.float().T
        if settings.loss == "contrastive":
            return contrastive(scores / settings.temperature)
        return hinge(scores, settings.margin, hardest=settings.loss == "max-of-hinges")

    def see(self, batch: Callable[[int], PictureBatch], report: Callable[[str], None]) -> None:
        """Pretrains the CNN on scenes for `seeing_steps`.

        Raises:
            InputError: The CNN is that of the photos weights, which is already trained.
        """
        if self._settings.seeing_steps:
            if self._settings.backbone == photos.NAME:
                raise InputError("backbone=photos is pretrained on photographs, not on scenes: remove it")
            cnn: Any = self._model.image_tower.backbone

            def features(pictures: PictureBatch) -> Tensor:
                images = self._device.normalised(pictures.images, self.preprocessing)
                with self._device.autocast():
                    feature_map: Tensor = cnn.forward_features(images)
                return feature_map

            teach(features, cnn, batch, self._settings.seeing_steps, report)

    def encode_images(self, pixels: Tensor) -> Tensor:
        """(n, 3, side, side) uint8, or their features (n, width), to unit vectors (n, joint_dim)."""
        features = self.features(pixels) if pixels.dim() == 4 else pixels.to(self._device.device)
        return self._model.image_tower.project(features)

    def features(self, pixels: Tensor) -> Tensor:
        """(n, 3, side, side) uint8 to the CNN's features (n, width) float32."""
        images = self._device.normalised(pixels, self.preprocessing)
        with self._device.autocast():
            return self._model.image_tower.features(images).float()

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Texts to unit vectors (n, joint_dim), in order."""
        ids, lengths = self._ids(texts)
        vectors: Tensor = self._model.text_tower(ids.to(self._device.device), lengths)
        return vectors

    def _ids(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        ids, lengths = self._model.vocabulary.encode_batch(texts)
        return torch.from_numpy(ids), torch.from_numpy(lengths)

    def export(self, folder: Path) -> None:
        """Writes the folder that `-m vse --weights FOLDER` loads, in float16."""
        model = self._model
        try:
            save_folder(folder, model.config, model.vocabulary, model.image_tower, model.text_tower, half=True)
        except ValueError as error:
            raise StateError(f"the weights can't be saved: {error}") from error
