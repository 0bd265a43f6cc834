"""Captioned images for training, decoded and augmented in worker processes, reproducible by seed.

The augmentation of a sample depends on the seed and its key (epoch, image, caption) only, so a resumed run sees the
same samples as an uninterrupted one.
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

CaptionsPerEpoch = Literal["one", "all"]
Augmentation = Literal["light", "strong"]


class Key(NamedTuple):
    """The key of a sample: the epoch, the index of the image, and the index of the caption in its record."""

    epoch: int
    picture: int
    caption: int


@dataclass(frozen=True)
class PairBatch:
    """Images with one caption each, and the images that can't be read."""

    pixels: Tensor  # (n, 3, side, side) uint8, or (n, width) float32: the features of a frozen tower
    captions: list[str]
    failures: list[Failure]


Sample = tuple[Pixels | Failure, str]


class CaptionedPictures(Dataset[Sample]):
    """Random training crops of images, 60 % to 100 % of the area, mirrored with probability one half.

    Strong augmentation crops 30 % to 100 % and applies one further random operation to colour, contrast or geometry.
    Training from scratch on a few thousand images needs it.

    Source: Faghri et al. 2017 (VSE++), section 4.1: random crops and flips. Müller and Hutter 2021
    (TrivialAugment), section 3: the further operation.
    """

    def __init__(
        self, records: Sequence[ImageRecord], size_px: int, seed: int, augmentation: Augmentation = "light"
    ) -> None:
        self.records, self.seed = records, seed
        min_area, extra = (0.6, []) if augmentation == "light" else (0.3, [v2.TrivialAugmentWide()])
        crop = v2.RandomResizedCrop(size_px, scale=(min_area, 1.0), antialias=True)
        self._augment = v2.Compose([crop, v2.RandomHorizontalFlip(), *extra])

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
            # `torch.manual_seed` would also seed the accelerators, which takes longer than decoding.
            torch.default_generator.manual_seed(int(np.random.default_rng([self.seed, *key]).integers(2**62)))
            return np.asarray(self._augment(picture), np.uint8), caption

    def batches(
        self, epoch: int, batch_size: int, captions: CaptionsPerEpoch, n_workers: int
    ) -> tuple[int, Iterable[PairBatch]]:
        """The number of batches of an epoch, and the batches; drops an incomplete last batch if there are others.

        Args:
            epoch: Number of the epoch.
            batch_size: Pairs per batch.
            captions: `one` takes each image once with a random caption; `all` takes each image once per caption, in
                rounds, because an image twice in a batch would be a false negative of itself.
            n_workers: Processes that decode images.
        """
        parts = self.parts(epoch, batch_size, captions)
        return len(parts), DataLoader(self, batch_sampler=parts, num_workers=n_workers, collate_fn=_batch)

    def parts(self, epoch: int, batch_size: int, captions: CaptionsPerEpoch) -> list[list[Key]]:
        """The keys of the samples of each batch of an epoch; see `batches`."""
        keys = self._keys(epoch, captions)
        n_batches = max(1, len(keys) // batch_size)
        return [keys[i * batch_size : (i + 1) * batch_size] for i in range(n_batches)]

    def _keys(self, epoch: int, captions: CaptionsPerEpoch) -> list[Key]:
        rng = np.random.default_rng([self.seed, epoch])
        n_captions = [len(record.captions) for record in self.records]
        if captions == "one":
            return [Key(epoch, i, int(rng.integers(n_captions[i]))) for i in rng.permutation(len(n_captions))]
        order = [rng.permutation(n) for n in n_captions]
        rounds = (rng.permutation([i for i, n in enumerate(n_captions) if n > k]) for k in range(max(n_captions)))
        return [Key(epoch, int(i), int(order[i][k])) for k, pictures in enumerate(rounds) for i in pictures]


def _batch(samples: list[Sample]) -> PairBatch:
    read = [(pixels, caption) for pixels, caption in samples if not isinstance(pixels, Failure)]
    stacked = np.stack([pixels for pixels, _ in read]) if read else np.empty((0, 1, 1, 3), np.uint8)
    return PairBatch(
        pixels=torch.from_numpy(stacked).permute(0, 3, 1, 2),
        captions=[caption for _, caption in read],
        failures=[failure for failure, _ in samples if isinstance(failure, Failure)],
    )


def evaluation_pixels(records: Sequence[ImageRecord], preprocessing: Preprocessing) -> Pixels:
    """Pixels (n, size, size, 3) uint8 of images, prepared as for inference.

    Raises:
        PictureError: An image can't be read; the message names it.
    """
    pixels = []
    for record in records:
        try:
            pixels.append(fit(decode(of_record(record))[0], preprocessing))
        except PictureError as error:
            raise PictureError(f"{record.path}: {error}") from error
    return np.stack(pixels)
