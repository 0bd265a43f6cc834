"""Images a second of the index Flow, from JPEG files to a committed index, against the encoder alone.

    python benchmarks/index_throughput.py --images FOLDER [-n 1000] [--weights ViT-B-32/random]
        [--precision fp32 bf16] [--json PATH]

Both are measured in the same run with the same number of threads, in two halves that alternate, since
these machines are noisy: loop, Flow, loop. The encoder alone works on batches that are ready in memory. All of it is
done for each precision; the figures of bf16 end in `_bf16`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from dataclasses import replace
from functools import partial
from itertools import cycle, islice
from pathlib import Path

from common import PeakMemory, write_figures

from crossmodal.core.types import Precision

BATCH = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="a folder of pictures, searched recursively")
    parser.add_argument("-n", type=int, default=1000, help="how many pictures; the folder's are repeated")
    parser.add_argument("--weights", default="ViT-B-32/random")
    parser.add_argument("--threads", type=int, default=2, help="of the encoder, in both measurements")
    parser.add_argument("--parallel", type=int, default=1, help="replicas of the encoder; they share the threads")
    parser.add_argument("--precision", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    parser.add_argument("--json")
    given = parser.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory() as scratch:
        files = copy_distinct(given.images, Path(scratch) / "images", given.n)
        for precision in given.precision:
            alone = partial(in_own_process, plain_loop, files[: given.n // 2], given.weights, given.threads, precision)
            before = alone()
            flow_rate, peak_gb = index_flow(files, Path(scratch) / precision, given, precision)
            plain = (before + alone()) / 2
            ending = "" if precision == "fp32" else f"_{precision}"
            figures |= {
                f"plain_images_per_s{ending}": plain,
                f"images_per_s{ending}": flow_rate,
                f"ratio{ending}": flow_rate / plain,
                f"peak_memory_gb{ending}": peak_gb,
            }
    write_figures(given.json, figures)


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


def in_own_process(job, *given):
    """Runs a measurement in a process of its own, so that none inherits threads or memory of another."""
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_report, args=(send, job, *given))
    process.start()
    result = receive.recv()
    process.join()
    return result


def _report(send, job, *given) -> None:
    send.send(job(*given))


def plain_loop(files: list[Path], weights: str, threads: int, precision: Precision) -> float:
    """Images a second of the encoder alone over ready batches."""
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
    files: list[Path], workspace: Path, given: argparse.Namespace, precision: Precision
) -> tuple[float, float]:
    """Images a second through the index Flow, the snapshot included, and the peak memory in GB."""
    from crossmodal.collection.collection import Collection
    from crossmodal.core.settings import Settings
    from crossmodal.encoders import registry
    from serving.jina.ports import reserve_port_pair
    from serving.jina.supervisor import prepare_jina, running_flow

    # The name is resolved by another process: this one must not import torch, so that it can fork.
    prepare_jina()
    spec = in_own_process(registry.resolve, "clip", given.weights)
    collection = Collection.create(workspace / "benchmark", spec)
    settings = Settings(
        weights=given.weights,
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
