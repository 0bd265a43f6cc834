"""Augmented views of training images, stored as activations of the image tower's frozen front.

The first blocks of the image tower take most of its time and memory. They stay frozen, so OpenVINO computes their
output once per view, and training starts from that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from torch import Tensor, nn

from crossmodal.core.ahead import map_ahead
from crossmodal.core.errors import PictureError
from crossmodal.core.files import write_atomically
from crossmodal.core.types import Failure, ImageRecord, Pixels, Preprocessing
from crossmodal.encoders.lite_shape import LITE_FEATURES
from crossmodal.encoders.photo_towers import EfficientNetLite
from crossmodal.encoders.pixels import to_tensor
from crossmodal.engines.converter import from_torch
from crossmodal.engines.openvino_offline import openvino
from crossmodal.images.decode import decode
from crossmodal.images.geometry import fit
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

    `front` is (n, n_views, 80, 14, 14), `features` is (n, n_views, 1280) float32. `records` has the n images, and
    `failures` those that can't be read.
    """

    front: NDArray[np.float16]
    features: Tensor
    records: Sequence[ImageRecord]
    failures: Sequence[Failure]


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


def make_views(
    records: Sequence[ImageRecord],
    tower: EfficientNetLite,
    preprocessing: Preprocessing,
    n_views: int,
    seed: int,
    out: Path,
    report: Callable[[str], None],
) -> Views:
    """The views of the images that can be read, cached in files whose names begin with `out`.

    Existing files of the same images, seed and number of views are reused; an interrupted run resumes after the last
    images written. They are made anew if an image that was left out can be read by now.
    """
    front_file, features_file, done = (out.with_name(out.name + end) for end in (".npy", "-features.npy", ".done"))
    n = len(records)
    names = "\n".join([str(seed), str(n_views), *(record.path.name for record in records)])
    subject = hashlib.sha1(names.encode(), usedforsecurity=False).hexdigest()
    progress = _Progress.read(done, subject)
    if not all(isinstance(_decoded(records[i]), str) for i in progress.left_out):
        progress = _Progress()
    mode: Literal["r+", "w+"] = "r+" if progress.n_read else "w+"
    if progress.n_read < n:
        front = np.lib.format.open_memmap(front_file, mode, np.float16, (n, n_views, 80, 14, 14))
        features = np.lib.format.open_memmap(features_file, mode, np.float32, (n, n_views, LITE_FEATURES))
        run = _compiled(tower, preprocessing)
        batches = [range(at, min(at + BATCH, n)) for at in range(progress.n_read, n, BATCH)]

        def load(batch: range) -> tuple[Tensor | None, dict[int, str]]:
            pixels: list[Pixels] = []
            left_out: dict[int, str] = {}
            for i in batch:
                picture = _decoded(records[i])
                if isinstance(picture, str):
                    left_out[i] = picture
                    continue
                of_image = seed * 1_000_003 + i
                pixels += [view(picture, preprocessing, v, of_image, Augmentation()) for v in range(n_views)]
            return to_tensor(np.stack(pixels), preprocessing) if pixels else None, left_out

        with closing(map_ahead(load, batches, threads=1, at_most=2, size=lambda _: 1)) as loaded:
            for place, (batch, (images, left_out)) in enumerate(zip(batches, loaded, strict=True)):
                if images is not None:
                    rows = slice(progress.n_kept, progress.n_kept + len(images) // n_views)
                    for number in range(n_views):
                        front[rows, number], features[rows, number] = run(images[number::n_views])
                progress = _Progress(batch.stop, {**progress.left_out, **left_out})
                if place % 40 == 39 or batch.stop == n:
                    front.flush()
                    features.flush()
                    progress.write(done, subject)
                    report(f"views of {batch.stop} of {n} pictures")
    failures = [Failure(str(records[i].path), why) for i, why in progress.left_out.items()]
    kept = [record for i, record in enumerate(records) if i not in progress.left_out]
    front, features = np.load(front_file, mmap_mode="r"), np.load(features_file)
    return Views(front[: len(kept)], torch.from_numpy(features[: len(kept)]), kept, failures)


def _decoded(record: ImageRecord) -> Image.Image | str:
    """The image, or why it can't be read."""
    try:
        return decode(of_record(record))[0]
    except PictureError as error:
        return str(error)


@dataclass(frozen=True)
class _Progress:
    """How many images were read, and why some of them, by index, are left out."""

    n_read: int = 0
    left_out: dict[int, str] = field(default_factory=dict)

    @property
    def n_kept(self) -> int:
        return self.n_read - len(self.left_out)

    @classmethod
    def read(cls, file: Path, subject: str) -> _Progress:
        """The progress in a file; none if the file is missing, or has another `subject`."""
        if not file.exists():
            return cls()
        written, _, content = file.read_text("utf8").partition("\n")
        if written != subject:
            return cls()
        values = json.loads(content)
        return cls(values["n_read"], {int(i): why for i, why in values["left_out"].items()})

    def write(self, file: Path, subject: str) -> None:
        """Writes the file."""
        write_atomically(file, f"{subject}\n{json.dumps(asdict(self))}\n".encode())


def _compiled(tower: EfficientNetLite, preprocessing: Preprocessing) -> Callable[[Tensor], tuple[Any, Any]]:
    example = torch.zeros(1, 3, preprocessing.size_px, preprocessing.size_px)
    graph = from_torch(Front(tower), example, is_fixed_length=True)
    compiled = openvino.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "bf16"})

    def run(images: Tensor) -> tuple[Any, Any]:
        outputs = compiled(images.contiguous().numpy())
        return outputs[0], outputs[1]

    return run
