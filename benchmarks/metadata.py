"""Whether metadata becomes the right tags, and what it costs.

    python benchmarks/metadata.py [--pictures 150] [--turns 5] [--samples FOLDER] [--exiftool COMMAND] [--json PATH]

- `exif_right`: the share of 300 generated photographs (tests/photographs.py) with exactly the right tags;
- `indexing_cost`: the processor time of indexing the toy data, each with EXIF, XMP and a location, over that without
  reading metadata: the median over pairs of 30 pictures, after the encoder and the gazetteer are loaded;
- `metadata_ms`: reading one of these pictures' metadata, without opening the file;
- `first_nearest_ms`, `nearest_ms`, `first_named_ms`, `named_ms`, `nearest_mb`, `named_mb`: the gazetteer;
- with `--samples`, a folder of real photographs: `samples`, those that exiftool finds a time, coordinates or a camera
  in, and `samples_right`, the share where all three agree.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from common import ROOT, in_own_process, memory_mb, write_figures

from crossmodal.collection.collection import Collection
from crossmodal.core.errors import PictureError
from crossmodal.core.settings import MetadataChoice
from crossmodal.core.types import Document, image_id
from crossmodal.encoders import registry
from crossmodal.images.decode import EXTENSIONS, metadata_blocks
from crossmodal.ingest.job import Pending
from crossmodal.ingest.pipeline import Pipeline
from crossmodal.metadata.embedded import Embedded, read_embedded
from crossmodal.metadata.places import named, nearest
from crossmodal.metadata.tags import with_metadata
from crossmodal.metadata.times import parse_time

sys.path.insert(0, str(ROOT / "tests"))
from photographs import PLACES, Block, photographs, sexagesimal, xmp_packet

TOY = ROOT / "data" / "toy-data" / "images"
CITIES = list(PLACES)[:12]
CHOICES: list[MetadataChoice] = ["all", "none"]
CHUNK = 30
"""Pictures that are indexed with metadata, then without."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=150)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--samples", type=Path)
    parser.add_argument("--exiftool", default="exiftool")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    if arguments.pictures <= CHUNK:
        parser.error(f"--pictures must be more than {CHUNK}: the first {CHUNK} load the encoder and are not measured")
    figures = {"exif_right": exif_right(), **in_own_process(gazetteer)}
    files = [with_metadata_added(path.read_bytes(), i) for i, path in enumerate(sorted(TOY.iterdir()))]
    figures |= indexing(files[: arguments.pictures], arguments.turns)
    if arguments.samples:
        figures |= compared(arguments.samples, shlex.split(arguments.exiftool))
    write_figures(arguments.json, figures)


def exif_right() -> float:
    """The share of the generated photographs with the right tags."""
    made = photographs()
    return sum(tags_of(photo.content, photo.name) == photo.tags for photo in made) / len(made)


def tags_of(content: bytes, name: str) -> dict[str, Any]:
    return with_metadata({}, read_embedded(*metadata_blocks(content)), name)


def gazetteer() -> dict[str, float]:
    """The time and the memory of looking places up."""
    figures = {}
    for name, look in (("nearest", lambda: [nearest(*city) for city in CITIES]), ("named", lambda: named("Paris"))):
        before = memory_mb()[0]
        figures[f"first_{name}_ms"] = milliseconds(look)
        figures[f"{name}_mb"] = memory_mb()[0] - before
        each = len(CITIES) if name == "nearest" else 1
        figures[f"{name}_ms"] = statistics.median(milliseconds(look) for _ in range(20)) / each
    return figures


def milliseconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e3


def with_metadata_added(jpeg: bytes, number: int) -> bytes:
    """The JPEG file with the EXIF and XMP of a camera; every number gives another picture id."""
    block = Block("<")
    latitude, longitude = CITIES[number % len(CITIES)]
    for directory, tag, text in (
        ("main", 0x010F, "Canon"), ("main", 0x0110, "Canon EOS R5"), ("exif", 0x9003, "2021:07:04 18:30:05"),
        ("exif", 0x9011, "+02:00"), ("exif", 0xA434, f"RF24-105mm F4 L IS USM {number}"),
        ("gps", 1, "S" if latitude < 0 else "N"), ("gps", 3, "W" if longitude < 0 else "E"),
    ):  # fmt: skip
        block.text(directory, tag, text)
    block.rationals(2, sexagesimal(latitude, 0))
    block.rationals(4, sexagesimal(longitude, 0))
    packet = b"http://ns.adobe.com/xap/1.0/\0" + xmp_packet({"dc:subject": ["a", "b"], "xmp:Rating": "3"})
    segments = b"".join(
        b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body for body in (b"Exif\0\0" + block.written(), packet)
    )
    return jpeg[:2] + segments + jpeg[2:]


