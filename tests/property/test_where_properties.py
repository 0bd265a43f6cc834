"""Every store finds what a condition evaluated in Python finds; text is never SQL."""

from __future__ import annotations

import math
import operator
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from stores import NewStore

from crossmodal.core.errors import InputError
from crossmodal.core.types import Document
from crossmodal.store.distance import EARTH_KM
from crossmodal.store.protocol import Store
from crossmodal.store.records import NewDocument
from crossmodal.store.where import MAX_CHARACTERS, parse
from crossmodal.store.where_postgresql import postgresql_sql
from crossmodal.store.where_sqlite import sqlite_sql

Truth = bool | None  # None is unknown
LETTERS = "aAbB%_'\";-é漢ß 1"
TAG_NAMES = ["x", "y", "my tag", "é", "a.b", "or", "null", "--'"]
WORDS = ["and", "or", "not", "near", "in", "like", "contains", "is", "null", "true", "(", ")", ",", "=", "!=", "<",
         "'a'", "1", "tags.x", 'tags."a b"', "id", "width", "'", '"', "tags.", ".", " ", ";", "\\"]  # fmt: skip
OPERATORS = {
    "=": operator.eq, "==": operator.eq, "!=": operator.ne, "<>": operator.ne,
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


@pytest.fixture(scope="module")
def store(new_store: NewStore) -> Iterator[Store]:
    with new_store()(writable=True) as store:
        yield store


# -- documents

numbers = st.one_of(st.integers(-2, 3), st.integers(-8, 8).map(lambda n: n / 4))
strings = st.text(LETTERS, max_size=3)
scalars = st.one_of(numbers, strings, st.booleans(), st.none())
tag_values = st.one_of(
    scalars, st.lists(scalars, max_size=2), st.dictionaries(st.sampled_from(TAG_NAMES), scalars, max_size=2)
)
places = st.fixed_dictionaries(
    {},
    optional={
        "latitude": st.one_of(st.sampled_from([-90, 0, 90, 59.9]), st.floats(-100, 100), scalars),
        "longitude": st.one_of(st.sampled_from([-180, 179.9, 180, 0]), st.floats(-200, 200), scalars),
    },
)
documents = st.fixed_dictionaries(
    {
        "modality": st.sampled_from(["image", "text"]),
        "text": strings,
        "width": st.integers(0, 3),
        "tags": st.builds(
            operator.or_, st.dictionaries(st.sampled_from([*TAG_NAMES, "filename"]), tag_values, max_size=4), places
        ),
    }
)


# -- conditions, as a tree that can be written and worked out


@dataclass(frozen=True)
class Field:
    path: tuple[str, ...]  # ("text",) or ("tags", name, ...)

    def __str__(self) -> str:
        if self.path == ("tags", "filename"):
            return "filename"
        plain = re.compile(r"[^\W\d]\w*")
        return ".".join(name if plain.fullmatch(name) else f'"{name}"' for name in self.path)

    def of(self, document: dict[str, Any]) -> Any:
        value: Any = document
        for name in self.path:
            value = value.get(name) if isinstance(value, dict) else None
        return value


@dataclass(frozen=True)
class Comparison:
    field: Field
    word: str
    value: Any = None  # a value, or a list of them for `in`
    negated: bool = False

    def __str__(self) -> str:
        if self.word == "is":
            return f"{self.field} is {'not ' if self.negated else ''}null"
        values = f"({','.join(map(written, self.value))})" if self.word == "in" else written(self.value)
        return f"{self.field} {'not ' if self.negated else ''}{self.word} {values}"

    def of(self, document: dict[str, Any]) -> Truth:
        left = self.field.of(document)
        if self.word == "is":
            return (left is None) != self.negated
        if isinstance(left, list):
            is_negative = self.negated or self.word in ("!=", "<>")
            positive = replace(
                self, field=Field(("tags", "x")), word="=" if self.word in ("!=", "<>") else self.word, negated=False
            )
            return any(positive.of({"tags": {"x": one}}) for one in left if kind(one)) != is_negative
        if kind(left) is None or kind(left) != kind(self.value[0] if self.word == "in" else self.value):
            return None
        return self.holds(left) != self.negated

    def holds(self, left: Any) -> bool:
        if self.word == "in":
            return left in self.value
        if self.word == "contains":
            return small(self.value) in small(left)
        if self.word == "like":
            wild = {"%": ".*", "_": "."}
            pattern = "".join(wild.get(character, re.escape(character)) for character in small(self.value))
            return re.fullmatch(pattern, small(left), re.DOTALL) is not None
        return bool(OPERATORS[self.word](left, self.value))


@dataclass(frozen=True)
class Not:
    part: Tree

    def __str__(self) -> str:
        return f"not {bracketed(self.part, Joined)}"

    def of(self, document: dict[str, Any]) -> Truth:
        truth = self.part.of(document)
        return None if truth is None else not truth


@dataclass(frozen=True)
class Joined:
    word: str
    parts: list[Tree]

    def __str__(self) -> str:
        return f" {self.word} ".join(
            bracketed(part, Joined) if self.word == "and" or part == self.parts[-1] else str(part)
            for part in self.parts
        )

    def of(self, document: dict[str, Any]) -> Truth:
        truths = [part.of(document) for part in self.parts]
        decisive = self.word == "or"
        if decisive in truths:
            return decisive
        return None if None in truths else not decisive


@dataclass(frozen=True)
class Near:
    latitude: float
    longitude: float
    km: float

    def __str__(self) -> str:
        return f"near({self.latitude}, {self.longitude}, {self.km})"

    def of(self, document: dict[str, Any]) -> Truth:
        latitude, longitude = document["tags"].get("latitude"), document["tags"].get("longitude")
        if {kind(latitude), kind(longitude)} != {"number"}:
            return None
        if abs(latitude) > 90 or abs(longitude) > 180:
            return False
        here, there = on_sphere(self.latitude, self.longitude), on_sphere(latitude, longitude)
        return (
            math.atan2(math.dist(here, there) / 2, math.dist(here, [-x for x in there]) / 2) * 2 * EARTH_KM <= self.km
        )


def on_sphere(latitude: float, longitude: float) -> tuple[float, float, float]:
    """The unit vector of a point, from which distances need no formula of great circles."""
    north, east = math.radians(latitude), math.radians(longitude)
    return math.cos(north) * math.cos(east), math.cos(north) * math.sin(east), math.sin(north)


Tree = Comparison | Near | Not | Joined


def bracketed(part: Tree, kinds: type) -> str:
    return f"({part})" if isinstance(part, kinds) else str(part)


def written(value: Any) -> str:
    if isinstance(value, str):
        quote = "'" if len(value) % 2 else '"'
        return quote + value.replace(quote, quote * 2) + quote
    return str(value).lower()


def kind(value: Any) -> str | None:
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else "text" if isinstance(value, str) else None


def small(text: str) -> str:
    return text.translate(str.maketrans(string.ascii_uppercase, string.ascii_lowercase))


tag_fields = st.lists(st.sampled_from(TAG_NAMES), min_size=1, max_size=2).map(lambda names: Field(("tags", *names)))
text_fields = st.one_of(
    st.sampled_from([Field(("text",)), Field(("modality",)), Field(("tags", "filename"))]), tag_fields
)
number_fields = st.one_of(st.just(Field(("width",))), tag_fields)
all_fields = st.one_of(text_fields, number_fields)
patterns = st.text("aAbB%_é", max_size=4)
nears = st.builds(
    Near,
    st.one_of(st.sampled_from([-90.0, 90.0, 0.0, 59.9]), st.floats(-90, 90)),
    st.one_of(st.sampled_from([-180.0, 180.0, 179.9, 0.0]), st.floats(-180, 180)),
    st.floats(0.001, 21_000),
)
comparisons = st.one_of(
    nears,
    st.builds(Comparison, all_fields, st.just("is"), st.none(), st.booleans()),
    st.builds(Comparison, number_fields, st.sampled_from(list(OPERATORS)), numbers),
    st.builds(Comparison, text_fields, st.sampled_from(list(OPERATORS)), strings),
    st.builds(Comparison, tag_fields, st.sampled_from(["=", "!="]), st.booleans()),
    st.builds(Comparison, text_fields, st.sampled_from(["like", "contains"]), patterns, st.booleans()),
    st.builds(Comparison, number_fields, st.just("in"), st.lists(numbers, min_size=1, max_size=3), st.booleans()),
    st.builds(Comparison, text_fields, st.just("in"), st.lists(strings, min_size=1, max_size=3), st.booleans()),
    st.builds(Comparison, tag_fields, st.just("in"), st.lists(st.booleans(), min_size=1, max_size=2), st.booleans()),
)
trees: st.SearchStrategy[Tree] = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(Joined, st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3)),
    ),
    max_leaves=8,
)


