"""Folders of pictures with captions from files, from side files, or with none."""

import json
import os
from pathlib import Path

import pytest

from crossmodal.core.errors import InputError
from crossmodal.core.types import Failure, ImageRecord, Skipped
from crossmodal.datasets.columns import Columns
from crossmodal.datasets.folder import read_folder, read_path


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def parted(records: object) -> tuple[dict[str, ImageRecord], list[Failure]]:
    """Records by the name of their file, and failures."""
    found = [record for record in records if not isinstance(record, Skipped)]  # type: ignore[attr-defined]
    images = {record.path.name: record for record in found if isinstance(record, ImageRecord)}
    failures = [record for record in found if isinstance(record, Failure)]
    assert len(images) + len(failures) == len(found)
    return images, failures


def skipped(path: Path) -> dict[str, int]:
    """What is passed over, by reason."""
    return {record.reason: record.n for record in read_path(path) if isinstance(record, Skipped)}


def captions(path: Path) -> dict[str, tuple[str, ...]]:
    """The captions of every picture that has some, by its path below `path` or `images/`."""
    root = path / "images" if (path / "images").is_dir() else path
    records = [r for r in read_path(path) if isinstance(r, ImageRecord) and r.captions]
    return {r.path.relative_to(root).as_posix(): r.captions for r in records}


def test_a_plain_folder_is_searched_to_the_bottom(tmp_path: Path) -> None:
    touch(tmp_path, "b.JPG", "a.png", "deep/er/c.webp", "notes.md", "deep/d.heic", "e.jpg.part")
    images, _ = parted(read_path(tmp_path))
    assert [r.path for r in images.values()] == sorted(
        tmp_path / name for name in ("a.png", "b.JPG", "deep/d.heic", "deep/er/c.webp")
    )
    assert images["a.png"].tags == {"filename": "a.png"}
    assert images["c.webp"].tags == {"filename": "c.webp", "folder": "deep/er"}
    assert all(record.captions == () for record in images.values())


