"""A collection as a Parquet file: what goes in comes out, and no bad file is taken for a good one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crossmodal.collection import parquet_file as parquet
from crossmodal.collection.parquet_file import ParquetFile, export
from crossmodal.core.errors import InputError, StateError
from crossmodal.core.types import Document, Modality
from crossmodal.store.sqlite import DocumentStore, NewDocument

DIM = 4
MANIFEST = {"family": "clip", "weights": "größe", "dim": DIM}

Change = Callable[[pa.Table], pa.Table]


def item(
    name: str, modality: Modality = "text", blobs: Sequence[bytes | None] = (None, None), **said: Any
) -> NewDocument:
    vector = np.full(DIM, 0.1, np.float32)
    vector[len(name) % DIM] = 1
    return NewDocument(Document(name, modality, **said), vector / np.linalg.norm(vector), *blobs)


ITEMS = [
    item("p", "image", (b"jpeg", b"\0content"), uri="/ä.jpg", mime_type="image/jpeg", width=640, height=480,
         tags={"größe": "漢字 😀", "deep": {"list": [1, None, True, 0.1]}, 'a "name"\n': "\u2028\0"}),
    item("pp", "image", (b"", None), uri="C:\\b.png", mime_type="image/png", width=2**40),
    item("ccc", text="ein Hund 🐕\n", image_id="p", tags={"nan": None, "long": "x" * 10_000}),
]  # fmt: skip


class Listed:
    """A store that is a list; its keys have gaps."""

    def __init__(self, items: Sequence[NewDocument]) -> None:
        self.items = {3 * place + 1: item for place, item in enumerate(items)}
        self.keys = list(self.items)
        self.most_asked = 0

    def everything(self, after_key: int, limit: int) -> list[tuple[int, NewDocument]]:
        self.most_asked = max(self.most_asked, limit)
        start = (after_key + 2) // 3
        return [(key, self.items[key]) for key in self.keys[start : start + limit]]


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    path = tmp_path / "three.parquet"
    export(Listed(ITEMS), path, MANIFEST, DIM)
    return path


def read(path: Path) -> list[NewDocument]:
    with ParquetFile(path) as file:
        found = [item for items in file.batches(DIM) for item in items]
        assert len(found) == file.n_documents
        return found


def assert_same(found: Sequence[NewDocument], expected: Sequence[NewDocument]) -> None:
    assert [(i.document, i.thumbnail, i.content) for i in found] == [
        (i.document, i.thumbnail, i.content) for i in expected
    ]
    for one, other in zip(found, expected, strict=True):
        assert one.vector.dtype == np.float32
        np.testing.assert_array_equal(one.vector, other.vector)


def test_what_goes_in_comes_out(exported: Path) -> None:
    assert_same(read(exported), ITEMS)


def test_the_manifest_is_there_before_the_documents(exported: Path) -> None:
    with ParquetFile(exported) as file:
        assert file.manifest == MANIFEST
        assert (file.dim, file.n_documents) == (DIM, 3)


def test_nothing_else_is_left_beside_the_file(exported: Path) -> None:
    assert list(exported.parent.iterdir()) == [exported]


def test_an_empty_store(tmp_path: Path) -> None:
    path = tmp_path / "empty.parquet"
    assert export(Listed([]), path, MANIFEST, DIM) == 0
    assert read(path) == []


def test_more_than_two_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "BATCH_ROWS", 1_000)
    path = tmp_path / "many.parquet"
    items = [item("x" * (n % 7) + str(n), tags={"n": n}) for n in range(2_005)]
    store = Listed(items)
    assert export(store, path, MANIFEST, DIM) == len(items)
    assert store.most_asked <= 1_000
    with ParquetFile(path) as file:
        batches = list(file.batches(DIM))
    assert [len(batch) for batch in batches] == [1_000, 1_000, 5]
    assert_same([i for batch in batches for i in batch], items)


def test_a_batch_read_has_at_most_so_many_rows(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "BATCH_ROWS", 2)
    with ParquetFile(exported) as file:
        batches = list(file.batches(DIM))
    assert [len(batch) for batch in batches] == [2, 1]
    assert_same([i for batch in batches for i in batch], ITEMS)


def test_big_pictures_make_small_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "BATCH_BYTES", 1_000)
    path = tmp_path / "big.parquet"
    items = [item(f"{n}", "image", (None, b"x" * (400 if n < 6 else 4_000))) for n in range(8)]
    export(Listed(items), path, MANIFEST, DIM)
    with ParquetFile(path) as file:
        assert [len(batch) for batch in file.batches(DIM)] == [3, 3, 1, 1]


def test_from_store_to_store(tmp_path: Path) -> None:
    path = tmp_path / "collection.parquet"
    with DocumentStore(tmp_path / "one", writable=True) as one, DocumentStore(tmp_path / "two", writable=True) as two:
        one.put([*ITEMS, item("gone"), item("last")])
        one.remove(["gone"])
        assert export(one, path, MANIFEST, DIM) == 4
        with ParquetFile(path) as file:
            for items in file.batches(DIM):
                assert two.put(items) == ["indexed"] * 4
        assert_same([i for _, i in two.everything(0, 9)], [i for _, i in one.everything(0, 9)])


def test_a_file_that_is_there_is_replaced(exported: Path) -> None:
    export(Listed(ITEMS[:1]), exported, {}, DIM)
    assert_same(read(exported), ITEMS[:1])


def test_a_failed_export_leaves_what_was_there(exported: Path) -> None:
    class Failing(Listed):
        def everything(self, after_key: int, limit: int) -> list[tuple[int, NewDocument]]:
            if after_key:
                raise StateError("the disk is gone")
            return super().everything(0, 1)

    before = exported.read_bytes()
    with pytest.raises(StateError, match="the disk is gone"):
        export(Failing(ITEMS), exported, {}, DIM)
    assert exported.read_bytes() == before
    assert list(exported.parent.iterdir()) == [exported]


def test_a_vector_of_another_dim_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"document p has a vector of shape \(4,\), expected \(5,\)"):
        export(Listed(ITEMS), tmp_path / "x.parquet", {}, 5)
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        export(Listed(ITEMS), tmp_path / "none" / "x.parquet", {}, DIM)
    (tmp_path / "folder").mkdir()
    with pytest.raises(StateError, match=r"folder can't be written: it is a folder"):
        export(Listed(ITEMS), tmp_path / "folder", {}, DIM)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


# -- files that are not good


def test_no_file(tmp_path: Path) -> None:
    for path in (tmp_path / "none.parquet", tmp_path):
        with pytest.raises(InputError, match=f"{path}: there is no such file"):
            ParquetFile(path)


def test_vectors_of_another_dim(exported: Path) -> None:
    with ParquetFile(exported) as file, pytest.raises(InputError, match="has vectors of 4 dimensions, expected 512"):
        next(file.batches(512))


def test_some_other_parquet_file(tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({"id": ["a"], "vector": [[0.0]]}), path)
    with pytest.raises(InputError, match=r"other\.parquet is a Parquet file, but not an exported collection"):
        ParquetFile(path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet at all" * 100, b"PAR1" + b"\xff" * 100 + b"PAR1"])
def test_a_file_that_is_no_parquet(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.parquet is damaged or not a Parquet file"):
        ParquetFile(path)


def test_a_file_cut_short_anywhere(exported: Path) -> None:
    content = exported.read_bytes()
    for length in range(0, len(content), 37):
        exported.write_bytes(content[:length])
        with pytest.raises(InputError, match=r"three\.parquet is damaged"):
            read(exported)


def test_a_changed_byte_among_the_documents_is_noticed(exported: Path) -> None:
    content = exported.read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    noticed = 0
    for place in range(4, footer, 11):
        exported.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        try:
            found = read(exported)
        except InputError as error:
            noticed += "three.parquet" in str(error)
        else:
            assert_same(found, ITEMS)  # a byte that nothing reads
    assert noticed > 30


def rewritten(path: Path, change: Change, **said: str) -> Path:
    """The file with its table changed, and what it says of itself."""
    table = pq.read_table(path)
    metadata = dict(table.schema.metadata) | {
        f"crossmodal.{key}".encode(): value.encode() for key, value in said.items()
    }
    pq.write_table(change(table).replace_schema_metadata(metadata), path)
    return path


def with_column(name: str, values: Any) -> Change:
    """Puts a column in the place of another of the same name and type."""

    def change(table: pa.Table) -> pa.Table:
        field = table.schema.field(name)
        return table.set_column(table.schema.get_field_index(name), field, pa.array(values, field.type))

    return change


def same(table: pa.Table) -> pa.Table:
    return table


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_column("id", ["p", "", "c"]), "row 2: the id is missing"),
        (with_column("modality", ["image", "image", "sound"]), "row 3: the modality of 'ccc' is 'sound', exp"),
        (with_column("tags", ["{}", "{}", "{"]), "row 3: the tags of 'ccc' are not valid JSON: "),
        (with_column("tags", ["{}", "[]", "{}"]), "row 2: the tags of 'pp' are not a JSON object"),
        (with_column("tags", ["{}", "{}", '{"a": "\\ud800"}']),
         "row 3: the tags of 'ccc' are not valid JSON: .*surrogates"),
        (with_column("tags", ["[" * 100_000, "{}", "{}"]), "row 1: the tags of 'p' are not valid JSON: "),
        (with_column("vector", [[1, 0, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0]]), "row 2: the vector of 'pp'"),
        (with_column("vector", [[np.nan, 0, 0, 0]] * 3), "row 1: the vector of 'p' does not have length 1"),
        (with_column("vector", [[1, 0, 0, 0], [1, 0, 0, 0], [3e38, 3e38, 0, 0]]), "row 3: the vector of 'ccc'"),
    ],
)  # fmt: skip
def test_rows_that_are_not_good(exported: Path, change: Change, message: str) -> None:
    with pytest.raises(InputError, match=rf"three\.parquet, {message}"):
        read(rewritten(exported, change))


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.drop_columns(["vector"]),
        lambda table: table.drop_columns(["id"]),
        lambda table: table.append_column("more", pa.array([1, 2, 3])),
        lambda table: table.append_column("vector", table.column("vector")),
        lambda table: table.cast(pa.schema([field.with_nullable(True) for field in table.schema])),
        lambda table: table.set_column(9, "vector", pa.array([[1.0]] * 3)),
        lambda table: table.set_column(5, pa.field("width", pa.float64(), False), pa.array([1.0] * 3)),
    ],
)
def test_other_columns(exported: Path, change: Change) -> None:
    with pytest.raises(
        InputError, match=r"three\.parquet does not have the columns of format 1, but .*modality string"
    ):
        ParquetFile(rewritten(exported, change))


def test_texts_that_are_not_utf8(exported: Path) -> None:
    broken = pa.array([b"p", b"\xff\xfe", b"c"]).view(pa.string())
    change: Change = lambda table: table.set_column(0, table.schema.field("id"), broken)  # noqa: E731
    with pytest.raises(InputError, match=r"three\.parquet is damaged"):
        read(rewritten(exported, change))


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        ({"format": "2"}, StateError, "has format 2, this program reads format 1: update the program"),
        ({"format": "one"}, InputError, "is damaged"),
        ({"manifest": "{"}, InputError, "is damaged"),
        ({"manifest": "[" * 100_000}, InputError, "is damaged"),
        ({"manifest": "[]"}, InputError, "is damaged: the manifest is not a JSON object"),
    ],
)
def test_what_it_says_of_itself_is_not_good(
    exported: Path, said: dict[str, str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=rf"three\.parquet {message}"):
        ParquetFile(rewritten(exported, same, **said))


def test_other_programs_can_read_it(exported: Path) -> None:
    table = pq.read_table(exported)
    assert table.column("id").to_pylist() == ["p", "pp", "ccc"]
    assert json.loads(table.column("tags")[0].as_py()) == ITEMS[0].document.tags
    assert table.schema.field("vector").type.list_size == DIM
