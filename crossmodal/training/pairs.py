"""Captioned pictures for training: decoded and augmented in worker processes, the same for the same seed.

A sample is named by (epoch, picture, caption), and whatever is random about it follows from that name and
the seed. So an epoch is the same whether the run came to it in one go or was resumed there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from crossmodal.encoders.torchvision_guard import prepare_torchvision

prepare_torchvision()

import torch  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.utils.data import DataLoader, Dataset  # noqa: E402
from torchvision.transforms import v2  # noqa: E402

from crossmodal.core.errors import PictureError  # noqa: E402
from crossmodal.core.types import Failure, ImageRecord, Pixels, Preprocessing  # noqa: E402
from crossmodal.images.decode import decode  # noqa: E402
from crossmodal.images.geometry import fit  # noqa: E402
from crossmodal.images.sources import of_record  # noqa: E402

CaptionsAnEpoch = Literal["one", "all"]
Augmentation = Literal["light", "strong"]


class Key(NamedTuple):
    """The name of a sample: which epoch, which picture, which of its captions."""

    epoch: int
    picture: int
    caption: int


@dataclass(frozen=True)
class PairBatch:
    """Pictures and one caption of each, and what could not be read."""

    pixels: Tensor  # (n, 3, side, side) uint8, or (n, width) float32: the features of a frozen tower
    captions: list[str]
    failures: list[Failure]


Sample = tuple[Pixels | Failure, str]


class CaptionedPictures(Dataset[Sample]):
    """Training crops of pictures: a random part of 60 % to 100 % of the area, mirrored half the time.

    Strong augmentation crops from 30 % on, and changes one more thing: a colour, the contrast, an angle. A model
    that starts from nothing on a few thousand pictures needs it.

    Source: Faghri et al. 2017 (VSE++), section 4.1: random crops and flips. Müller and Hutter 2021
    (TrivialAugment), section 3: the one thing more.
    """

    def __init__(
        self, records: Sequence[ImageRecord], size_px: int, seed: int, augmentation: Augmentation = "light"
    ) -> None:
        self.records, self.seed = records, seed
        least, more = (0.6, []) if augmentation == "light" else (0.3, [v2.TrivialAugmentWide()])
        crop = v2.RandomResizedCrop(size_px, scale=(least, 1.0), antialias=True)
        self._augment = v2.Compose([crop, v2.RandomHorizontalFlip(), *more])

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: Key) -> Sample:
        record = self.records[key.picture]
        caption = record.captions[key.caption]
        try:
            picture, _ = decode(of_record(record))
        except PictureError as error:
            return Failure(str(record.path), str(error)), caption
        with torch.random.fork_rng(devices=[]):
            # `torch.manual_seed` would seed the accelerators too, which takes longer here than to decode.
            torch.default_generator.manual_seed(int(np.random.default_rng([self.seed, *key]).integers(2**62)))
            return np.asarray(self._augment(picture), np.uint8), caption

    def batches(
        self, epoch: int, batch_size: int, captions: CaptionsAnEpoch, n_workers: int
    ) -> tuple[int, Iterable[PairBatch]]:
        """How many batches an epoch has, and the batches; an incomplete last one is left out unless it is all.

        Args:
            epoch: Its number.
            batch_size: Pairs a batch.
            captions: Each picture once with `one` of its captions, drawn anew, or once with each of `all` of them,
                in rounds: a picture twice in a batch would be a false negative of itself.
            n_workers: Processes that decode.
        """
        parts = self.parts(epoch, batch_size, captions)
        return len(parts), DataLoader(self, batch_sampler=parts, num_workers=n_workers, collate_fn=_batch)

    def parts(self, epoch: int, batch_size: int, captions: CaptionsAnEpoch) -> list[list[Key]]:
        """The samples of the batches of an epoch; see `batches`."""
        keys = self._keys(epoch, captions)
        n_batches = max(1, len(keys) // batch_size)
        return [keys[i * batch_size : (i + 1) * batch_size] for i in range(n_batches)]

    def _keys(self, epoch: int, captions: CaptionsAnEpoch) -> list[Key]:
        rng = np.random.default_rng([self.seed, epoch])
        n_captions = [len(record.captions) for record in self.records]
        if captions == "one":
            return [Key(epoch, i, int(rng.integers(n_captions[i]))) for i in rng.permutation(len(n_captions))]
        order = [rng.permutation(n) for n in n_captions]
        rounds = (rng.permutation([i for i, n in enumerate(n_captions) if n > k]) for k in range(max(n_captions)))
        return [Key(epoch, int(i), int(order[i][k])) for k, pictures in enumerate(rounds) for i in pictures]


def _batch(samples: list[Sample]) -> PairBatch:
    read = [(found, caption) for found, caption in samples if not isinstance(found, Failure)]
    stacked = np.stack([pixels for pixels, _ in read]) if read else np.empty((0, 1, 1, 3), np.uint8)
    return PairBatch(
        pixels=torch.from_numpy(stacked).permute(0, 3, 1, 2),
        captions=[caption for _, caption in read],
        failures=[found for found, _ in samples if isinstance(found, Failure)],
    )


def evaluation_pixels(records: Sequence[ImageRecord], preprocessing: Preprocessing) -> Pixels:
    """(n, size, size, 3) uint8: the pictures as a model sees them when it is used.

    Raises:
        PictureError: One can't be read; the message names it.
    """
    pixels = []
    for record in records:
        try:
            pixels.append(fit(decode(of_record(record))[0], preprocessing))
        except PictureError as error:
            raise PictureError(f"{record.path}: {error}") from error
    return np.stack(pixels)
