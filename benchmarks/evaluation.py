"""Time and memory of retrieval ranks in both directions from ready embeddings, against a plain argsort.

    python benchmarks/evaluation.py [--images 1000 5000] [--dim 512] [--repeat 3] [--json PATH]

Five captions an image. Each measurement runs in its own process, and the two methods alternate, since the machine's
speed varies; seconds are medians. The plain method sorts all scores of every query, in chunks, and looks up the correct
ones, as the published evaluation scripts do. Both must find the same ranks.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from common import PeakMemory, in_own_process, write_figures

from crossmodal.evaluation.recall import CHUNK, both_ways, image_to_text_ranks, text_to_image_ranks

CAPTIONS = 5
Ranks = tuple[np.ndarray, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    figures: dict[str, float] = {}
    for n in arguments.images:
        ours, plain, peaks = [], [], []
        for _ in range(arguments.repeat):
            seconds, peak_bytes = in_own_process(measure, evaluate, n, arguments.dim)
            ours.append(seconds)
            peaks.append(peak_bytes)
            plain.append(in_own_process(measure, argsort, n, arguments.dim)[0])
        name = f"{n}_{n * CAPTIONS}"
        figures |= {
            f"seconds_{name}": statistics.median(ours),
            f"argsort_seconds_{name}": statistics.median(plain),
            f"ratio_{name}": statistics.median(plain) / statistics.median(ours),
            f"peak_memory_gb_{name}": max(peaks) / 1e9,
        }
    check_ranks(arguments.images[0], arguments.dim)
    write_figures(arguments.json, figures)


def embeddings(n: int, dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors of pictures and of captions near them, and the picture index of each caption."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal((n, dim), np.float32)
    image_of = np.repeat(np.arange(n), CAPTIONS)
    texts = images[image_of] + 4 * rng.standard_normal((len(image_of), dim), np.float32)
    return (*(v / np.linalg.norm(v, axis=1, keepdims=True) for v in (images, texts)), image_of)


def measure(job: Callable[..., object], n: int, dim: int) -> tuple[float, int]:
    """The seconds of a job on ready embeddings, and the peak memory of this process in bytes."""
    vectors = embeddings(n, dim)
    with PeakMemory(every_s=0.02) as memory:
        start = time.perf_counter()
        job(*vectors)
        seconds = time.perf_counter() - start
    return seconds, memory.peak_bytes


def evaluate(images: np.ndarray, texts: np.ndarray, image_of: np.ndarray) -> None:
    """Our method: ranks in both directions and all figures derived from them."""
    both_ways(images, texts, image_of)


def argsort(images: np.ndarray, texts: np.ndarray, image_of: np.ndarray) -> Ranks:
    """The plain method: sorts all scores of every query."""
    t2i, i2t = [], []
    for start in range(0, len(texts), CHUNK):
        order = np.argsort(-(texts[start : start + CHUNK] @ images.T), axis=1)
        t2i.append((order == image_of[start : start + CHUNK, None]).argmax(axis=1) + 1)
    for start in range(0, len(images), CHUNK):
        order = np.argsort(-(images[start : start + CHUNK] @ texts.T), axis=1)
        i2t.append((image_of[order] == np.arange(start, start + len(order))[:, None]).argmax(axis=1) + 1)
    return np.concatenate(t2i), np.concatenate(i2t)


def check_ranks(n: int, dim: int) -> None:
    """Exits if the two methods' ranks differ by more than one, which rounding may cause."""
    vectors = embeddings(n, dim)
    ours = text_to_image_ranks(*vectors), image_to_text_ranks(*vectors)
    for plain_ranks, our_ranks in zip(argsort(*vectors), ours, strict=True):
        if (difference := np.abs(plain_ranks - our_ranks).max()) > 1:
            raise SystemExit(f"the ranks of the two methods differ by up to {difference}")


if __name__ == "__main__":
    main()