def found_by(store: Store, text: str, given_documents: list[dict[str, Any]]) -> list[int]:
    """The places of the documents that a store finds."""
    items = [
        NewDocument(Document(str(n), **fields), np.ones(1, np.float32)) for n, fields in enumerate(given_documents)
    ]
    store.put(items)
    try:
        return [int(document_id) for document_id in store.ids_where(parse(text))]
    finally:
        store.remove([item.document.id for item in items])


@given(trees, st.lists(documents, min_size=1, max_size=10))
@settings(max_examples=150)
def test_a_store_finds_what_python_finds(store: Store, tree: Tree, found: list[dict[str, Any]]) -> None:
    assert found_by(store, str(tree), found) == [n for n, document in enumerate(found) if tree.of(document)], str(tree)


@given(nears, st.lists(places.map(lambda tags: {"tags": tags}), min_size=1, max_size=10))
@example(Near(0.0, 179.99, 20.0), [{"tags": {"latitude": 0, "longitude": -179.99}}])
@example(Near(89.99, 0.0, 20.0), [{"tags": {"latitude": 89.99, "longitude": 180}}])
@example(Near(1e-170, 0.0, 20.0), [{"tags": {"latitude": 5e-324, "longitude": 1e-160}}])
@example(Near(10.0, 20.0, 20_015.2), [{"tags": {"latitude": -10, "longitude": -160}}])
@settings(max_examples=150)
def test_what_is_near(store: Store, near: Near, found: list[dict[str, Any]]) -> None:
    documents = [{"modality": "image", "text": "", "width": 0, **document} for document in found]
    assert found_by(store, str(near), documents) == [n for n, document in enumerate(documents) if near.of(document)]
    negated = [n for n, document in enumerate(documents) if near.of(document) is False]
    assert found_by(store, f"not {near}", documents) == negated


