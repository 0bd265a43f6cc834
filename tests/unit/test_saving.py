"""Zip archives, lists and contact sheets of pictures."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from stores import OpenStore

from crossmodal.core.types import Document, image_id
from crossmodal.metadata.tags import LOCATION_TAGS
from crossmodal.saving.archive import Entry, zipped
from crossmodal.saving.chosen import Chosen, chosen, original
from crossmodal.saving.formats import Saving, parts
from crossmodal.saving.lists import csv_of, json_of
from crossmodal.saving.names import safe_name
from crossmodal.store.protocol import Store
from crossmodal.store.records import NewDocument

VECTOR = np.array([1, 0], np.float32)


def jpeg(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(buffer, "JPEG")
    return buffer.getvalue()


def added(store: Store, content: bytes, path: Path | None = None, **tags: Any) -> str:
    """Adds a picture with a file, or with its bytes in the store."""
    if path is not None:
        path.write_bytes(content)
    document = Document(image_id(content), "image", str(path or ""), "image/jpeg", "", 40, 30, tags=tags)
    caption = Document(f"of {document.id}", "text", text=f"the picture {document.id[:4]}", image_id=document.id)
    store.put([NewDocument(document, VECTOR, jpeg("grey"), None if path else content), NewDocument(caption, VECTOR)])
    return document.id


def opened(content: Iterator[bytes]) -> zipfile.ZipFile:
    archive = zipfile.ZipFile(io.BytesIO(b"".join(content)))
    assert archive.testzip() is None
    return archive


def saving(kind: Any, **how: Any) -> Saving:
    return Saving(kind, "link", lambda picture: f"/images/{picture.document.id}", **how)


def test_an_archive_is_made_while_it_is_sent() -> None:
    def entries() -> Iterator[Entry]:
        for n in range(300):
            yield Entry(f"{n}.jpg", bytes([n % 256]) * 1_000_000)

    tracemalloc.start()
    n_bytes = sum(map(len, zipped(entries())))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n_bytes > 300_000_000
    assert peak < 10_000_000


def test_an_archive_states_sizes_before_the_files_and_stores_them_as_they_are() -> None:
    content = b"".join(zipped([Entry("ä.jpg", b"abc" * 99, "2021-07-04T18:30:06+02:00"), Entry("b", b"", "0000")]))
    archive = opened(iter([content]))
    assert [(i.filename, i.file_size, i.compress_type, i.date_time) for i in archive.infolist()] == [
        ("ä.jpg", 297, zipfile.ZIP_STORED, (2021, 7, 4, 18, 30, 6)),
        ("b", 0, zipfile.ZIP_STORED, (1980, 1, 1, 0, 0, 0)),
    ]  # fmt: skip
    flags = int.from_bytes(content[6:8], "little")
    assert not flags & 0x08, "no sizes after the file"
    assert int.from_bytes(content[18:22], "little") == 297


def test_an_archive_of_many_files_is_zip64() -> None:
    archive = opened(zipped(Entry(f"{n}", b"") for n in range(65_600)))
    assert len(archive.namelist()) == 65_600


@pytest.mark.parametrize("name", ["../x.jpg", "..\\x.jpg", "/etc/x.jpg", "C:\\x.jpg", "a\x00b/x.jpg"])
def test_a_name_is_never_a_path(name: str) -> None:
    assert safe_name(name) == "x.jpg"


def test_a_name_stays_short_and_keeps_its_ending() -> None:
    assert safe_name("é" * 300 + ".jpeg") == "é" * 97 + ".jpeg"
    assert safe_name("con.jpg") == "picture-con.jpg"


def test_originals_by_name_and_thumbnails_of_those_that_are_gone(open_store: OpenStore, tmp_path: Path) -> None:
    with open_store(writable=True) as store:
        ids = [
            added(store, jpeg("red"), tmp_path / "one.jpg", filename="a.jpg"),
            added(store, jpeg("green"), filename="A.JPG"),
            added(store, jpeg("blue"), tmp_path / "gone.jpg", filename="b.jpg"),
            added(store, jpeg("pink"), tmp_path / "changed.jpg", filename="../c.jpg"),
        ]
        (tmp_path / "gone.jpg").unlink()
        (tmp_path / "changed.jpg").write_bytes(jpeg("black"))
        pictures, unknown = chosen(store, [*ids, "nobody", ids[0], f"of {ids[0]}"])
        archive = opened(parts(store, pictures, unknown, saving("zip")))
        assert archive.namelist() == ["a.jpg", "A (2).JPG", "b.thumbnail.jpg", "c.thumbnail.jpg", "missing.txt"]
        assert archive.read("a.jpg") == jpeg("red")
        assert archive.read("A (2).JPG") == jpeg("green")
        assert archive.read("b.thumbnail.jpg") == jpeg("grey")
        told = archive.read("missing.txt").decode().splitlines()
        assert told[0] == "nobody: the collection has no such picture"
        assert told[1].startswith(f"of {ids[0]}: ")
        assert ids[2] in told[2]
        assert "b.thumbnail.jpg" in told[2]
        assert "now contains another picture: index it again" in told[3]


def test_another_file_of_the_same_picture_is_taken(open_store: OpenStore, tmp_path: Path) -> None:
    from crossmodal.store.source_files import SourceFile

    with open_store(writable=True) as store:
        one = added(store, jpeg("red"), tmp_path / "gone.jpg")
        (tmp_path / "gone.jpg").rename(tmp_path / "copy.jpg")
        store.files.put("here", [SourceFile(str(tmp_path / "copy.jpg"), 1, 1, one)])
        (picture,), _ = chosen(store, [one])
        assert original(store, picture.document) == jpeg("red")


def test_lists(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        tags = {"filename": "=1+1.jpg", "taken": "2021-07-04T18:30:05", "longitude": -9.1, "labels": ["dog", "two, 2"],
                "place": "Oslo", "n": {"deep": 1}}  # fmt: skip
        one = added(store, jpeg("red"), **tags)
        pictures, _ = chosen(store, [one])
        how = saving("csv")
        (row,) = csv.DictReader(io.StringIO(b"".join(csv_of(pictures, how.place, how.link)).decode()))
        assert (row["id"], row["filename"], row["longitude"], row["labels"]) == (
            one,
            "'=1+1.jpg",
            "-9.1",
            "dog; two, 2",
        )
        assert (row["captions"], row["link"], row["camera"]) == (f"the picture {one[:4]}", f"/images/{one}", "")
        (told,) = json.loads(b"".join(json_of(pictures, how.place, how.link)))
        assert (told["tags"], told["captions"]) == (tags, [f"the picture {one[:4]}"])
        assert json.loads(b"".join(json_of([], "", how.link))) == []
        hidden, _ = chosen(store, [one], LOCATION_TAGS)
        assert b"Oslo" not in b"".join([*csv_of(hidden, "", how.link), *json_of(hidden, "", how.link)])


def test_a_contact_sheet_has_a_page_for_each_25_pictures(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        one = added(store, jpeg("red"), filename="one.jpg")
        (picture,), _ = chosen(store, [one])
        content = b"".join(parts(store, [picture] * 60, [], saving("pdf", title="Näme")))
    assert content.startswith(b"%PDF-1.4")
    assert content.count(b"/Type /Page ") == 3
    start = int(content.split(b"startxref\n")[1].split()[0])
    assert content[start:].startswith(b"xref\n0 12\n")
    for place in [int(row[:10]) for row in content[start:].splitlines() if row.endswith(b" n ")]:
        assert b" 0 obj" in content[place : place + 12]
    pages = content.split(b"stream\n\xff\xd8")[1:]
    assert all(Image.open(io.BytesIO(b"\xff\xd8" + page)).size[0] == 1196 for page in pages)


def test_metadata_are_stripped_where_that_is_asked_for(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        one = added(store, jpeg("red"), filename="a.png")
        pictures, _ = chosen(store, [one])
        archive = opened(parts(store, pictures, [], saving("zip", strip=lambda _: b"stripped")))
        assert {name: archive.read(name) for name in archive.namelist()} == {"a.jpg": b"stripped"}


def test_a_picture_without_a_name_has_its_id() -> None:
    assert Chosen(Document("abc", "image")).filename == "abc"
