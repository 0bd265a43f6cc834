"""Data sets by name, and scenes written as one."""

from pathlib import Path

import pytest
from PIL import Image

from crossmodal.core.errors import InputError
from crossmodal.core.types import ImageRecord
from crossmodal.datasets import registry, scenes
from crossmodal.datasets.scenes import write_scenes
from crossmodal.scenes.language import CAPTION_STYLES


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty `data/` of our own."""
    monkeypatch.setattr(registry, "data_folder", lambda name: tmp_path / "data" / name)
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("8k", "f8k"), ("30k", "f30k"), ("toy", "toy-data"), ("f8k", "f8k"), ("./8k", "./8k")],
)
def test_canonical(name: str, expected: str) -> None:
    assert registry.canonical(name) == expected


def test_collection_names(tmp_path: Path) -> None:
    assert registry.collection_name("8k") == "f8k"
    assert registry.collection_name("scenes") == "scenes"
    one, other = (registry.collection_name(str(tmp_path / part / "My Pictures!")) for part in "ab")
    assert one != other
    assert one.rsplit("-", 1)[0] == other.rsplit("-", 1)[0] == "my-pictures"
    assert registry.collection_name(str(tmp_path / "a" / "x" / ".." / "My Pictures!")) == one
    assert registry.collection_name("/").startswith("folder-")
    assert len(registry.collection_name("/" + "x" * 200)) <= 100


def test_a_path_has_one_name_whether_it_exists_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tilde is part of a name: shells replace it where it means a home folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("disk", "~nobody", "./coco"):
        away = registry.source_name(name), registry.collection_name(name)
        (tmp_path / name).mkdir()
        assert (registry.source_name(name), registry.collection_name(name)) == away
        assert away[0] == str(tmp_path / name)


def test_a_known_set_has_its_name_beside_a_folder_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "coco").mkdir()
    assert registry.source_name("coco") == registry.collection_name("coco") == "coco"
    assert registry.source_of_path("coco") == str(tmp_path / "coco")


def test_links_that_form_a_loop_are_no_data_set(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert registry.collection_name(str(tmp_path / "loop")).startswith("loop-")
    with pytest.raises(InputError, match="neither a data set nor a folder"):
        registry.read(str(tmp_path / "loop"))


@pytest.mark.parametrize(("name", "how"), [("8k", "get_data.sh f8k"), ("f30k", "get_data.sh f30k"), ("coco", "put ")])
def test_a_data_set_that_is_not_here_says_how_to_get_it(name: str, how: str) -> None:
    with pytest.raises(InputError, match=how):
        registry.read(name)


def test_a_folder_with_the_name_of_a_data_set_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "coco").mkdir()
    with pytest.raises(InputError, match=r"for the folder coco in the current directory, write \./coco$"):
        registry.read("coco")


def test_a_data_set_by_name(data: Path) -> None:
    (data / "f8k" / "images").mkdir(parents=True)
    (data / "f8k" / "images" / "a.jpg").touch()
    (data / "f8k" / "captions.txt").write_text("image,caption\na.jpg,One\n")
    [record] = registry.read("8k")
    assert isinstance(record, ImageRecord)
    assert record.captions == ("One",)


def test_a_path(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    assert len(list(registry.read(str(tmp_path)))) == 1
    with pytest.raises(InputError, match="neither a data set nor a folder"):
        registry.read("f9k")
    with pytest.raises(InputError, match=rf"a\.jpg is a picture: give its folder, {tmp_path}"):
        registry.read(str(tmp_path / "a.jpg"))


@pytest.mark.parametrize(("name", "why"), [("", "is empty"), (" ", "is empty"), ("a\udcff", "is not UTF-8")])
def test_what_names_no_data_set(name: str, why: str) -> None:
    """An empty shell variable must not mean the folder that the shell is in."""
    for function in (registry.read, registry.collection_name):
        with pytest.raises(InputError, match=why):
            function(name)


def test_an_unknown_split() -> None:
    with pytest.raises(InputError, match="no split 'val': it has train, dev, test"):
        registry.read("scenes", "val")


def test_scenes_are_drawn_on_first_use(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = registry.scenes_folder("dev", 3)
    assert folder == data / "scenes" / "dev"
    monkeypatch.setattr(scenes, "write_scenes", lambda *_: pytest.fail("drawn again"))
    records = [r for r in registry.read("scenes", "dev") if isinstance(r, ImageRecord)]
    assert len(records) == 3
    assert all(len(r.captions) == CAPTION_STYLES for r in records)


def test_written_scenes_are_the_same_bytes_every_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_scenes(tmp_path / name, "test", 4, seed=3, start=2)
    files = {
        name: {p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*") if p.is_file()}
        for name in ("one", "two")
    }
    assert files["one"] == files["two"]
    assert len(files["one"]) == 4 + 2
    assert Path("images/test-00002.jpg") in files["one"]


def test_written_scenes_can_be_read_and_opened(tmp_path: Path) -> None:
    write_scenes(tmp_path, "test", 3)
    records = list(registry.read(str(tmp_path)))
    assert all(isinstance(record, ImageRecord) for record in records)
    for record in records:
        assert isinstance(record, ImageRecord)
        assert len(record.captions) == CAPTION_STYLES
        with Image.open(record.path) as picture:
            assert picture.size == (256, 256)


def test_columns_are_named_on_the_command_line(tmp_path: Path) -> None:
    from cli.parameters import ColumnNames

    (tmp_path / "a.jpg").touch()
    (tmp_path / "captions.csv").write_text("Bild,Worte,Mehr\na.jpg,One,Two\n")
    with pytest.raises(InputError, match="--columns image=NAME,caption=NAME"):
        registry.read(str(tmp_path))
    named = ColumnNames().convert("image=Bild, caption=Worte,caption=Mehr", None, None)
    [record] = registry.read(str(tmp_path), columns=named)
    assert isinstance(record, ImageRecord)
    assert record.captions == ("One", "Two")
    with pytest.raises(InputError, match="picture=Bild"):
        registry.read(str(tmp_path), columns=ColumnNames().convert("picture=Bild", None, None))
