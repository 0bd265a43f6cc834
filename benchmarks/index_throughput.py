"""Measures the images per second of the index Flow, from JPEG files to a committed index, and of the encoder alone.

    python benchmarks/index_throughput.py --images FOLDER [-n 1000] [--weights ViT-B-32/random]
        [--beside photos] [--precision fp32 int8] [--json PATH]
    python benchmarks/index_throughput.py --local --images FOLDER [-n 1000] [--megapixels 12] [--json PATH]

All measurements use the same number of threads and alternate because machines are noisy: encoder, Flow, encoder. The
encoder alone works on batches that are ready in memory. `ratio` compares the Flow with the encoder alone, and
`ratio_pipeline` with a loop that reads, decodes and encodes the same pictures. Names of int8 figures end in `_int8`.

`--beside` also measures a second model in fp32, alternating with the first, and prints its ratios to the first: of the
speed of the encoders (`photos_over_vitb32`) and of the index Flows (`photos_over_vitb32_flow`), of the time of a text
query (`photos_text_time_ratio`), and of the peak memory (`photos_memory_ratio`). `photos_load_s` is the time in seconds
to load both towers after torch is imported. The names contain the two default models.

`--local` instead measures `crossmodal index` with the weights `photos`, from the start of its process to
the end: `ratio_local` is its speed over that of a process that only reads, decodes and encodes the same pictures, with
the same threads. The difference is the thumbnails, the store, the indexes and the calibration, which does not depend
on the number of pictures.

`--megapixels` enlarges the pictures.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import cycle, islice
from pathlib import Path

from common import ROOT, PeakMemory, in_own_process, write_figures

from crossmodal.core.engine import EngineRequest, MadeWith, Precision
from crossmodal.core.protocols import Encoder
from crossmodal.core.types import MODALITIES, Modality

BATCH = 32
TEXT_QUERIES = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="a folder of pictures, searched recursively")
    parser.add_argument("-n", type=int, default=1000, help="number of pictures; those of the folder are repeated")
    parser.add_argument("--weights", default="ViT-B-32/random")
    parser.add_argument("--beside", metavar="WEIGHTS", help="also measure these weights of clip in the same run")
    parser.add_argument("--threads", type=int, default=2, help="threads of the encoder, in all measurements")
    parser.add_argument("--parallel", type=int, default=1, help="replicas of the encoder; they share the threads")
    parser.add_argument("--precision", nargs="+", choices=["fp32", "bf16", "int8"], default=["fp32", "int8"])
    parser.add_argument("--local", action="store_true", help="measure `crossmodal index` instead")
    parser.add_argument("--megapixels", type=float, help="enlarge the pictures to this size")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        files = copy_distinct(arguments.images, Path(scratch) / "images", arguments.n)
        if arguments.megapixels:
            for path in files:
                enlarge(path, arguments.megapixels)
        if arguments.local:
            write_figures(arguments.json, local(files, Path(scratch), arguments))
            return
        if arguments.beside:
            figures |= side_by_side(files, Path(scratch), arguments)
        for precision in arguments.precision:
            measured = measure(files, Path(scratch) / precision, arguments, precision)
            ending = "" if precision == "fp32" else f"_{precision}"
            figures |= {f"{name}{ending}": value for name, value in measured.items()}
    write_figures(arguments.json, figures)


def measure(
    files: list[Path], workspace: Path, arguments: argparse.Namespace, precision: Precision
) -> dict[str, float]:
    """The figures of the Flow and of the encoder alone, for the weights of `--weights`."""
    alone = partial(
        in_own_process, plain_loop, files[: arguments.n // 2], arguments.weights, arguments.threads, precision
    )
    before = alone()
    pipeline = partial(in_own_process, plain_pipeline, files, arguments.weights, arguments.threads, precision)
    piped = pipeline()
    flow_rate, peak_gb = index_flow(files, workspace, arguments, arguments.weights, precision)
    plain, piped = (before + alone()) / 2, (piped + pipeline()) / 2
    return {
        "pipeline_images_per_s": piped,
        "ratio_pipeline": flow_rate / piped,
        "plain_images_per_s": plain,
        "images_per_s": flow_rate,
        "ratio": flow_rate / plain,
        "peak_memory_gb": peak_gb,
    }


def local(files: list[Path], scratch: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """The figures of `crossmodal index` as a process, and of a plain pipeline as a process before and after it."""
    command = [sys.executable, "-m", "cli.main", "index", files[0].parent, "-w", scratch / "local"]
    plain = partial(in_own_process, plain_pipeline, files, "photos", arguments.threads, "int8")
    before = seconds(plain)
    with PeakMemory() as memory:
        spent = seconds(
            lambda: subprocess.run([*map(str, command), "--threads", str(arguments.threads)], check=True, cwd=ROOT)
        )
    of_plain = (before + seconds(plain)) / 2
    return {
        "plain_process_images_per_s": len(files) / of_plain,
        "local_images_per_s": len(files) / spent,
        "ratio_local": of_plain / spent,
        "local_peak_memory_gb": memory.peak_bytes / 1e9,
    }


def seconds(job: Callable[[], object]) -> float:
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def enlarge(path: Path, megapixels: float) -> None:
    """Replaces a picture by a JPEG file of the same content with that many pixels, 4 wide and 3 high."""
    from PIL import Image

    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    with Image.open(path) as picture:
        large = picture.convert("RGB").resize((height * 4 // 3, height), Image.Resampling.BICUBIC)
    large.save(path, "JPEG", quality=92)


def plain_pipeline(files: list[Path], weights: str, threads: int, precision: Precision) -> float:
    """Images per second of a loop that reads and decodes pictures in threads and encodes them in batches."""
    import numpy as np

    from crossmodal.core.ahead import map_ahead
    from crossmodal.core.machine import CORES
    from crossmodal.images.prepare import prepare

    encoder = encoder_in(precision, weights, threads)

    def pixels(path: Path) -> np.ndarray:
        return prepare(path.read_bytes(), encoder.spec.preprocessing, with_thumbnail=False).pixels

    ready = map_ahead(pixels, files, threads=CORES, at_most=BATCH + 2 * CORES, size=lambda _: 1)
    start = time.perf_counter()
    while batch := list(islice(ready, BATCH)):
        encoder.encode_images(np.stack(batch))
    return len(files) / (time.perf_counter() - start)


def side_by_side(files: list[Path], scratch: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """The ratios of the model of `--beside` to that of `--weights`: medians of three rounds, and one Flow each."""
    pair = (arguments.beside, arguments.weights)
    rounds = [
        [in_own_process(plain_loop, files[: arguments.n // 4], weights, arguments.threads, "fp32") for weights in pair]
        for _ in range(3)
    ]
    texts = [[in_own_process(load_and_query, weights, arguments.threads) for weights in pair] for _ in range(3)]
    flows = [
        index_flow(files[: arguments.n // 2], scratch / f"beside-{i}", arguments, weights, "fp32")
        for i, weights in enumerate(pair)
    ]
    return {
        "photos_over_vitb32": statistics.median(second / first for second, first in rounds),
        "photos_over_vitb32_flow": flows[0][0] / flows[1][0],
        "photos_text_time_ratio": statistics.median(second[1] / first[1] for second, first in texts),
        "photos_load_s": statistics.median(second[0] for second, _ in texts),
        "photos_memory_ratio": flows[0][1] / flows[1][1],
        "photos_plain_images_per_s": statistics.median(second for second, _ in rounds),
        "photos_images_per_s": flows[0][0],
    }


def load_and_query(weights: str, threads: int) -> tuple[float, float]:
    """Seconds for loading both towers after `import torch`, and the median seconds for encoding one text."""
    import torch  # noqa: F401

    start = time.perf_counter()
    encoder = encoder_in("fp32", weights, threads, MODALITIES)
    loaded = time.perf_counter() - start
    encoder.encode_texts(["a dog running on grass"])
    spent = []
    for number in range(TEXT_QUERIES):
        start = time.perf_counter()
        encoder.encode_texts([f"{number} dogs running on grass"])
        spent.append(time.perf_counter() - start)
    return loaded, statistics.median(spent)


def encoder_in(precision: Precision, weights: str, threads: int, towers: tuple[Modality, ...] = ("image",)) -> Encoder:
    """The encoder that a collection of this precision uses; it is converted first if necessary."""
    from crossmodal.encoders import engine_choice, registry

    spec, made_with = registry.resolve("clip", weights), MadeWith(precision)
    engine_choice.prepare(spec, EngineRequest(), made_with, print)
    return registry.load(spec, towers, threads, engine_choice.choose(spec, EngineRequest(), made_with, print))


def prepared(precision: Precision, weights: str) -> None:
    """Converts a model, in a process of its own because an encoder can't be returned from one."""
    encoder_in(precision, weights, 1)