def test_links_to_folders_are_not_walked(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.jpg")
    (tmp_path / "in" / "loop").symlink_to(tmp_path)
    assert [*parted(read_path(tmp_path))[0]] == ["a.jpg"]
    assert skipped(tmp_path) == {"links to folders": 1}


def test_the_real_path_of_a_picture_has_no_links(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.jpg", "real/in/b.jpg", "elsewhere.jpg")
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "in" / "c.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    (tmp_path / "real" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    images, _ = parted(read_path(tmp_path / "linked"))
    assert {name: record.real_path for name, record in images.items()} == {
        "a.jpg": str(tmp_path / "real" / "a.jpg"),
        "b.jpg": str(tmp_path / "real" / "in" / "b.jpg"),
        "c.jpg": str(tmp_path / "elsewhere.jpg"),
        "gone.jpg": str(tmp_path / "nowhere.jpg"),
    }


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
    with pytest.raises(InputError, match=r"captions are read from .*; unpack an archive"):
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


def test_a_name_that_fits_several_pictures_is_of_none(tmp_path: Path) -> None:
    touch(tmp_path, "images/cats/1.png", "images/dogs/1.png", "images/misc/1.png")
    (tmp_path / "captions.csv").write_text("image,caption\n1.png,One\n1.png,Two\ncats/1.png,Three\nbirds/1.png,Four\n")
    assert captions(tmp_path) == {"cats/1.png": ("Three",)}
    failures = [record for record in read_path(tmp_path) if isinstance(record, Failure)]
    assert [f.path for f in failures] == ["1.png", "1.png", "birds/1.png"]
    assert "fits several pictures (cats/1.png, dogs/1.png, misc/1.png)" in failures[0].reason
    assert "no such picture" in failures[2].reason


@pytest.mark.parametrize("ending", ["csv", "json"])
def test_names_that_are_written_otherwise(tmp_path: Path, ending: str) -> None:
    touch(tmp_path, "images/Cafe\u0301.png", "images/DSC_01.PNG", "images/sub/win.png")
    names = [
        "caf\u00e9.png",
        "dsc_01.png",
        "sub\\win.png",
        "C:\\photos\\Sub\\win.png",
        "/home/b/sub/win.png",
        "./sub//win.png",
    ]
    rows = [{"image": name, "caption": f"caption {i}"} for i, name in enumerate(names)]
    if ending == "json":
        (tmp_path / "captions.json").write_text(json.dumps(rows))
    else:
        lines = ["image,caption", *(f"{row['image']},{row['caption']}" for row in rows)]
        (tmp_path / "captions.csv").write_text("\n".join(lines))
    assert captions(tmp_path) == {
        "Cafe\u0301.png": ("caption 0",),
        "DSC_01.PNG": ("caption 1",),
        "sub/win.png": ("caption 2", "caption 3", "caption 4", "caption 5"),
    }


@pytest.mark.parametrize("source", ["splits.csv", "field"])
def test_splits_go_by_the_same_names(tmp_path: Path, source: str) -> None:
    touch(tmp_path, "x/1.png", "y/1.png", "b.png", "c.png")
    splits = {"X\\1.png": "train", "1.png": "test", "B.PNG": "test", "z.png": "test", "c.png": "test", "C.png": "train"}
    rows: list[dict[str, str]] = [{"image": name, "caption": "One"} for name in splits]
    if source == "field":
        rows = [{**row, "split": splits[row["image"]]} for row in rows]
    else:
        (tmp_path / "splits.csv").write_text("image,split\n" + "".join(f"{name},{s}\n" for name, s in splits.items()))
    (tmp_path / "captions.json").write_text(json.dumps(rows))
    images, failures = parted(read_path(tmp_path, "test"))
    assert list(images) == ["b.png"]
    assert sorted(Path(f.path).name for f in failures) == ["1.png", "c.png", "z.png"]
    assert "in several splits, so in none: test, train" in next(f.reason for f in failures if "c.png" in f.path)


def test_splits_of_pictures_that_are_not_here(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    (tmp_path / "captions.csv").write_text("image,caption\na.png,One\n")
    (tmp_path / "splits.csv").write_text("image,split\na.png,test\ngone.png,test\n")
    _, failures = parted(read_path(tmp_path))
    assert [(f.path, f.modality) for f in failures] == [("gone.png", "image")]
    assert "splits.csv names it, but there is no such picture" in failures[0].reason


def test_what_is_passed_over_is_counted_by_reason(tmp_path: Path) -> None:
    touch(
        tmp_path, "a.jpg", "clip.mov", "deep/CLIP.MOV", "clip.xyz", "LICENSE", ".hidden.jpg", "._a.jpg", ".DS_Store",
        "Thumbs.db", "notes.txt", ".secret/b.jpg", "@eaDir/a.jpg/thumb.jpg", "deep/@eaDir/x.jpg", ".Trash-1000/d.jpg",
        "$RECYCLE.BIN/e.jpg", "System Volume Information/f.jpg", "LOST+FOUND/g.jpg", "__MACOSX/._a.jpg", "#recycle/h",
        ".thumbnails/i.png",
    )  # fmt: skip
    assert [*parted(read_path(tmp_path))[0]] == ["a.jpg"]
    assert skipped(tmp_path) == {
        "files ending in .mov": 2,
        "files ending in .xyz": 1,
        "files without an extension": 1,
        "files ending in .txt without a picture of that name": 1,
        "hidden files": 1,
        "hidden folders": 1,
        "system files named ._*": 1,
        "system files named .DS_Store": 1,
        "system files named Thumbs.db": 1,
        "system folders named @eaDir": 2,
        "system folders named .Trash-1000": 1,
        "system folders named .thumbnails": 1,
        "system folders named $RECYCLE.BIN": 1,
        "system folders named System Volume Information": 1,
        "system folders named LOST+FOUND": 1,
        "system folders named __MACOSX": 1,
        "system folders named #recycle": 1,
    }
    [example] = {r.example for r in read_path(tmp_path) if isinstance(r, Skipped) and r.reason.endswith("@eaDir")}
    assert example == "@eaDir"


def test_a_hidden_folder_that_is_asked_for_is_read(tmp_path: Path) -> None:
    touch(tmp_path, ".thumbnails/a.jpg", ".thumbnails/more/b.jpg")
    assert [*parted(read_path(tmp_path / ".thumbnails"))[0]] == ["a.jpg", "b.jpg"]


def test_caption_files_are_not_passed_over_and_what_lies_beside_images_is(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a.txt")
    (tmp_path / "captions.csv").write_text("image,caption\na.jpg,One\n")
    (tmp_path / "splits.csv").write_text("image,split\na.jpg,test\n")
    assert skipped(tmp_path) == {"files ending in .txt": 1}
    touch(tmp_path, "images/a.jpg", "other/b.jpg")
    assert skipped(tmp_path) == {
        "folders beside images/ (only images/ is searched)": 1,
        "pictures beside images/ (only images/ is searched)": 1,
    }


def test_a_folder_of_what_is_passed_over_says_so(tmp_path: Path) -> None:
    touch(tmp_path, "a.mov", "b.mov", "@eaDir/x.jpg")
    with pytest.raises(InputError, match=r"no pictures in .*; found: 2 files ending in \.mov; 1 system folders named"):
        read_path(tmp_path)


def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / "a.txt")
    os.mkfifo(tmp_path / "pipe")
    images, failures = parted(read_path(tmp_path))
    assert list(images) == ["a.jpg"]
    assert [(Path(f.path).name, f.reason) for f in failures] == [
        ("a.txt", "the caption can't be read: not a regular file")
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable to root")
def test_an_unreadable_path(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.jpg")
    (tmp_path / "in").chmod(0)
    try:
        with pytest.raises(InputError, match="can't be read"):
            read_path(tmp_path / "in")
        with pytest.raises(InputError, match="can't be read"):
            read_path(tmp_path / "in" / "deeper")
    finally:
        (tmp_path / "in").chmod(0o700)


def test_a_path_that_is_too_long() -> None:
    with pytest.raises(InputError, match="can't be read: File name too long"):
        read_path(Path("x" * 5000))


def test_side_files_of_every_kind(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg", "B.jpg", "c.JPG", "d/e\u0301.png", "f.jpg", "f.png", "g.jpg", "g.png")
    for name, encoding in (("a.txt", "utf8"), ("a.jpg.txt", "utf-16"), ("b.txt", "utf-8-sig"), ("c.TXT", "utf8"),
                           ("d/\u00e9.txt", "utf8"), ("f.txt", "utf8"), ("g.png.txt", "utf8")):  # fmt: skip
        (tmp_path / name).write_text(f"of {name.encode('ascii', 'replace').decode()}\n", encoding)
    assert captions(tmp_path) == {
        "a.jpg": ("of a.jpg.txt", "of a.txt"), "b.jpg": ("of b.txt",), "c.JPG": ("of c.TXT",),
        "d/e\u0301.png": ("of d/?.txt",), "g.png": ("of g.png.txt",),
    }  # fmt: skip
    _, failures = parted(read_path(tmp_path))
    assert [(Path(f.path).name, f.reason) for f in failures] == [
        ("f.txt", "it may belong to several pictures: f.jpg, f.png; name it after one, as f.jpg.txt")
    ]


def test_columns_need_a_caption_file(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    with pytest.raises(InputError, match="no caption file"):
        read_path(tmp_path, columns=Columns(image="x"))


def test_the_name_of_the_caption_file_in_any_case(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    (tmp_path / "Captions.CSV").write_text("image,caption\na.jpg,One\n")
    assert captions(tmp_path) == {"a.jpg": ("One",)}


def test_each_caption_is_counted_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    (tmp_path / "captions.csv").write_text("image,caption\na.jpg,One\ngone.jpg,\ngone.jpg,Two\nlost.jpg,\na.jpg,\n")
    images, failures = parted(read_path(tmp_path))
    assert images["a.jpg"].captions == ("One",)
    assert [f.path for f in failures] == ["captions.csv:3", "captions.csv:5", "captions.csv:6", "gone.jpg"]


def test_no_picture_and_no_row_that_can_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "captions.csv").write_text('image,caption\na.jpg,"One\nb.jpg\n')
    with pytest.raises(InputError, match=r"no pictures .* 2 rows .* read, first captions\.csv:2: unclosed quote"):
        read_path(tmp_path)


def test_a_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "album/1.jpg", "album/x/1.jpg", "album/deep/a.txt")
    (tmp_path / "album" / "captions.csv").write_text("image,caption\nalbum/1.jpg,One\n")
    monkeypatch.chdir(tmp_path / "album" / "deep")
    images = {r.path: r.captions for r in read_path(Path("..")) if isinstance(r, ImageRecord)}
    assert images == {Path("../1.jpg"): ("One",), Path("../x/1.jpg"): ()}
