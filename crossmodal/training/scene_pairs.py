"""Scenes as training pairs: images from the pool, with new captions every epoch."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from crossmodal.scenes import language
from crossmodal.scenes.world import Scene
from crossmodal.training.pairs import CaptionsPerEpoch, PairBatch
from crossmodal.training.scene_batches import PictureBatch, take_pictures


class ScenePairs(Dataset[PairBatch]):
    """A `PairSource` of scenes: each once per epoch, mirrored half the time, with a caption in a random style."""

    def __init__(self, pool: NDArray[np.uint8], scenes: list[Scene], seed: int) -> None:
        self.pool, self.scenes, self.seed = pool, scenes, seed

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, key: tuple[int, int, int]) -> PairBatch:
        """A batch; `key` is (epoch, number of the batch, batch size)."""
        epoch, number, batch_size = key
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.scenes))
        pictures, scenes = self._draw(order[number * batch_size : (number + 1) * batch_size], [epoch, number])
        words = Random(f"{self.seed}-{epoch}-{number}")
        captions = [language.caption(scene, words.randrange(language.CAPTION_STYLES), words) for scene in scenes]
        return PairBatch(pictures.images, captions, [])

    def batches(
        self, epoch: int, batch_size: int, captions: CaptionsPerEpoch, n_workers: int
    ) -> tuple[int, Iterable[PairBatch]]:
        """The number of batches of an epoch, and the batches; `captions` is ignored."""
        n_batches = max(1, len(self.scenes) // batch_size)
        keys = [(epoch, number, batch_size) for number in range(n_batches)]
        return n_batches, DataLoader(self, batch_size=None, sampler=keys, num_workers=n_workers)

    def pretraining_batch(self, step: int, batch_size: int) -> PictureBatch:
        """Batch `step` for pretraining the CNN (`seeing`)."""
        rng = np.random.default_rng([self.seed, step, 1])
        return self._draw(rng.choice(len(self.scenes), batch_size, replace=False), [step, 1])[0]

    def _draw(self, rows: NDArray[np.int64], name: list[int]) -> tuple[PictureBatch, list[Scene]]:
        mirror = np.random.default_rng([self.seed, *name, 2]).random(len(rows)) < 0.5
        return take_pictures(self.pool, self.scenes, rows, mirror)
