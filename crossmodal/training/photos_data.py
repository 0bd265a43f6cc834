"""Training data of the `photos` weights: images and texts encoded by the frozen layers of both towers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from crossmodal.core.errors import InputError, PictureError
from crossmodal.core.types import ImageRecord
from crossmodal.encoders.photo_model import PhotoModel
from crossmodal.encoders.photo_towers import EfficientNetLite, MiniLM
from crossmodal.encoders.photos import CONTEXT_LENGTH, PhotoShape
from crossmodal.encoders.wordpiece import WordPiece
from crossmodal.evaluation import recall
from crossmodal.evaluation.encoding import image_of_captions
from crossmodal.training.photos_batches import Texts
from crossmodal.training.photos_steps import back_features, text_vectors
from crossmodal.training.photos_texts import ClassWords, TextBank
from crossmodal.training.photos_views import Views, make_views
from crossmodal.training.trainer import Report

EVALUATION_BATCH = 100


@dataclass(frozen=True)
class DevSplit:
    """The split that selects the weights, encoded by the frozen layers."""

    views: Views
    bank: TextBank
    image_of: NDArray[np.int64]

    @torch.no_grad()
    def measure(self, model: PhotoModel) -> dict[str, Any]:
        """Recall in both directions, and rsum, of a model."""
        was_training = model.training
        model.eval()
        images = []
        for start in range(0, len(self.views.front), EVALUATION_BATCH):
            front = torch.from_numpy(np.array(self.views.front[start : start + EVALUATION_BATCH, 0])).float()
            images.append(model.image_vectors(back_features(model.image_tower, front)))
        texts = text_vectors(model, self.bank, range(len(self.image_of)))
        model.train(was_training)
        return recall.measure(torch.cat(images).numpy(), texts.numpy(), self.image_of)


@dataclass(frozen=True)
class PhotoData:
    """The train split with the class words, and the dev split."""

    views: Views
    texts: Texts
    bank: TextBank
    words: ClassWords
    dev: DevSplit

    @classmethod
    def make(
        cls,
        records: Sequence[ImageRecord],
        dev: Sequence[ImageRecord],
        shape: PhotoShape,
        towers: tuple[EfficientNetLite, MiniLM],
        vocabulary: Sequence[str],
        n_views: int,
        batch_size: int,
        seed: int,
        folder: Path,
        report: Report,
    ) -> PhotoData:
        """Encodes both splits, or reads them from an earlier run's caches in `folder`.

        Args:
            records: Captioned training images; those that can't be read are left out.
            dev: Captioned images that select the weights.
            shape: Sizes of the model.
            towers: Image and text tower; their frozen layers encode.
            vocabulary: The word pieces of the text tower.
            n_views: Views of each training image.
            batch_size: The least number of training images that must be readable.
            seed: Of the views.
            folder: The folder of the caches.
            report: Called with lines of progress.

        Raises:
            InputError: Fewer than `batch_size` training images can be read.
            PictureError: An image of `dev` can't be read; the message names it.
        """
        image_tower, text_tower = towers
        preprocessing = replace(shape.preprocessing, resize="squash")  # no crop: captions describe the whole image
        views = make_views(records, image_tower, preprocessing, n_views, seed, folder / "train-views", report)
        for failure in views.failures:
            report(f"left out: {failure.path}: {failure.reason}")
        check_batch_size(batch_size, len(views.records))
        dev_views = make_views(dev, image_tower, preprocessing, 1, seed, folder / "dev-views", report)
        for failure in dev_views.failures:
            raise PictureError(f"{failure.path}: {failure.reason}")
        tokenizer, words = WordPiece(vocabulary, CONTEXT_LENGTH), ClassWords.read()
        texts = Texts.of(views.records, words)
        cut = shape.branch_from
        bank = TextBank.make(texts.all, text_tower, tokenizer, cut, folder / "train-texts.npz", report)
        captions = [caption for record in dev for caption in record.captions]
        dev_bank = TextBank.make(captions, text_tower, tokenizer, cut, folder / "dev-texts.npz", report)
        return cls(views, texts, bank, words, DevSplit(dev_views, dev_bank, image_of_captions(dev)))


def check_batch_size(batch_size: int, n: int) -> None:
    """Checks that n images are at least a batch.

    Raises:
        InputError: They are fewer.
    """
    if n < batch_size:
        raise InputError(
            f"{n} pictures are fewer than a batch of {batch_size}: give a smaller one, "
            f"as in --set batch_size={max(2, n // 4)}"
        )
