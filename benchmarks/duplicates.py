"""Precision and recall of `crossmodal duplicates` on copies with known edits, and its time on many pictures.

    python benchmarks/duplicates.py --folder PICTURES [--weights photos] [--json OUT]
    python benchmarks/duplicates.py --many 100000 [--json OUT]

With a folder, up to 500 of its pictures are copied: once byte by byte, and once with each edit of `duplicate_edits.py`.
Everything is indexed, and two pictures of one group are right if they come from one picture of the folder. Groups that
join several pictures of the folder are printed, because a folder may have duplicates of its own. Without a folder, the
pictures are generated scenes.

With `--many`, a collection gets that many synthetic thumbnails and vectors, one in 20 a copy of another one.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np
from common import ROOT, PeakMemory, write_figures
from duplicate_edits import EDITS, edited
from PIL import Image

from crossmodal.collection.collection import Collection
from crossmodal.core.types import Document, ModelSpec, Preprocessing, image_id
from crossmodal.duplicates.finding import DuplicateGroups, find
from crossmodal.duplicates.fingerprints import Fingerprints
from crossmodal.store.records import NewDocument

SUFFIXES = {".jpg", ".jpeg", ".png"}
DIM, COPIED, BATCH = 512, 20, 1_000
SIZE = (256, 192)


def copied(sources: list[Path], folder: Path) -> None:
    """Writes the pictures and their copies; the name of each begins with the number of its picture."""
    (folder / "again").mkdir()
    for number, source in enumerate(sources):
        content, dice = source.read_bytes(), Random(number)
        picture = Image.open(io.BytesIO(content)).convert("RGB")
        for place in (folder, folder / "again"):
            (place / f"{number:04}-original{source.suffix}").write_bytes(content)
        for kind in EDITS:
            (folder / f"{number:04}-{kind}.jpg").write_bytes(edited(picture, kind, dice))


def found_in(collection: Collection) -> tuple[DuplicateGroups, float]:
    """The duplicates, and the seconds that finding them takes, without a cache."""
    start = time.perf_counter()
    with collection.store() as store:
        found = find(store, lambda: collection.index(store, "image"), Fingerprints.none())
    return found, time.perf_counter() - start


def quality(sources: list[Path], weights: str) -> dict[str, float]:
    """Precision and recall by level, and recall by edit."""
    with TemporaryDirectory() as folder:
        pictures = Path(folder) / "pictures"
        pictures.mkdir()
        copied(sources, pictures)
        program = [sys.executable, "-m", "cli.main", "index", str(pictures), "-w", folder, "--collection", "copies"]
        subprocess.run([*program, "--weights", weights], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        found, seconds = found_in(Collection.open(Path(folder) / "copies"))
        n_pictures = len({path.read_bytes() for path in pictures.glob("*.*")})
    print(f"{found.n_pictures} different pictures of {n_pictures}, {found.n_plain} not compared, {seconds:.1f} s")
    group_of = {member.name: n for n, group in enumerate(found.groups[2]) for member in group.members}
    recall = {
        kind: np.mean([_are_together(group_of, number, kind, source) for number, source in enumerate(sources)])
        for kind in EDITS
    }
    figures = {f"duplicates_recall_{kind}": float(value) for kind, value in recall.items()}
    same = [sum(member.name[:4] == group.members[0].name[:4] for member in group.members) for group in found.groups[1]]
    return figures | {
        "duplicates_level1_precision": sum(same) / max(1, sum(len(group.members) for group in found.groups[1])),
        "duplicates_level1_recall": len(found.groups[1]) / len({source.read_bytes() for source in sources}),
        "duplicates_level2_precision": _precision(found, sources),
        "duplicates_level2_recall": float(np.mean(list(recall.values()))),
    }


def _are_together(group_of: dict[str, int], number: int, kind: str, source: Path) -> bool:
    original = group_of.get(f"{number:04}-original{source.suffix}")
    return original is not None and original == group_of.get(f"{number:04}-{kind}.jpg")


def _precision(found: DuplicateGroups, sources: list[Path]) -> float:
    """The share of the pairs in groups of level 2 that come from one picture."""
    right = total = 0
    for group in found.groups[2]:
        numbers = [member.name[:4] for member in group.members]
        pairs = [one == other for one, other in combinations(numbers, 2)]
        right, total = right + sum(pairs), total + len(pairs)
        if len(set(numbers)) > 1:
            print("joined:", *(sources[int(number)] for number in sorted(set(numbers))))
    return right / max(1, total)


def many(n: int) -> dict[str, float]:
    """The time and memory of finding duplicates among n pictures, and the share of the copies that are found."""
    spec = ModelSpec("clip", "synthetic", "0" * 64, DIM, Preprocessing(224))
    with TemporaryDirectory() as folder:
        collection = Collection.create(Path(folder) / "many", spec)
        copy_of: dict[str, str] = {}
        with collection.store(writable=True) as store:
            for batch in _synthetic(n, copy_of):
                store.put(batch)
            collection.index(store, "image").snapshot()
        before = time.process_time()
        with PeakMemory() as memory:
            found, seconds = found_in(collection)
        cpu_s = time.process_time() - before
    groups = defaultdict(set)
    for number, group in enumerate(found.groups[2]):
        for member in group.members:
            groups[member.document.id].add(number)
    n_found = sum(bool(groups[copy] & groups[original]) for copy, original in copy_of.items())
    scale = "100k" if n == 100_000 else str(n)
    return {
        f"duplicates_{scale}_s": seconds,
        f"duplicates_{scale}_cpu_s": cpu_s,
        f"duplicates_{scale}_peak_mb": memory.peak_bytes / 1e6,
        f"duplicates_{scale}_recall": n_found / max(1, len(copy_of)),
        f"duplicates_{scale}_groups_for_copies": len(found.groups[2]) / max(1, len(set(copy_of.values()))),
    }


def _synthetic(n: int, copy_of: dict[str, str]) -> Iterator[list[NewDocument]]:
    """Documents in batches; `copy_of` gets the id of the original of each copy."""
    dice, rng = Random(0), np.random.default_rng(0)
    pool = [_noise(rng, side) for side in (3, 5, 9, 20) for _ in range(100)]
    batch: list[NewDocument] = []
    for number in range(n):
        name = image_id(str(number).encode())
        if number % COPIED or not number:
            parts = [dice.choice(pool).transpose(Image.Transpose(dice.randrange(3) % 2)) for _ in range(3)]
            picture = Image.blend(Image.blend(*parts[:2], 0.5), parts[2], 0.4)
            picture = Image.blend(picture, _noise(rng, 7), 0.4)
            vector = rng.normal(size=DIM)
            last = name, picture, vector
        else:
            copy_of[name] = last[0]
            kind = dice.choice(["resized", "recompressed", "cropped", "watermarked", "mirrored"])
            picture = Image.open(io.BytesIO(edited(last[1], kind, dice)))
            vector = last[2] + 0.4 * rng.normal(size=DIM)
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=80)
        document = Document(name, "image", width=SIZE[0], height=SIZE[1], tags={"filename": f"{number}.jpg"})
        unit = (vector / np.linalg.norm(vector)).astype(np.float32)
        batch.append(NewDocument(document, unit, buffer.getvalue()))
        if len(batch) == BATCH or number == n - 1:
            yield batch
            batch = []


def _noise(rng: np.random.Generator, side: int) -> Image.Image:
    values = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
    return Image.fromarray(values).resize(SIZE, Image.Resampling.BICUBIC)


def main() -> None:
    """Runs one of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--pictures", type=int, default=500, help="most pictures of the folder")
    parser.add_argument("--weights", default="photos")
    parser.add_argument("--many", type=int, default=0, help="measure the time on this number of synthetic pictures")
    parser.add_argument("--json")
    options = parser.parse_args()
    if options.many:
        return write_figures(options.json, many(options.many))
    with TemporaryDirectory() as drawn:
        folder = options.folder
        if folder is None:
            program = [sys.executable, "-m", "cli.main", "data", drawn, "-n", str(options.pictures)]
            subprocess.run(program, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
            folder = Path(drawn)
        sources = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
        Random(0).shuffle(sources)
        write_figures(options.json, quality(sources[: options.pictures], options.weights))


if __name__ == "__main__":
    main()
