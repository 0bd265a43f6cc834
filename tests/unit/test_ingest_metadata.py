"""Metadata becomes tags at indexing, and later without encoding."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ingest_world import MODEL, VECTOR
from photographs import Photograph, encoded, photographs

from crossmodal.collection.collection import Collection
from crossmodal.core.settings import MetadataChoice
from crossmodal.core.types import Document, image_id
from crossmodal.datasets.folder import read_path
from crossmodal.ingest import pipeline
from crossmodal.ingest.job import IndexJob
from crossmodal.ingest.metadata import MetadataReport, add_metadata
from crossmodal.ingest.pipeline import Pipeline
from crossmodal.metadata.tags import LOCATION_TAGS
from crossmodal.store.source_files import SourceFile

CHOSEN = [photograph for photograph in photographs() if "latitude" in photograph.tags][:12]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for photograph in CHOSEN:
        path = tmp_path / "pictures" / photograph.name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(photograph.content)
    return tmp_path / "pictures"


def index(folder: Path, monkeypatch: pytest.MonkeyPatch, metadata: MetadataChoice) -> Collection:
    encoder = SimpleNamespace(encode_images=lambda items: np.repeat(VECTOR[None], len(items), axis=0), spec=MODEL)
    monkeypatch.setattr(pipeline, "prepared_encoder", lambda *_: encoder)
    collection = Collection.create(folder.parent / "c", MODEL)
    collection.store(writable=True).close()
    job = IndexJob(collection, str(folder))
    with Pipeline(collection, metadata=metadata) as opened:
        opened.add_pictures(job.images(read_path(folder)), job.image_done, lambda: None)
    job.release()
    job.reconcile(prune=False)
    assert job.report.failures == []
    return collection


def tags_of(collection: Collection, photograph: Photograph) -> dict[str, object]:
    """The tags of a picture, without those of its path."""
    with collection.store() as store:
        document = store.document(image_id(photograph.content))
    assert document is not None
    return {name: value for name, value in document.tags.items() if name not in ("filename", "folder")}


def without_location(photograph: Photograph) -> dict[str, object]:
    return {name: value for name, value in photograph.tags.items() if name not in LOCATION_TAGS}


def refresh(collection: Collection, metadata: MetadataChoice = "all") -> MetadataReport:
    with collection.store(writable=True) as store:
        return add_metadata(store, metadata, lambda: None)


def test_indexing_writes_the_tags(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collection = index(folder, monkeypatch, "all")
    assert [tags_of(collection, photograph) for photograph in CHOSEN] == [photograph.tags for photograph in CHOSEN]
    assert refresh(collection) == MetadataReport(unchanged=len(CHOSEN))


def test_indexing_without_the_location(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collection = index(folder, monkeypatch, "without-gps")
    assert [tags_of(collection, photograph) for photograph in CHOSEN] == list(map(without_location, CHOSEN))


def test_an_existing_collection_gets_the_tags_and_can_lose_the_location(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = index(folder, monkeypatch, "none")
    assert all(tags_of(collection, photograph) == {} for photograph in CHOSEN)
    first, second = CHOSEN[:2]
    given = {"camera": "of the data set", "country": "of the data set", "class": "dog"}
    with collection.store(writable=True) as store:
        store.update([(image_id(first.content), given)])
    assert refresh(collection) == MetadataReport(updated=len(CHOSEN))
    assert tags_of(collection, first) == {**first.tags, **given}
    assert tags_of(collection, second) == second.tags
    refresh(collection, "without-gps")
    assert tags_of(collection, first) == {**without_location(first), **given}
    assert tags_of(collection, second) == without_location(second)


def test_pictures_that_can_not_be_read_keep_their_tags(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collection = index(folder, monkeypatch, "none")
    gone, replaced, moved, *others = CHOSEN
    with collection.store(writable=True) as store:
        store.update([(image_id(gone.content), {"camera": "known"})])
        (folder / "copy").write_bytes(moved.content)
        store.files.put("elsewhere", [SourceFile(str(folder / "copy"), 1, 1, image_id(moved.content))])
    (folder / gone.name).unlink()
    (folder / moved.name).unlink()
    (folder / replaced.name).write_bytes(encoded("JPEG", b"", b"", seed=99))
    report = refresh(collection)
    assert (report.updated, report.unchanged) == (len(others) + 1, 0)
    reasons = {Path(failure.path).name: failure.reason for failure in report.failures}
    assert reasons == {
        gone.name: "can't be read: No such file or directory",
        replaced.name: "now contains another picture: index it again",
    }
    assert tags_of(collection, gone) == {"camera": "known"}
    assert tags_of(collection, moved) == moved.tags
    assert report.lines(at_most=1)[0].endswith("2 not read; they keep their tags")
    assert report.lines(at_most=1)[-1] == "  ... and 1 more; --json lists them all"
    assert [failure["path"] for failure in report.to_dict()["failures"]] == [f.path for f in report.failures]


def test_the_bytes_of_a_picture_without_file_are_in_the_store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collection = index(folder, monkeypatch, "none")
    photograph = CHOSEN[0]
    with collection.store(writable=True) as store:
        store.add_content(image_id(photograph.content), photograph.content)
        store.describe([Document(image_id(photograph.content), "image", uri="", tags={"filename": photograph.name})])
    (folder / photograph.name).unlink()
    assert refresh(collection) == MetadataReport(updated=len(CHOSEN))
    assert tags_of(collection, photograph) == photograph.tags
