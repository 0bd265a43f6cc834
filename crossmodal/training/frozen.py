"""Pictures as the features of an image tower that does not learn: computed once, of each and of its mirror image."""

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
from crossmodal.training.pairs import CaptionedPictures, CaptionsAnEpoch, Key, PairBatch

GROUP = 8
"""Pictures that go through the tower together, each with its mirror image."""

Features = Callable[[Tensor], Tensor]
"""(n, 3, side, side) uint8 to (n, width) float32."""


class FrozenPictures:
    """Captioned pictures for training, each drawn as itself or as its mirror image."""

    def __init__(
        self,
        records: Sequence[ImageRecord],
        wanted: Preprocessing,
        tower: Features,
        seed: int,
        report: Callable[[str], None],
    ) -> None:
        """Computes the features; pictures that can't be read are left out, and named as failures of every epoch."""
        found, self._failures = frozen_features(records, wanted, tower, report)
        self.features = torch.stack(list(found.values())) if found else torch.empty(0, 2, 0)
        self._pictures = CaptionedPictures([records[i] for i in found], wanted.size_px, seed)

    def __len__(self) -> int:
        return len(self.features)

    def batches(
        self, epoch: int, batch_size: int, captions: CaptionsAnEpoch, n_workers: int
    ) -> tuple[int, Iterable[PairBatch]]:
        """As `CaptionedPictures.batches`, with features (n, width) for pixels."""
        parts = self._pictures.parts(epoch, batch_size, captions)
        return len(parts), self._made(parts, np.random.default_rng([self._pictures.seed, epoch, 1]))

    def _made(self, parts: list[list[Key]], chance: np.random.Generator) -> Iterator[PairBatch]:
        for number, keys in enumerate(parts):
            pictures = torch.tensor([key.picture for key in keys])
            mirrored = torch.from_numpy(chance.integers(2, size=len(keys)))
            captions = [self._pictures.records[key.picture].captions[key.caption] for key in keys]
            yield PairBatch(self.features[pictures, mirrored], captions, [] if number else self._failures)


def dev_features(
    records: Sequence[ImageRecord], wanted: Preprocessing, tower: Features, report: Callable[[str], None]
) -> Tensor:
    """Features (n, width) of pictures as the tower sees them when it is used.

    Raises:
        PictureError: One can't be read; the message names it.
    """
    found, failures = frozen_features(records, wanted, tower, report)
    if failures:
        raise PictureError(f"{failures[0].path}: {failures[0].reason}")
    return torch.stack([both[0] for both in found.values()]) if found else torch.empty(0, 0)


def frozen_features(
    records: Sequence[ImageRecord], wanted: Preprocessing, tower: Features, report: Callable[[str], None]
) -> tuple[dict[int, Tensor], list[Failure]]:
    """Features (2, width) of pictures as the tower sees them when it is used, and of their mirror images.

    Returns:
        The features by the number of the record, and what could not be read.
    """
    found: dict[int, Tensor] = {}
    failures: list[Failure] = []

    def read(group: range) -> dict[int, Pixels]:
        pixels: dict[int, Pixels] = {}
        for number in group:
            record = records[number]
            try:
                pixels[number] = fit(decode(of_record(record))[0], wanted)
            except PictureError as error:
                failures.append(Failure(str(record.path), str(error)))
        return pixels

    told = time.monotonic()
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
                found |= dict(zip(pixels, both.unbind(1), strict=True))
            if time.monotonic() - told > REPORT_EVERY_S:
                told = time.monotonic()
                report(f"features of {group.stop} of {len(records)} pictures")
    return found, failures
