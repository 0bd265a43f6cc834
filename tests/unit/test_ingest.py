"""An indexing run without a Flow: what follows a file that moves, what is removed and what is not."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ingest_world import MODEL, VECTOR, as_somebody, documents, encoded, encoded_document, indexed

from crossmodal.collection.collection import Collection
from crossmodal.core.errors import StateError
from crossmodal.core.types import Document, Failure, ImageRecord, image_id
from crossmodal.datasets.folder import read_path
from crossmodal.ingest.job import IndexJob
from crossmodal.store.known_folders import FILE_NAME, FolderState, all_folders, read_folders, write_folders
from crossmodal.store.source_files import SourceFile
from crossmodal.store.sqlite import DocumentStore, NewDocument
from crossmodal.store.sqlite_files import SqliteFiles


@pytest.fixture
def folder(folder_of_all: Path) -> Path:
    made = folder_of_all / "pictures"
    made.mkdir()
    return made


@pytest.fixture
def collection(folder_of_all: Path, folder: Path) -> Collection:
    with as_somebody():
        made = Collection.create(folder_of_all / "c", MODEL)
        made.store(writable=True).close()
    return made


def crash(*_: object, **__: object) -> None:
    raise RuntimeError("ended")


def put(folder: Path, pictures: dict[str, int], captions: dict[str, str] | None = None) -> None:
    for place, number in pictures.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(encoded(number))
    if captions is not None:
        with (folder / "captions.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("image", "caption"), *captions.items()])


def found(collection: Collection, number: int) -> tuple[Document, list[Document]]:
    """A picture with its captions."""
    own = image_id(encoded(number))
    known, _ = documents(collection)
    return known[own], [document for document in known.values() if document.image_id == own]


def test_a_picture_that_moved_takes_its_captions_along(collection: Collection, folder: Path) -> None:
    put(folder, {"old/one.png": 1, "two.png": 2}, {"old/one.png": "the first"})
    indexed(collection, folder)
    (folder / "new").mkdir()
    (folder / "old" / "one.png").rename(folder / "new" / "other.png")
    put(folder, {}, {"new/other.png": "the first"})
    report = indexed(collection, folder, prune=True)
    assert report.counts["image"]["removed"] == report.counts["text"]["removed"] == 0
    picture, [caption] = found(collection, 1)
    for document in (picture, caption):
        assert document.uri == str(folder / "new" / "other.png")
        assert document.tags == {"filename": "other.png", "folder": "new"}
    (folder / "new" / "other.png").rename(folder / "other.png")
    put(folder, {}, {"other.png": "the first"})
    indexed(collection, folder)
    assert [document.tags for document in (*found(collection, 1)[1], found(collection, 1)[0])] == [
        {"filename": "other.png"}
    ] * 2


def test_two_pictures_that_change_places_change_their_paths(collection: Collection, folder: Path) -> None:
    put(folder, {"a/1.png": 1, "b/2.png": 2})
    indexed(collection, folder)
    put(folder, {"a/1.png": 2, "b/2.png": 1})
    report = indexed(collection, folder)
    assert report.counts["image"] == {"unchanged": 2, "updated": 2}
    assert [found(collection, n)[0].uri for n in (1, 2)] == [str(folder / "b" / "2.png"), str(folder / "a" / "1.png")]


def test_tags_that_do_not_follow_from_the_place_stay(collection: Collection, folder: Path) -> None:
    put(folder, {"a/1.png": 1})
    indexed(collection, folder)
    with collection.store(writable=True) as store:
        store.update([(image_id(encoded(1)), {"year": 1999, "folder": "wrong"})])
    indexed(collection, folder)
    assert found(collection, 1)[0].tags == {"filename": "1.png", "folder": "a", "year": 1999}


@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_what_can_not_be_looked_at_is_kept_and_named(collection: Collection, folder: Path, mode: int) -> None:
    put(folder, {"a/1.png": 1, "a/2.png": 2, "b/3.png": 3}, {"a/1.png": "one"})
    indexed(collection, folder)
    (folder / "a").chmod(mode)
    report = indexed(collection, folder, prune=True)
    (folder / "a").chmod(0o755)
    assert report.counts["image"]["removed"] == report.counts["text"]["removed"] == 0
    assert set(documents(collection)[1]) == {image_id(encoded(n)) for n in (1, 2, 3)}
    assert str(folder / "a") in " ".join(f"{item.path} {item.reason}" for item in (*report.failures, *report.notes))


def test_an_empty_mount_point_is_no_proof(collection: Collection, folder: Path, folder_of_all: Path) -> None:
    put(folder, {"disk/1.png": 1, "disk/sub/2.png": 2, "3.png": 3})
    indexed(collection, folder)
    (folder / "disk").rename(folder_of_all / "unmounted")
    (folder / "disk").mkdir()
    report = indexed(collection, folder, prune=True)
    assert report.counts["image"]["removed"] == 0
    assert any("may not be mounted" in note.reason and "1 more" in note.path for note in report.notes)
    (folder / "disk").rmdir()
    assert indexed(collection, folder, prune=True).counts["image"]["removed"] == 2


def test_a_folder_that_was_emptied_keeps_no_pictures(collection: Collection, folder: Path) -> None:
    put(folder, {"a/1.png": 1, "a/sub/2.png": 2, "3.png": 3})
    indexed(collection, folder)
    (folder / "a" / "1.png").unlink()
    (folder / "a" / "sub" / "2.png").unlink()
    (folder / "a" / "sub").rmdir()
    assert indexed(collection, folder, prune=True).counts["image"]["removed"] == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")
@pytest.mark.parametrize("beside", [False, True])
def test_an_unmounted_disk_removes_nothing(collection: Collection, folder: Path, beside: bool) -> None:
    """`beside`: the mount point has a file of its own, or was removed."""
    disk = folder / "disk"
    put(folder, {"3.png": 3})
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "none", disk], capture_output=True).returncode:
        pytest.skip("may not mount")
    try:
        put(folder, {"disk/1.png": 1, "disk/sub/2.png": 2})
        indexed(collection, folder)
    finally:
        subprocess.run(["umount", disk], check=True)
    (disk / "note.md").touch() if beside else disk.rmdir()
    for _ in range(2):
        report = indexed(collection, folder, prune=True)
        assert report.counts["image"]["removed"] == 0
        assert any(f"{disk} is not mounted" in note.reason for note in report.notes)


def test_a_file_that_is_there_but_passed_over_is_kept(collection: Collection, folder: Path) -> None:
    put(folder, {"1.png": 1, "2.png": 2})
    indexed(collection, folder)
    job = IndexJob(collection, str(folder))
    list(job.images([ImageRecord(folder / "1.png")]))
    job.release()
    job.reconcile(prune=True, confirmed=True)
    assert image_id(encoded(2)) in documents(collection)[1]
    assert any("no longer lists it" in note.reason for note in job.report.notes)


def test_captions_are_kept_where_some_could_not_be_read(collection: Collection, folder: Path) -> None:
    put(folder, {"1.png": 1, "2.png": 2}, {"1.png": "one", "2.png": "two"})
    indexed(collection, folder)
    (folder / "captions.csv").write_bytes(b"image,caption\n1.png,one\n2.png,tw\xff\n")
    report = indexed(collection, folder, prune=True)
    assert (report.counts["text"]["removed"], len(found(collection, 2)[1])) == (0, 1)
    assert any("could not be read" in note.reason for note in report.notes)
    (folder / "captions.csv").write_bytes(b"image,caption\n1.png,one\n")
    assert indexed(collection, folder, prune=True).counts["text"]["removed"] == 1


def test_a_large_part_goes_only_when_confirmed(collection: Collection, folder: Path) -> None:
    put(folder, {f"{n}.png": n for n in range(8)})
    indexed(collection, folder)
    for n in range(3):
        (folder / f"{n}.png").unlink()
    put(folder, {"3.png": 9, "new.png": 10})
    refusal = indexed(collection, folder, prune=True, confirmed=False).refusal
    assert "3 of 10 pictures" in refusal
    assert all(str(folder / f"{n}.png") in refusal for n in range(3))
    assert "--yes" in refusal
    pictures = set(documents(collection)[1])
    assert pictures == {image_id(encoded(n)) for n in (0, 1, 2, 4, 5, 6, 7, 9, 10)}  # 3.png was replaced
    assert indexed(collection, folder, prune=True).counts["image"]["removed"] == 3
    assert indexed(collection, folder, prune=True, confirmed=False).counts["image"]["removed"] == 0


def test_all_captions_go_only_when_confirmed(collection: Collection, folder: Path) -> None:
    put(folder, {"1.png": 1, "2.png": 2}, {"1.png": "one", "2.png": "two"})
    indexed(collection, folder)
    (folder / "captions.csv").unlink()
    assert "2 of 2 captions" in indexed(collection, folder, prune=True, confirmed=False).refusal
    assert indexed(collection, folder, prune=True).counts["text"]["removed"] == 2


def test_embedded_pictures_are_kept_with_their_bytes_and_go_with_a_proof(collection: Collection, folder: Path) -> None:
    container = folder / "all.parquet"
    container.write_bytes(b"first")

    def run(numbers: list[int], *, failing: bool = False) -> IndexJob:

        job = IndexJob(collection, str(container))
        records = [ImageRecord(container / f"{n}.png", content=lambda n=n: encoded(n)) for n in numbers]
        failures = [Failure("row 9", "no picture", "text")] if failing else []
        with collection.store(writable=True) as store:
            for pending in job.images([*records, *failures]):
                (outcome,) = store.put([NewDocument(pending.document, VECTOR, content=pending.content_without_file)])
                job.image_done(encoded_document(pending.document, outcome))
        job.release()
        job.reconcile(prune=True, confirmed=True)
        return job

    assert run([1, 2]).report.counts["image"] == {"indexed": 2}
    assert run([1, 2]).report.counts["image"] == {"unchanged": 2}
    assert run([1], failing=True).report.counts["image"]["removed"] == 0
    assert run([1]).report.counts["image"]["removed"] == 1
    with collection.store() as store:
        assert store.content(image_id(encoded(1))) == encoded(1)


def test_a_picture_goes_after_its_folder_was_renamed(collection: Collection, folder: Path) -> None:
    put(folder, {"a/1.png": 1, "a/2.png": 2})
    indexed(collection, folder / "a")
    (folder / "a").rename(folder / "b")
    assert indexed(collection, folder / "b").counts["image"] == {"unchanged": 2, "updated": 2}
    (folder / "b" / "1.png").unlink()
    assert indexed(collection, folder / "b", prune=True).counts["image"]["removed"] == 1
    assert [*documents(collection)[1]] == [image_id(encoded(2))]


def test_a_picture_stays_while_the_disk_of_another_data_set_may_have_it(collection: Collection, folder: Path) -> None:
    put(folder, {"disk/a/1.png": 1, "b/1.png": 1, "b/2.png": 2})
    for data_set in ("disk/a", "b"):
        indexed(collection, folder / data_set)
    (folder / "b" / "1.png").unlink()
    states = json.loads((collection.folder / FILE_NAME).read_bytes())
    states[str(folder / "disk" / "a")][str(folder / "disk")] = [1, True]  # it was a mount point, and is none now
    (collection.folder / FILE_NAME).write_text(json.dumps(states))
    shutil.rmtree(folder / "disk" / "a")
    (folder / "disk" / "note.md").touch()
    assert indexed(collection, folder / "b", prune=True).counts["image"]["removed"] == 0


def test_a_picture_stays_that_another_machine_may_have(collection: Collection, folder: Path) -> None:
    put(folder, {"a/1.png": 1, "b/1.png": 1, "b/2.png": 2})
    for data_set in ("a", "b"):
        indexed(collection, folder / data_set)
    states = json.loads((collection.folder / FILE_NAME).read_bytes())
    del states[str(folder / "a")]  # it was indexed on another machine
    (collection.folder / FILE_NAME).write_text(json.dumps(states))
    shutil.rmtree(folder / "a")
    (folder / "b" / "1.png").unlink()
    assert indexed(collection, folder / "b", prune=True).counts["image"]["removed"] == 0


def test_a_mount_point_of_one_data_set_is_one(collection: Collection) -> None:
    write_folders(
        collection.folder, "a", {"/disk": FolderState(1, is_mount=True), "/own": FolderState(3, is_mount=False)}
    )
    write_folders(
        collection.folder, "b", {"/disk": FolderState(2, is_mount=False), "/own": FolderState(4, is_mount=False)}
    )
    assert all_folders(collection.folder) == {"/disk": (1, True), "/own": (4, False)}


def test_edited_pictures_of_a_renamed_folder_go_only_if_confirmed(collection: Collection, folder: Path) -> None:
    put(folder, {f"a/{n}.png": n for n in range(4)})
    indexed(collection, folder / "a")
    (folder / "a").rename(folder / "b")
    indexed(collection, folder / "b")
    put(folder, {f"b/{n}.png": n + 10 for n in range(4)})
    report = indexed(collection, folder / "b", prune=True, confirmed=False)
    assert report.counts["image"]["removed"] == 0
    assert "4 of 8 pictures" in report.refusal


def test_captions_of_another_data_set_stay_and_keep_their_paths(collection: Collection, folder: Path) -> None:
    put(folder, {"a/1.png": 1, "a/2.png": 2, "b/1.png": 1, "b/3.png": 3})
    (folder / "a" / "captions.csv").write_text("image,caption\n1.png,told in a\n")
    (folder / "b" / "captions.csv").write_text("image,caption\n3.png,told in b\n")
    indexed(collection, folder / "a")
    before = found(collection, 1)[1]
    for _ in range(2):
        assert indexed(collection, folder / "b", prune=True).counts["text"]["removed"] == 0
        assert found(collection, 1)[1] == before


def test_captions_beside_a_picture_that_can_not_be_looked_at_stay(collection: Collection, folder: Path) -> None:
    put(folder, {"a/1.png": 1, "b/1.png": 1})
    (folder / "b" / "1.txt").write_text("told beside it")
    indexed(collection, folder)
    (folder / "b").chmod(0o000)
    for _ in range(2):
        assert indexed(collection, folder, prune=True).counts["text"]["removed"] == 0
    (folder / "b").chmod(0o755)
    assert [caption.text for caption in found(collection, 1)[1]] == ["told beside it"]


def test_pictures_in_a_container_that_was_not_read_stay(collection: Collection, folder: Path) -> None:
    put(folder, {f"{n}.png": n for n in range(1, 9)})
    container = folder / "all.parquet"
    container.write_bytes(b"something")

    def run(records: list[ImageRecord]) -> IndexJob:
        job = IndexJob(collection, str(folder))
        with collection.store(writable=True) as store:
            for pending in job.images(records):
                (outcome,) = store.put([NewDocument(pending.document, VECTOR, content=pending.content_without_file)])
                job.image_done(encoded_document(pending.document, outcome))
        job.release()
        job.reconcile(prune=True, confirmed=True)
        return job

    files = [ImageRecord(folder / f"{n}.png") for n in range(1, 9)]
    run([*files, ImageRecord(container / "20.png", content=lambda: encoded(20))])
    job = run(files)
    assert job.report.counts["image"]["removed"] == 0
    assert any(str(container) in note.reason for note in job.report.notes)


def test_a_link_beside_its_picture_changes_nothing(collection: Collection, folder: Path) -> None:
    put(folder, {"1.png": 1})
    (folder / "z.png").symlink_to(folder / "1.png")
    (folder / "0.png").symlink_to(folder / "1.png")
    for _ in range(2):
        assert indexed(collection, folder).counts["image"]["updated"] == 0
        assert found(collection, 1)[0].tags["filename"] == "1.png"


def test_a_picture_whose_file_goes_while_a_container_has_it_keeps_its_bytes(
    collection: Collection, folder: Path
) -> None:
    put(folder, {"1.png": 1})
    container = folder / "all.parquet"
    container.write_bytes(b"something")

    def run(*records: ImageRecord) -> IndexJob:
        job = IndexJob(collection, str(folder))
        with collection.store(writable=True) as store:
            for pending in job.images(records):
                (outcome,) = store.put([NewDocument(pending.document, VECTOR, content=pending.content_without_file)])
                job.image_done(encoded_document(pending.document, outcome))
        job.release()
        job.reconcile(prune=False)
        return job

    def content() -> bytes | None:
        with collection.store() as store:
            return store.content(image_id(encoded(1)))

    embedded = ImageRecord(container / "a.png", content=lambda: encoded(1))
    run(ImageRecord(folder / "1.png"), embedded)
    assert content() is None
    (folder / "1.png").unlink()
    run(ImageRecord(container / "a.png", content=lambda: encoded(2)))  # no longer what was indexed from there
    assert content() is None
    run(embedded)
    assert content() == encoded(1)
    assert found(collection, 1)[0].uri == str(container / "a.png")


def test_the_pictures_of_an_unchanged_folder_are_read_together(
    collection: Collection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder, {"1.png": 1, "2.png": 2}, {"1.png": "one"})
    indexed(collection, folder)
    read: dict[str, list[list[str]]] = {}
    for method in (DocumentStore.known, DocumentStore.captions_of):

        def counted(store: DocumentStore, ids: Iterable[str], method: Callable[..., Any] = method) -> Any:
            read.setdefault(method.__name__, []).append(sorted(ids))
            return method(store, ids)

        monkeypatch.setattr(DocumentStore, method.__name__, counted)
    pictures = sorted(image_id(encoded(number)) for number in (1, 2))
    put(folder, {}, {"2.png": "two"})
    assert indexed(collection, folder, prune=True).counts["text"]["removed"] == 1
    assert read["captions_of"] == [pictures]
    assert read["known"].count(pictures) == 1
    assert not any([picture] in read["known"] for picture in pictures)


def test_the_records_that_are_not_encoded_are_counted(collection: Collection, folder: Path) -> None:
    put(folder, {"1.png": 1}, {})
    indexed(collection, folder)
    put(folder, {"2.png": 2, "2 again.png": 2, "3.png": 3}, {})
    (folder / "not read.png").mkdir()
    records = [*read_path(folder), ImageRecord(folder / "gone.png")]
    job = IndexJob(collection, str(folder))
    assert len(list(job.images(records))) == len(records) - job.n_passed == 2
    job.release()


def test_a_run_without_news_commits_nothing(
    collection: Collection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder, {"1.png": 1, "copy.png": 1, "2.png": 2}, {"1.png": "one"})
    indexed(collection, folder)
    recorded: list[list[SourceFile]] = []
    put_files = SqliteFiles.put

    def recording(files: SqliteFiles, source: str, some: list[SourceFile]) -> None:
        recorded.append(some)
        put_files(files, source, some)

    monkeypatch.setattr(SqliteFiles, "put", recording)
    with collection.store() as store:
        before = store.data_version()
        indexed(collection, folder, prune=True)
        assert store.data_version() == before
        put(folder, {"2.png": 3, "4.png": 4})
        indexed(collection, folder, prune=True)
        assert store.data_version() != before
    assert [[Path(file.path).name for file in some] for some in recorded] == [["2.png", "4.png"]]


def test_pictures_that_are_left_out_now_go_like_those_whose_files_are_gone(
    collection: Collection, folder: Path
) -> None:
    put(folder, {"1.png": 1, "out/2.png": 2, "out/deep/3.png": 3, "4.png": 4, "out/copy.png": 4})
    indexed(collection, folder)
    (folder / ".crossmodalignore").write_text("out/\n")
    report = indexed(collection, folder)
    assert report.counts["image"]["removed"] == 0
    report = indexed(collection, folder, prune=True)
    assert report.counts["image"]["removed"] == 2
    assert [note for note in report.notes if note.path.endswith("2.png")] == [
        Failure(
            str(folder / "out" / "2.png"),
            "removed from the index: it is one of the folders left out by .crossmodalignore",
        )
    ]
    assert found(collection, 4)[0].uri == str(folder / "4.png")


def test_a_link_that_is_left_out_does_not_take_its_picture_along(collection: Collection, folder: Path) -> None:
    put(folder, {"a/1.png": 1, "2.png": 2})
    (folder / "best").mkdir()
    (folder / "best" / "link.png").symlink_to(folder / "a" / "1.png")
    indexed(collection, folder)
    (folder / ".crossmodalignore").write_text("best/*\n")
    (folder / "a").chmod(0o000)
    assert indexed(collection, folder, prune=True).counts["image"]["removed"] == 0
    (folder / "a").chmod(0o755)


def test_captions_beside_a_picture_that_is_damaged_now_stay(collection: Collection, folder: Path) -> None:
    put(folder, {"1.png": 1, "2.png": 1})
    (folder / "2.txt").write_text("told beside it")
    indexed(collection, folder)
    (folder / "2.png").write_bytes(b"")
    assert indexed(collection, folder, prune=True).counts["text"]["removed"] == 0
    put(folder, {"2.png": 2})
    assert indexed(collection, folder, prune=True).counts["text"]["removed"] == 1


def test_a_run_that_ends_early_has_recorded_its_mount_points(
    collection: Collection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder, {"a/1.png": 1})
    with monkeypatch.context() as patch:
        patch.setattr("crossmodal.ingest.reconcile.plan_removals", crash)
        with pytest.raises(RuntimeError):
            indexed(collection, folder)
    assert str(folder / "a") in read_folders(collection.folder, str(folder))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"x": 1}', b'{"x": {"/a": [1]}}'])
def test_damaged_records_of_folders_are_an_error(collection: Collection, folder: Path, content: bytes) -> None:
    put(folder, {"1.png": 1})
    (collection.folder / FILE_NAME).write_bytes(content)
    with pytest.raises(StateError, match="can't be read"):
        indexed(collection, folder)


def test_folders_that_can_not_be_recorded_stop_the_run(collection: Collection, folder: Path) -> None:
    put(folder, {"1.png": 1})
    temporary = collection.folder / f".{FILE_NAME}.{os.getpid()}.tmp"
    temporary.mkdir()
    with pytest.raises(IsADirectoryError):
        indexed(collection, folder)
    with collection.store() as store:
        assert not store.files.of_source(str(folder))


def test_a_picture_keeps_its_path_when_a_copy_comes_before_it(collection: Collection, folder: Path) -> None:
    put(folder, {"b.png": 1}, {"b.png": "one"})
    indexed(collection, folder)
    put(folder, {"a.png": 1})
    assert indexed(collection, folder).counts["image"]["updated"] == 0
    picture, captions = found(collection, 1)
    assert {document.uri for document in (picture, *captions)} == {str(folder / "b.png")}


def test_a_file_that_goes_before_it_is_read_is_a_failure(collection: Collection, folder: Path) -> None:
    put(folder, {"1.png": 1}, {"1.png": "one"})
    records = list(read_path(folder))
    (folder / "1.png").unlink()
    job = IndexJob(collection, str(folder))
    assert list(job.images(records)) == []
    job.release()
    assert [failure.modality for failure in job.report.failures] == ["image", "text"]
    assert job.report.counts == {"image": {"failed": 1}, "text": {"failed": 1}}


def test_a_picture_that_another_process_removes_meanwhile_is_named(collection: Collection, folder: Path) -> None:
    put(folder, {"1.png": 1, "2.png": 2})
    indexed(collection, folder)
    job = IndexJob(collection, str(folder))
    assert list(job.images(list(read_path(folder)))) == []
    job.release()
    with collection.store(writable=True) as store:
        store.remove([image_id(encoded(1))])
    job.reconcile(prune=False)
    [note] = job.report.notes
    assert note.path == str(folder / "1.png")
    assert "index again" in note.reason
    assert indexed(collection, folder).counts["image"] == {"indexed": 1, "unchanged": 1}


def test_captions_follow_a_file_that_is_replaced_before_it_is_encoded(collection: Collection, folder: Path) -> None:
    put(folder, {"1.png": 1}, {"1.png": "one"})
    job = IndexJob(collection, str(folder))
    (pending,) = job.images(list(read_path(folder)))
    changed = replace(pending.document, id=image_id(encoded(2)))
    job.image_done(encoded_document(changed, "indexed"))
    assert job.ledger.new == [changed.id]
    assert [caption.image_id for caption in job.captions()] == [changed.id]
    job.release()
