"""What of a data set is evaluated, and what is left out."""

from pathlib import Path

import pytest
from PIL import Image

from crossmodal.core.errors import InputError
from crossmodal.evaluation.evaluation_set import read_set


def folder(path: Path, captions: str, splits: str = "") -> str:
    """The path of four pictures with the given captions."""
    (path / "images").mkdir(parents=True)
    for name in "abcd":
        Image.new("RGB", (9, 9), "red").save(path / "images" / f"{name}.jpg")
    (path / "captions.txt").write_text("image,caption\n" + captions)
    if splits:
        (path / "splits.csv").write_text("image,split\n" + splits)
    return str(path)


def test_five_captions_count_and_what_is_left_out_is_counted(tmp_path: Path) -> None:
    captions = "".join(f"a.jpg,caption {i}\n" for i in range(7)) + "b.jpg,one\nb.jpg,\ngone.jpg,of nothing\n"
    subject = read_set(folder(tmp_path, captions))
    assert [record.path.name for record in subject.records] == ["a.jpg", "b.jpg"]
    assert subject.captions == [f"caption {i}" for i in range(5)] + ["one"]
    assert subject.image_of.tolist() == [0] * 5 + [1]
    assert subject.left_out == {"unreadable": 2, "without_captions": 2, "captions_beyond_five": 2}


def test_a_split_and_a_number_of_pictures(tmp_path: Path) -> None:
    data_set = folder(tmp_path, "".join(f"{n}.jpg,a {n}\n" for n in "abcd"), "a.jpg,train\nb.jpg,test\nc.jpg,test\n")
    assert read_set(data_set, "test").captions == ["a b", "a c"]
    assert read_set(data_set, "test", at_most=1).captions == ["a b"]
    assert read_set(data_set).left_out == {}


def test_a_split_without_pictures_says_so(tmp_path: Path) -> None:
    data_set = folder(tmp_path, "a.jpg,a\n", "gone.jpg,test\n")
    with pytest.raises(InputError, match=r"no pictures in its split 'test'.*choose another --split"):
        read_set(data_set, "test")


def test_the_folder_is_the_class(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (9, 9)).save(tmp_path / name / "x.png")
    subject = read_set(str(tmp_path))
    assert (subject.captions, subject.class_names) == ([], ["cat", "dog"])


def test_a_picture_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    subject = read_set(folder(tmp_path, "a.jpg,a\n"))
    (tmp_path / "images" / "a.jpg").unlink()
    with pytest.raises(InputError, match=r"a\.jpg: can't be read.*remove it"):
        subject.content(0)
