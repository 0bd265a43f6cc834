"""Bulk encoding in this process: parts, what they are named by, and what is reported."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from conftest import TOY

from crossmodal.bulk.encoding import PartEncoder, Work
from crossmodal.bulk.inputs import Input, read_inputs
from crossmodal.bulk.object_store import AWS, ObjectStore
from crossmodal.bulk.parts import cut
from crossmodal.bulk.run import Outcome, encode_here, run
from crossmodal.collection.collection import Collection
from crossmodal.collection.transfer import Origin, import_collection
from crossmodal.collection.verification import verify
from crossmodal.core.engine import FLOAT32
from crossmodal.core.errors import InputError, PictureError, StateError
from crossmodal.core.types import Failure, image_id
from crossmodal.datasets.folder import read_path
from crossmodal.encoders import registry
from crossmodal.images.decode import MAX_BYTES
from crossmodal.ingest.job import IndexJob
from crossmodal.ingest.pipeline import Pipeline
from crossmodal.store.records import NewDocument

ORIGIN = Origin(registry.resolve("clip", "scenes"), FLOAT32, "drawn")
N_PICTURES = 12


@pytest.fixture(scope="module")
def encoder() -> PartEncoder:
    return PartEncoder(Work(ORIGIN), threads=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve pictures, one of them twice, one broken, one with two captions."""
    root = tmp_path / "pictures"
    (root / "more").mkdir(parents=True)
    drawn = sorted((TOY / "images").glob("*.jpg"))[:N_PICTURES]
    for place, picture in enumerate(drawn):
        shutil.copy(picture, (root / "more" if place % 2 else root) / picture.name)
    (root / drawn[2].name).rename(root / "IMG_20240131_120000.jpg")
    shutil.copy(drawn[0], root / "zz-copy.jpg")
    (root / "broken.jpg").write_bytes(b"no picture")
    (root / drawn[0].with_suffix(".txt").name).write_text("a red star\na blue circle over a star\n")
    return root


def encode(root: Path | str, parts: Path, encoder: PartEncoder, store: ObjectStore = AWS) -> Outcome:
    return run(read_inputs(str(root), store), parts, encode_here(encoder), part_size=4)


def documents(collection: Collection) -> dict[str, NewDocument]:
    with collection.store() as store:
        return {item.document.id: item for _, item in store.everything(0, 1_000)}


def test_import_of_the_parts_is_what_indexing_gives(folder: Path, tmp_path: Path, encoder: PartEncoder) -> None:
    outcome = encode(folder, tmp_path / "parts", encoder)
    assert outcome.encoded > 1  # where it is cut depends on the paths
    assert outcome.report.counts == {"image": {"encoded": N_PICTURES + 1, "failed": 1}, "text": {"encoded": 2}}
    [failure] = outcome.report.failures
    assert failure.path == str(folder / "broken.jpg")
    assert "not a picture" in failure.reason

    imported = import_collection(tmp_path / "parts", tmp_path / "workspace")
    assert (imported.collection.root.name, imported.indexed) == ("drawn", N_PICTURES + 2)
    indexed = Collection.create(tmp_path / "indexed", ORIGIN.model)
    indexed.store(writable=True).close()
    job = IndexJob(indexed, str(folder))
    with Pipeline(indexed) as pipeline:
        pipeline.add_pictures(job.images(read_path(folder)), job.image_done, lambda: None)
        pipeline.add_captions(job.captions(), job.caption_done)
    job.release()
    ours, theirs = documents(imported.collection), documents(indexed)
    assert ours.keys() == theirs.keys()
    for key, item in ours.items():
        if key != image_id((folder / "zz-copy.jpg").read_bytes()):  # either of two paths is right
            assert item.document == theirs[key].document
        assert (item.thumbnail, item.content) == (theirs[key].thumbnail, theirs[key].content)
        if item.document.modality == "image":
            np.testing.assert_array_equal(item.vector, theirs[key].vector)
        else:  # padded to the longest caption of their batch
            np.testing.assert_allclose(item.vector, theirs[key].vector, atol=1e-5)


def test_captions_of_a_copy_are_no_problem(tmp_path: Path, encoder: PartEncoder) -> None:
    for name in ("first", "second"):
        shutil.copy(sorted((TOY / "images").glob("*.jpg"))[0], tmp_path / f"{name}.jpg")
        (tmp_path / f"{name}.txt").write_text(f"the {name} picture\n")
    encode(tmp_path, tmp_path / "parts", encoder)
    imported = import_collection(tmp_path / "parts", tmp_path / "workspace")
    assert imported.indexed == 3
    assert verify(imported.collection, lambda _: None).problems == []


