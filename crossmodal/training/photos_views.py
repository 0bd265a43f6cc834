"""Augmented views of training images, stored as activations of the image tower's frozen front.

The first blocks of the image tower take most of its time and memory. They stay frozen, so OpenVINO computes their
output once per view, and training starts from that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from torch import Tensor, nn

from crossmodal.core.errors import PictureError
from crossmodal.core.machine import CORES
from crossmodal.core.types import Failure, ImageRecord, Pixels, Preprocessing
from crossmodal.encoders.lite_shape import LITE_FEATURES
from crossmodal.encoders.photo_towers import EfficientNetLite
from crossmodal.encoders.pixels import to_tensor
from crossmodal.engines.converter import from_torch
from crossmodal.engines.openvino_offline import openvino
from crossmodal.images.decode import decode
from crossmodal.images.geometry import fit
from crossmodal.images.prepare import prepare
from crossmodal.images.sources import of_record

FRONT_BLOCKS = 6
"""Frozen blocks of EfficientNet-Lite0, up to 14 x 14 positions of 80 channels."""

BATCH = 16


@dataclass(frozen=True)
class Augmentation:
    """Strength of the augmentation of views 2 and up; view 0 is the image itself, view 1 its mirror image."""

    least_area: float = 0.5
    aspect: float = 1.33
    colour: float = 0.3


class Front(nn.Module):
    """The image tower with two outputs: the frozen front's activations, and the features of the whole tower."""

    def __init__(self, tower: EfficientNetLite):
        super().__init__()
        self.tower = tower

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, 224, 224) to (n, 80, 14, 14) and (n, 1280)."""
        x = self.tower.stem(images)
        for block in self.tower.blocks[:FRONT_BLOCKS]:
            x = block(x)
        y = x
        for block in self.tower.blocks[FRONT_BLOCKS:]:
            y = block(y)
        features: Tensor = self.tower.head(y).mean((2, 3))
        return x, features


@dataclass(frozen=True)
class Views:
    """Activations of the frozen front and features of the published tower, for each view of each image.

    `front` is (n, n_views, 80, 14, 14), `features` is (n, n_views, 1280) float32.
    """

    front: NDArray[np.float16]
    features: Tensor


def view(picture: Image.Image, preprocessing: Preprocessing, number: int, seed: int, settings: Augmentation) -> Pixels:
    """View `number` of an image at the tower's input size, (size_px, size_px, 3) uint8, reproducible by seed."""
    if number == 0:
        return fit(picture, preprocessing)
    if number == 1:
        return np.ascontiguousarray(fit(picture, preprocessing)[:, ::-1])
    chance = np.random.default_rng((seed, number))
    width, height = picture.size
    area = chance.uniform(settings.least_area, 1.0)
    stretch = np.exp(chance.uniform(-1, 1) * np.log(settings.aspect) / 2)
    across, down = min(1.0, np.sqrt(area) * stretch), min(1.0, np.sqrt(area) / stretch)
    left, top = chance.uniform(0, 1 - across), chance.uniform(0, 1 - down)
    box = (left * width, top * height, (left + across) * width, (top + down) * height)
    cut = picture.resize((preprocessing.size_px, preprocessing.size_px), Image.Resampling.BICUBIC, box=box)
    if chance.random() < 0.5:
        cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        cut = enhance(cut).enhance(chance.uniform(1 - settings.colour, 1 + settings.colour))
    return np.asarray(cut, np.uint8)


def readable(records: Sequence[ImageRecord], preprocessing: Preprocessing) -> tuple[list[ImageRecord], list[Failure]]:
    """The records whose images can be read, and why the others can't."""

    def failure(record: ImageRecord) -> Failure | None:
        try:
            prepare(of_record(record), preprocessing, with_thumbnail=False)
        except PictureError as error:
            return Failure(str(record.path), str(error))
        return None

    with ThreadPoolExecutor(CORES) as readers:
        failures = list(readers.map(failure, records))
    kept = [record for record, failed in zip(records, failures, strict=True) if not failed]
    return kept, [failed for failed in failures if failed]


def make_views(
    records: Sequence[ImageRecord],
    tower: EfficientNetLite,
    preprocessing: Preprocessing,
    n_views: int,
    seed: int,
    out: Path,
    report: Callable[[str], None],
) -> Views:
    """The views of images, cached in files whose names begin with `out`.

    Existing files of the same images, seed and number of views are reused; an interrupted run resumes after the last
    images written.

    Raises:
        PictureError: An image can't be read; the message names it.
    """
    front_file, features_file, done = (out.with_name(out.name + end) for end in (".npy", "-features.npy", ".done"))
    n = len(records)
    names = "\n".join([str(seed), str(n_views), *(record.path.name for record in records)])
    subject = hashlib.sha1(names.encode(), usedforsecurity=False).hexdigest()
    start = _done(done, subject)
    mode: Literal["r+", "w+"] = "r+" if start else "w+"
    if start < n:
        front = np.lib.format.open_memmap(front_file, mode, np.float16, (n, n_views, 80, 14, 14))
        features = np.lib.format.open_memmap(features_file, mode, np.float32, (n, n_views, LITE_FEATURES))
        run = _compiled(tower, preprocessing)
        batches = [range(at, min(at + BATCH, n)) for at in range(start, n, BATCH)]

        def load(batch: range) -> Tensor:
            pictures = [_decoded(records[i]) for i in batch]
            pixels = [
                view(picture, preprocessing, number, seed * 1_000_003 + i, Augmentation())
                for i, picture in zip(batch, pictures, strict=True)
                for number in range(n_views)
            ]
            images: Tensor = to_tensor(np.stack(pixels), preprocessing)
            return images

        with ThreadPoolExecutor(1) as ahead:
            waiting = [ahead.submit(load, batch) for batch in batches[:2]]
            for place, batch in enumerate(batches):
                images = waiting.pop(0).result()
                if place + 2 < len(batches):
                    waiting.append(ahead.submit(load, batches[place + 2]))
                rows = slice(batch.start, batch.stop)
                for number in range(n_views):
                    front[rows, number], features[rows, number] = run(images[number::n_views])
                if place % 40 == 39 or batch.stop == n:
                    front.flush()
                    features.flush()
                    done.write_text(f"{batch.stop} {subject}")
                    report(f"views of {batch.stop} of {n} pictures")
    return Views(np.load(front_file, mmap_mode="r"), torch.from_numpy(np.load(features_file)))


def _done(file: Path, subject: str) -> int:
    """The number of images already in the files; 0 if the files have another `subject`."""
    if not file.exists():
        return 0
    count, _, written_subject = file.read_text().partition(" ")
    return int(count) if written_subject == subject else 0


def _decoded(record: ImageRecord) -> Image.Image:
    try:
        return decode(of_record(record))[0]
    except PictureError as error:
        raise PictureError(f"{record.path}: {error}") from error


def _compiled(tower: EfficientNetLite, preprocessing: Preprocessing) -> Callable[[Tensor], tuple[Any, Any]]:
    example = torch.zeros(1, 3, preprocessing.size_px, preprocessing.size_px)
    graph = from_torch(Front(tower), example, is_fixed_length=True)
    compiled = openvino.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "bf16"})

    def run(images: Tensor) -> tuple[Any, Any]:
        outputs = compiled(images.contiguous().numpy())
        return outputs[0], outputs[1]

    return run
