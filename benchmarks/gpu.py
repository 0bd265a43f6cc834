"""Encoders on a GPU against a plain loop of torch in bf16 over batches that are ready on the GPU.

    python benchmarks/gpu.py [--device cuda:0] [--seconds 3] [--json PATH]

- `gpu_over_plain_vitb32`, `gpu_over_plain_vitl14`: images per second of `encode_images` in bf16, from uint8 pixels in
  ordinary memory to unit vectors as an array, over those of `encode_image` in bf16 on one normalised batch that stays
  on the GPU; ViT-B-32 and ViT-L-14;
- `gpu_over_plain_text`: texts per second of `encode_texts` of ViT-B-32, from strings, over those of open_clip's
  `encode_text` on token ids of the full context length that stay on the GPU.

Weights are random, which doesn't affect the speed. Both ways use batches of the size that the encoder finds, run in the
same process, and alternate three times; the ratio is of the medians.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from common import write_figures

from crossmodal.core.engine import Engine
from crossmodal.encoders import registry
from crossmodal.encoders.torchvision_guard import prepare_torchvision

prepare_torchvision()

import torch  # noqa: E402

BATCHES, ROUNDS = 8, 3
TEXT = "a photograph of two small dogs that play with a red ball on the green grass in front of an old house"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--seconds", type=float, default=3, help="duration of each of six measurements per figure")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("benchmarks/gpu.py needs a CUDA device and a build of torch for CUDA; this machine lacks one of them")
    print(torch.cuda.get_device_name(arguments.device))
    figures = {
        "gpu_over_plain_vitb32": images("ViT-B-32/random", arguments.device, arguments.seconds),
        "gpu_over_plain_vitl14": images("ViT-L-14/random", arguments.device, arguments.seconds),
        "gpu_over_plain_text": texts("ViT-B-32/random", arguments.device, arguments.seconds),
    }
    write_figures(arguments.json, figures)


def images(weights: str, device: str, seconds: float) -> float:
    encoder, model, batch_size = loaded(weights, device)
    side = encoder.spec.preprocessing.size_px
    pixels = np.random.default_rng(0).integers(0, 256, (BATCHES * batch_size, side, side, 3), np.uint8)
    ready = torch.randn(batch_size, 3, side, side, device=device, dtype=torch.bfloat16)
    return ratio(
        f"{weights}, images per second",
        (lambda: encoder.encode_images(pixels), len(pixels)),
        (lambda: plain(model.encode_image, ready), BATCHES * batch_size),
        seconds,
    )


def texts(weights: str, device: str, seconds: float) -> float:
    encoder, model, batch_size = loaded(weights, device)
    rng = np.random.default_rng(0)
    captions = [" ".join(rng.choice(TEXT.split(), rng.integers(6, 20))) for _ in range(BATCHES * batch_size)]
    ready = encoder._tokenizer(captions[:batch_size]).to(device)
    return ratio(
        f"{weights}, texts per second",
        (lambda: encoder.encode_texts(captions), len(captions)),
        (lambda: plain(model.encode_text, ready), BATCHES * batch_size),
        seconds,
    )


def loaded(weights: str, device: str) -> tuple[Any, Any, int]:
    """The encoder in bf16, its model, and the size of its batches."""
    encoder: Any = registry.load(registry.resolve("clip", weights), engine=Engine("torch", device, "bf16"))
    return encoder, encoder._model, encoder._runner.batch_size


@torch.inference_mode()
def plain(encode: Callable[[Any], Any], ready: Any) -> None:
    for _ in range(BATCHES):
        encode(ready)
    torch.cuda.synchronize(ready.device)


def ratio(
    name: str, ours: tuple[Callable[[], object], int], theirs: tuple[Callable[[], object], int], seconds: float
) -> float:
    """The ratio of the medians of items per second; each way is a call and the number of items that it encodes."""
    ways = (ours, theirs)
    for call, _ in ways:
        call()
    speeds: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for found, (call, n_items) in zip(speeds, ways, strict=True):
            found.append(speed(call, n_items, seconds))
    encoder, loop = map(statistics.median, speeds)
    print(f"{name}: encoder {encoder:.0f}, plain loop {loop:.0f}")
    return encoder / loop


def speed(call: Callable[[], object], n_items: int, seconds: float) -> float:
    start, n_calls = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        call()
        n_calls += 1
    return n_calls * n_items / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