def test_a_link_beside_its_picture_is_told_from_a_copy(tmp_path: Path, encoder: PartEncoder) -> None:
    shutil.copy(sorted((TOY / "images").glob("*.jpg"))[0], tmp_path / "1.jpg")
    (tmp_path / "2.jpg").symlink_to("1.jpg")
    in_one_part = 2**60  # smaller parts may end after each path
    outcome = run(read_inputs(str(tmp_path), AWS), tmp_path / "parts", encode_here(encoder), part_size=in_one_part)
    assert [(note.path, note.reason) for note in outcome.report.notes] == [
        (str(tmp_path / "1.jpg"), "listed again, or by a link to it")
    ]


def test_a_second_run_encodes_nothing_and_reports_the_same(folder: Path, tmp_path: Path, encoder: PartEncoder) -> None:
    first = encode(folder, tmp_path / "parts", encoder)
    files = {path.name: path.read_bytes() for path in (tmp_path / "parts").iterdir()}
    second = encode(folder, tmp_path / "parts", encoder)
    assert (second.encoded, second.finished) == (0, first.encoded)
    assert sorted(map(str, second.report.failures)) == sorted(map(str, first.report.failures))
    assert second.report.counts["image"] == {"unchanged": N_PICTURES + 1, "failed": 1}
    assert {path.name: path.read_bytes() for path in (tmp_path / "parts").iterdir()} == files


def test_a_run_continues_after_an_interruption_and_a_damaged_part(
    folder: Path, tmp_path: Path, encoder: PartEncoder
) -> None:
    encode(folder, tmp_path / "whole", encoder)
    encode(folder, tmp_path / "parts", encoder)
    first, second, *_ = sorted((tmp_path / "parts").iterdir())
    first.unlink()
    second.write_bytes(second.read_bytes()[:-100])
    assert encode(folder, tmp_path / "parts", encoder).encoded == 2
    for path in (tmp_path / "whole").iterdir():
        assert (tmp_path / "parts" / path.name).read_bytes() == path.read_bytes()


def test_a_changed_picture_changes_one_part(folder: Path, tmp_path: Path, encoder: PartEncoder) -> None:
    encode(folder, tmp_path / "parts", encoder)
    os.utime(folder / "broken.jpg", (1, 1))
    outcome = encode(folder, tmp_path / "parts", encoder)
    assert outcome.encoded == 1
    notes = [note.reason for note in outcome.report.notes if note.path == str(tmp_path / "parts")]
    assert len(notes) == 1
    assert "1 parts are of other pictures" in notes[0]


def test_an_added_picture_leaves_other_parts_as_they_are() -> None:
    names = [f"/pictures/{number:05}.jpg" for number in range(5_000)]
    parts = {part.name for part in cut(map(Input, names), 100)}
    assert 30 < len(parts) < 80
    more = {part.name for part in cut(map(Input, [*names[:1_000], "/pictures/a.jpg", *names[1_000:]]), 100)}
    assert len(parts - more) <= 3
    assert all(len(part.inputs) <= 200 for part in cut(map(Input, names), 100))
    assert [item for part in cut(map(Input, names), 100) for item in part.inputs] == [*map(Input, names)]


def test_other_metadata_makes_other_parts(folder: Path, tmp_path: Path, encoder: PartEncoder) -> None:
    encode(folder, tmp_path / "all", encoder)
    records = read_inputs(str(folder))
    run(records, tmp_path / "none", encode_here(encoder), part_size=4, metadata="none")
    assert not {path.name for path in (tmp_path / "all").iterdir()} & {
        path.name for path in (tmp_path / "none").iterdir()
    }
    for name, taken in (("all", {"taken", "taken_from"}), ("none", set())):
        found = documents(import_collection(tmp_path / name, tmp_path / "workspace", name).collection)
        [dated] = [item.document for item in found.values() if "IMG_" in item.document.uri]
        assert dated.tags.keys() == {"filename", *taken}


def test_an_unreadable_picture_is_tried_again(tmp_path: Path, encoder: PartEncoder) -> None:
    (tmp_path / "all.txt").write_text("one.jpg\n\ntwo.jpg\n")
    shutil.copy(TOY / "images" / "test-00000.jpg", tmp_path / "one.jpg")
    outcome = encode(tmp_path / "all.txt", tmp_path / "parts", encoder)
    assert outcome.report.failures == [Failure(str(tmp_path / "two.jpg"), "can't be read: No such file or directory")]
    assert outcome.report.counts["image"] == {"encoded": 1, "failed": 1}
    outcome = encode(tmp_path / "all.txt", tmp_path / "parts", encoder)
    assert outcome.encoded > 0  # it may be readable by now, for example because a volume is mounted


