"""The text in pictures of a watched folder: which pictures are read, in both kinds of store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cli.watch_text import FolderTexts, ReaderError
from crossmodal.collection.collection import Collection
from crossmodal.collection.linked_workspace import link_workspace
from crossmodal.core.errors import PictureError, StateError
from crossmodal.core.reading import Reading
from crossmodal.core.types import Document, ModelSpec, Preprocessing, image_id
from crossmodal.store.records import NewDocument
from crossmodal.store.source_files import SourceFile

SPEC = ModelSpec("clip", "none", "0" * 64, 4, Preprocessing(32))
VECTOR = np.eye(4, dtype=np.float32)[0]


class NameReader:
    """Reads the content as the name of the engine; one content can't be read."""

    def __init__(self, _: int) -> None: ...

    def start(self) -> None: ...

    def close(self) -> None: ...

    def read(self, content: bytes) -> Reading:
        if content == b"bad":
            raise PictureError("crashed the reader of text")
        return Reading(content.decode())


@pytest.fixture(params=["sqlite", "postgresql"])
def collection(request: pytest.FixtureRequest, tmp_path: Path) -> Collection:
    """Four pictures of a folder, and one of another."""
    if request.param == "postgresql":
        link_workspace(tmp_path, request.getfixturevalue("postgresql").url)
    made = Collection.create(tmp_path / f"t{abs(hash(tmp_path)):x}", SPEC)
    with made.store(writable=True) as store:
        for name, source in (("one", "here"), ("bad", "here"), ("two", "here"), ("three", "here"), ("other", "there")):
            path, key = tmp_path / name, image_id(name.encode())
            path.write_bytes(name.encode())
            store.put([NewDocument(Document(key, "image", str(path)), VECTOR)])
            store.files.put(source, [SourceFile(str(path), 3, 10**9, key)])
    return made


def engines(collection: Collection) -> list[str]:
    with collection.store() as store:
        ids = [document.id for document in store.by_keys(store.keys("image").tolist()).values()]
        return sorted(reading.engine for reading in store.readings.of(ids).values())


def test_the_rest_of_a_folder_is_read_if_a_picture_was(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.watch_text.ReadingProcess", NameReader)
    monkeypatch.setattr("cli.watch_text.AT_ONCE", 2)
    texts = FolderTexts("here", 1)
    report, n_left = texts.read_some(collection)
    assert (report.read, n_left, engines(collection)) == (0, 0, []), "nobody has asked for text"
    with collection.store(writable=True) as store:
        store.readings.put([(image_id(b"one"), Reading("before"))])
    report, n_left = texts.read_some(collection)
    assert (report.read, [failure.reason for failure in report.failures], n_left) == (
        1,
        ["crashed the reader of text"],
        1,
    )
    assert texts.read_some(collection)[1] == 0
    report, n_left = texts.read_some(collection)
    assert (report.read, report.failures, n_left) == (0, [], 0), "tried once"
    assert engines(collection) == ["before", "three", "two"]
    assert FolderTexts("here", 1).read_some(collection)[0].failures, "tried again by the next process"


def test_a_reader_that_does_not_start_is_not_tried_again(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_: int) -> NameReader:
        raise StateError("not installed")

    monkeypatch.setattr("cli.watch_text.ReadingProcess", missing)
    texts = FolderTexts("here", 1)
    with collection.store(writable=True) as store:
        store.readings.put([(image_id(b"one"), Reading("before"))])
    with pytest.raises(ReaderError, match=r"text in pictures is not read \(3 so far\): not installed"):
        texts.read_some(collection)
    assert texts.read_some(collection)[1] == 0
