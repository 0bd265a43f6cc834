"""Pictures that lie in a Parquet file, as model hubs publish them."""

import io
import pickle
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from PIL import Image

from crossmodal.core.errors import InputError, PictureError
from crossmodal.core.types import Failure, ImageRecord, Preprocessing
from crossmodal.datasets.columns import Columns
from crossmodal.datasets.folder import read_path
from crossmodal.evaluation.evaluation_set import read_set
from crossmodal.images.decode import MAX_BYTES
from crossmodal.images.sources import of_record


def png(level: int) -> bytes:
    """The bytes of a picture of one grey."""
    file = io.BytesIO()
    Image.new("L", (9, 9), level).save(file, "PNG")
    return file.getvalue()


def hub(path: Path, images: list[object], group: int = 2, **columns: list[object]) -> Path:
    """A file in the hub's layout."""
    parquet.write_table(pa.table({"image": images, **columns}), path, row_group_size=group)
    return path


def pictures(path: Path, split: str | None = None) -> list[ImageRecord]:
    return [record for record in read_path(path, split) if isinstance(record, ImageRecord)]


def test_embedded_pictures_with_their_captions_and_splits(tmp_path: Path) -> None:
    images = [{"bytes": png(i), "path": f"val/{i}.png"} for i in range(5)]
    captions = [[f"grey {i}", None, f"grey {i}"] for i in range(5)]
    path = hub(
        tmp_path / "captions.parquet", images, caption=captions, split=["train", "test", "test", "restval", None]
    )
    found = pictures(path)
    assert [record.path for record in found] == [path / "val" / f"{i}.png" for i in range(5)]
    assert [record.captions for record in found] == [(f"grey {i}",) for i in range(5)]
    assert found[3].tags == {"filename": "3.png", "folder": "val", "split": "train"}
    for order in (found, found[::-1], [found[i] for i in (3, 0, 4, 1)]):
        assert [of_record(record) for record in order] == [png(found.index(record)) for record in order]
    assert [record.path.name for record in pictures(path, "test")] == ["1.png", "2.png"]
    with pytest.raises(InputError, match="it has test, train"):
        read_path(path, "dev")
    assert of_record(pickle.loads(pickle.dumps(found[2]))) == png(2)


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_a_plain_column_of_bytes(tmp_path: Path, kind: pa.DataType) -> None:
    images = pa.array([png(1), None, png(3)], kind)
    table = pa.table({"image": images, "caption": ["One", "Two", "Three"], "File Name": ["a.png", "b.png", None]})
    parquet.write_table(table, tmp_path / "x.parquet")
    records = list(read_path(tmp_path / "x.parquet"))
    found = [record for record in records if isinstance(record, ImageRecord)]
    assert [(record.path.name, record.captions) for record in found] == [("a.png", ("One",)), ("row-3", ("Three",))]
    assert [of_record(record) for record in found] == [png(1), png(3)]
    assert [record.path for record in records if isinstance(record, Failure)] == ["b.png"]


def test_names_are_made_distinct_and_stay_below_the_file(tmp_path: Path) -> None:
    names = ["a.png", "a.png", None, "", "/etc/passwd", "..\\..\\b.png", "row-2/a.png", "a.png"]
    path = hub(tmp_path / "x.parquet", [{"bytes": png(i), "path": name} for i, name in enumerate(names)])
    found = [record.path.relative_to(path).as_posix() for record in pictures(path)]
    assert found[:6] == ["a.png", "row-2/a.png", "row-3", "row-4", "etc/passwd", "b.png"]
    assert len(set(found)) == len(names)


