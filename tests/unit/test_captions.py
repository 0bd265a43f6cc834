"""Caption files of every kind, and what is wrong in them."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from crossmodal.core.errors import InputError
from crossmodal.datasets.captions import CaptionTable, read_captions


def read(tmp_path: Path, name: str, content: str | bytes | object) -> CaptionTable:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content), "utf8")
    return read_captions(path)


def test_flickr8k_lines(tmp_path: Path) -> None:
    table = read(
        tmp_path,
        "captions.txt",
        "image,caption\n"
        "a.jpg,A dog , running , on grass .\n"
        'a.jpg,"A man says ""hi"", twice"\n'
        'b.jpg,A "quoted" word\n'
        "\n"
        "b.jpg,  spaces   in\tbetween  \n",
    )
    assert table.captions == {
        "a.jpg": ["A dog , running , on grass .", 'A man says "hi", twice'],
        "b.jpg": ['A "quoted" word', "spaces in between"],
    }
    assert table.failures == []
    assert table.splits == {}


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_line_endings_byte_order_mark_and_no_header(tmp_path: Path, ending: str) -> None:
    content = "\ufeff" + ending.join(["a.jpg,ein Hund", "b.jpg,größer"])
    assert read(tmp_path, "captions.txt", content).captions == {"a.jpg": ["ein Hund"], "b.jpg": ["größer"]}


def test_flickr30k_results_with_its_known_bad_row(tmp_path: Path) -> None:
    table = read(
        tmp_path,
        "results.csv",
        "image_name| comment_number| comment\n"
        '1.jpg| 0| Two "young" guys , one with shaggy hair .\n'
        "1.jpg| 1| A second one\n"
        "2199200615.jpg| 4   A dog runs across the grass .\n"
        "2.jpg| 0| The end\n",
    )
    assert table.captions == {
        "1.jpg": ['Two "young" guys , one with shaggy hair .', "A second one"],
        "2.jpg": ["The end"],
    }
    [failure] = table.failures
    assert (failure.path, failure.modality) == ("results.csv:4", "text")
    assert "expected 3 columns, found 2" in failure.reason


def test_karpathy(tmp_path: Path) -> None:
    table = read(
        tmp_path,
        "dataset_flickr8k.json",
        {
            "dataset": "flickr8k",
            "images": [
                {"filename": "a.jpg", "split": "train", "imgid": 0,
                 "sentences": [{"raw": "One.", "tokens": ["one"]}, {"raw": "Two."}]},
                {"filename": "b.jpg", "split": "restval", "sentences": [{"raw": "Three."}]},
                {"filename": "c.jpg", "filepath": "val2014", "split": "test", "sentences": []},
            ],
        },
    )  # fmt: skip
    assert table.captions == {"a.jpg": ["One.", "Two."], "b.jpg": ["Three."], "val2014/c.jpg": []}
    assert table.splits == {"a.jpg": "train", "b.jpg": "train", "val2014/c.jpg": "test"}


def test_coco(tmp_path: Path) -> None:
    table = read(
        tmp_path,
        "captions_val2017.json",
        {
            "images": [{"id": 7, "file_name": "a.jpg"}, {"id": 8, "file_name": "b.jpg"}],
            "annotations": [
                {"id": 1, "image_id": 7, "caption": "One"},
                {"id": 2, "image_id": 7, "caption": "Two\n"},
                {"id": 3, "image_id": 9, "caption": "whose?"},
                {"id": 4, "image_id": 7, "caption": " "},
            ],
        },
    )
    assert table.captions == {"a.jpg": ["One", "Two"], "b.jpg": []}
    assert [f.path for f in table.failures] == ["annotation 3", "annotation 4"]


@pytest.mark.parametrize(
    "content",
    [
        [{"image": "a.jpg", "caption": "One"}, {"image": "a.jpg", "caption": "Two"}],
        [{"file_name": "a.jpg", "captions": ["One", "Two"]}],
        {"a.jpg": ["One", "Two"]},
    ],
    ids=["rows", "lists", "mapping"],
)
def test_plain_json(tmp_path: Path, content: object) -> None:
    assert read(tmp_path, "captions.json", content).captions == {"a.jpg": ["One", "Two"]}


def test_plain_json_with_one_caption_each(tmp_path: Path) -> None:
    assert read(tmp_path, "captions.json", {"a.jpg": "One", "b.jpg": None}).captions == {"a.jpg": ["One"], "b.jpg": []}


def test_jsonl(tmp_path: Path) -> None:
    lines = '{"image": "a.jpg", "text": "One", "split": "dev"}\n\n{"image": "b.jpg", "captions": ["Two", "Three"]}\n'
    table = read(tmp_path, "captions.jsonl", lines)
    assert table.captions == {"a.jpg": ["One"], "b.jpg": ["Two", "Three"]}
    assert table.splits == {"a.jpg": "dev"}


def test_a_bad_line_of_jsonl_is_one_failure(tmp_path: Path) -> None:
    lines = '{"image": "a.jpg", "text": "One"}\n{"image": \n[]\n{"image": "b.jpg", "text": "Two"}\n'
    table = read(tmp_path, "captions.jsonl", lines)
    assert table.captions == {"a.jpg": ["One"], "b.jpg": ["Two"]}
    assert len(table.failures) == 2


def test_csv(tmp_path: Path) -> None:
    table = read(
        tmp_path,
        "captions.csv",
        'id,Caption,FileName\n1,"One, with a comma",a.jpg\n2,"Two\nlines",a.jpg\n3,short\n4,Three,b.jpg\n',
    )
    assert table.captions == {"a.jpg": ["One, with a comma", "Two lines"], "b.jpg": ["Three"]}
    assert [f.path for f in table.failures] == ["captions.csv:5"]


def test_parquet(tmp_path: Path) -> None:
    rows = {"image": ["a.jpg", "a.jpg", "b.jpg"], "caption": ["One", "Two", None], "split": ["test", "test", "dev"]}
    parquet.write_table(pa.table(rows), tmp_path / "captions.parquet")
    table = read_captions(tmp_path / "captions.parquet")
    assert table.captions == {"a.jpg": ["One", "Two"], "b.jpg": []}
    assert table.splits == {"a.jpg": "test", "b.jpg": "dev"}


def test_parquet_with_lists(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"filename": ["a.jpg"], "captions": [["One", "Two"]]}), tmp_path / "captions.parquet")
    assert read_captions(tmp_path / "captions.parquet").captions == {"a.jpg": ["One", "Two"]}


def test_no_split_is_not_a_split_called_none(tmp_path: Path) -> None:
    assert read(tmp_path, "captions.json", [{"image": "a.jpg", "caption": "One", "split": None}]).splits == {}


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("captions.txt", [b"image,caption", b"a.jpg,One", b"b.jpg,caf\xe9", b"c.jpg,Three"]),
        ("captions.csv", [b"image,caption", b"a.jpg,One", b"b.jpg,caf\xe9", b"c.jpg,Three"]),
        ("results.csv", [b"image|n|comment", b"a.jpg|0|One", b"b.jpg|0|caf\xe9", b"c.jpg|0|Three"]),
        ("captions.jsonl", [b"", b'{"image": "a.jpg", "text": "One"}', b'{"image": "caf\xe9"}',
                            b'{"image": "c.jpg", "text": "Three"}']),
    ],
)  # fmt: skip
def test_a_line_that_is_not_utf8_is_one_failure(tmp_path: Path, name: str, lines: list[bytes]) -> None:
    table = read(tmp_path, name, b"\n".join(lines))
    assert table.captions == {"a.jpg": ["One"], "c.jpg": ["Three"]}
    [failure] = table.failures
    assert failure.path == f"{name}:3"
    assert "not UTF-8" in failure.reason
    assert failure.modality == "text"


def test_places_stay_right_after_a_bad_line(tmp_path: Path) -> None:
    content = b"image,caption\nb.jpg,caf\xe9\na.jpg,One\nshort\n"
    assert [f.path for f in read(tmp_path, "captions.csv", content).failures] == ["captions.csv:2", "captions.csv:4"]


def test_empty_captions_and_missing_names_are_failures(tmp_path: Path) -> None:
    table = read(tmp_path, "captions.txt", "a.jpg,\n,nobody\nno comma here\na.jpg,One\n")
    assert table.captions == {"a.jpg": ["One"]}
    assert [(f.path, f.modality) for f in table.failures] == [(f"captions.txt:{n}", "text") for n in (1, 2, 3)]
    assert "a.jpg is empty" in table.failures[0].reason
    assert "names no picture" in table.failures[1].reason
    assert "expected image,caption" in table.failures[2].reason


def test_a_picture_with_only_an_empty_caption_is_known(tmp_path: Path) -> None:
    assert read(tmp_path, "captions.txt", "a.jpg,\n").captions == {"a.jpg": []}


def test_splits_beside_the_captions(tmp_path: Path) -> None:
    (tmp_path / "splits.csv").write_text("image,split\na.jpg,train\nb.jpg,test\n")
    assert read(tmp_path, "captions.txt", "a.jpg,One\n").splits == {"a.jpg": "train", "b.jpg": "test"}


@pytest.mark.parametrize("content", [b"name,part\na.jpg,train\n", b"image,split\ncaf\xe9.jpg,train\n"])
def test_damaged_splits(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "splits.csv").write_bytes(content)
    with pytest.raises(InputError, match="splits"):
        read(tmp_path, "captions.txt", "a.jpg,One\n")


@pytest.mark.parametrize("name", ["captions.txt", "captions.csv", "captions.jsonl"])
def test_an_empty_file_has_no_captions(tmp_path: Path, name: str) -> None:
    table = read(tmp_path, name, b"")
    assert (table.captions, table.failures) == ({}, [])


@pytest.mark.parametrize("content", [b"\n", b"\xef\xbb\xbf", b"\n\n"])
def test_a_csv_of_blank_lines(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InputError, match=r"captions\.csv"):
        read(tmp_path, "captions.csv", content)


def test_a_csv_with_a_quote_that_never_ends(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"captions\.csv"):
        read(tmp_path, "captions.csv", 'image,caption\na.jpg,"One\n' + "b.jpg,some more words\n" * 10_000)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("captions.csv", b"who,what\n1,2\n", "no column image or"),
        ("captions.csv", b"image,what\n1,2\n", "no column caption or"),
        ("captions.json", b"{", "can't be read"),
        ("captions.json", b"3", "can't be read"),
        ("captions.json", b"[1, 2]", "can't be read"),
        ("captions.json", b"\xff\xfe\x00", "can't be read"),
        ("captions.json", b'{"images": [{"id": 1}], "annotations": []}', "can't be read"),
        ("captions.parquet", b"PAR1 no it is not", "can't be read"),
        ("captions.docx", b"", "captions are read from .txt, .csv"),
    ],
)
def test_what_cannot_be_read_names_the_file(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        read(tmp_path, name, content)
    assert name in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read"):
        read_captions(tmp_path / "captions.txt")


def test_a_suffix_in_capitals(tmp_path: Path) -> None:
    assert read(tmp_path, "CAPTIONS.TXT", "a.jpg,One\n").captions == {"a.jpg": ["One"]}