def copy_distinct(folder: Path, target: Path, n: int) -> list[Path]:
    """Copies files until there are n; appends a number to each, which a JPEG ignores, so that all are distinct."""
    from crossmodal.images.decode import EXTENSIONS

    originals = sorted(p for p in folder.rglob("*") if p.suffix.lower() in EXTENSIONS)
    target.mkdir()
    copies = []
    for number, path in enumerate(islice(cycle(originals), n)):
        copy = target / f"{number:06d}{path.suffix}"
        copy.write_bytes(path.read_bytes() + number.to_bytes(4, "big"))
        copies.append(copy)
    return copies


def plain_loop(files: list[Path], weights: str, threads: int, precision: Precision) -> float:
    """Images per second of the encoder alone, on batches in memory."""
    import numpy as np

    from crossmodal.images.decode import decode
    from crossmodal.images.geometry import fit

    encoder = encoder_in(precision, weights, threads)
    preprocessing = encoder.spec.preprocessing
    batches = [
        np.stack([fit(decode(path.read_bytes())[0], preprocessing) for path in files[i : i + BATCH]])
        for i in range(0, len(files), BATCH)
    ]
    encoder.encode_images(batches[0])
    start = time.perf_counter()
    for batch in batches:
        encoder.encode_images(batch)
    return len(files) / (time.perf_counter() - start)


