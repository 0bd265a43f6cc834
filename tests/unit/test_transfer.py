"""Import of a folder of exported files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ingest_world import MODEL, VECTOR

from crossmodal.collection.collection import Collection
from crossmodal.collection.transfer import export_collection, import_collection
from crossmodal.core.engine import MadeWith
from crossmodal.core.errors import InputError, StateError
from crossmodal.core.types import Document, ModelSpec
from crossmodal.store.records import NewDocument

OTHER = replace(MODEL, weights="other", weights_hash="1" * 40)
INT8 = MadeWith("int8", mixes=False)


def exported(folder: Path, name: str, model: ModelSpec = MODEL, made_with: MadeWith | None = None) -> None:
    """Exports a collection with one document to `name`.parquet."""
    collection = Collection.create(folder.parent / f"collection-{name}", model, made_with or MadeWith())
    with collection.store(writable=True) as store:
        store.put([NewDocument(Document(name, "image"), VECTOR)])
    folder.mkdir(exist_ok=True)
    export_collection(collection, folder / f"{name}.parquet")


def test_all_files_of_a_folder_are_imported(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        exported(tmp_path / "parts", name)
    (tmp_path / "parts" / ".d.parquet.tmp").write_bytes(b"incomplete")
    (tmp_path / "parts" / ".e.parquet").write_bytes(b"incomplete")
    result = import_collection(tmp_path / "parts", tmp_path / "workspace")
    assert (result.collection.root.name, result.indexed, result.unchanged) == ("collection-a", 3, 0)
    again = import_collection(tmp_path / "parts", tmp_path / "workspace")
    assert (again.indexed, again.unchanged) == (0, 3)
    with result.collection.store() as store:
        assert [item.document.id for _, item in store.everything(0, 9)] == ["a", "b", "c"]
        assert len(result.collection.index(store, "image")) == 3


def test_files_of_several_models_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    exported(tmp_path / "parts", "a")
    exported(tmp_path / "parts", "b", OTHER)
    with pytest.raises(InputError, match=r"b\.parquet has vectors of clip other .*a\.parquet of clip test .*different"):
        import_collection(tmp_path / "parts", tmp_path / "workspace")
    assert not (tmp_path / "workspace").exists()


def test_files_of_another_model_or_precision_than_the_collection_are_refused(tmp_path: Path) -> None:
    exported(tmp_path / "parts", "a")
    Collection.create(tmp_path / "workspace" / "other", OTHER)
    with pytest.raises(StateError, match=r"was indexed with clip other .*, not with clip test"):
        import_collection(tmp_path / "parts", tmp_path / "workspace", "other")
    exported(tmp_path / "parts", "b", made_with=INT8)
    with pytest.raises(StateError, match=r"b\.parquet has vectors in int8, which can't be compared"):
        import_collection(tmp_path / "parts", tmp_path / "workspace", "same")
    assert not (tmp_path / "workspace" / "same" / "index").exists()


def test_a_folder_without_parts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no files with the ending \.parquet"):
        import_collection(tmp_path, tmp_path)
