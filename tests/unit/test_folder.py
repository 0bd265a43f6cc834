"""Folders of pictures with captions from files, from side files, or with none."""

import os
from pathlib import Path

import pytest

from crossmodal.core.errors import InputError
from crossmodal.core.types import Failure, ImageRecord
from crossmodal.datasets.folder import read_folder, read_path


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def parted(records: object) -> tuple[dict[str, ImageRecord], list[Failure]]:
    """Records by the name of their file, and failures."""
    found = list(records)  # type: ignore[call-overload]
    images = {record.path.name: record for record in found if isinstance(record, ImageRecord)}
    failures = [record for record in found if isinstance(record, Failure)]
    assert len(images) + len(failures) == len(found)
    return images, failures


def test_a_plain_folder_is_searched_to_the_bottom(tmp_path: Path) -> None:
    touch(tmp_path, "b.JPG", "a.png", "deep/er/c.webp", "notes.md", "deep/d.heic", "e.jpg.part")
    records = list(read_path(tmp_path))
    assert [r.path for r in records] == sorted(  # type: ignore[union-attr]
        tmp_path / name for name in ("a.png", "b.JPG", "deep/d.heic", "deep/er/c.webp")
    )
    images, _ = parted(records)
    assert images["a.png"].tags == {"filename": "a.png"}
    assert images["c.webp"].tags == {"filename": "c.webp", "folder": "deep/er"}
    assert all(record.captions == () for record in images.values())


def test_links_to_folders_are_not_walked(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.jpg")
    (tmp_path / "in" / "loop").symlink_to(tmp_path)
    assert [r.path.name for r in read_path(tmp_path)] == ["a.jpg"]  # type: ignore[union-attr]


def test_side_files(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    (tmp_path / "a.txt").write_text("One\n\n  Two   words \nOne\n", "utf8")
    (tmp_path / "b.txt").write_bytes(b"caf\xe9")
    (tmp_path / "c.txt").write_text(" \n", "utf8")
    images, failures = parted(read_path(tmp_path))
    assert {name: record.captions for name, record in images.items()} == {
        "a.jpg": ("One", "Two words"), "b.jpg": (), "c.jpg": (), "d.jpg": (),
    }  # fmt: skip
    assert [(Path(f.path).name, f.modality) for f in failures] == [("b.txt", "text"), ("c.txt", "text")]
    assert "UTF-8" in failures[0].reason
    assert "empty" in failures[1].reason


def test_a_byte_order_mark_is_no_part_of_a_caption(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    (tmp_path / "a.txt").write_text("One", "utf-8-sig")
    images, _ = parted(read_path(tmp_path))
    assert images["a.jpg"].captions == ("One",)


def test_captions_and_pictures_that_do_not_meet(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.jpg", "images/alone.jpg")
    (tmp_path / "captions.txt").write_text("a.jpg,One\na.jpg,Two\na.jpg,One\nmissing.jpg,Three\nmissing.jpg,Four\n,x\n")
    images, failures = parted(read_path(tmp_path))
    assert images["a.jpg"].captions == ("One", "Two")
    assert images["alone.jpg"].captions == ()
    assert [f.path for f in failures] == ["captions.txt:6", "missing.jpg", "missing.jpg"]
    assert "no such picture" in failures[-1].reason
    assert failures[-1].modality == "text"


def test_captions_may_name_folders(tmp_path: Path) -> None:
    touch(tmp_path, "images/x/a.jpg", "images/y/a.jpg", "images/z/b.jpg")
    (tmp_path / "captions.txt").write_text("x/a.jpg,One\ny/a.jpg,Two\nb.jpg,Three\n")
    records = {r.tags["folder"]: r for r in read_path(tmp_path) if isinstance(r, ImageRecord)}
    assert {folder: r.captions for folder, r in records.items()} == {"x": ("One",), "y": ("Two",), "z": ("Three",)}


def test_captions_with_the_folder_of_another_machine(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    (tmp_path / "captions.txt").write_text("/home/me/pictures/a.jpg,One\n")
    images, failures = parted(read_path(tmp_path))
    assert images["a.jpg"].captions == ("One",)
    assert failures == []


def test_a_caption_file_is_read_with_its_pictures(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    (tmp_path / "my.csv").write_text("image,caption\na.jpg,One\n")
    images, _ = parted(read_path(tmp_path / "my.csv"))
    assert images["a.jpg"].captions == ("One",)


def test_splits(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    (tmp_path / "captions.jsonl").write_text(
        '{"image": "a.jpg", "text": "One", "split": "train"}\n'
        '{"image": "b.jpg", "text": "Two", "split": "test"}\n'
        '{"image": "gone.jpg", "text": "Three", "split": "train"}\n'
    )
    images, failures = parted(read_path(tmp_path, "test"))
    assert list(images) == ["b.jpg"]
    assert failures == []
    assert images["b.jpg"].tags == {"filename": "b.jpg", "split": "test"}
    images, failures = parted(read_path(tmp_path))
    assert list(images) == ["a.jpg", "b.jpg", "c.jpg"]
    assert [f.path for f in failures] == ["gone.jpg"]


def test_an_unknown_split(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    with pytest.raises(InputError, match="no split 'test': it has none"):
        read_path(tmp_path, "test")
    (tmp_path / "captions.txt").write_text("a.jpg,One\n")
    (tmp_path / "splits.csv").write_text("image,split\na.jpg,train\n")
    with pytest.raises(InputError, match="no split 'test': it has train"):
        read_path(tmp_path, "test")


def test_nothing_to_read(tmp_path: Path) -> None:
    touch(tmp_path, "notes.md")
    with pytest.raises(InputError, match=r"no pictures in .*\.jpg"):
        read_path(tmp_path)
    with pytest.raises(InputError, match="neither a data set nor"):
        read_path(tmp_path / "none")
    with pytest.raises(InputError, match="captions are read from"):
        read_path(tmp_path / "notes.md")
    with pytest.raises(InputError, match="does not exist"):
        read_folder(tmp_path / "none", None)


def test_pictures_need_not_be_readable_to_be_listed(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.jpg")
    assert [r.path.name for r in read_path(tmp_path)] == ["gone.jpg", "pipe.jpg"]  # type: ignore[union-attr]


def test_a_file_name_that_is_not_utf8_is_one_failure(tmp_path: Path) -> None:
    """Neither the store nor the wire can carry such a name."""
    touch(tmp_path, "a.jpg")
    with open(os.fsencode(tmp_path) + b"/caf\xe9.jpg", "wb"):
        pass
    images, failures = parted(read_path(tmp_path))
    assert list(images) == ["a.jpg"]
    assert len(failures) == 1
    failures[0].path.encode()