@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join),
                 st.lists(st.sampled_from(WORDS), max_size=30).map("".join)))  # fmt: skip
@example("(" * MAX_CHARACTERS)
@example("not " * 500)
@example("'" * (MAX_CHARACTERS - 1))
@example('tags."' * 300)
@example("9" * MAX_CHARACTERS)
@example("width = " + "9" * 1_900)
@example("\ud800")
@settings(max_examples=500)
def test_any_text_is_a_condition_or_an_input_error(store: Store, text: str) -> None:
    try:
        condition = parse(text)
    except InputError:
        return
    assert store.ids_where(condition) == []


storable = st.characters(exclude_categories=["Cs"], exclude_characters="\0")


@given(
    st.text(storable, max_size=30),
    st.text(storable, max_size=10).filter(lambda name: not re.search('[\0-\x1f"\\\\]', name)),
)
@example("' OR 1=1; DROP TABLE documents; --", "x' OR 1=1 --")
@example("'); DELETE FROM documents; --", "')")
@example("?1 :a @b $c", "?")
@example("{} {0} {x!r}", "{}")
def test_hostile_text_is_a_value(store: Store, text: str, name: str) -> None:
    double, single = text.replace('"', '""'), text.replace("'", "''")
    for literal in (f'"{double}"', f"'{single}'"):
        for writer in (sqlite_sql, postgresql_sql):
            plain, _ = writer(parse("tags.\"n\" = 's' or id in ('s')"))
            sql, _ = writer(parse(f'tags."{name}" = {literal} or id in ({literal})'))
            assert sql == plain
    document = {"modality": "text", "text": "", "width": 0, "tags": {name: text}}
    assert found_by(store, f'tags."{name}" = {literal}', [document]) == [0]
