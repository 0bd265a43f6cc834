"""A condition as SQL for SQLite, in which all values of the user are bound."""

from __future__ import annotations

from typing import NamedTuple

from crossmodal.store.condition import Comparison, Condition, Field, IsNull, Joined, Kind, Near, Not
from crossmodal.store.distance import box_around, haversine_of

_JSON_TYPES: dict[Kind, str] = {"number": "'integer', 'real'", "text": "'text'", "boolean": "'true', 'false'"}


def sqlite_sql(condition: Condition) -> tuple[str, tuple[object, ...]]:
    """An expression over the columns of `documents`, in parentheses, and the values of its `?` in order.

    It is NULL if the condition is unknown.

    >>> from crossmodal.store.where import parse
    >>> sqlite_sql(parse("width > 200 and modality = 'image'"))
    ('(width > ? AND modality = ?)', (200, 'image'))
    """
    part = _part(condition)
    return f"({part.sql})", part.values


def text_of_tag(name: str) -> tuple[str, tuple[object, ...]]:
    """An expression for the tag if it is a text, else NULL, and the values of its `?`."""
    part = _of_kind(Field("tags", (name,)), "text")
    return part.sql, part.values


def path_of_tag(name: str) -> str:
    """The JSON path of a tag."""
    return _path(Field("tags", (name,)))


class _Part(NamedTuple):
    sql: str
    values: tuple[object, ...]
    height: int = 0  # symbols on the stack of SQLite's parser while it parses `sql`


def _part(condition: Condition) -> _Part:
    if isinstance(condition, Comparison):
        return _comparison(condition)
    if isinstance(condition, IsNull):
        value = _of_any_kind(condition.field)
        return _Part(f"{value.sql} IS {'NOT ' if condition.negated else ''}NULL", value.values)
    if isinstance(condition, Near):
        return _near(condition)
    if isinstance(condition, Not):
        part = _in_parentheses(condition.part) if isinstance(condition.part, Joined) else _part(condition.part)
        return _Part(f"NOT {part.sql}", part.values, part.height + 1)
    return _join(condition.word, condition.parts)


def _in_parentheses(condition: Condition) -> _Part:
    part = _part(condition)
    return _Part(f"({part.sql})", part.values, part.height + 1)


def _join(word: str, conditions: tuple[Condition, ...]) -> _Part:
    """The conditions joined by AND or OR, the deepest first.

    SQLite's parser has a stack of 100, on which `x AND (` is three and `(` at the front is one.
    """
    # AND binds more tightly than OR, so an AND in an OR needs no parentheses.
    is_bare = [not isinstance(part, Joined) or (part.word, word) == ("and", "or") for part in conditions]
    parts = [_part(part) if bare else _in_parentheses(part) for part, bare in zip(conditions, is_bare, strict=True)]
    parts.sort(key=lambda part: -part.height)
    height = max(part.height + (2 if i else 0) for i, part in enumerate(parts))
    values = tuple(value for part in parts for value in part.values)
    return _Part(f" {word.upper()} ".join(part.sql for part in parts), values, height)


def _comparison(comparison: Comparison) -> _Part:
    field = comparison.field
    if not field.names:
        sql, values = _compared(field.column, comparison)
        is_indexed = comparison.operator in ("=", "in") and not comparison.negated and all(values)
        if field.column == "image_id" and is_indexed:  # by an index without the documents that have none
            return _Part(f"({sql} AND image_id <> '')", values, 1)
        return _Part(sql, values)
    path, types = _path(field), _JSON_TYPES[comparison.kind]
    scalar, scalar_values = _compared("json_extract(tags, ?)", comparison)
    element, element_values = _compared("value", comparison.positive)
    negation = "NOT " if comparison.is_negative else ""
    of_list = f"{negation}EXISTS (SELECT 1 FROM json_each(tags, ?) WHERE type IN ({types}) AND {element})"
    by_type = (
        f"CASE WHEN json_type(tags, ?) IN ({types}) THEN {scalar} WHEN json_type(tags, ?) = 'array' THEN {of_list} END"
    )
    return _valid(by_type, path, path, *scalar_values, path, path, *element_values)


def _compared(left: str, comparison: Comparison) -> tuple[str, tuple[object, ...]]:
    """The comparison of an expression, and the values after those of the expression."""
    values, negation = comparison.values, "NOT " if comparison.negated else ""
    if comparison.operator == "in":
        return f"{left} {negation}IN ({', '.join('?' * len(values))})", values
    if comparison.operator == "like":
        return f"{left} {negation}LIKE ?", values
    if comparison.operator == "contains":
        return f"instr(lower({left}), lower(?)) {'= 0' if negation else '> 0'}", values
    if comparison.operator == "starts with":
        return f"substr({left}, 1, ?) = ?", (len(str(values[0])), *values)
    return f"{left} {comparison.operator} ?", values


def _near(near: Near) -> _Part:
    """Calls the function `haversine` of the connection, because not every SQLite has sines."""
    latitude, longitude = (_of_kind(Field("tags", (name,)), "number") for name in ("latitude", "longitude"))
    box = box_around(near.latitude, near.longitude, near.km)
    in_range = f"{longitude.sql} BETWEEN ? AND ?"
    sql = (
        f"CASE WHEN {latitude.sql} IS NULL OR {longitude.sql} IS NULL THEN NULL "
        f"WHEN {latitude.sql} BETWEEN ? AND ? AND ({' OR '.join([in_range] * len(box.longitudes))}) "
        f"THEN haversine({latitude.sql}, {longitude.sql}, ?, ?) <= ? ELSE 0 END"
    )
    ranges = [value for ends in box.longitudes for value in (*longitude.values, *ends)]
    values = (
        *latitude.values, *longitude.values, *latitude.values, box.south, box.north, *ranges,
        *latitude.values, *longitude.values, near.latitude, near.longitude, haversine_of(near.km),
    )  # fmt: skip
    return _Part(sql, values, 1)


def _of_kind(field: Field, kind: Kind) -> _Part:
    """The field's value if it has that kind, else NULL."""
    if not field.names:
        return _Part(field.column, ())
    path = _path(field)
    return _valid(f"CASE WHEN json_type(tags, ?) IN ({_JSON_TYPES[kind]}) THEN json_extract(tags, ?) END", path, path)


def _of_any_kind(field: Field) -> _Part:
    """The field's value, NULL if there is none."""
    return _valid("json_extract(tags, ?)", _path(field)) if field.names else _Part(field.column, ())


def _valid(value: str, *values: object) -> _Part:
    # Without the check, one document with NaN in its tags would make the query fail for all documents.
    return _Part(f"CASE WHEN json_valid(tags) THEN {value} END", values)


def _path(field: Field) -> str:
    return "$" + "".join(f'."{name}"' for name in field.names)
