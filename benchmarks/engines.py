"""Measures encoders by OpenVINO in int8 and fp32 against torch in fp32, on the CPU.

    python benchmarks/engines.py --images FOLDER [-n 128] [--rounds 5] [--json PATH]

The engines take turns on the same pictures and texts, and each figure is a median over the rounds.
`int8_over_torch_cnn` is the ratio of images per second for the image tower of the `photos` weights,
`int8_over_torch_vit` that of ViT-B-32 with random weights; `fp32_over_torch_...` likewise.
`int8_over_whole_batches_cnn` is the ratio to torch with batches of 32, as it computed `photos` before it took four
pictures at a time. `text_time_int8_over_torch_...` is the ratio of the times for one text. `cosine_...` is the mean
cosine of the int8 vectors to torch's. ViT-B-32 is converted first unless it is in the cache.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
from common import write_figures

from crossmodal.core.engine import TORCH, Engine, EngineRequest, MadeWith
from crossmodal.core.protocols import Encoder
from crossmodal.core.types import Pixels
from crossmodal.encoders import engine_choice, registry
from crossmodal.images.decode import EXTENSIONS
from crossmodal.images.prepare import prepare

MODELS = {"cnn": "photos", "vit": "ViT-B-32/random"}
ENGINES = {"torch": TORCH, "fp32": Engine("openvino"), "int8": Engine("openvino", precision="int8")}
BATCH = 32
N_TEXTS = 60
"""The first ten texts after another engine has run take up to twice as long, until the caches have the weights."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="a folder of pictures, searched recursively")
    parser.add_argument("-n", type=int, default=128, help="number of pictures")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    figures: dict[str, float] = {}
    for kind, weights in MODELS.items():
        measured = compared(weights, arguments.images, arguments.n, arguments.rounds)
        figures |= {name.replace("MODEL", kind): value for name, value in measured.items()}
    write_figures(arguments.json, figures)


def compared(weights: str, folder: Path, n: int, rounds: int) -> dict[str, float]:
    """The figures of one model."""
    spec = registry.resolve("clip", weights)
    for engine in (ENGINES["fp32"], ENGINES["int8"]):
        engine_choice.prepare(spec, EngineRequest(), MadeWith(engine.precision), print)
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in EXTENSIONS)[:n]
    prepared = (prepare(path.read_bytes(), spec.preprocessing, with_thumbnail=False) for path in files)
    pixels = np.stack([picture.pixels for picture in prepared])
    encoders = {name: registry.load(spec, engine=engine) for name, engine in ENGINES.items()}
    grouped = getattr(encoders["torch"], "image_group", BATCH) < BATCH
    if grouped:
        encoders["whole_batches"] = registry.load(spec, engine=TORCH)
        encoders["whole_batches"].image_group = BATCH  # type: ignore[attr-defined]
    images: dict[str, list[float]] = {name: [] for name in encoders}
    texts: dict[str, list[float]] = {name: [] for name in ENGINES}
    vectors = {}
    for number in range(rounds + 1):  # the first warms up
        for name, encoder in encoders.items():
            start = time.perf_counter()
            vectors[name] = encode(encoder, pixels)
            rate = len(pixels) / (time.perf_counter() - start)
            if number:
                images[name].append(rate)
        for name in ENGINES:
            spent = statistics.median(text_times(encoders[name], number))
            if number:
                texts[name].append(spent)
    ratio = ratios(images, "torch")
    text_ratio = ratios(texts, "torch")
    whole = {"int8_over_whole_batches_MODEL": ratios(images, "whole_batches")["int8"]} if grouped else {}
    return {
        "int8_over_torch_MODEL": ratio["int8"],
        **whole,
        "fp32_over_torch_MODEL": ratio["fp32"],
        "text_time_int8_over_torch_MODEL": text_ratio["int8"],
        "cosine_MODEL": float(np.mean(np.sum(vectors["int8"] * vectors["torch"], axis=1))),
        **{f"{name}_images_per_s_MODEL": statistics.median(rates) for name, rates in images.items()},
        **{f"{name}_text_ms_MODEL": statistics.median(times) * 1e3 for name, times in texts.items()},
    }


def encode(encoder: Encoder, pixels: Pixels) -> np.ndarray:
    """The vectors of pictures, encoded a batch at a time."""
    return np.concatenate([encoder.encode_images(pixels[i : i + BATCH]) for i in range(0, len(pixels), BATCH)])


def text_times(encoder: Encoder, number: int) -> list[float]:
    """Seconds for each of several texts of 5 to 16 words; one in six has more than 16 tokens."""
    sentence = "dogs and people running on wet grass under a grey sky beside the sea"
    words = sentence.split()
    times = []
    for place in range(N_TEXTS):
        text = f"{number} {place} {' '.join(words[: 3 + 7 * place % 12])}"
        start = time.perf_counter()
        encoder.encode_texts([text])
        times.append(time.perf_counter() - start)
    return times


def ratios(measured: dict[str, list[float]], base: str) -> dict[str, float]:
    """The median over the rounds of each engine's ratio to the engine `base`."""
    return {
        name: statistics.median(value / of_base for value, of_base in zip(values, measured[base], strict=True))
        for name, values in measured.items()
        if name != base
    }


if __name__ == "__main__":
    main()
