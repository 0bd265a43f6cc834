"""The rendered training scenes, drawn once and memory-mapped from a file."""

from __future__ import annotations

from io import BytesIO
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from crossmodal.core.files import atomic_path
from crossmodal.core.machine import CORES
from crossmodal.scenes.render import render
from crossmodal.scenes.world import Scene, make_scene

RENDER_PX, JPEG_QUALITY = 256, 88
"""As in `datasets.scenes`: without JPEG's colour shifts in training, the model confuses some colours."""


def draw_pool(folder: Path, n_scenes: int, side_px: int, seed: int) -> tuple[NDArray[np.uint8], list[Scene]]:
    """The training pool (n_scenes, side, side, 3) uint8, mapped from `folder`, and its scenes; draws it if missing."""
    path = folder / f"jpeg-{n_scenes}-{side_px}-{seed}.npy"
    scenes = [make_scene("train", i, seed) for i in range(n_scenes)]
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (n_scenes, side_px, side_px, 3)
        with atomic_path(path) as temporary:
            pool = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
            with get_context("spawn").Pool(CORES) as workers:
                jobs = ((i, side_px, seed) for i in range(n_scenes))
                for i, picture in enumerate(workers.imap(_draw_small, jobs, chunksize=256)):
                    pool[i] = picture
            pool.flush()
    return np.load(path, mmap_mode="r"), scenes


def _draw_small(job: tuple[int, int, int]) -> NDArray[np.uint8]:
    index, side_px, seed = job
    file = BytesIO()
    render(make_scene("train", index, seed), RENDER_PX).save(file, "JPEG", quality=JPEG_QUALITY)
    return np.asarray(Image.open(file).resize((side_px, side_px), Image.Resampling.BICUBIC))
