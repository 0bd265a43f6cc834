"""Delete, compact, rebuild, list, map, verify, move and calibrate a collection: in process, without a Flow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from crossmodal.collection import lifecycle
from crossmodal.collection.calibration import calibrate, has_general_vocabulary, is_up_to_date
from crossmodal.collection.collection import Collection
from crossmodal.collection.parquet_file import export
from crossmodal.collection.transfer import export_collection, import_collection
from crossmodal.collection.verification import verify
from crossmodal.core.engine import FLOAT32, MadeWith
from crossmodal.core.errors import InputError, StateError
from crossmodal.core.reading import Reading
from crossmodal.core.types import Document, ModelSpec, Preprocessing, Vectors, caption_id
from crossmodal.index.config import IndexConfig
from crossmodal.relevance.calibration import LEAST
from crossmodal.relevance.rules import Calibration
from crossmodal.store.sqlite import NewDocument

DIM = 8
MODEL = ModelSpec("clip", "scenes", "a" * 64, DIM, Preprocessing(96))


def vectors(n: int, seed: int = 0) -> Vectors:
    rows = np.random.default_rng(seed).normal(size=(n, DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def filled(folder: Path, n: int = 6, model: ModelSpec = MODEL, made_with: MadeWith = FLOAT32) -> Collection:
    """n pictures `/p/a/I.jpg` or `/p/b/I.jpg`, in turn, each with two captions."""
    collection = Collection.create(folder, model, made_with)
    items = []
    for i, vector in enumerate(vectors(n)):
        items.append(NewDocument(Document(f"i{i}", "image", uri=f"/p/{'ab'[i % 2]}/{i}.jpg"), vector, b"jpeg"))
        for text in (f"thing {i} on a table", f"another view of thing {i}"):
            caption = Document(caption_id(text, f"i{i}"), "text", text=text, image_id=f"i{i}")
            items.append(NewDocument(caption, vector))
    with collection.store(writable=True) as store:
        store.put(items)
    return collection


def test_documents_are_deleted_by_id_by_folder_and_by_condition(tmp_path: Path) -> None:
    collection = filled(tmp_path / "c")
    assert lifecycle.delete(collection, ids=["i0", "none"]) == lifecycle.Deletion(1, 2, ["none"])
    assert lifecycle.delete(collection, uri="/p/b") == lifecycle.Deletion(3, 6, [])
    assert lifecycle.delete(collection, where="uri = '/p/a/2.jpg'") == lifecycle.Deletion(1, 2, [])
    assert lifecycle.n_documents(collection) == 3


@pytest.mark.parametrize("given", [{}, {"ids": ["i0"], "uri": "/p"}, {"uri": "/q"}, {"where": "width >"}])
def test_a_deletion_that_selects_nothing_or_twice_is_refused(tmp_path: Path, given: dict[str, str]) -> None:
    collection = filled(tmp_path / "c")
    with pytest.raises(InputError):
        lifecycle.delete(collection, **given)  # type: ignore[arg-type]
    assert lifecycle.n_documents(collection) == 18


def test_compacting_frees_space_and_keeps_the_rest(tmp_path: Path) -> None:
    collection = filled(tmp_path / "c", 200)
    lifecycle.rebuild(collection)
    lifecycle.delete(collection, uri="/p/a")
    result = lifecycle.compact(collection)
    assert result.freed > 0
    assert result.index_after < result.index_before
    assert {name: found.vectors for name, found in lifecycle.describe_indexes(collection).items()} == {
        "image": 100, "text": 200,
    }  # fmt: skip


def test_rebuilding_keeps_the_index_configuration_it_is_given(tmp_path: Path) -> None:
    collection = filled(tmp_path / "c")
    assert lifecycle.rebuild(collection, IndexConfig("hnsw-fp16"))["image"].kind == "hnsw-fp16"
    assert Collection.open(tmp_path / "c").index_config.kind == "hnsw-fp16"
    assert lifecycle.rebuild(Collection.open(tmp_path / "c"))["text"].kind == "hnsw-fp16"


def test_collections_are_summarised_by_name(tmp_path: Path) -> None:
    filled(tmp_path / "b", 1)
    filled(tmp_path / "a", 2)
    assert [(c.name, c.images, c.captions) for c in lifecycle.summaries(tmp_path)] == [("a", 2, 4), ("b", 1, 2)]


def test_the_map_is_computed_once_for_each_state(tmp_path: Path) -> None:
    collection = filled(tmp_path / "c")
    announced: list[int] = []
    assert lifecycle.draw_map(collection, announced.append)[1]
    assert not lifecycle.draw_map(collection, announced.append)[1]
    lifecycle.delete(collection, ids=["i0"])
    made, is_new = lifecycle.draw_map(collection, announced.append)
    assert (announced, is_new, len(made.keys)) == ([6, 5], True, 5)


def test_verify_counts_documents_and_names_problems(tmp_path: Path) -> None:
    found = verify(filled(tmp_path / "c", 2), lambda _: None)
    assert (found.images, found.captions) == (2, 4)
    assert {problem.item for problem in found.problems} == {"/p/a/0.jpg", "/p/b/1.jpg"}  # no such files


def test_an_export_is_imported_once(tmp_path: Path) -> None:
    assert export_collection(filled(tmp_path / "w" / "c"), tmp_path / "c.parquet") == 18
    first = import_collection(tmp_path / "c.parquet", tmp_path / "v")
    again = import_collection(tmp_path / "c.parquet", tmp_path / "v", "c")
    assert first.collection == again.collection == Collection.open(tmp_path / "v" / "c")
    assert [(result.indexed, result.unchanged) for result in (first, again)] == [(18, 0), (0, 18)]
    Collection.create(tmp_path / "v" / "other", ModelSpec("vse", "x", "b" * 64, DIM, Preprocessing(96)))
    with pytest.raises(StateError, match="was indexed with"):
        import_collection(tmp_path / "c.parquet", tmp_path / "v", "other")


def test_an_export_keeps_the_precision_of_its_vectors(tmp_path: Path) -> None:
    unmixed, mixed = MadeWith("int8", mixes=False), MadeWith("int8")
    for made_with in (unmixed, mixed):
        name, file = str(made_with.mixes), tmp_path / f"{made_with.mixes}.parquet"
        export_collection(filled(tmp_path / "w" / name, made_with=made_with), file)
        assert import_collection(file, tmp_path / "v").collection.made_with == made_with
    assert import_collection(tmp_path / "False.parquet", tmp_path / "v", "False").indexed == 0
    Collection.create(tmp_path / "v" / "float", MODEL)
    with pytest.raises(StateError, match=r"in int8, which can't be compared with .* in fp32: .*--collection NAME"):
        import_collection(tmp_path / "False.parquet", tmp_path / "v", "float")
    assert import_collection(tmp_path / "True.parquet", tmp_path / "v", "float").collection.made_with == MadeWith()


@pytest.mark.parametrize("made_with", [{"precision": "int4"}, {"bits": 8}, "int8"])
def test_an_export_with_an_unknown_precision_is_refused(tmp_path: Path, made_with: object) -> None:
    with filled(tmp_path / "c").store() as store:
        manifest = {"model": MODEL.to_dict(), "name": "c", "made_with": made_with}
        export(store, tmp_path / "c.parquet", manifest, DIM)
    with pytest.raises(InputError, match="export the collection again"):
        import_collection(tmp_path / "c.parquet", tmp_path / "v")


def test_an_older_export_is_in_float32(tmp_path: Path) -> None:
    with filled(tmp_path / "c").store() as store:
        export(store, tmp_path / "c.parquet", {"model": MODEL.to_dict(), "name": "c"}, DIM)
    assert import_collection(tmp_path / "c.parquet", tmp_path / "v").collection.made_with == FLOAT32


def test_a_calibration_is_current_until_a_tenth_has_changed(tmp_path: Path) -> None:
    collection = filled(tmp_path / "c", LEAST + 20)
    asked: list[str] = []

    def encode(texts: Sequence[str]) -> Vectors:
        asked.extend(texts)
        return vectors(len(texts), seed=1)

    assert not is_up_to_date(collection)
    made = calibrate(collection, encode)
    assert asked
    assert Calibration.from_bytes(collection.calibration_path.read_bytes()).last_seq == made.last_seq
    assert is_up_to_date(collection)
    with collection.store(writable=True) as store:
        assert store.readings.put((f"i{i}", Reading("test")) for i in range(LEAST + 20)) == LEAST + 20
        assert store.last_seq() > 1.1 * made.last_seq
    assert is_up_to_date(collection), "text in pictures changes no vector"
    n_changes = made.last_seq // 10
    lifecycle.delete(collection, ids=[f"i{i}" for i in range(n_changes // 3)])
    assert is_up_to_date(collection)
    lifecycle.delete(collection, ids=[f"i{i}" for i in range(n_changes // 3, n_changes // 3 + 2)])
    assert not is_up_to_date(collection)


def test_a_damaged_calibration_is_not_current(tmp_path: Path) -> None:
    collection = filled(tmp_path / "c")
    collection.calibration_path.write_bytes(b"no archive")
    assert not is_up_to_date(collection)


def test_a_small_collection_is_calibrated_without_encoding(tmp_path: Path) -> None:
    made = calibrate(filled(tmp_path / "c"), lambda texts: pytest.fail(f"encoded {texts}"))
    assert made.fitted == {}


@pytest.mark.parametrize(
    ("family", "weights", "expected"),
    [("clip", "scenes", False), ("clip", "photos", True), ("vse", "scenes", False)],
)
def test_which_models_have_a_general_vocabulary(family: str, weights: str, expected: bool) -> None:
    assert has_general_vocabulary(ModelSpec(family, weights, "a", DIM, Preprocessing(96))) == expected