def test_pictures_by_name_and_embedded_ones_in_one_file(tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(png(2))
    images = [{"bytes": png(1), "path": "a.png"}, {"bytes": None, "path": "b.png"}, {"bytes": None, "path": "c.png"}]
    path = hub(tmp_path / "captions.parquet", images, text=["One", "Two", "Three"])
    for given in (path, tmp_path):
        assert {r.path.name: r.captions for r in pictures(given)} == {"b.png": ("Two",), "a.png": ("One",)}
        assert [r.path for r in read_path(given) if isinstance(r, Failure)] == ["c.png"]


def test_without_captions_the_pictures_are_still_there(tmp_path: Path) -> None:
    path = hub(tmp_path / "x.parquet", [{"bytes": png(1), "path": None}], label=[3])
    assert [(record.path.name, record.captions) for record in pictures(path)] == [("row-1", ())]


def test_a_caption_of_an_embedded_picture_that_is_no_text(tmp_path: Path) -> None:
    path = hub(tmp_path / "x.parquet", [{"bytes": png(i), "path": "a.png"} for i in range(2)], caption=[1, 2])
    failures = [record for record in read_path(path) if isinstance(record, Failure)]
    assert [failure.path for failure in failures] == ["x.parquet, entry 1", "x.parquet, entry 2"]


def test_text_that_is_no_utf8(tmp_path: Path) -> None:
    raw = pa.array([b"One", b"caf\xe9", b"Three"])
    text = pa.Array.from_buffers(pa.string(), 3, raw.buffers())
    parquet.write_table(
        pa.table({"image": ["a.png", "b.png", "c.png"], "caption": text}), tmp_path / "captions.parquet"
    )
    for name in "abc":
        (tmp_path / f"{name}.png").write_bytes(png(1))
    assert {r.path.name: r.captions for r in pictures(tmp_path)} == {
        "a.png": ("One",),
        "b.png": (),
        "c.png": ("Three",),
    }
    [failure] = [record for record in read_path(tmp_path) if isinstance(record, Failure)]
    assert "the caption of b.png is not UTF-8" in failure.reason


def test_a_file_that_is_gone_or_another(tmp_path: Path) -> None:
    path = hub(tmp_path / "x.parquet", [{"bytes": png(i), "path": f"{i}.png"} for i in range(4)])
    first, *_, last = pictures(path)
    assert of_record(first) == png(0)
    path.unlink()
    hub(path, [{"bytes": png(7), "path": "a.png"}])
    with pytest.raises(PictureError, match="can't be read from"):
        of_record(last)
    path.write_bytes(b"PAR1")
    with pytest.raises(PictureError, match="can't be read from"):
        of_record(first)


def test_a_picture_that_is_too_large(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="the limit is"):
        of_record(ImageRecord(tmp_path / "a.png", content=lambda: bytes(MAX_BYTES + 1)))


@pytest.mark.parametrize("missing", [False, True])
def test_memory_is_bounded_by_a_row_group(tmp_path: Path, missing: bool) -> None:
    images: list[object] = [{"bytes": bytes([i]) * 500_000, "path": None} for i in range(64)]
    path = hub(tmp_path / "x.parquet", [*images, *([{"bytes": None, "path": "a.png"}] if missing else [])], group=4)
    del images
    before = highest = pa.total_allocated_bytes()
    tracemalloc.start()
    for record in read_path(path):
        if isinstance(record, ImageRecord):
            assert len(of_record(record)) == 500_000
        highest = max(highest, pa.total_allocated_bytes())
    assert tracemalloc.get_traced_memory()[1] < 4_000_000
    tracemalloc.stop()
    assert highest - before < 12_000_000


def test_evaluation_and_training_read_them(tmp_path: Path) -> None:
    from crossmodal.training.pairs import CaptionedPictures, Key, evaluation_pixels

    path = hub(tmp_path / "x.parquet", [{"bytes": png(200), "path": None}], caption=[["One", "Two"]])
    subject = read_set(str(path))
    assert subject.captions == ["One", "Two"]
    assert subject.content(0) == png(200)
    assert evaluation_pixels(subject.records, Preprocessing(8)).tolist() == [[[[200] * 3] * 8] * 8]
    pixels, caption = CaptionedPictures(subject.records, 8, 0)[Key(0, 0, 1)]
    assert not isinstance(pixels, Failure)
    assert (pixels.shape, caption) == ((8, 8, 3), "Two")


def test_pictures_of_another_column_have_other_paths(tmp_path: Path) -> None:
    path = hub(tmp_path / "x.parquet", [png(1)], other=[png(2)])
    found = {
        column: [record for record in read_path(path, None, Columns(image=column)) if isinstance(record, ImageRecord)]
        for column in (None, "image", "other")
    }
    assert [record.path for record in (*found[None], *found["image"])] == [path / "row-1"] * 2
    assert [(record.path, of_record(record)) for record in found["other"]] == [(path / "other" / "row-1", png(2))]
    assert found["other"][0].tags == {"filename": "row-1"}
