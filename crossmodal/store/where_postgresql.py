"""A condition as SQL for PostgreSQL, in which all values of the user are bound."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from crossmodal.store.condition import Comparison, Condition, Field, IsNull, Kind, Near, Not, Scalar
from crossmodal.store.distance import box_around, haversine_of

_TYPES: dict[Kind, str] = {"number": "numeric", "text": "text", "boolean": "boolean"}
_JSON_TYPES: dict[Kind, str] = {"number": "number", "text": "string", "boolean": "boolean"}


def postgresql_sql(condition: Condition) -> tuple[str, list[object]]:
    """An expression over the columns of `documents`, in parentheses, and the values of its `%s` in order.

    It is NULL if the condition is unknown.

    >>> from crossmodal.store.where import parse
    >>> postgresql_sql(parse("width > 200 and modality = 'image'"))
    ('((width > %s::numeric) AND (modality = %s::text))', [Decimal('200'), 'image'])
    """
    values: list[object] = []
    return _sql(condition, values), values


def text_of_tag(name: str) -> tuple[str, list[object]]:
    """An expression for the tag if it is a text, else NULL, and the values of its `%s`."""
    values: list[object] = []
    return _of_kind(Field("tags", (name,)), "text", values), values


def _sql(condition: Condition, values: list[object]) -> str:
    """The SQL of a condition; appends its values."""
    if isinstance(condition, Comparison):
        return f"({_comparison(condition, values)})"
    if isinstance(condition, IsNull):
        return f"({_is_null(condition, values)})"
    if isinstance(condition, Near):
        return f"({_near(condition, values)})"
    if isinstance(condition, Not):
        return f"(NOT {_sql(condition.part, values)})"
    return f"({f' {condition.word.upper()} '.join(_sql(part, values) for part in condition.parts)})"


def _comparison(comparison: Comparison, values: list[object]) -> str:
    field, kind = comparison.field, comparison.kind
    if not field.names:
        return _compared(field.column, comparison, values)
    type_of_tag = f"jsonb_typeof({_tag(field, values)})"
    scalar = _compared(_value(_tag(field, values), kind), comparison, values)
    elements = f"jsonb_array_elements({_tag(field, values)}) AS element(value)"
    element = _compared(_value("element.value", kind), comparison.positive, values)
    # CASE, because only it is evaluated in order: a text can't be cast to a number.
    is_met = f"CASE jsonb_typeof(element.value) WHEN '{_JSON_TYPES[kind]}' THEN {element} ELSE false END"
    negation = "NOT " if comparison.is_negative else ""
    return (
        f"CASE {type_of_tag} WHEN '{_JSON_TYPES[kind]}' THEN {scalar} "
        f"WHEN 'array' THEN {negation}EXISTS (SELECT 1 FROM {elements} WHERE {is_met}) END"
    )


def _compared(left: str, comparison: Comparison, values: list[object]) -> str:
    """The comparison of an expression whose own values are in the list already; appends those of the comparison."""
    right = f"%s::{_TYPES[comparison.kind]}"
    given: list[object] = [_bound(value) for value in comparison.values]
    negation = "NOT " if comparison.negated else ""
    if comparison.operator == "in":
        values.append(given)
        return f"{negation}({left} = ANY({right}[]))"
    values += given
    if comparison.operator == "like":
        return f"lower({left}) {negation}LIKE lower({right} COLLATE \"C\") ESCAPE ''"
    if comparison.operator == "contains":
        return f'strpos(lower({left}), lower({right} COLLATE "C")) {"=" if negation else ">"} 0'
    if comparison.operator == "starts with":
        return f"starts_with({left}, {right})"
    return f"{left} {comparison.operator} {right}"


def _near(near: Near, values: list[object]) -> str:
    """The formula is that of `crossmodal.store.distance.haversine`."""

    def latitude() -> str:
        return _of_kind(Field("tags", ("latitude",)), "number", values)

    def longitude() -> str:
        return _of_kind(Field("tags", ("longitude",)), "number", values)

    def bound(value: float) -> str:
        values.append(value)
        return "%s::float8"

    def is_between(number: Callable[[], str], low: float, high: float) -> str:
        left = number()
        values.extend([_bound(low), _bound(high)])
        return f"{left} BETWEEN %s::numeric AND %s::numeric"

    def degrees(number: Callable[[], str]) -> str:
        # Digits beyond the hundredth are cut, because the squares of smaller numbers underflow, which is an error.
        return f"round({number()}, 100)::float8"

    def here(value: float) -> str:
        return bound(round(value, 100))

    box = box_around(near.latitude, near.longitude, near.km)
    # CASE, because only it is evaluated in order: a number out of the box may be too large for float8.
    is_unknown = f"{latitude()} IS NULL OR {longitude()} IS NULL"
    is_in_box = is_between(latitude, box.south, box.north)
    is_in_box += f" AND ({' OR '.join(is_between(longitude, *ends) for ends in box.longitudes)})"
    north = f"sin(radians({degrees(latitude)} - {here(near.latitude)}) / 2) ^ 2"
    cosines = f"cos(radians({degrees(latitude)})) * cos(radians({here(near.latitude)}))"
    east = f"sin(radians({degrees(longitude)} - {here(near.longitude)}) / 2) ^ 2"
    is_near = f"{north} + {cosines} * {east} <= {bound(haversine_of(near.km))}"
    return f"CASE WHEN {is_unknown} THEN NULL WHEN {is_in_box} THEN {is_near} ELSE false END"


def _bound(value: Scalar) -> object:
    """The value with its exact decimal digits if it is a number, because tags are compared as decimal numbers."""
    return value if isinstance(value, str | bool) else Decimal(repr(value))


def _is_null(condition: IsNull, values: list[object]) -> str:
    if condition.field.names:
        tag = f"coalesce(jsonb_typeof({_tag(condition.field, values)}), 'null')"
        return f"{tag} {'<>' if condition.negated else '='} 'null'"
    return f"{condition.field.column} IS {'NOT ' if condition.negated else ''}NULL"


def _of_kind(field: Field, kind: Kind, values: list[object]) -> str:
    """The field's value if it has that kind, else NULL."""
    if not field.names:
        return field.column
    tag, same_tag = _tag(field, values), _tag(field, values)
    return f"CASE jsonb_typeof({tag}) WHEN '{_JSON_TYPES[kind]}' THEN {_value(same_tag, kind)} END"


def _value(value: str, kind: Kind) -> str:
    """A jsonb of this kind as a value."""
    return f"({value} #>> '{{}}') COLLATE \"C\"" if kind == "text" else f"({value})::{_TYPES[kind]}"


def _tag(field: Field, values: list[object]) -> str:
    """The tag as jsonb. `->` with a text finds names only; `#>` would also find elements of lists."""
    values += field.names
    return "tags" + " -> %s::text" * len(field.names)
