"""Training images as features of a frozen image tower, computed once for each image and its mirror image."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from crossmodal.core.errors import PictureError
from crossmodal.core.types import Failure, ImageRecord, Pixels, Preprocessing
from crossmodal.images.decode import decode
from crossmodal.images.geometry import fit
from crossmodal.images.sources import of_record
from crossmodal.training.loop import REPORT_EVERY_S
from crossmodal.training.pairs import CaptionedPictures, CaptionsPerEpoch, Key, PairBatch

GROUP = 8
"""Images that the tower encodes together, each with its mirror image."""

Features = Callable[[Tensor], Tensor]
"""(n, 3, side, side) uint8 to (n, width) float32."""


class FrozenPictures:
    """A `PairSource` of frozen features; each draw of an image is mirrored with probability one half."""

    def __init__(
        self,
        records: Sequence[ImageRecord],
        preprocessing: Preprocessing,
        tower: Features,
        seed: int,
        report: Callable[[str], None],
    ) -> None:
        """Computes the features. Unreadable images are left out and listed as failures in every epoch."""
        features, self._failures = frozen_features(records, preprocessing, tower, report)
        self.features = torch.stack(list(features.values())) if features else torch.empty(0, 2, 0)
        self._pictures = CaptionedPictures([records[i] for i in features], preprocessing.size_px, seed)

    def __len__(self) -> int:
        return len(self.features)

    def batches(
        self, epoch: int, batch_size: int, captions: CaptionsPerEpoch, n_workers: int
    ) -> tuple[int, Iterable[PairBatch]]:
        """As `CaptionedPictures.batches`, with features (n, width) instead of pixels."""
        parts = self._pictures.parts(epoch, batch_size, captions)
        return len(parts), self._pair_batches(parts, np.random.default_rng([self._pictures.seed, epoch, 1]))

    def _pair_batches(self, parts: list[list[Key]], rng: np.random.Generator) -> Iterator[PairBatch]:
        for number, keys in enumerate(parts):
            pictures = torch.tensor([key.picture for key in keys])
            mirrored = torch.from_numpy(rng.integers(2, size=len(keys)))
            captions = [self._pictures.records[key.picture].captions[key.caption] for key in keys]
            yield PairBatch(self.features[pictures, mirrored], captions, [] if number else self._failures)


def dev_features(
    records: Sequence[ImageRecord], preprocessing: Preprocessing, tower: Features, report: Callable[[str], None]
) -> Tensor:
    """Features (n, width) of images, prepared as for inference.

    Raises:
        PictureError: An image can't be read; the message names it.
    """
    features, failures = frozen_features(records, preprocessing, tower, report)
    if failures:
        raise PictureError(f"{failures[0].path}: {failures[0].reason}")
    return torch.stack([both[0] for both in features.values()]) if features else torch.empty(0, 0)


def frozen_features(
    records: Sequence[ImageRecord], preprocessing: Preprocessing, tower: Features, report: Callable[[str], None]
) -> tuple[dict[int, Tensor], list[Failure]]:
    """Features (2, width) of images, prepared as for inference, and of their mirror images.

    Returns:
        The features by the index of the record, and the images that can't be read.
    """
    features: dict[int, Tensor] = {}
    failures: list[Failure] = []

    def read(group: range) -> dict[int, Pixels]:
        pixels: dict[int, Pixels] = {}
        for number in group:
            record = records[number]
            try:
                pixels[number] = fit(decode(of_record(record))[0], preprocessing)
            except PictureError as error:
                failures.append(Failure(str(record.path), str(error)))
        return pixels

    reported = time.monotonic()
    with ThreadPoolExecutor(1) as ahead, torch.inference_mode():
        groups = [range(at, min(at + GROUP, len(records))) for at in range(0, len(records), GROUP)]
        waiting = [ahead.submit(read, group) for group in groups[:2]]
        for place, group in enumerate(groups):
            pixels = waiting.pop(0).result()
            if place + 2 < len(groups):
                waiting.append(ahead.submit(read, groups[place + 2]))
            if pixels:
                images = torch.from_numpy(np.stack(list(pixels.values()))).permute(0, 3, 1, 2)
                both = tower(torch.cat([images, images.flip(3)])).float().cpu().view(2, len(pixels), -1)
                features |= dict(zip(pixels, both.unbind(1), strict=True))
            if time.monotonic() - reported > REPORT_EVERY_S:
                reported = time.monotonic()
                report(f"features of {group.stop} of {len(records)} pictures")
    return features, failures
