"""Caption files of every kind, and what is wrong in them."""

import csv
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from crossmodal.core.errors import InputError
from crossmodal.datasets.captions import read_captions
from crossmodal.datasets.columns import Columns
from crossmodal.datasets.table import CaptionTable


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
    assert {image: told for image, told in table.captions.items() if told} == {"a.jpg": ["One"], "c.jpg": ["Three"]}
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


@pytest.mark.parametrize("content", [b"name,part\na.jpg,train\n", b"who,split\na.jpg,train\n", b""])
def test_splits_without_their_columns(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "splits.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"splits\.csv .* expected the columns image and split, found"):
        read(tmp_path, "captions.txt", "a.jpg,One\n")


def test_damaged_rows_of_splits_are_named_and_the_others_kept(tmp_path: Path) -> None:
    (tmp_path / "splits.csv").write_bytes(
        b'\xef\xbb\xbfImage;Split\ncaf\xe9.jpg;train\na.jpg;"train\nb.jpg;test\nb.jpg;dev\n;test\nc.jpg;\nd.jpg;restval\n'
    )
    table = read(tmp_path, "captions.txt", "a.jpg,One\n")
    assert table.splits == {"b.jpg": "test", "d.jpg": "train"}
    assert [(f.path, f.modality) for f in table.failures] == [(f"splits.csv:{n}", "image") for n in (2, 3, 5, 6)]


@pytest.mark.parametrize("name", ["captions.txt", "captions.csv", "captions.jsonl"])
def test_an_empty_file_has_no_captions(tmp_path: Path, name: str) -> None:
    table = read(tmp_path, name, b"")
    assert (table.captions, table.failures) == ({}, [])


@pytest.mark.parametrize("content", [b"\n", b"\xef\xbb\xbf", b"\n\n"])
def test_a_csv_of_blank_lines(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InputError, match=r"captions\.csv"):
        read(tmp_path, "captions.csv", content)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("bad", ['"One', 'x,"One', '"One ""two', '"One" and "two, three'])
def test_a_quote_that_is_never_closed_is_one_failure(tmp_path: Path, ending: str, bad: str) -> None:
    lines = ["image,caption", f"a.jpg,{bad}", *["b.jpg,some more words"] * 3, 'c.jpg,"red, blue"', 'd.jpg,5" long']
    table = read(tmp_path, "captions.csv", ending.join(lines))
    assert {image: told for image, told in table.captions.items() if told} == {
        "b.jpg": ["some more words"] * 3, "c.jpg": ["red, blue"], "d.jpg": ['5" long'],
    }  # fmt: skip
    assert [f.path for f in table.failures] == ["captions.csv:2"]


def test_each_of_many_unclosed_quotes_is_named(tmp_path: Path) -> None:
    table = read(tmp_path, "captions.csv", "image,caption\n" + "".join(f'{i}.jpg,"One\n' for i in range(500)))
    assert (table.captions, len(table.failures)) == ({}, 500)


@pytest.mark.parametrize("names", ["b.jpg", '"b.jpg"', "pics/b.jpg", "b.jpg#0"])
def test_an_open_quote_ends_before_a_record_even_where_it_could_be_closed(tmp_path: Path, names: str) -> None:
    """The second line ends in a quote, so both are one caption by the letter of RFC 4180."""
    table = read(tmp_path, "captions.csv", f'image,caption\na.jpg,"One\n{names},Two"\nc.jpg,Three\n')
    assert [*table.captions.values()] == [['Two"'], ["Three"]]
    assert [f.path for f in table.failures] == ["captions.csv:2"]


def test_quoted_captions_over_lines(tmp_path: Path) -> None:
    content = 'image,caption\na.jpg,"One\r\n\r\nand, ""so"" on"\n"b.jpg","\nTwo\n"\nc.jpg,"Three, 5"" long\n5"" wide"\n'
    assert read(tmp_path, "captions.csv", content).captions == {
        "a.jpg": ['One and, "so" on'], "b.jpg": ["Two"], "c.jpg": ['Three, 5" long 5" wide'],
    }  # fmt: skip


def test_rows_of_another_width_are_named(tmp_path: Path) -> None:
    content = "image,caption,split\na.jpg,One,dev\nb.jpg,Two, and more,dev\nc.jpg\nd.jpg,Three,dev,,\n"
    table = read(tmp_path, "captions.csv", content)
    assert table.captions == {"a.jpg": ["One"], "d.jpg": ["Three"]}
    assert [f.path for f in table.failures] == ["captions.csv:3", "captions.csv:4"]
    assert "expected 3 columns, found 4: quote text that has ',' in it" in table.failures[0].reason


def test_a_field_of_any_length_and_a_nul(tmp_path: Path) -> None:
    long = "word " * 50_000
    table = read(tmp_path, "captions.csv", f"image,caption\na.jpg,{long}\nb.jpg,nul\0\nc.jpg,Three\n")
    assert table.captions == {"a.jpg": [long.strip()], "b.jpg": [], "c.jpg": ["Three"]}
    assert [(f.path, f.reason) for f in table.failures] == [
        ("captions.csv:3", "the caption of b.jpg has a NUL character")
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["captions.csv", "captions.tsv", "captions.txt"])
def test_delimiters_and_encodings(tmp_path: Path, name: str, delimiter: str, encoding: str) -> None:
    content = "image,caption\nä.jpg,größer\nb.jpg,Two\n".replace(",", delimiter)
    assert read(tmp_path, name, content.encode(encoding)).captions == {"ä.jpg": ["größer"], "b.jpg": ["Two"]}


def test_big_endian_and_a_half_character(tmp_path: Path) -> None:
    content = b"\xfe\xff" + "image,caption\na.jpg,One\nb.jpg,Two".encode("utf-16-be") + b"\0"
    table = read(tmp_path, "captions.csv", content)
    assert table.captions == {"a.jpg": ["One"], "b.jpg": []}
    assert [f.path for f in table.failures] == ["captions.csv:3"]


def test_the_line_that_spreadsheets_write_above(tmp_path: Path) -> None:
    assert read(tmp_path, "captions.csv", "sep=^\nimage^caption\na.jpg^One\n").captions == {"a.jpg": ["One"]}


def test_flickr8k_tokens(tmp_path: Path) -> None:
    content = "a.jpg#0\tA dog , running .\na.jpg#1\tTwo dogs .\nb.jpg#0\tA cat\nno tab here\n"
    for name in ("Flickr8k.token.txt", "results.token"):
        table = read(tmp_path, name, content)
        assert table.captions == {"a.jpg": ["A dog , running .", "Two dogs ."], "b.jpg": ["A cat"]}
        assert [(f.path, f.reason) for f in table.failures] == [(f"{name}:4", "expected image<TAB>caption")]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_json_with_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    for name, content in (("captions.json", '[{"image": "a.jpg", "caption": "One"}]'),
                          ("captions.jsonl", '{"image": "a.jpg", "caption": "One"}\n')):  # fmt: skip
        assert read(tmp_path, name, content.encode(encoding)).captions == {"a.jpg": ["One"]}


def test_json_that_is_cut_off_says_where(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"captions\.json .* line 2, column 11: .*: fix the JSON there"):
        read(tmp_path, "captions.json", '[{"image": "a.jpg", "caption": "One"},\n{"image": "b.')


def test_json_with_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    rows = [{"image": f"{name}.jpg", "caption": caption} for name, caption in (("a", "café"), ("é", "x"), ("b", "Two"))]
    content = json.dumps(rows, ensure_ascii=False).encode("cp1252")
    table = read(tmp_path, "captions.json", content)
    assert table.captions == {"a.jpg": [], "b.jpg": ["Two"]}
    assert [f.path for f in table.failures] == ["captions.json, entry 1", "captions.json, entry 2"]
    assert all("not UTF-8: save the file as UTF-8" in f.reason for f in table.failures)


def test_nested_too_deep(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read"):
        read(tmp_path, "captions.json", "[" * 100_000)
    table = read(tmp_path, "captions.jsonl", "[" * 100_000 + '\n{"image": "a.jpg", "caption": "One"}\n')
    assert table.captions == {"a.jpg": ["One"]}
    assert [f.path for f in table.failures] == ["captions.jsonl:1"]


def test_an_id_of_two_pictures_is_of_none(tmp_path: Path) -> None:
    table = read(
        tmp_path,
        "captions.json",
        {
            "images": [
                {"id": 7, "file_name": "a.jpg"},
                {"id": 7, "file_name": "b.jpg"},
                {"id": 8, "file_name": "c.jpg"},
            ],
            "annotations": [
                {"id": 1, "image_id": 7, "caption": "whose?"},
                {"id": 2, "image_id": "8", "caption": "One"},
            ],
        },
    )
    assert table.captions == {"a.jpg": [], "b.jpg": [], "c.jpg": ["One"]}
    assert [f.path for f in table.failures] == ["annotation 1"]
    assert "a.jpg, b.jpg" in table.failures[0].reason


def test_rows_under_any_key(tmp_path: Path) -> None:
    content = {"version": 1, "rows": [{"image": "a.jpg", "caption": "One"}]}
    assert read(tmp_path, "captions.json", content).captions == {"a.jpg": ["One"]}


def test_a_caption_file_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "captions.csv")
    with pytest.raises(InputError, match=r"captions\.csv .* not a regular file"):
        read_captions(tmp_path / "captions.csv")


CELLS: list[tuple[object, list[str], str]] = [
    ("One", ["One"], ""),
    ([" One ", "Two"], ["One", "Two"], ""),
    (None, [], ""),
    (["One", None], ["One"], ""),
    ({"raw": "One", "tokens": ["one"]}, ["One"], ""),
    ([{"caption": "One"}, {"text": "Two"}, {"raw": None}], ["One", "Two"], ""),
    ([{"words": "One"}], [], "is an object without raw"),
    (3, [], "is a number, not text: 3"),
    (["One", 2.5], ["One"], "is a number, not text: 2.5"),
    (True, [], "is of type bool, not text"),
    ("", [], "is empty"),
    (["One", "  "], ["One"], "is empty"),
    ("half \ud83d", [], "half of a surrogate pair"),
    ("nul \0", [], "has a NUL"),
    ([{"text": ["One", "Two"]}], ["One", "Two"], ""),
    ([[[[["One"]]]]], [], "is nested too deep"),
]


@pytest.mark.parametrize(("value", "captions", "reason"), CELLS)
@pytest.mark.parametrize("ending", ["json", "jsonl", "parquet", "csv"])
def test_a_value_is_the_same_caption_in_every_kind_of_file(
    tmp_path: Path, ending: str, value: object, captions: list[str], reason: str
) -> None:
    rows = [{"IMAGE-Path": "a.jpg", " Caption ": value}, {"IMAGE-Path": "b.jpg", " Caption ": value}]
    path = tmp_path / f"captions.{ending}"
    if ending == "json":
        path.write_text(json.dumps(rows))
    elif ending == "jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    elif ending == "csv":
        if not isinstance(value, str) or "\ud83d" in value:
            pytest.skip("CSV can't hold it")
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([list(rows[0]), *(list(row.values()) for row in rows)])
    else:
        try:
            parquet.write_table(pa.Table.from_pylist(rows), path)
        except (pa.ArrowException, UnicodeEncodeError):
            pytest.skip("Parquet can't hold it")
    table = read_captions(path)
    assert table.captions == {"a.jpg": captions, "b.jpg": captions}
    assert [reason in f.reason for f in table.failures] == ([True, True] if reason else [])


def test_nan_is_no_caption(tmp_path: Path) -> None:
    assert read(tmp_path, "captions.json", '[{"image": "a.jpg", "caption": NaN}]').captions == {"a.jpg": []}
    parquet.write_table(pa.table({"image": ["a.jpg"], "caption": [float("nan")]}), tmp_path / "captions.parquet")
    assert read_captions(tmp_path / "captions.parquet").captions == {"a.jpg": []}


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    content = [{"image": 7, "caption": "One"}, {"image": "x\ud83d.jpg", "captions": ["a", "b"]}, {"caption": "Two"}, {}]
    table = read(tmp_path, "captions.json", content)
    assert table.captions == {}
    assert [f.path[-1] for f in table.failures] == ["1", "2", "2", "3", "4"]
    assert "its name is a number" in table.failures[0].reason


def write_rows(path: Path, header: list[str], rows: list[list[str]]) -> None:
    """The same table as CSV, JSON, JSONL or Parquet."""
    objects = [dict(zip(header, row, strict=True)) for row in rows]
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf8") as file:
            csv.writer(file).writerows([header, *rows])
    elif path.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(objects), path)
    else:
        lines = [json.dumps(row) for row in objects]
        path.write_text("\n".join(lines) if path.suffix == ".jsonl" else f"[{','.join(lines)}]")


