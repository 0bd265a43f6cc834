"""A collection's folder: made, opened, refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crossmodal.collection import lifecycle
from crossmodal.collection.collection import MANIFEST, N_NAMED, Collection, collection_folder, collections
from crossmodal.collection.generations import generation_mark
from crossmodal.core.engine import FLOAT32, MadeWith
from crossmodal.core.errors import InputError, StateError
from crossmodal.core.types import Document, ModelSpec, Preprocessing
from crossmodal.index.config import IndexConfig
from crossmodal.store.sqlite import NewDocument

MODEL = ModelSpec("clip", "scenes", "a" * 64, 4, Preprocessing(96))


def test_create_and_open(tmp_path: Path) -> None:
    folder = tmp_path / "w" / "toy-data"
    made = Collection.create(folder, MODEL)
    assert made == Collection.open(folder) == Collection.create(folder, MODEL)
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest["format"] == 1
    assert manifest["metric"] == "cosine"
    assert manifest["model"]["weights_hash"] == "a" * 64
    assert [p.name for p in folder.iterdir()] == [MANIFEST]


def test_creating_again_leaves_the_manifest(tmp_path: Path) -> None:
    Collection.create(tmp_path, MODEL)
    before = (tmp_path / MANIFEST).read_bytes()
    Collection.create(tmp_path, MODEL)
    assert (tmp_path / MANIFEST).read_bytes() == before


@pytest.mark.parametrize(
    "other",
    [
        replace(MODEL, weights="ViT-B-32/laion2b_s34b_b79k", weights_hash="b" * 64, dim=512),
        replace(MODEL, weights_hash="c" * 64),
        replace(MODEL, preprocessing=Preprocessing(96, "squash")),
        replace(MODEL, family="vse"),
    ],
    ids=["weights", "hash", "preprocessing", "family"],
)
def test_another_model_is_refused_and_both_are_named(tmp_path: Path, other: ModelSpec) -> None:
    Collection.create(tmp_path, MODEL)
    with pytest.raises(StateError) as caught:
        Collection.create(tmp_path, other)
    assert str(MODEL) in str(caught.value)
    assert str(other) in str(caught.value)
    assert "--collection" in str(caught.value)


def test_opening_nothing(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="no index in"):
        Collection.open(tmp_path / "none")


def test_opening_nothing_beside_others_names_them(tmp_path: Path) -> None:
    Collection.create(tmp_path / "b", MODEL)
    Collection.create(tmp_path / "a", MODEL)
    with pytest.raises(StateError, match=r"no index in .*/none: .* with --collection \(a, b\), or run"):
        Collection.open(tmp_path / "none")
    for number in range(N_NAMED):
        Collection.create(tmp_path / f"c{number}", MODEL)
    with pytest.raises(StateError, match=r"\(a, b, .*, c7 and 2 more\)"):
        Collection.open(tmp_path / "none")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"{}", b'{"format": 1}', b'{"format": 1, "model": []}', b"\xff\xfe",
     b'{"format": 1, "model": {"family": "clip"}}', b'{"format": 1, "model": {"preprocessing": {}}}',
     b'{"format": 1, "model": {"preprocessing": {"mean": null, "std": []}}}'],
)  # fmt: skip
@pytest.mark.parametrize("opening", ["open", "create"])
def test_a_damaged_manifest(tmp_path: Path, content: bytes, opening: str) -> None:
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(StateError, match="damaged"):
        Collection.open(tmp_path) if opening == "open" else Collection.create(tmp_path, MODEL)
    assert (tmp_path / MANIFEST).read_bytes() == content


def test_another_format(tmp_path: Path) -> None:
    Collection.create(tmp_path, MODEL)
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    (tmp_path / MANIFEST).write_text(json.dumps({**manifest, "format": 2}))
    with pytest.raises(StateError, match="format 2, this program reads 1"):
        Collection.open(tmp_path)


def test_store_and_index_are_of_the_folder(tmp_path: Path) -> None:
    collection = Collection.create(tmp_path, MODEL)
    with pytest.raises(StateError):
        collection.store()
    with collection.store(writable=True) as store:
        store.put([NewDocument(Document("a", "text"), np.eye(4, dtype=np.float32)[1])])
        index = collection.index(store, "text")
        assert index.search(np.eye(4, dtype=np.float32)[1:2], 1)[0][0, 0] == pytest.approx(1)
        assert index.snapshot()
        assert len(collection.index(store, "text", shard=0, n_shards=2)) in (0, 1)
    assert (tmp_path / "index").is_dir()


@pytest.mark.parametrize("name", ["toy-data", "f8k", "a", "0", "My.Set_2-x", "x" * 100])
def test_good_names(tmp_path: Path, name: str) -> None:
    assert collection_folder(tmp_path, name) == tmp_path / name


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/abs", ".hidden", "-x", "a b", "é", "a\n", "x" * 101])
def test_bad_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="use letters"):
        collection_folder(tmp_path, name)


OTHER = replace(MODEL, weights="other", weights_hash="d" * 64, dim=8)


def in_store(collection: Collection) -> list[str]:
    with collection.store() as store:
        return sorted(store.known(["a", "b", "c"]))


def filled(collection: Collection, name: str) -> Collection:
    with collection.store(writable=True) as store:
        store.put([NewDocument(Document(name, "text"), np.eye(collection.model.dim, dtype=np.float32)[0])])
    return collection


def test_a_new_generation_counts_all_at_once_and_can_be_taken_back(tmp_path: Path) -> None:
    first = filled(Collection.create(tmp_path, MODEL), "a")
    mark = generation_mark(tmp_path)
    made = filled(first.next_generation(OTHER), "b")
    assert Collection.open(tmp_path) == first
    assert generation_mark(tmp_path) == mark
    first.becomes_current(made)
    second = Collection.open(tmp_path)
    assert (second.model, second.root, in_store(second)) == (OTHER, tmp_path, ["b"])
    assert generation_mark(tmp_path) != mark
    assert Collection.create(tmp_path, OTHER) == second
    assert Collection.open_generation(tmp_path, first.generation) == first
    assert second.roll_back() == first
    assert first.roll_back() == second


def test_a_process_that_was_overtaken_makes_no_generation(tmp_path: Path) -> None:
    first = filled(Collection.create(tmp_path, MODEL), "a")
    first.becomes_current(filled(first.next_generation(OTHER), "b"))
    with pytest.raises(StateError, match="the current one: start again"):
        first.next_generation(MODEL)
    assert in_store(Collection.open(tmp_path)) == ["b"]


def test_only_the_generation_before_is_kept(tmp_path: Path) -> None:
    first = filled(Collection.create(tmp_path, MODEL), "a")
    first.becomes_current(filled(first.next_generation(OTHER), "b"))
    second = Collection.open(tmp_path)
    second.becomes_current(filled(second.next_generation(MODEL), "c"))
    third = Collection.open(tmp_path)
    assert in_store(third) == ["c"]
    assert not (tmp_path / MANIFEST).exists()
    assert third.roll_back() == second
    assert in_store(second) == ["b"]
    second.becomes_current(filled(second.next_generation(OTHER), "a"))
    assert in_store(Collection.open(tmp_path)) == ["a"]
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {
        second.generation, Collection.open(tmp_path).generation,
    }  # fmt: skip


def test_an_attempt_that_was_broken_off_is_thrown_away(tmp_path: Path) -> None:
    first = filled(Collection.create(tmp_path, MODEL), "a")
    broken = filled(first.next_generation(OTHER), "b")
    made = first.next_generation(OTHER)
    assert not broken.folder.exists() or made.folder == broken.folder
    with pytest.raises(StateError, match="no index"):
        made.store()


def test_nothing_to_roll_back_to(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="no earlier state"):
        Collection.create(tmp_path, MODEL).roll_back()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"current": "../elsewhere"}', '{"current": 3}'])
def test_a_damaged_pointer_to_the_generation(tmp_path: Path, content: str) -> None:
    Collection.create(tmp_path, MODEL)
    (tmp_path / "current.json").write_text(content)
    with pytest.raises(StateError, match="is damaged"):
        Collection.open(tmp_path)


def test_the_precision_of_the_vectors_is_in_the_manifest(tmp_path: Path) -> None:
    int8 = MadeWith("int8", mixes=False)
    made = Collection.create(tmp_path, MODEL, int8)
    assert json.loads((tmp_path / MANIFEST).read_text())["made_with"] == {"precision": "int8", "mixes": False}
    assert Collection.open(tmp_path) == made
    assert made.made_with == int8
    assert Collection.create(tmp_path, MODEL, MadeWith("bf16")) == Collection.create(tmp_path, MODEL) == made
    made.with_index_config(IndexConfig("hnsw-fp16"))
    assert Collection.open(tmp_path).made_with == int8
    floats = Collection.open(tmp_path).next_generation(MODEL)
    floats.store(writable=True).close()
    made.becomes_current(floats)
    assert Collection.open(tmp_path).made_with == FLOAT32
    assert Collection.open(tmp_path).roll_back().made_with == int8


def test_a_manifest_without_precision_is_of_float32(tmp_path: Path) -> None:
    Collection.create(tmp_path, MODEL, MadeWith("int8"))
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    del manifest["made_with"]
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    assert Collection.open(tmp_path).made_with == FLOAT32
    for unknown in ({"precision": "int4"}, {"bits": 8}, []):
        (tmp_path / MANIFEST).write_text(json.dumps({**manifest, "made_with": unknown}))
        with pytest.raises(StateError, match="damaged"):
            Collection.open(tmp_path)


def test_the_kind_of_index_is_in_the_manifest(tmp_path: Path) -> None:
    made = Collection.create(tmp_path, MODEL)
    assert made.index_config.kind == "auto"
    changed = made.with_index_config(IndexConfig("hnsw-fp16", memory_mb=100))
    assert Collection.open(tmp_path) == changed
    with pytest.raises(InputError, match="flat"):
        made.with_index_config(IndexConfig("tree"))
    assert Collection.open(tmp_path) == changed


def test_a_manifest_with_a_kind_that_is_no_longer_built_is_opened(tmp_path: Path) -> None:
    Collection.create(tmp_path, MODEL)
    path = tmp_path / MANIFEST
    path.write_text(path.read_text().replace('"auto"', '"hnsw-sq8"'))
    described = lifecycle.rebuild(Collection.open(tmp_path))
    assert (described["image"].kind, described["image"].why) == (
        "hnsw-fp16", "the nearest kind to hnsw-sq8, which is no longer built",
    )  # fmt: skip


def test_collections_of_a_workspace(tmp_path: Path) -> None:
    assert collections(tmp_path / "none") == []
    for name in ("b", "a"):
        Collection.create(tmp_path / name, MODEL)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    assert collections(tmp_path) == ["a", "b"]
