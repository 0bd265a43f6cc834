"""The tree of a parsed condition. `crossmodal.store.where` has its syntax and meaning; each store writes it as SQL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal["number", "text", "boolean"]
Scalar = int | float | str | bool
Operator = Literal["=", "<>", "<", "<=", ">", ">=", "in", "like", "contains", "starts with"]
"""`starts with` has no syntax; the program uses it for folders. It is exact, unlike `like` and `contains`."""


@dataclass(frozen=True)
class Field:
    """A column of a document, or with `names` the tag at that path of names."""

    column: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """Unknown if the field has neither a value of the values' kind nor a list.

    Only `in` has several values, all of one kind.
    A list meets a comparison if one of its elements does, and a negative one if none meets its positive form.
    """

    field: Field
    operator: Operator
    values: tuple[Scalar, ...]
    negated: bool = False

    @property
    def kind(self) -> Kind:
        """The kind of the values."""
        value = self.values[0]
        return "boolean" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"

    @property
    def is_negative(self) -> bool:
        """Whether it is `<>` or negated."""
        return self.negated or self.operator == "<>"

    @property
    def positive(self) -> Comparison:
        """The comparison that it is the negation of, or itself."""
        return replace(self, operator="=" if self.operator == "<>" else self.operator, negated=False)


@dataclass(frozen=True)
class IsNull:
    """Whether the field has no value; never unknown."""

    field: Field
    negated: bool = False


@dataclass(frozen=True)
class Near:
    """Whether the tags `latitude` and `longitude`, in degrees, are at most `km` from a point, along the surface.

    Unknown if one of them is not a number; false if they are beyond 90 and 180 degrees.
    """

    latitude: float
    longitude: float
    km: float


@dataclass(frozen=True)
class Not:
    """Unknown if its part is unknown."""

    part: Condition


@dataclass(frozen=True)
class Joined:
    """At least two parts, of which all (`and`) or any (`or`) must be true, in SQL's three-valued logic."""

    word: Literal["and", "or"]
    parts: tuple[Condition, ...]


Condition = Comparison | IsNull | Near | Not | Joined


def fields_of(condition: Condition) -> Iterator[Field]:
    """The fields on which a condition depends."""
    match condition:
        case Comparison(field=field) | IsNull(field=field):
            yield field
        case Near():
            yield from (Field("tags", (name,)) for name in ("latitude", "longitude"))
        case Not(part=part):
            yield from fields_of(part)
        case Joined(parts=parts):
            for part in parts:
                yield from fields_of(part)