def indexing(files: list[bytes], turns: int) -> dict[str, float]:
    """The cost of metadata at indexing, and the time of reading that of one picture."""
    ratios = []
    for turn in range(turns):
        with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
            add = {choice: opened.enter_context(Adding(Path(folder) / choice, choice)) for choice in CHOICES}
            for start in range(0, len(files), CHUNK):
                for choice in CHOICES if turn % 2 else CHOICES[::-1]:
                    add[choice](files[start : start + CHUNK])
                took = {choice: add[choice].took[-1] for choice in CHOICES}
                if start:  # the first chunk loads the encoder and the gazetteer
                    ratios.append(took["all"] / took["none"])
        print(f"turn {turn + 1}: median ratio {statistics.median(ratios):.3f} of {len(ratios)} pairs", flush=True)
    blocks = [metadata_blocks(content) for content in files]
    read_ms = milliseconds(lambda: [with_metadata({}, read_embedded(*pair), "a.jpg") for pair in blocks])
    return {"indexing_cost": statistics.median(ratios), "metadata_ms": read_ms / len(files)}


class Adding:
    """A pipeline into a new collection, and the processor seconds of each addition."""

    def __init__(self, folder: Path, choice: MetadataChoice) -> None:
        self._collection = Collection.create(folder, registry.resolve("clip", registry.PHOTOS))
        self._pipeline = Pipeline(self._collection, metadata=choice)
        self.took: list[float] = []

    def __enter__(self) -> Adding:
        self._pipeline.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._pipeline.__exit__(None)

    def __call__(self, files: list[bytes]) -> None:
        """Indexes pictures."""
        pictures = [Pending(Document(image_id(content), "image"), content) for content in files]
        start = time.process_time()
        self._pipeline.add_pictures(pictures, lambda _: None, lambda: None)
        self.took.append(time.process_time() - start)


def compared(folder: Path, exiftool: list[str]) -> dict[str, float]:
    """The agreement with exiftool on the pictures of a folder."""
    files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in EXTENSIONS and path.is_file()]
    listed = "\n".join(map(str, files))
    printed = subprocess.run([*exiftool, "-j", "-n", "-G1", "-@", "-"], input=listed, capture_output=True, text=True)
    outcomes = []
    for told in json.loads(printed.stdout):
        try:
            embedded = read_embedded(*metadata_blocks(Path(told["SourceFile"]).read_bytes()))
        except PictureError:
            continue
        outcome = agrees(embedded, told)
        if outcome is not None:
            outcomes.append(outcome)
            if not outcome:
                print(f"differs: {told['SourceFile']}: {dict(embedded.tags)} {dict(embedded.location)}")
    return {"samples": len(outcomes), "samples_right": sum(outcomes) / max(len(outcomes), 1)}


def agrees(embedded: Embedded, told: dict[str, Any]) -> bool | None:
    """Whether time, coordinates and camera are those of exiftool; None if it finds none of them."""
    names = ("ExifIFD:DateTimeOriginal", "ExifIFD:CreateDate")
    taken = next((time for name in names if (time := parse_time(str(told.get(name, ""))))), None)
    degrees = []
    for name, negative in (("GPS:GPSLatitude", "S"), ("GPS:GPSLongitude", "W")):
        value = told.get(name)
        if isinstance(value, int | float) and told.get(f"{name}Ref"):
            degrees.append(-value if told[f"{name}Ref"] == negative else value)
    model = " ".join(re.sub(r"[^ -~]", " ", str(told.get("IFD0:Model", ""))).split())
    if not (taken or len(degrees) == 2 or model):
        return None
    are_same = taken is None or str(embedded.tags.get("taken", "")).startswith(taken)
    if len(degrees) == 2 and any(degrees):
        found = embedded.location.get("latitude", 0), embedded.location.get("longitude", 0)
        are_same &= all(abs(a - b) < 2e-6 for a, b in zip(found, degrees, strict=True))
    return are_same and model in str(embedded.tags.get("camera", ""))


if __name__ == "__main__":
    main()
