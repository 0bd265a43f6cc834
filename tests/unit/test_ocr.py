"""Reading text in pictures: the reader itself once, and the process around it with pictures that stop it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from importlib import metadata
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from crossmodal.core.errors import PictureError, StateError
from crossmodal.core.reading import Reading
from crossmodal.core.types import Document, image_id
from crossmodal.ocr import job
from crossmodal.ocr.job import pictures_to_read, read_pictures
from crossmodal.ocr.reader import TextReader
from crossmodal.ocr.worker import ReadingProcess
from crossmodal.store.records import NewDocument
from crossmodal.store.sqlite import DocumentStore

ROOT = Path(__file__).resolve().parents[2]
VECTOR = np.eye(4, dtype=np.float32)[0]
needs_rapidocr = pytest.mark.skipif(find_spec("rapidocr") is None, reason="requirements-ocr.txt is not installed")


def encoded(text: str, orientation: int = 1) -> bytes:
    """A small picture with a text; with the EXIF orientation 6 it is stored lying on its side."""
    picture = Image.new("RGB", (320, 120), "white")
    ImageDraw.Draw(picture).text((20, 40), text, "black", ImageFont.load_default(36))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = picture.rotate(90, expand=True) if orientation == 6 else picture
    buffer = BytesIO()
    stored.save(buffer, "PNG", exif=exif)
    return buffer.getvalue()


@needs_rapidocr
def test_words_and_their_places_are_those_of_the_upright_picture() -> None:
    with ReadingProcess(1, 300.0) as reader:  # however busy the machine is
        found = [reader.read(encoded("OPEN daily", orientation)) for orientation in (1, 6)]
        with pytest.raises(PictureError, match="not a picture"):
            reader.read(b"these are words")
        assert not reader.read(encoded("")).lines
    for reading in found:
        (line,) = reading.lines
        assert (line.text, [word.text for word in line.words]) == ("OPEN daily", ["OPEN", "daily"])
        assert reading.engine.startswith("rapidocr ")
        corners = np.array(line.words[0].box).reshape(4, 2)
        assert corners.min(axis=0) == pytest.approx([20 / 320, 45 / 120], abs=0.16)  # with a margin
        assert corners.max(axis=0)[0] < 0.5
        assert 0.6 < line.confidence <= 1


@pytest.mark.parametrize(("size", "width"), [((1, 2_000), 250), ((30, 240), 30), ((2_000, 1), 2_000)])
def test_a_tall_picture_gets_a_margin_that_is_no_part_of_places(size: tuple[int, int], width: int) -> None:
    """Without it, the reader would enlarge one of 1 x 2,000 pixels to 736 x 1,472,000."""
    seen: list[tuple[int, ...]] = []

    def read(pixels: np.ndarray[Any, Any]) -> SimpleNamespace:
        seen.append(pixels.shape)
        box = np.array([[0, 0], [size[0], 0], [size[0], size[1]], [0, size[1]]])
        return SimpleNamespace(txts=["OPEN"], scores=[0.9], boxes=[box], word_results=[[]])

    reader = TextReader.__new__(TextReader)
    reader._name, reader._read = "rapidocr", read
    (line,) = reader.read_picture(Image.new("RGB", size)).lines
    assert seen == [(size[1], width, 3)]
    assert line.box == (0, 0, 1, 0, 1, 1, 0, 1)


@needs_rapidocr
def test_the_reader_neither_uses_the_network_nor_writes_files() -> None:
    program = """
import sys
events = []
def note(event, arguments):
    writes = event == "open" and isinstance(arguments[1], str) and set("wax+") & set(arguments[1])
    if writes or event in ("socket.connect", "socket.getaddrinfo"):
        events.append((event, arguments[0]))
