"""Images per second of the index Flow, from JPEG files to a committed index, beside the encoder alone.

    python benchmarks/index_throughput.py --images FOLDER [-n 1000] [--weights ViT-B-32/random]
        [--beside photos] [--precision fp32 bf16] [--json PATH]

All of it runs with the same number of threads and alternates, since these machines are noisy: encoder, Flow, encoder.
The encoder alone works on batches that are ready in memory. Figures of bf16 end in `_bf16`.

`--beside` measures a second model between the halves of the first, in fp32, and prints how many times as fast it is:
`photos_over_vitb32` (encoders alone), `photos_over_vitb32_flow` (whole index Flows), the share of the other's time
that one text query takes (`photos_text_time_ratio`) and of its peak memory (`photos_memory_ratio`), and the seconds
that loading both towers takes once torch is imported (`photos_load_s`). The names hold the two default models.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from functools import partial
from itertools import cycle, islice
from pathlib import Path

from common import PeakMemory, in_own_process, write_figures

from crossmodal.core.types import Precision

BATCH = 32
TEXT_QUERIES = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="a folder of pictures, searched recursively")
    parser.add_argument("-n", type=int, default=1000, help="how many pictures; the folder's are repeated")
    parser.add_argument("--weights", default="ViT-B-32/random")
    parser.add_argument("--beside", metavar="WEIGHTS", help="also measure these weights of clip in the same run")
    parser.add_argument("--threads", type=int, default=2, help="of the encoder, in all measurements")
    parser.add_argument("--parallel", type=int, default=1, help="replicas of the encoder; they share the threads")
    parser.add_argument("--precision", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    parser.add_argument("--json")
    given = parser.parse_args()
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        files = copy_distinct(given.images, Path(scratch) / "images", given.n)
        if given.beside:
            figures |= side_by_side(files, Path(scratch), given)
        for precision in given.precision:
            measured = measure(files, Path(scratch) / precision, given, precision)
            ending = "" if precision == "fp32" else f"_{precision}"
            figures |= {f"{name}{ending}": value for name, value in measured.items()}
    write_figures(given.json, figures)


def measure(files: list[Path], workspace: Path, given: argparse.Namespace, precision: Precision) -> dict[str, float]:
    """Flow beside encoder for the weights of `--weights`."""
    alone = partial(in_own_process, plain_loop, files[: given.n // 2], given.weights, given.threads, precision)
    before = alone()
    flow_rate, peak_gb = index_flow(files, workspace, given, given.weights, precision)
    plain = (before + alone()) / 2
    return {
        "plain_images_per_s": plain,
        "images_per_s": flow_rate,
        "ratio": flow_rate / plain,
        "peak_memory_gb": peak_gb,
    }


def side_by_side(files: list[Path], scratch: Path, given: argparse.Namespace) -> dict[str, float]:
    """The model of `--beside` against the one of `--weights`: medians of three alternating rounds, one Flow each."""
    pair = (given.beside, given.weights)
    rounds = [
        [in_own_process(plain_loop, files[: given.n // 4], weights, given.threads, "fp32") for weights in pair]
        for _ in range(3)
    ]
    texts = [[in_own_process(load_and_query, weights, given.threads) for weights in pair] for _ in range(3)]
    flows = [
        index_flow(files[: given.n // 2], scratch / f"beside-{place}", given, weights, "fp32")
        for place, weights in enumerate(pair)
    ]
    return {
        "photos_over_vitb32": statistics.median(ours / other for ours, other in rounds),
        "photos_over_vitb32_flow": flows[0][0] / flows[1][0],
        "photos_text_time_ratio": statistics.median(ours[1] / other[1] for ours, other in texts),
        "photos_load_s": statistics.median(ours[0] for ours, _ in texts),
        "photos_memory_ratio": flows[0][1] / flows[1][1],
        "photos_plain_images_per_s": statistics.median(ours for ours, _ in rounds),
        "photos_images_per_s": flows[0][0],
    }


def load_and_query(weights: str, threads: int) -> tuple[float, float]:
    """Seconds that loading both towers takes after `import torch`, and the median seconds of encoding one text."""
    import torch  # noqa: F401

    from crossmodal.encoders import registry

    spec = registry.resolve("clip", weights)
    start = time.perf_counter()
    encoder = registry.load(spec, threads=threads)
    loaded = time.perf_counter() - start
    encoder.encode_texts(["a dog running on grass"])
    spent = []
    for number in range(TEXT_QUERIES):
        start = time.perf_counter()
        encoder.encode_texts([f"{number} dogs running on grass"])
        spent.append(time.perf_counter() - start)
    return loaded, statistics.median(spent)


def copy_distinct(folder: Path, to: Path, n: int) -> list[Path]:
    """Copies files until there are n, each with its number at its end, where a JPEG may hold anything."""
    from crossmodal.images.decode import EXTENSIONS

    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in EXTENSIONS)
    to.mkdir()
    copies = []
    for number, path in enumerate(islice(cycle(found), n)):
        copy = to / f"{number:06d}{path.suffix}"
        copy.write_bytes(path.read_bytes() + number.to_bytes(4, "big"))
        copies.append(copy)
    return copies


def plain_loop(files: list[Path], weights: str, threads: int, precision: Precision) -> float:
    """Images per second of the encoder alone over ready batches."""
    import numpy as np

    from crossmodal.encoders import registry
    from crossmodal.images.decode import decode
    from crossmodal.images.geometry import fit

    encoder = registry.load(registry.resolve("clip", weights), ("image",), threads, precision)
    wanted = encoder.spec.preprocessing
    batches = [
        np.stack([fit(decode(path.read_bytes())[0], wanted) for path in files[i : i + BATCH]])
        for i in range(0, len(files), BATCH)
    ]
    encoder.encode_images(batches[0])
    start = time.perf_counter()
    for batch in batches:
        encoder.encode_images(batch)
    return len(files) / (time.perf_counter() - start)


def index_flow(
    files: list[Path], workspace: Path, given: argparse.Namespace, weights: str, precision: Precision
) -> tuple[float, float]:
    """Images per second through the index Flow, the snapshot included, and the peak memory in GB."""
    from crossmodal.collection.collection import Collection
    from crossmodal.core.settings import Settings
    from crossmodal.encoders import registry
    from serving.jina.ports import reserve_port_pair
    from serving.jina.supervisor import prepare_jina, running_flow

    # The name is resolved by another process: this one must not import torch, so that it can fork.
    prepare_jina()
    spec = in_own_process(registry.resolve, "clip", weights)
    collection = Collection.create(workspace / "benchmark", spec)
    settings = Settings(
        weights=weights,
        workspace=workspace,
        threads=max(1, given.threads // given.parallel),
        parallel=given.parallel,
        precision=precision,
    )
    settings = replace(settings, port=reserve_port_pair())
    answered: list[str] = []
    with PeakMemory() as memory, running_flow("index", collection, settings, read_paths=True):
        from executors.schema import MediaDoc
        from serving.jina.flow_client import call

        docs = (MediaDoc(id=path.name, modality="image", uri=str(path)) for path in files)
        start = time.perf_counter()
        call(settings, "/index", docs, lambda found: answered.extend(doc.outcome for doc in found))
        call(settings, "/snapshot", iter([MediaDoc(id="snapshot")]), lambda _: None)
        spent = time.perf_counter() - start
    if answered.count("indexed") != len(files):
        raise SystemExit(f"{answered.count('indexed')} of {len(files)} were indexed")
    return len(files) / spent, memory.peak_bytes / 1e9


if __name__ == "__main__":
    main()