KINDS = pytest.mark.parametrize("kind", ["csv", "json", "jsonl", "parquet"])


@KINDS
@pytest.mark.parametrize(
    "header",
    [
        ["IMAGE", "CAPTION"],
        ["File_Name", "Text"],
        ["image-path", " comment "],
        ["Image Name", "RAW"],
        ["path", "Sentence"],
    ],
)
def test_columns_are_found_however_they_are_written(tmp_path: Path, kind: str, header: list[str]) -> None:
    write_rows(tmp_path / f"captions.{kind}", ["id", *header], [["1", "a.jpg", "One"], ["2", "b.jpg", "Two"]])
    assert read_captions(tmp_path / f"captions.{kind}").captions == {"a.jpg": ["One"], "b.jpg": ["Two"]}


@KINDS
def test_numbered_captions(tmp_path: Path, kind: str) -> None:
    write_rows(tmp_path / f"captions.{kind}", ["image", "caption_0", "caption_1"], [["a.jpg", "One", "Two"]])
    assert read_captions(tmp_path / f"captions.{kind}").captions == {"a.jpg": ["One", "Two"]}


@KINDS
def test_unknown_columns_are_listed_with_the_option_that_names_them(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"captions.{kind}"
    write_rows(path, ["Bild", "Worte", "Mehr", "Teil"], [["a.jpg", "One", "Two", "dev"]])
    with pytest.raises(
        InputError, match=r"no column image or .* among 'Bild', 'Worte', .*--columns image=NAME"
    ) as caught:
        read_captions(path)
    assert str(path) in str(caught.value)
    with pytest.raises(InputError, match=r"no column caption or .* among"):
        read_captions(path, Columns(image="Bild"))
    with pytest.raises(InputError, match=r"no column Wort among"):
        read_captions(path, Columns(image="Bild", captions=("Wort",)))
    table = read_captions(path, Columns.of_pairs([("image", "bild"), ("caption", "Worte"), ("caption", "Mehr")]))
    assert (table.captions, table.splits) == ({"a.jpg": ["One", "Two"]}, {})
    assert read_captions(path, Columns("Bild", ("Worte",), "Teil")).splits == {"a.jpg": "dev"}


@pytest.mark.parametrize("pairs", [[("picture", "x")], [("image", "")], [("image", "a"), ("image", "b")]])
def test_columns_that_make_no_sense(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(InputError, match="--columns"):
        Columns.of_pairs(pairs)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("captions.csv", b"who,what\n1,2\n", "no column image or"),
        ("captions.csv", b"1.jpg,a dog\n2.jpg,a cat\n", "the first line is not a header: '1.jpg', 'a dog'"),
        ("captions.csv", b"image,what\n1,2\n", "no column caption or"),
        ("captions.json", b"{", "can't be read"),
        ("captions.json", b"3", "can't be read.* expected a list or an object, found int"),
        ("captions.json", b'"a.jpg"', "can't be read.* expected a list or an object, found str"),
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


def test_objects_by_line_under_the_name_of_plain_json(tmp_path: Path) -> None:
    table = read(
        tmp_path, "captions.json", '{"image": "a.jpg", "text": "One"}\n{"image": \n{"image": "b.jpg", "text": "Two"}\n'
    )
    assert table.captions == {"a.jpg": ["One"], "b.jpg": ["Two"]}
    assert [f.path for f in table.failures] == ["captions.json:2"]


def test_a_header_that_ends_in_delimiters(tmp_path: Path) -> None:
    content = "image;caption;;\na.jpg;One;;\nb.jpg;Two\n"
    assert read(tmp_path, "captions.csv", content).captions == {"a.jpg": ["One"], "b.jpg": ["Two"]}


def test_bytes_are_not_shown(tmp_path: Path) -> None:
    images = [[{"bytes": b"\x89PNG", "path": "a.png"}]]
    parquet.write_table(pa.table({"image": images, "caption": ["One"]}), tmp_path / "captions.parquet")
    [failure] = read_captions(tmp_path / "captions.parquet").failures
    assert failure.reason == "the row names no picture: its name is of type list, not text"


def test_quotes_where_the_caption_comes_first(tmp_path: Path) -> None:
    content = 'caption,image\n"One,a.jpg\nTwo,b.jpg\n"Three\nlines",c.jpg\n"Four,d.jpg\nFive",e.jpg\nSix,f.jpg\n'
    table = read(tmp_path, "captions.csv", content)
    assert table.captions == {"b.jpg": ["Two"], "c.jpg": ["Three lines"], "e.jpg": ['Five"'], "f.jpg": ["Six"]}
    assert [f.path for f in table.failures] == ["captions.csv:2", "captions.csv:6"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_lines_without_a_header(tmp_path: Path, delimiter: str) -> None:
    content = f"a.jpg{delimiter}One, two; three\nb.jpg{delimiter}Four\n"
    assert read(tmp_path, "captions.txt", content).captions == {"a.jpg": ["One, two; three"], "b.jpg": ["Four"]}


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark(tmp_path: Path, encoding: str) -> None:
    content = "image,caption\na.jpg,größer\n"
    assert read(tmp_path, "captions.csv", content.encode(encoding)).captions == {"a.jpg": ["größer"]}


def test_damaged_parts_of_coco_are_named(tmp_path: Path) -> None:
    table = read(
        tmp_path,
        "captions.json",
        {
            "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2}, None],
            "annotations": [None, {"image_id": 1, "caption": "One"}, {"image_id": 2, "caption": "x"}, {"id": 9}],
        },
    )
    assert table.captions == {"a.jpg": ["One"]}
    places = ["image 2", "image 3", "annotation 1", "annotation number 3", "annotation 9"]
    assert [f.path.removeprefix("captions.json, ") for f in table.failures] == places


def test_a_caption_over_lines_with_empty_cells_behind_it(tmp_path: Path) -> None:
    content = 'image,caption,,\na.jpg,"One\nand",,\nb.jpg,Two,,\n'
    assert read(tmp_path, "captions.csv", content).captions == {"a.jpg": ["One and"], "b.jpg": ["Two"]}