def test_a_picture_that_is_too_large_is_not_tried_again(folder: Path, tmp_path: Path, encoder: PartEncoder) -> None:
    with (folder / "large.jpg").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    outcomes = [encode(folder, tmp_path / "parts", encoder) for _ in range(2)]
    assert [outcome.encoded > 0 for outcome in outcomes] == [True, False]
    for outcome in outcomes:
        [why] = [failure.reason for failure in outcome.report.failures if failure.path == str(folder / "large.jpg")]
        assert why == "67,108,865 bytes; the limit is 67,108,864"


def test_embedded_pictures_are_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"image": [{"bytes": b"x", "path": "a.jpg"}], "caption": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"embedded in another file: use `python app\.py -t index`"):
        list(read_inputs(str(tmp_path / "a.parquet")))


@pytest.fixture
def object_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """An S3 server on loopback; its buckets are the folders of `tmp_path`."""
    server_module = pytest.importorskip("localbucket", reason="requirements-dev.txt is not installed")
    handler = type("Handler", (server_module.S3Handler,), {"data_root": tmp_path})
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield ObjectStore(f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    thread.join()
    server.server_close()


def test_pictures_of_an_object_store(folder: Path, tmp_path: Path, object_store: ObjectStore) -> None:
    encoder = PartEncoder(Work(ORIGIN, store=object_store), threads=1)
    (folder / "more" / ".hidden.jpg").write_bytes(b"x")
    outcome = encode("s3://pictures", tmp_path / "remote", encoder, object_store)
    assert outcome.report.counts["image"] == {"encoded": N_PICTURES + 1, "failed": 1}
    assert [failure.path for failure in outcome.report.failures] == ["s3://pictures/broken.jpg"]
    assert [(skipped.reason, skipped.n) for skipped in outcome.report.skipped] == [
        ("hidden objects", 1),
        ("objects that are not pictures", 1),
    ]
    assert encode("s3://pictures", tmp_path / "remote", encoder, object_store).encoded == 0
    encode(folder, tmp_path / "local", encoder)
    remote = documents(import_collection(tmp_path / "remote", tmp_path / "workspace", "remote").collection)
    local = documents(import_collection(tmp_path / "local", tmp_path / "workspace", "local").collection)
    for key, item in remote.items():
        np.testing.assert_array_equal(item.vector, local[key].vector)
        if key != image_id((folder / "zz-copy.jpg").read_bytes()):
            assert item.document.uri == f"s3://pictures{local[key].document.uri.removeprefix(str(folder))}"
            assert item.document.tags == local[key].document.tags
    assert len(remote) == N_PICTURES


def test_a_prefix_of_an_object_store(folder: Path, object_store: ObjectStore) -> None:
    found = [item for item in read_inputs("s3://pictures/more", object_store) if isinstance(item, Input)]
    assert len(found) == N_PICTURES // 2
    assert found[0].tags == {"filename": found[0].uri.rpartition("/")[2]}
    with pytest.raises(PictureError, match="the object does not exist"):
        object_store.read("s3://pictures/none.jpg")


def test_lines_of_a_list_that_name_no_picture(tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_bytes(b"1.jpg\nbe\xe9.jpg\n2\x00.jpg\n")
    records = list(read_inputs(str(listed)))
    assert [type(record) for record in records] == [Input, Failure, Failure]
    assert "not UTF-8" in str(records[1])
    assert "null" in str(records[2])
    listed.write_text("1.jpg\ns3://key:secret@pictures/2.jpg\n")
    with pytest.raises(InputError, match="credentials"):
        list(read_inputs(str(listed)))


def test_an_endpoint_that_is_not_http() -> None:
    with pytest.raises(InputError, match="not ftp://"):
        list(ObjectStore("ftp://pictures.example").objects("s3://pictures"))


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("s3://pictures/none", InputError, "does not exist"),
        ("s3://nowhere/x", StateError, "can't be listed"),
        ("s3://key:secret@pictures/x", InputError, "credentials"),
        ("s3://", InputError, "does not name a bucket"),
        ("s3://empty", InputError, "no pictures below s3://empty: .* found: 1 objects that are not pictures"),
    ],
)
def test_what_can_not_be_listed(
    url: str, error: type[Exception], message: str, folder: Path, object_store: ObjectStore
) -> None:
    (folder.parent / "empty").mkdir()
    (folder.parent / "empty" / "readme").write_text("x")
    with pytest.raises(error, match=message):
        list(read_inputs(url, object_store))