sys.addaudithook(note)
from crossmodal.ocr.reader import TextReader
reader = TextReader(1)
from PIL import Image
reader.read_picture(Image.new("RGB", (64, 64)))
assert sys.modules["openvino_telemetry"] is None
assert events == [], events
"""
    done = subprocess.run([sys.executable, "-B", "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _odd_reader(pipe: Any, threads: int) -> None:
    """A process for tests, which reads the name of its behaviour."""
    pipe.send(True)
    while True:
        content = pipe.recv_bytes()
        if content == b"crash":
            os._exit(11)
        if content == b"hang":
            time.sleep(60)
        pipe.send(Reading(content.decode()).to_dict())


def _not_starting(pipe: Any, threads: int) -> None:
    pipe.send(StateError("no models"))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if rapidocr were installed."""
    monkeypatch.setattr("crossmodal.ocr.worker.engine_name", lambda: "test")


@pytest.mark.usefixtures("installed")
def test_a_picture_that_hangs_or_crashes_the_reader_is_refused_and_the_next_is_read() -> None:
    with ReadingProcess(1, 0.5, _odd_reader) as reader:
        with pytest.raises(PictureError, match=r"took more than 0\.5 s"):
            reader.read(b"hang")
        assert reader.read(b"one").engine == "one"
        with pytest.raises(PictureError, match="crashed the reader"):
            reader.read(b"crash")
        assert reader.read(b"two").engine == "two"


@pytest.mark.usefixtures("installed")
def test_a_reader_that_does_not_start_is_no_fault_of_the_picture() -> None:
    with ReadingProcess(1, 0.5, _not_starting) as reader, pytest.raises(StateError, match="no models"):
        reader.read(b"one")


def test_without_rapidocr_the_next_step_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr("crossmodal.ocr.reader.version", missing)
    with pytest.raises(StateError, match=r"pip install -r requirements-ocr\.txt"):
        ReadingProcess(1)


class NameReader:
    """Reads the content as the name of the engine; one content can't be read, and one is interrupted."""

    def read(self, content: bytes) -> Reading:
        if content == b"bad":
            raise PictureError("took more than 1 s to read")
        if content == b"stop":
            raise KeyboardInterrupt
        return Reading(content.decode())


@pytest.fixture
def store(tmp_path: Path) -> DocumentStore:
    """Pictures in files, in the store, and in a file that now has another picture."""
    items = []
    for name in ("one", "bad", "two", "stop", "three"):
        (tmp_path / name).write_bytes(name.encode())
        items.append(NewDocument(Document(image_id(name.encode()), "image", str(tmp_path / name)), VECTOR))
    items.append(NewDocument(Document("stored", "image"), VECTOR, None, b"stored"))
    (tmp_path / "changed").write_bytes(b"another")
    items.append(NewDocument(Document("changed", "image", str(tmp_path / "changed")), VECTOR))
    (tmp_path / "store").mkdir()
    made = DocumentStore(tmp_path / "store", writable=True)
    made.put(items)
    return made


def test_an_interrupted_run_keeps_what_it_read_and_the_next_goes_on(
    store: DocumentStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(job, "AT_ONCE", 2)
    advanced: list[None] = []
    with pytest.raises(KeyboardInterrupt):
        read_pictures(store, pictures_to_read(store, again=False), NameReader(), lambda: advanced.append(None))
    assert (len(advanced), len(pictures_to_read(store, again=False))) == (3, 5)
    assert store.readings.exist() == (True, False)
    store.remove([image_id(b"stop")])
    report = read_pictures(store, pictures_to_read(store, again=False), NameReader(), lambda: None)
    assert (report.read, report.with_text, report.before) == (2, 0, 2)
    failures = {Path(failure.path).name: failure.reason for failure in report.failures}
    assert failures == {"bad": "took more than 1 s to read", "changed": "now contains another picture: index it again"}
    assert "2 not read; the next run tries them again" in report.lines()[0]
    assert len(pictures_to_read(store, again=False)) == 2
    assert read_pictures(store, pictures_to_read(store, again=True), NameReader(), lambda: None).before == 0
