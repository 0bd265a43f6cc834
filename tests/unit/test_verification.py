"""What `verify` says of unreadable pictures and of stale paths; what `reindex` leaves behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ingest_world import MODEL, VECTOR, as_somebody, documents, encoded, indexed

from crossmodal.collection.collection import Collection
from crossmodal.collection.verification import verify_collection
from crossmodal.core.errors import StateError
from crossmodal.core.types import Document, image_id
from crossmodal.ingest.metadata import add_metadata
from crossmodal.ingest.reindex import ReindexJob
from crossmodal.store.known_folders import all_folders
from crossmodal.store.records import NewDocument

NOT_READ = "is in an object store, which is not read here"


@pytest.fixture
def collection(folder_of_all: Path) -> Collection:
    """Three pictures, one in a folder of its own, with a caption."""
    folder = folder_of_all / "pictures"
    for place, number in {"a/1.png": 1, "b/2.png": 2, "3.png": 3}.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(encoded(number))
    (folder / "captions.csv").write_text("image,caption\na/1.png,one\n")
    with as_somebody():
        made = Collection.create(folder_of_all / "c", MODEL)
        made.store(writable=True).close()
    indexed(made, folder)
    return made


def problems(collection: Collection) -> dict[str, str]:
    with as_somebody(), collection.store(writable=True) as store:
        return {
            problem.item: problem.reason for problem in verify_collection(collection, store, lambda _: None).problems
        }


def test_a_picture_whose_file_is_gone_may_be_pruned(collection: Collection, folder_of_all: Path) -> None:
    assert problems(collection) == {}
    lost = folder_of_all / "pictures" / "3.png"
    lost.unlink()
    assert "--prune" in problems(collection)[str(lost)]


def test_one_that_can_not_be_looked_at_is_never_advised_away(collection: Collection, folder_of_all: Path) -> None:
    folder = folder_of_all / "pictures"
    (folder / "a").chmod(0o000)
    (folder / "3.png").chmod(0o000)
    (folder / "b" / "2.png").unlink()  # and leaves an empty folder
    found = problems(collection)
    (folder / "a").chmod(0o755)
    assert set(found) == {str(folder / place) for place in ("a/1.png", "b/2.png", "3.png")}
    assert not any("--prune" in reason or "gone" in reason for reason in found.values())
    assert "mounted" in found[str(folder / "b" / "2.png")]
    assert "make it readable" in found[str(folder / "3.png")]


def test_an_index_with_a_vector_of_no_document_is_named(collection: Collection) -> None:
    with collection.store(writable=True) as store:
        collection.index(store, "image").snapshot()
        with store.database.writing() as connection:
            connection.execute("DELETE FROM documents WHERE id = ?", (image_id(encoded(3)),))
        found = verify_collection(collection, store, lambda _: None).problems
    assert [(problem.item, problem.reason) for problem in found] == [
        ("image index", "has 3 vectors, the store 2: run -t rebuild")
    ]


def test_pictures_in_an_object_store_are_counted_and_not_missing(collection: Collection) -> None:
    url = "s3://photos/4.png"
    with as_somebody(), collection.store(writable=True) as store:
        store.put([NewDocument(Document("4" * 40, "image", url, "image/png"), VECTOR, b"a thumbnail")])
        found = verify_collection(collection, store, lambda _: None)
        assert (found.images, found.captions, found.in_object_store) == (4, 1, 1)
        assert url not in {problem.item for problem in found.problems}


def test_stale_paths_are_found_and_indexing_mends_them(collection: Collection, folder_of_all: Path) -> None:
    known, _ = documents(collection)
    [caption] = [document for document in known.values() if document.modality == "text"]
    with collection.store(writable=True) as store:
        store.describe([replace(caption, uri="/old/1.png")])
    found = problems(collection)
    assert "/old/1.png" in found[caption.id]
    indexed(collection, folder_of_all / "pictures")
    assert problems(collection) == {}


def test_reindex_counts_pictures_that_are_not_proven_to_be_gone(collection: Collection, folder_of_all: Path) -> None:
    folder = folder_of_all / "pictures"
    (folder / "a" / "1.png").unlink()
    (folder / "a").rmdir()
    (folder / "b").rename(folder_of_all / "aside")
    (folder / "b").mkdir()  # as the mount point of a disk
    job = ReindexJob(collection)
    assert [pending.document.uri for pending in job.images()] == [str(folder / "3.png")]
    job.release()
    assert (len(job.report.failures), job.n_unproven) == (2, 1)


def test_reindexing_reads_a_copy_of_a_picture_whose_file_is_gone(collection: Collection, folder_of_all: Path) -> None:
    folder = folder_of_all / "pictures"
    (folder / "copy.png").write_bytes(encoded(3))
    indexed(collection, folder)
    (folder / "3.png").unlink()
    (folder / "a" / "1.png").write_bytes(encoded(9))
    job = ReindexJob(collection)
    assert str(folder / "copy.png") in [pending.document.uri for pending in job.images()]
    job.release()
    assert (len(job.report.failures), job.n_unproven) == (1, 0)


def test_pictures_in_an_object_store_are_not_reindexed_and_not_pruned(collection: Collection) -> None:
    url = "s3://photos/4.png"
    with as_somebody(), collection.store(writable=True) as store:
        store.put([NewDocument(Document("4" * 40, "image", url, "image/png"), VECTOR, b"a thumbnail")])
        report = add_metadata(store, "all", lambda: None)
    assert [(failure.path, failure.reason) for failure in report.failures] == [(url, NOT_READ)]
    job = ReindexJob(collection)
    assert len(list(job.images())) == 3
    assert [(failure.path, failure.reason) for failure in job.report.failures] == [(url, NOT_READ)]
    made = collection.next_generation(MODEL)
    with pytest.raises(StateError, match="1 documents can't be encoded again") as refused:
        job.finish(made, without_failures=True)
    assert str(refused.value).endswith("`encode` them with the new model and `import` that as another collection")
    assert Collection.open(collection.root).generation == collection.generation


def test_a_new_generation_knows_the_folders_of_the_former(collection: Collection) -> None:
    known = all_folders(collection.folder)
    made = collection.next_generation(MODEL)
    ReindexJob(collection).finish(made, without_failures=False)
    assert known
    assert all_folders(made.folder) == known
