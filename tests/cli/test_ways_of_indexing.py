"""Indexing in the process and through a Flow: the same collection; what the first imports, and how it ends."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from conftest import ROOT, TOY, RunApp, run_code, run_crossmodal
from photographs import Block, sexagesimal
from pyarrow import parquet

from crossmodal.collection.collection import Collection
from crossmodal.collection.lifecycle import describe_indexes
from crossmodal.store.sqlite import NewDocument

PICTURES = sorted((TOY / "images").iterdir())[:20]


def with_exif(jpeg: bytes) -> bytes:
    """A JPEG file with the time and the place of its exposure."""
    block = Block("<")
    for directory, tag, text in (("exif", 0x9003, "2021:07:04 18:30:05"), ("gps", 1, "N"), ("gps", 3, "E")):
        block.text(directory, tag, text)
    block.rationals(2, sexagesimal(48.8584, 0))
    block.rationals(4, sexagesimal(2.2945, 0))
    segment = b"Exif\0\0" + block.written()
    return jpeg[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + jpeg[2:]


def folder_of_files(folder: Path) -> Path:
    """Twenty pictures in two folders, one of them twice, and four that can't be read; captions, one empty, one long."""
    for number, picture in enumerate(PICTURES):
        place = folder / ("even" if number % 2 == 0 else "odd")
        place.mkdir(parents=True, exist_ok=True)
        (place / picture.name).write_bytes(picture.read_bytes() if number else with_exif(picture.read_bytes()))
    (folder / "even" / "twin.jpg").write_bytes(with_exif(PICTURES[0].read_bytes()))
    (folder / "even" / "damaged.jpg").write_bytes(PICTURES[1].read_bytes()[:900])
    (folder / "odd" / "empty.jpg").touch()
    (folder / "odd" / "loop.jpg").symlink_to(folder / "odd" / "loop.jpg")
    os.mkfifo(folder / "odd" / "pipe.jpg")
    with (folder / "captions.csv").open("w", newline="") as file:
        rows = [(f"even/{PICTURES[0].name}", text) for text in ("a first caption", " ", "a long caption " * 60)]
        rows += [(f"odd/{picture.name}", f"caption {n}") for n, picture in enumerate(PICTURES) if n % 2]
        csv.writer(file).writerows([("image", "caption"), *rows, ("even/damaged.jpg", "of a damaged one")])
    return folder


def table_of_pictures(folder: Path) -> Path:
    """A Parquet file with twenty pictures and a damaged one."""
    images = [{"bytes": picture.read_bytes(), "path": picture.name} for picture in PICTURES]
    images.append({"bytes": b"no picture", "path": "damaged.jpg"})
    folder.mkdir()
    captions = [f"caption {number}" for number in range(len(images))]
    parquet.write_table(pa.table({"image": images, "caption": captions}), folder / "pictures.parquet", row_group_size=8)
    return folder / "pictures.parquet"


def contents(collection: Collection) -> dict[str, Any]:
    """Everything that a collection holds, except vectors, times, and keys: requests can overtake others in a Flow."""
    manifest = json.loads((collection.folder / "manifest.json").read_bytes())
    del manifest["created"]
    with collection.store() as store:
        files, last_seq = store.files.by_source(), store.last_seq()
    documents = [(item.document, item.thumbnail, item.content) for item in everything(collection)]
    return {"manifest": manifest, "documents": documents, "files": files, "last_seq": last_seq}


def everything(collection: Collection) -> list[NewDocument]:
    """The documents in the order of their ids."""
    with collection.store() as store:
        return sorted((item for _, item in store.everything(0, 1000)), key=lambda item: item.document.id)


def vectors(collection: Collection) -> Any:
    return np.stack([item.vector for item in everything(collection)])


@pytest.mark.parametrize("data_set_in", [folder_of_files, table_of_pictures])
def test_both_ways_leave_the_same_collection(tmp_path: Path, run_app: RunApp, data_set_in: Any) -> None:
    data_set = data_set_in(tmp_path / "data")
    options = ("--collection", "c", "-s", "8", "--json")
    here = run_crossmodal("index", data_set, "-w", tmp_path / "here", *options)
    flow = run_app("-t", "index", "-d", data_set, "-w", tmp_path / "flow", *options)
    assert here.returncode == flow.returncode == 0, here.stderr + flow.stderr
    assert json.loads(here.stdout) == json.loads(flow.stdout)
    assert json.loads(here.stdout)["images"]["indexed"] == len(PICTURES)
    collections = [Collection.open(tmp_path / way / "c") for way in ("here", "flow")]
    assert contents(collections[0]) == contents(collections[1])
    np.testing.assert_allclose(*map(vectors, collections), atol=1e-6)
    places = {item.document.tags.get("place") for item in everything(collections[0])}
    assert places == ({None, "Paris"} if data_set.is_dir() else {None})
    assert describe_indexes(collections[0]) == describe_indexes(collections[1])
    pointers = [{path.name for path in collection.index_folder.glob("*.json")} for collection in collections]
    assert pointers[0] == pointers[1] == {"image-0-of-1.json", "text-0-of-1.json"}


IMPORTS = """
import sys
from cli.main import main
try:
    main()
finally:
    print(*{name.split(".")[0] for name in sys.modules}, file=sys.stderr)
"""


def imported(folder: Path, workspace: Path) -> set[str]:
    command = [sys.executable, "-c", IMPORTS, "index", folder, "-w", workspace]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


def test_indexing_imports_no_more_than_it_needs(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / PICTURES[0].name).write_bytes(PICTURES[0].read_bytes())
    (folder / "captions.csv").write_text(f"image,caption\n{PICTURES[0].name},two drops\n")
    heavy = {"jina", "docarray", "torch", "open_clip", "fastapi", "scipy"}
    first = imported(folder, tmp_path / "w")
    assert "openvino" in first
    assert first.isdisjoint(heavy)
    assert imported(folder, tmp_path / "w").isdisjoint({*heavy, "openvino", "rich", "multiprocessing"})


INTERRUPTED = """
import os, signal, sys
from cli.main import main
from cli.progress import Meter

def advance(self, n=1):
    self.n_advanced = getattr(self, "n_advanced", 0) + n
    if self.n_advanced == 10:
        os.kill(os.getpid(), signal.{})

Meter.advance = advance
main()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_stopped_run_keeps_what_was_acknowledged(tmp_path: Path, name: str) -> None:
    data_set = folder_of_files(tmp_path / "data")
    arguments = ("index", data_set, "-w", tmp_path / "w", "--collection", "c", "-s", "4", "--weights", "photos")
    done = run_code(INTERRUPTED.format(name), *arguments)
    assert done.returncode == 130, done.stderr
    assert done.stderr == "stopped\n"
    folder = tmp_path / "w" / "c"
    report = json.loads((folder / "last-index.json").read_text())
    collection = Collection.open(folder)
    with collection.store() as store:
        n_stored = store.counts()["image"]
    assert report["images"]["indexed"] == 9  # the tenth can't be decoded
    assert 9 <= n_stored <= 12
    assert (collection.index_folder / "image-0-of-1.json").exists()
    done = run_crossmodal(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    images = json.loads(done.stdout)["images"]
    assert (images["indexed"], images["failed"]) == (len(PICTURES) - n_stored, 4)
    assert run_crossmodal("verify", "-w", tmp_path / "w").returncode == 0
