"""Which picture a written name means."""

from pathlib import Path

import pytest

from crossmodal.datasets.names import PictureNames, difference, fold, parts_of

ROOT, BASE = Path("/data/photos/images"), Path("/data/photos")
NONE, SEVERAL = "no such picture", "fits several pictures"
TREE = ["1.png", "cats/1.png", "dogs/1.png", "dogs/2.png", "deep/cats/3.png", "deep/4.png"]


def resolve(paths: list[str], *names: str) -> dict[str, str]:
    """The path each name means, or what is said of it."""
    found, refused = PictureNames(paths, ROOT, BASE).resolve(names)
    assert found.keys() | refused.keys() == set(names)
    assert not found.keys() & refused.keys()
    return {**{name: paths[picture] for name, picture in found.items()}, **refused}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("1.png", "1.png"),
        ("cats/1.png", "cats/1.png"),
        ("birds/1.png", NONE),
        ("2.png", "dogs/2.png"),
        ("cats/2.png", NONE),
        ("cats/3.png", "deep/cats/3.png"),
        ("images/1.png", "1.png"),
        ("images/cats/1.png", "cats/1.png"),
        ("photos/images/dogs/1.png", "dogs/1.png"),
        ("/data/photos/images/1.png", "1.png"),
        ("C:\\Users\\x\\photos\\dogs\\1.png", "dogs/1.png"),
        ("/home/bob/images/1.png", "1.png"),
        ("/home/bob/1.png", NONE),
        ("/home/bob/deep/4.png", "deep/4.png"),
        ("../images/./cats//1.png", "cats/1.png"),
        ("x/../cats/1.png", "cats/1.png"),
        ("CATS/1.PNG", "cats/1.png"),
        (" cats / 1.png ", "cats/1.png"),
        ("1", NONE),
        ("1.jpg", NONE),
        ("ats/1.png", NONE),
        ("", NONE),
        ("/", NONE),
        ("..", NONE),
    ],
)
def test_the_longest_matching_end_decides(name: str, meant: str) -> None:
    assert meant in resolve(TREE, name)[name]


@pytest.mark.parametrize(
    ("paths", "name", "meant"),
    [
        (["a.jpg", "A.jpg"], "a.jpg", "a.jpg"),
        (["a.jpg", "A.jpg"], "A.jpg", "A.jpg"),
        (["a.jpg", "A.jpg"], "A.JPG", SEVERAL),
        (["a.jpg", "A.jpg"], "/home/x/A.jpg", "A.jpg"),
        (["a.jpg", "A.jpg"], "\\x\\A.jpg", "A.jpg"),
        (["a.jpg", "A.jpg"], "x\\A.jpg", NONE),
        (["1.png"], "cats/1.png", NONE),
        (["1.png"], "x/images/1.png", NONE),
        (["x/a.jpg", "X/a.jpg", "y/A.jpg"], "a.jpg", SEVERAL),
        (["x/a.jpg", "X/a.jpg", "y/A.jpg"], "A.jpg", "y/A.jpg"),
        (["caf\u00e9.png", "cafe\u0301.png"], "caf\u00e9.png", "caf\u00e9.png"),
        (["caf\u00e9.png", "cafe\u0301.png"], "cafe\u0301.png", "cafe\u0301.png"),
        (["caf\u00e9.png", "cafe\u0301.png"], "CAF\u00c9.png", SEVERAL),
        (["Caf\u00e9.png", "cafe\u0301.png"], "caf\u00e9.png", "cafe\u0301.png"),
        (["a\\b.png", "a/b.png"], "a\\b.png", "a\\b.png"),
        (["a\\b.png", "a/b.png"], "a/b.png", "a/b.png"),
        ([" a.png", "a.png"], " a.png", " a.png"),
        ([" a.png", "a.png"], "a.png", "a.png"),
        ([" a.png"], "a.png", " a.png"),
        (["x/1.png", "y/1.png"], "1.png", SEVERAL),
        (["a.png", "x/A.png"], "A.png", SEVERAL),
        (["images/1.png", "1.png"], "images/1.png", SEVERAL),
        (
            ["\u1f08\u03b8\u03ae\u03bd\u03b1.png"],
            "\u1f00\u03b8\u03ae\u03bd\u03b1.PNG",
            "\u1f08\u03b8\u03ae\u03bd\u03b1.png",
        ),
    ],
)
def test_of_several_spellings_the_one_most_alike_is_meant(paths: list[str], name: str, meant: str) -> None:
    assert meant in resolve(paths, name)[name]


def test_names_of_one_picture_join() -> None:
    names = ["sub/a.png", "a.png", "sub\\a.png", "C:\\photos\\sub\\a.png", "/home/bob/sub/a.png", "images/sub/a.png"]
    assert set(resolve(["sub/a.png", "b.png"], *names).values()) == {"sub/a.png"}


def test_two_folders_of_one_machine_have_two_pictures() -> None:
    told = resolve(["1.png", "2.png"], "/x/train/1.png", "/x/test/1.png", "/x/test/2.png")
    assert told["/x/test/2.png"] == "2.png"
    assert told["/x/train/1.png"] == "only its end fits 1.png, as does the end of /x/test/1.png"
    assert "only its end fits" in told["/x/test/1.png"]
    assert resolve(["1.png"], "1.png", "test/1.png")["1.png"] == "1.png"
    assert NONE in resolve(["1.png"], "1.png", "test/1.png")["test/1.png"]
    assert set(resolve(["1.png"], "/train/1.png", "C:\\x\\1.png", "1.png").values()) == {"1.png"}
    assert "1.png" not in resolve(["1.png"], "C:\\y\\1.png", "c:/x/1.png").values()


def test_a_long_list_of_candidates_is_cut() -> None:
    told = resolve([f"{i}/a.png" for i in range(9)], "a.png")["a.png"]
    assert told == "it fits several pictures (0/a.png, 1/a.png, 2/a.png and 6 more): write more of its path"


def test_spellings() -> None:
    assert parts_of("\\\\server\\share\\a.png") == ["server", "share", "a.png"]
    assert fold("Stra\u00dfe/CAFE\u0301.PNG") == "strasse/caf\u00e9.png"
    assert [difference("a.png", other) for other in ("x/a.png", "a.png ", "A.png")] == [0, 1, 3]
    assert difference("a.png", "b.png") == 4


def test_the_folder_of_a_loose_name_need_not_be_here() -> None:
    names = ["val2014/1.png", "train2014/2.png"]
    found, refused = PictureNames(["1.png", "deep/2.png"], ROOT, BASE).resolve(names, {*names})
    assert found == {"val2014/1.png": 0}
    assert NONE in refused["train2014/2.png"]
