"""A watched folder to which things happen at random, and a collection that must follow it."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from ingest_world import FAST_DISK, MODEL
from PIL import Image

from cli.watch import Watcher
from crossmodal.collection.collection import Collection
from crossmodal.core.settings import Settings
from crossmodal.core.types import Vectors, image_id

DEBOUNCE_S = 0.15
FOLDERS = ("", "a", "b", "a/deep", "c/deeper/still")
RULES = "left-out/\n*.skip.png\n"


def picture(number: int) -> bytes:
    """A small PNG of its own."""
    file = BytesIO()
    color = (number % 251, number // 251 % 251, number // 63_001 % 251)
    Image.new("RGB", (3, 3), color).save(file, "PNG")
    return file.getvalue()


class CheapEncoder:
    """Encodes pictures and texts as random unit vectors."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)

    def encode_images(self, pixels: Sequence[object]) -> Vectors:
        return self._drawn(len(pixels))

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        return self._drawn(len(texts))

    def unread(self, text: str) -> str:
        return ""

    def _drawn(self, n: int) -> Vectors:
        vectors = self._random.normal(size=(n, MODEL.dim)).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class WatchedFolder:
    """A folder, its collection, and the watcher, which runs in the main thread while things happen in another."""

    def __init__(self, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("crossmodal.ingest.pipeline.prepared_encoder", lambda *_: CheapEncoder())
        monkeypatch.setattr("cli.watch.RETRY_S", 0.3)
        monkeypatch.setattr("crossmodal.datasets.changes.CHECK_S", 0.2)
        self.root, self.base = base / "pictures", base
        self.root.mkdir()
        self.collection = Collection.create(base / "workspace" / "c", MODEL)
        self.collection.store(writable=True).close()
        self.log: list[str] = []
        self.settings = Settings(data_set=str(self.root), workspace=base / "workspace", collection="c")

    def watch_while(self, happens: Callable[[], None], *, polling: bool = False) -> None:
        """Runs the watcher until something that happens in another thread is over."""
        stop, errors = Event(), list[BaseException]()

        def act() -> None:
            try:
                happens()
            except BaseException as error:  # noqa: BLE001 -- raised again in the main thread
                errors.append(error)
            finally:
                stop.set()

        thread = threading.Thread(target=act)
        thread.start()
        try:
            watcher = Watcher(
                self.collection, self.settings, stop, self.log.append, debounce_s=DEBOUNCE_S, polling=polling
            )
            watcher.run()
        finally:
            stop.set()
            thread.join()
        if errors:
            raise errors[0]

    def indexed(self) -> dict[str, str]:
        """The picture in each indexed file, by path."""
        with self.collection.store() as store:
            return {path: file.image_id for path, file in store.files.of_source(str(self.root.resolve())).items()}

    def pictures(self) -> set[str]:
        """The ids of all indexed pictures."""
        with self.collection.store() as store:
            return {item.document.id for _, item in store.everything(0, 100_000) if item.document.modality == "image"}

    def on_disk(self) -> dict[str, str]:
        """The same of the folder, as its rules say."""
        found = {}
        for parent, folders, files in os.walk(self.root):
            folders[:] = [name for name in folders if not name.startswith((".", "@")) and name != "left-out"]
            for name in files:
                if name.endswith(".png") and not name.startswith(".") and not name.endswith(".skip.png"):
                    path = os.path.join(parent, name)
                    found[path] = image_id(Path(path).read_bytes())
        return found

    def captions(self) -> set[tuple[str, str]]:
        """All indexed captions, each with the id of its picture."""
        with self.collection.store() as store:
            documents = [item.document for _, item in store.everything(0, 100_000)]
        return {(document.text, document.image_id) for document in documents if document.modality == "text"}

    def captions_on_disk(self) -> set[tuple[str, str]]:
        """The same of the text files beside the pictures of the folder."""
        pairs = [(Path(path).with_suffix(".txt"), picture) for path, picture in self.on_disk().items()]
        return {(line, picture) for text, picture in pairs if text.exists() for line in text.read_text().splitlines()}

    def is_in_step(self) -> bool:
        on_disk = self.on_disk()
        is_indexed = self.indexed() == on_disk and self.pictures() == set(on_disk.values())
        return is_indexed and self.captions() == self.captions_on_disk()

    def wait_until_in_step(self, limit_s: float = 60) -> None:
        wait_until(self.is_in_step, limit_s, lambda: f"{self.difference()}\n" + "\n".join(self.log[-10:]))

    def difference(self) -> str:
        indexed = {*self.indexed().items(), *self.captions()}
        on_disk = {*self.on_disk().items(), *self.captions_on_disk()}
        return f"only indexed: {sorted(indexed - on_disk)}; only on disk: {sorted(on_disk - indexed)}"


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[WatchedFolder]:
    """A watched folder without pictures, on a fast disk, which all users may write to."""
    with tempfile.TemporaryDirectory(dir=FAST_DISK) as base:
        Path(base).chmod(0o777)
        yield WatchedFolder(Path(base), monkeypatch)


def wait_until(holds: Callable[[], bool], limit_s: float, explain: Callable[[], str]) -> None:
    """Waits until a condition holds; the limit is generous, since a machine may be busy."""
    until = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < until, explain()
        time.sleep(0.05)


class Chance:
    """Random operations on a folder, reproducible from a seed."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.random = root, random.Random(seed)
        self._number = seed * 100_000
        self.n_done = 0

    def happen(self) -> None:
        """One operation; counts those that found something to work on."""
        kinds = {
            self.create: 25, self.copy: 10, self.change: 12, self.rename: 18, self.delete: 12, self.caption: 15,
            self.move_folder: 8, self.delete_folder: 3, self.leave_out: 7,
        }  # fmt: skip
        [kind] = self.random.choices([*kinds], [*kinds.values()])
        self.n_done += kind()

    def new(self) -> bytes:
        self._number += 1
        return picture(self._number)

    def place(self, *, suffix: str = ".png") -> Path:
        folder = self.root / self.random.choice(FOLDERS)
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{self.random.randrange(60)}{suffix}"

    def files(self) -> list[Path]:
        return sorted(path for path in self.root.rglob("*.png") if not path.name.endswith(".skip.png"))

    def folders(self) -> list[Path]:
        return sorted(path for path in self.root.rglob("*") if path.is_dir())

    def create(self) -> bool:
        self.place().write_bytes(self.new())
        return True

    def copy(self) -> bool:
        if files := self.files():
            self.place().write_bytes(self.random.choice(files).read_bytes())
        return bool(files)

    def caption(self) -> bool:
        """The captions of a picture, or of none any more."""
        if not (files := self.files()):
            return False
        text = self.random.choice(files).with_suffix(".txt")
        if text.exists() and self.random.random() < 0.3:
            text.unlink()
        else:
            self._number += 1
            text.write_text("".join(f"caption {self._number} {n}\n" for n in range(self.random.randrange(1, 3))))
        return True

    def change(self) -> bool:
        if files := self.files():
            self.random.choice(files).write_bytes(self.new())
        return bool(files)

    def rename(self) -> bool:
        if files := self.files():
            self.random.choice(files).replace(self.place())
        return bool(files)

    def delete(self) -> bool:
        if files := self.files():
            self.random.choice(files).unlink()
        return bool(files)

    def move_folder(self) -> bool:
        if not (folders := self.folders()):
            return False
        folder, parent = self.random.choice(folders), self.random.choice([self.root, *folders])
        to = parent / f"moved-{self.random.randrange(1000)}"
        if to.exists() or folder in (parent, *parent.parents):
            return False
        folder.rename(to)
        return True

    def delete_folder(self) -> bool:
        if folders := self.folders():
            shutil.rmtree(self.random.choice(folders))
        return bool(folders)

    def leave_out(self) -> bool:
        """A file that rules leave out, of a hidden or of a system folder; or a folder that becomes one."""
        name = self.random.choice((".hidden", "@eaDir", "left-out", ".thumbnails"))
        folder = self.random.choice([self.root, *self.folders()]) / name
        folder.mkdir(exist_ok=True)
        (folder / "1.png").write_bytes(self.new())
        self.place(suffix=".skip.png").write_bytes(self.new())
        return True

    def burst(self, n: int) -> None:
        """n files at once, in a folder that is new."""
        folder = self.root / f"burst-{self._number}"
        folder.mkdir()
        for number in range(n):
            (folder / f"{number}.png").write_bytes(self.new())

    def write_slowly(self) -> None:
        """A file in pieces, with less than the debounce time between them, and as long as a few of it in all."""
        content = self.new()
        with self.place().open("wb") as file:
            for start in range(0, len(content), 12):
                file.write(content[start : start + 12])
                file.flush()
                time.sleep(DEBOUNCE_S / 3)


@contextmanager
def unmounted(folder: Path, aside: Path) -> Iterator[None]:
    """A folder that is replaced by an empty one within the block, as the mount point of a disk is."""
    folder.rename(aside)
    folder.mkdir()
    try:
        yield
    finally:
        folder.rmdir()
        aside.rename(folder)
