"""Decoding at a reduced size against decoding whole: speed, pixels, vectors and recall.

    python benchmarks/decoding.py --photographs FOLDER [-n 40] [--json PATH]

The folder has photographs with captions. The n largest are enlarged to 12 megapixels, with the noise of a sensor, and
saved as JPEG of quality 90; all others remain as they are. `full` is `read`, `fit` and `thumbnail`; `reduced` is
`prepare`, which index and search call. Pictures per second are those of one core, from CPU time; both ways alternate.

- `reduced_over_full_12mp`, `reduced_over_full_small`: the ratio of their speeds; `_FORMAT`: of a single 12-megapixel
  picture in another format, `_p3` of a JPEG with the profile Display P3;
- `pixel_difference_mean`, `pixel_difference_max`: levels of 255 at the model's input, enlarged pictures;
- `cosine_min`, `cosine_mean`: between the vectors of both, by the encoder `photos`;
- `recall_full`, `recall_reduced`: recall@10 of the captions of the enlarged pictures, among all pictures of the folder;
- `factor_N_...`: the same if the pictures are reduced by N, whatever `prepare` would choose.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pillow_heif
from common import ROOT, write_figures
from PIL import Image

from crossmodal.core.protocols import Encoder
from crossmodal.core.types import ImageRecord, Pixels, Preprocessing, Vectors
from crossmodal.datasets import registry as data_sets
from crossmodal.encoders import registry as models
from crossmodal.evaluation.encoding import encode_batches, encode_texts
from crossmodal.evaluation.recall import summarise, text_to_image_ranks
from crossmodal.images.decode import read, read_at_scale
from crossmodal.images.geometry import fit, thumbnail
from crossmodal.images.prepare import prepare
from crossmodal.images.reduced import FACTORS
from crossmodal.images.sources import of_record

sys.path.insert(0, str(ROOT / "tests" / "unit"))
from test_colour import PRIMARIES, SPACES, profile_of

SIZE = (4000, 3000)
N_SMALL = 100
BATCH = 32

Way = Callable[[bytes, Preprocessing], Pixels]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, required=True, help="a folder of photographs with captions")
    parser.add_argument("-n", type=int, default=40, help="number of pictures that are enlarged")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    records = [record for record in data_sets.read(str(arguments.photographs)) if isinstance(record, ImageRecord)]
    records.sort(key=lambda record: -min(read(of_record(record)).picture.size))
    write_figures(arguments.json, measure(records, arguments.n))


def measure(records: list[ImageRecord], n_enlarged: int) -> dict[str, float]:
    encoder = models.load(models.resolve("clip", "photos"))
    wanted = encoder.spec.preprocessing
    small = [of_record(record) for record in records]
    _, seconds = pixels_of(small[:N_SMALL], wanted, {"full": full, "reduced": reduced})
    figures = speeds(seconds, N_SMALL, "small")

    ways = {"full": full, "reduced": reduced, **{f"factor_{factor}": by(factor) for factor in FACTORS}}
    large = (jpeg(enlarged(content, seed)) for seed, content in enumerate(small[:n_enlarged]))
    pixels, seconds = pixels_of(large, wanted, ways)
    figures |= speeds(seconds, n_enlarged, "12mp")

    enlarged_records = records[:n_enlarged]
    texts = encode_texts(encoder, [caption for record in enlarged_records for caption in record.captions])
    image_of = np.repeat(np.arange(n_enlarged), [len(record.captions) for record in enlarged_records])
    others = encode(encoder, np.stack([reduced(content, wanted) for content in small[n_enlarged:]]))
    vectors = {name: encode(encoder, taken) for name, taken in pixels.items()}
    for name, found in vectors.items():
        ranks = text_to_image_ranks(np.concatenate([found, others]), texts, image_of)
        cosines = (found * vectors["full"]).sum(axis=1)
        difference = np.abs(pixels[name].astype(int) - pixels["full"])
        start, end = ("", f"_{name}") if name in ("full", "reduced") else (f"{name}_", "")
        figures[f"{start}recall{end}"] = summarise(ranks).recall[10]
        if name != "full":
            figures |= {
                f"{start}pixel_difference_mean": float(difference.mean()),
                f"{start}pixel_difference_max": float(difference.max()),
                f"{start}cosine_min": float(cosines.min()),
                f"{start}cosine_mean": float(cosines.mean()),
            }
    return figures | of_formats(enlarged(small[0], 0), wanted)


def full(content: bytes, wanted: Preprocessing) -> Pixels:
    picture, _, _ = read(content)
    thumbnail(picture)
    return fit(picture, wanted)


def reduced(content: bytes, wanted: Preprocessing) -> Pixels:
    return prepare(content, wanted, with_thumbnail=True).pixels


def by(factor: int) -> Way:
    def way(content: bytes, wanted: Preprocessing) -> Pixels:
        found = read_at_scale(content, lambda width, height: factor).reduced
        thumbnail(found)
        return fit(found, wanted)

    return way


def pixels_of(
    contents: Iterable[bytes], wanted: Preprocessing, ways: dict[str, Way]
) -> tuple[dict[str, Pixels], dict[str, float]]:
    """The pixels (n, size_px, size_px, 3) of each way, and its CPU time in seconds."""
    pixels: dict[str, list[Pixels]] = {name: [] for name in ways}
    seconds = dict.fromkeys(ways, 0.0)
    for content in contents:
        for name, way in ways.items():
            start = time.process_time()
            pixels[name].append(way(content, wanted))
            seconds[name] += time.process_time() - start
    return {name: np.stack(found) for name, found in pixels.items()}, seconds


def speeds(seconds: dict[str, float], n_pictures: int, name: str) -> dict[str, float]:
    per_s = {f"{way}_per_s_{name}": n_pictures / spent for way, spent in seconds.items()}
    return {**per_s, f"reduced_over_full_{name}": seconds["full"] / seconds["reduced"]}


def encode(encoder: Encoder, pixels: Pixels) -> Vectors:
    batches = (pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH))
    return encode_batches(encoder, batches, lambda n: None)


def enlarged(content: bytes, seed: int) -> Image.Image:
    """A photograph at 12 megapixels, landscape or portrait, with noise of 6 levels."""
    picture, _, _ = read(content)
    size = SIZE if picture.width >= picture.height else SIZE[::-1]
    noise = np.random.default_rng(seed).normal(0, 6, (500, 500, 3)).astype(np.int16)
    large = np.asarray(picture.resize(size, Image.Resampling.BICUBIC), np.int16)
    noisy = large + np.tile(noise, (size[1] // 500, size[0] // 500, 1))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def jpeg(picture: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90, **options)
    return buffer.getvalue()


def of_formats(picture: Image.Image, wanted: Preprocessing) -> dict[str, float]:
    """The ratio of speeds and the two speeds for a picture in each other format."""
    pillow_heif.register_heif_opener()
    figures: dict[str, float] = {}
    p3 = profile_of(b"RGB ", PRIMARIES["p3"], SPACES["Display P3"][1])
    for name, kind, options in (
        ("progressive", "JPEG", {"quality": 90, "progressive": True}),
        ("p3", "JPEG", {"quality": 90, "icc_profile": p3}),
        ("png", "PNG", {"compress_level": 1}),
        ("webp", "WEBP", {"method": 0}),
        ("avif", "AVIF", {"speed": 10}),
        ("heic", "HEIF", {"quality": 50, "enc_params": {"preset": "ultrafast"}}),
    ):
        buffer = io.BytesIO()
        picture.save(buffer, kind, **options)
        _, seconds = pixels_of([buffer.getvalue()], wanted, {"full": full, "reduced": reduced})
        figures |= speeds(seconds, 1, name)
    return figures


if __name__ == "__main__":
    main()
