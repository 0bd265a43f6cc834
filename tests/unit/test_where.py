"""Conditions: what each form of them keeps, and that a mistake is named with its place."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stores import NewStore, OpenStore

from crossmodal.core.errors import InputError
from crossmodal.core.types import Document, Modality
from crossmodal.store import where
from crossmodal.store.condition import Comparison, Field
from crossmodal.store.protocol import Store
from crossmodal.store.sqlite import DocumentStore, NewDocument
from crossmodal.store.where import MAX_CHARACTERS, MAX_NESTING, parse
from crossmodal.store.where_postgresql import postgresql_sql
from crossmodal.store.where_sqlite import sqlite_sql


def item(name: str, modality: Modality = "text", **fields: Any) -> NewDocument:
    return NewDocument(Document(name, modality, **fields), np.ones(1, np.float32))


DOCUMENTS = [
    item("dog", "image", width=640, height=480, uri="/pictures/IMG_1.jpg", mime_type="image/jpeg",
         tags={"filename": "IMG_1.jpg", "year": 2020, "class": "dog", "place": {"city": "Oslo"}, "good": True,
               "latitude": 59.9, "longitude": 10.7}),
    item("cat", "image", width=100, height=480, uri="/pictures/img_2.jpg", mime_type="image/jpeg",
         tags={"filename": "img_2.jpg", "year": 2019.5, "class": "cat", "place": "Oslo", "good": False,
               "author": None, "latitude": 60.39, "longitude": 5}),
    item("hat", "image", width=640, height=100, uri="/pictures/100%.png", mime_type="image/png",
         tags={"filename": "100%.png", "year": "2020", "class": "it's", "author": "Ann", "good": 1,
               "latitude": "59.9", "longitude": 10.7}),
    item("caption", text="A DOG, and 100% happy", image_id="dog",
         tags={"my tag": "x", "größe": 3, "list": ["dog", 3, False, None, ["x"]], "empty": []}),
]  # fmt: skip


@pytest.fixture(scope="module")
def store(new_store: NewStore) -> Iterator[Store]:
    with new_store()(writable=True) as store:
        store.put(DOCUMENTS)
        yield store


def kept(store: Store, text: str) -> str:
    return " ".join(store.ids_where(parse(text)))


def test_a_text_is_parsed_once() -> None:
    text = "width > 200 and not (tags.year in (2019, 2020))"
    assert parse(text) is parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id = 'dog'", "dog"),
        ("id == \"dog\"", "dog"),
        ("modality = 'image'", "dog cat hat"),
        ("modality != 'image'", "caption"),
        ("modality <> 'image'", "caption"),
        ("uri like '/pictures/%'", "dog cat hat"),
        ("mime_type = 'image/png'", "hat"),
        ("image_id = ''", "dog cat hat"),
        ("image_id = 'dog'", "caption"),
        ("not image_id = 'dog'", "dog cat hat"),
        ("image_id not in ('dog', 'cat')", "dog cat hat"),
        ("image_id in ('', 'dog')", "dog cat hat caption"),
        ("image_id in ('cat', 'dog') or id = 'hat'", "hat caption"),
        ("image_id is null", ""),
        ("image_id is not null", "dog cat hat caption"),
        ("width < 640", "cat caption"),
        ("width <= 100.5 and width >= 100", "cat"),
        ("width in (0, 100)", "cat caption"),
        ("not (width < 200 or height < 200)", "dog"),
        ("tags.year >= 2020", "dog"),
        ("tags.year < 2020", "cat"),
        ("tags.year = 2019.5", "cat"),
        ("tags.year = '2020'", "hat"),
        ("tags.year != 2020", "cat"),
        ("tags.year is null", "caption"),
        ("tags.class in ('dog', \"cat\")", "dog cat"),
        ("tags.class not in ('dog', 'cat')", "hat"),
        ("not tags.class in ('dog', 'cat')", "hat"),
        ("tags.class = 'it''s'", "hat"),
        ("tags.class = \"it's\"", "hat"),
        ("tags.class > 'cat'", "dog hat"),
        ("tags.class != 'dog'", "cat hat"),
        ("not tags.class = 'dog'", "cat hat"),
        ("not not tags.class = 'dog'", "dog"),
        ("tags.place.city = \"Oslo\"", "dog"),
        ("tags.place = 'Oslo'", "cat"),
        ("tags.place is not null", "dog cat"),
        ("tags.author is null", "dog cat caption"),
        ("tags.author is not null", "hat"),
        ("tags.good = true", "dog"),
        ("tags.good = false", "cat"),
        ("tags.good != true", "cat"),
        ("tags.good in (true, false)", "dog cat"),
        ("tags.good = 1", "hat"),
        ("tags.list is not null", "caption"),
        ("tags.list contains 'do'", "caption"),
        ("tags.list = 'dog'", "caption"),
        ("tags.list = 'do'", ""),
        ("tags.list in ('cat', 'dog')", "caption"),
        ("tags.list != 'dog'", ""),
        ("tags.list != 'cat'", "caption"),
        ("tags.list not in ('cat')", "caption"),
        ("tags.list not like 'd%'", ""),
        ("not tags.list = 'cat'", "caption"),
        ("tags.list = 3", "caption"),
        ("tags.list > 3", ""),
        ("tags.list = true", ""),
        ("tags.list = false", "caption"),
        ("tags.empty != 'dog'", "caption"),
        ("tags.empty = 'dog'", ""),
        ("tags.\"my tag\" = 'x'", "caption"),
        ("tags.größe = 3", "caption"),
        ("filename like 'IMG_%'", "dog cat"),
        ("filename like 'IMG'", ""),
        ("filename like '___%.png'", "hat"),
        ("filename not like '%jpg'", "hat"),
        ("filename contains '%'", "hat"),
        ("tags.filename contains 'G_'", "dog cat"),
        ("text contains 'dog'", "caption"),
        ("text contains '0% H'", "caption"),
        ("text not contains 'dog'", "dog cat hat"),
        ("text contains ''", "dog cat hat caption"),
        ("id = 'dog' or id = 'cat' and width = 0", "dog"),
        ("(id = 'dog' or id = 'cat') and width = 100", "cat"),
        ("NOT id = 'dog' AND width = 640", "hat"),
        ("\n\tid = 'nobody'\u00a0Or tags.good = TRUE ", "dog"),
        ("near(59.91, 10.75, 5)", "dog"),
        ("NEAR ( 59.91 , +10.75, 400.5 )", "dog cat"),
        ("not near(59.91, 10.75, 5)", "cat"),
        ("width>-1 and height<+1.5e2 or tags.year=.5", "hat caption"),
    ],
)  # fmt: skip
def test_what_is_kept(store: Store, text: str, expected: str) -> None:
    assert kept(store, text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"at character 1: expected a field \(id, .*tags.NAME\), found the end"),
        ("  author = 'x'", "at character 3: expected a field .* found 'author'"),
        ("Width = 3", "expected a field .* found 'Width'"),
        ("tags = 3", "expected a field .* found 'tags'"),
        ("tags. = 3", "expected a field .* found 'tags'"),
        ("width.x = 3", "expected a field .* found 'width.x'"),
        ("and", "at character 1: expected a field"),
        ("id = 'a' and", "at character 13: expected a field .* found the end"),
        ("2020 <= width", "at character 1: expected a field .* found '2020'"),
        ("tags.a b", "at character 8: expected =, ==, .*is, not, in, like, contains, found 'b'"),
        ("tags.a = b", "at character 10: expected a number or a quoted string or true or false, found 'b'"),
        ("tags.a = 'b", "at character 10: .*found an unclosed '"),
        ('tags."a = 2', 'expected a field .*found \'tags\''),
        ("tags.a = 12ab", "at character 10: .*found '12ab'"),
        ("tags.a = 1.2.3", "found '1.2.3'"),
        ("tags.a = null", "at character 10: expected a value .*`is null`.* found 'null'"),
        ("tags.a in (1, null)", "at character 15: expected a value .*`is null`"),
        ("tags.a is 3", "at character 11: expected null, found '3'"),
        ("tags.a is not true", "at character 15: expected null, found 'true'"),
        ("tags.a in 3", r"at character 11: expected \(, found '3'"),
        ("tags.a in ()", r"at character 12: expected a number or .*, found '\)'"),
        ("tags.a in (1, 'b')", "at character 15: expected a number, found \"'b'\""),
        ("tags.a in (1", r"at character 13: expected \), found the end"),
        ("tags.a not = 3", "at character 12: expected in, like, contains, found '='"),
        ("tags.a like 3", "at character 13: expected a quoted string, found '3'"),
        ("tags.a < true", "at character 10: expected a number or a quoted string, found 'true'"),
        ("width = '200'", "at character 9: expected a number, found \"'200'\""),
        ("width like '2%'", "at character 7: expected =, .* not, in, found 'like'"),
        ("text = 5", "at character 8: expected a quoted string, found '5'"),
        ("id = 'a' id = 'b'", "at character 10: expected and, or, or the end, found 'id'"),
        ("id = 'a')", "at character 9: expected and, or, or the end"),
        ("(id = 'a'", r"at character 10: expected \), found the end"),
        ("id = 'a'; drop table documents", "at character 9: expected and, or, or the end, found ';'"),
        ("near = 1", "at character 6: expected \\(, found '='"),
        ("near(91, 0, 1)", "at character 6: expected a latitude from -90 to 90, found '91'"),
        ("near(0, -181, 1)", "at character 9: expected a longitude from -180 to 180, found '-181'"),
        ("near(0, 0, -1)", "at character 12: expected kilometres, at least 0, found '-1'"),
        ("near('Oslo', 0, 1)", "at character 6: expected a latitude"),
        ("near(0, 0)", r"at character 10: expected ,, found '\)'"),
        ("near(0, 0, 1e999)", "at character 12: the number has more than 64 bits"),
        ("width = 9223372036854775808", "at character 9: the number has more than 64 bits"),
        ("width = 1e999", "at character 9: the number has more than 64 bits"),
        (r'tags."a\b" = 3', "at character 1: the name of a tag can't contain a backslash"),
        ('tags."a\n" = 3', "control character"),
        ("id = 'a\0b'", r"at character 8: U\+0000 is not allowed"),
        ("id = 'a\ud800b'", r"at character 8: U\+D800 is not allowed"),
    ],
)  # fmt: skip
def test_mistakes_are_named_with_their_place(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse(text)


@pytest.mark.parametrize("number", ["9223372036854775807", "-9223372036854775808", "1e308", "0.1", ".5", "5."])
def test_numbers_that_fit(store: Store, number: str) -> None:
    assert kept(store, f"width = {number}") == ""


HOSTILE = "tags.\"' or 1\".b <= 3 or id = ''' or 1'"


def test_the_values_are_bound_in_sqlite() -> None:
    assert sqlite_sql(parse(HOSTILE)) == (
        "(CASE WHEN json_valid(tags) THEN CASE WHEN json_type(tags, ?) IN ('integer', 'real') "
        "THEN json_extract(tags, ?) <= ? WHEN json_type(tags, ?) = 'array' THEN EXISTS (SELECT 1 FROM "
        "json_each(tags, ?) WHERE type IN ('integer', 'real') AND value <= ?) END END OR id = ?)",
        ('$."\' or 1"."b"', '$."\' or 1"."b"', 3, '$."\' or 1"."b"', '$."\' or 1"."b"', 3, "' or 1"),
    )


def test_the_values_are_bound_in_postgresql() -> None:
    assert postgresql_sql(parse(HOSTILE)) == (
        "((CASE jsonb_typeof(tags -> %s::text -> %s::text) WHEN 'number' "
        "THEN (tags -> %s::text -> %s::text)::numeric <= %s::numeric WHEN 'array' THEN EXISTS (SELECT 1 FROM "
        "jsonb_array_elements(tags -> %s::text -> %s::text) AS element(value) WHERE CASE jsonb_typeof(element.value) "
        "WHEN 'number' THEN (element.value)::numeric <= %s::numeric ELSE false END) END) OR (id = %s::text))",
        ["' or 1", "b", "' or 1", "b", Decimal(3), "' or 1", "b", Decimal(3), "' or 1"],
    )


def test_a_long_text_is_refused_unread() -> None:
    longest = "id = '" + "x" * (MAX_CHARACTERS - 7) + "'"
    assert parse(longest) == Comparison(Field("id"), "=", ("x" * (MAX_CHARACTERS - 7),))
    with pytest.raises(InputError, match="the condition has 2,001 characters, at most 2,000 are allowed"):
        parse(longest + " ")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("(", ")"),
        ("not ", ""),
        ("width = 1 and (", ")"),
        ("(", ") and width = 1"),
        ("width = 1 or width=2 and(", ")"),
        ("tags.a=1 and(", ")or tags.b=2"),
        ("width=1 or(width=0)and(", ")"),
    ],
)
def test_the_deepest_nesting_is_no_trouble(store: Store, before: str, after: str) -> None:
    def nested(depth: int) -> str:
        return before * depth + "id = 'dog'" + after * depth

    by_place = nested(MAX_NESTING).replace("id = 'dog'", "near(0, 180, 9)")
    assert set(store.keys_where(parse(by_place), "image")) <= set(store.keys("image"))
    assert set(store.keys_where(parse(nested(MAX_NESTING)), "image")) <= set(store.keys("image"))
    for depth in (MAX_NESTING + 1, (MAX_CHARACTERS - 10) // len(before + after)):
        with pytest.raises(InputError, match=r"nested more than 50 deep"):
            parse(nested(depth))


def test_nesting_that_is_closed_does_not_add_up(store: Store) -> None:
    assert kept(store, " or ".join(["(not id='hat')"] * 100)) == "dog cat caption"


def test_the_longest_chains_are_no_trouble(store: Store) -> None:
    assert kept(store, " or ".join(["id=''"] * 220)) == ""
    assert kept(store, f"width in ({', '.join(['0'] * 660)})") == "caption"
    assert kept(store, f"tags{'.a' * 990} is null") == "dog cat hat caption"


def test_tags_that_are_no_json_are_no_tags(tmp_path: Path) -> None:
    """Other writers put NaN into JSON, which has no such thing."""
    with DocumentStore(tmp_path, writable=True) as store:
        store.put([item("good", tags={"a": 1}), item("bad")])
        with closing(sqlite3.connect(store.path)) as connection, connection:
            connection.execute("""UPDATE documents SET tags = '{"a": 1, "b": NaN}' WHERE id = 'bad'""")
        assert kept(store, "tags.a = 1") == "good"
        assert kept(store, "tags.a is null or width = 1") == "bad"


def test_json_numbers_of_any_size_compare(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        store.put([item("big", tags={"a": 10**30})])
        found = store.document("big")
        assert found is not None
        assert found.tags == {"a": 10**30}
        assert kept(store, "tags.a > 9223372036854775807 and tags.a = 1e30") == "big"


def test_every_example_of_the_docstring_is_a_condition() -> None:
    examples = [line.strip() for line in str(where.__doc__).split("The grammar")[0].splitlines()[2:] if line.strip()]
    assert len(examples) == 5
    for example in examples:
        parse(example)