def index_flow(
    files: list[Path], workspace: Path, arguments: argparse.Namespace, weights: str, precision: Precision
) -> tuple[float, float]:
    """Images per second through the index Flow, including the snapshot, and the peak memory in GB."""
    from crossmodal.collection.collection import Collection
    from crossmodal.core.settings import Settings
    from crossmodal.encoders import registry
    from serving.jina.ports import reserve_port_pair
    from serving.jina.supervisor import prepare_jina, running_flow

    # Another process resolves the name, because this one must not run torch before it forks.
    prepare_jina()
    spec = in_own_process(registry.resolve, "clip", weights)
    in_own_process(prepared, precision, weights)
    collection = Collection.create(workspace / "benchmark", spec, MadeWith(precision))
    settings = Settings(
        weights=weights,
        workspace=workspace,
        threads=max(1, arguments.threads // arguments.parallel),
        parallel=arguments.parallel,
    )
    settings = replace(settings, port=reserve_port_pair())
    outcomes: list[str] = []
    with PeakMemory() as memory, running_flow("index", collection, settings, read_paths=True):
        from executors.schema import MediaDoc
        from serving.jina.flow_client import call

        docs = (MediaDoc(id=path.name, modality="image", uri=str(path)) for path in files)
        start = time.perf_counter()
        call(settings, "/index", docs, lambda answers: outcomes.extend(doc.outcome for doc in answers))
        call(settings, "/snapshot", iter([MediaDoc(id="snapshot")]), lambda _: None)
        spent = time.perf_counter() - start
    if outcomes.count("indexed") != len(files):
        raise SystemExit(f"{outcomes.count('indexed')} of {len(files)} were indexed")
    return len(files) / spent, memory.peak_bytes / 1e9


if __name__ == "__main__":
    main()
