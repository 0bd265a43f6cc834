r"""A small language of conditions on documents, parsed into the tree of `crossmodal.store.condition`.

    tags.year >= 2020 and modality = 'image'
    tags.class in ('dog', "cat") and not (width < 200 or height < 200)
    tags.place.city = 'Oslo' and tags.author is not null
    filename like 'IMG_%' or text contains 'dog'
    tags.taken >= '2023-07' and near(38.72, -9.14, 20)

The grammar. Keywords are case-insensitive, names of fields and tags are not:

    condition  = both, { "or", both } ;
    both       = term, { "and", term } ;
    term       = "not", term | "(", condition, ")" | comparison | near ;
    comparison = field, ( operator, value
                        | "is", [ "not" ], "null"
                        | [ "not" ], "in", "(", value, { ",", value }, ")"
                        | [ "not" ], ( "like" | "contains" ), string ) ;
    near       = "near", "(", number, ",", number, ",", number, ")" ;
    operator   = "=" | "==" | "!=" | "<>" | "<" | "<=" | ">" | ">=" ;
    field      = "id" | "modality" | "uri" | "mime_type" | "text" | "image_id" | "width" | "height"
               | "filename" | "tags", ".", name, { ".", name } ;
    name       = letter or "_", { letter or digit or "_" }
               | '"', { any character but '"', "\" and control characters }, '"' ;
    value      = string | number | "true" | "false" ;
    string     = "'", { any character, "'" written twice }, "'" | '"', { any character, '"' twice }, '"' ;
    number     = [ "+" | "-" ], decimal digits with or without a point, [ "e", [ "+" | "-" ], digits ] ;

The meaning of a condition:

- `filename` is short for `tags.filename`.
- A comparison is *unknown* if the tag is missing, null, or of another type than the value. Number, text and
  true/false are three types and are not converted: `tags.year = 2020` does not match `"2020"`, and `tags.x = 1`
  does not match `true`. All values of an `in` have the same type. Comparisons with objects are unknown.
  Unknown is SQL's NULL: its `!=`, `not in` and `not (...)` are unknown too, and only documents for which the whole
  condition is true match. `is null` is never unknown: it is true for a tag that is missing or null.
- A tag with a list meets a comparison if one element does, and a negative one (`!=`, `not ...`) if none meets `=` etc.
- The other fields are never null, but `''` or 0 if they have no value: `image_id = ''`. Width and height compare
  with numbers, the others with strings.
- Strings are compared exactly and ordered by code point. `like` matches the whole string, with `%` for any number
  of characters and `_` for one; `contains` matches any part, with `%` and `_` as ordinary characters. Both ignore
  the case of A to Z only.
- `near(LATITUDE, LONGITUDE, KM)` is true for documents whose tags `latitude` and `longitude`, in degrees, are at most
  so many kilometres away, along a great circle. It is unknown without these tags, and false if they are beyond 90 and
  180 degrees.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Literal, NamedTuple, NoReturn

from crossmodal.core.errors import InputError
from crossmodal.store.condition import Comparison, Condition, Field, IsNull, Joined, Kind, Near, Not, Operator, Scalar

MAX_CHARACTERS = 2_000
MAX_NESTING = 50

_COLUMNS: dict[str, Kind] = {
    "id": "text", "modality": "text", "uri": "text", "mime_type": "text", "text": "text",
    "width": "number", "height": "number", "image_id": "text",
}  # fmt: skip
_FIELDS = f"a field ({', '.join(_COLUMNS)}, filename, tags.NAME)"
_KINDS: dict[Kind, str] = {"number": "a number", "text": "a quoted string", "boolean": "true or false"}
_EQUALITY: dict[str, Operator] = {"=": "=", "==": "=", "!=": "<>", "<>": "<>"}
_ORDER: dict[str, Operator] = {"<": "<", "<=": "<=", ">": ">", ">=": ">="}
_SEARCHES: dict[str, Operator] = {"in": "in", "like": "like", "contains": "contains"}

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<number>[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?(?![\w.]))
      | (?P<word>[^\W\d]\w*(\.([^\W\d]\w*|"[^"]*"))*)
      | (?P<text>'([^']|'')*'|"([^"]|"")*")
      | (?P<sign><=|>=|==|!=|<>|[=<>(),])
      | (?P<other>[\w.]+|.)""",
    re.VERBOSE | re.DOTALL,
)
_NAME = re.compile(r'\.("[^"]*"|\w+)')
_UNQUOTABLE = re.compile(r"[\x00-\x1f\\]")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # no store accepts surrogates; NUL ends a string in SQLite


def parse(text: str) -> Condition:
    """The condition of a text; the module's docstring has the grammar and the meaning.

    >>> parse("width > 200")
    Comparison(field=Field(column='width', names=()), operator='>', values=(200,), negated=False)

    Raises:
        InputError: A syntax error, with its position; more than 2,000 characters; nested more than 50 deep.
    """
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"the condition has {len(text):,} characters, at most {MAX_CHARACTERS:,} are allowed")
    return _parsed(text)


@lru_cache(64)  # a service parses a condition to check it, and again where it is used
def _parsed(text: str) -> Condition:
    return _Parser(text).whole()


def all_of(*conditions: str) -> str:
    """Conditions joined by `and`, without the empty ones; none may have an `or` outside brackets.

    >>> all_of("", "width > 9", "(height > 9 or height = 0)")
    'width > 9 and (height > 9 or height = 0)'
    """
    return " and ".join(filter(None, conditions))


def quoted(text: str) -> str:
    """A text as a string of a condition.

    >>> quoted("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


class _Token(NamedTuple):
    kind: str  # a group of _TOKEN, or "end"
    text: str
    start: int


class _TypedField(NamedTuple):
    field: Field
    kinds: tuple[Kind, ...] = ("number", "text", "boolean")


def _tokens(text: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(text):
        if match.lastgroup != "space":
            yield _Token(str(match.lastgroup), match[0], match.start())
    yield _Token("end", "", len(text))


class _Parser:
    """One method per rule of the grammar; each parses from the current token and moves past the tokens of the rule."""

    def __init__(self, text: str) -> None:
        if bad := _UNSTORABLE.search(text):
            raise _error(bad.start(), f"U+{ord(bad[0]):04X} is not allowed")
        self._tokens = list(_tokens(text))
        self._index = self._nesting = 0

    def whole(self) -> Condition:
        condition = self._condition()
        if self._now.kind != "end":
            self._fail("and, or, or the end")
        return condition

    def _condition(self) -> Condition:
        return self._joined("or", self._both)

    def _both(self) -> Condition:
        return self._joined("and", self._term)

    def _joined(self, word: Literal["and", "or"], operand: Callable[[], Condition]) -> Condition:
        parts = [operand()]
        while self._take(word):
            parts.append(operand())
        return Joined(word, tuple(parts)) if len(parts) > 1 else parts[0]

    def _term(self) -> Condition:
        start = self._now.start
        if self._take("near"):
            return self._near()
        if not (opening := self._take("not", "(")):
            return self._comparison()
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            raise _error(start, f"`not` and parentheses are nested more than {MAX_NESTING} deep")
        if opening == "not":
            condition: Condition = Not(self._term())
        else:
            condition = self._condition()
            self._need(")")
        self._nesting -= 1
        return condition

    def _near(self) -> Condition:
        self._need("(")
        latitude = self._number("a latitude from -90 to 90", -90, 90)
        self._need(",")
        longitude = self._number("a longitude from -180 to 180", -180, 180)
        self._need(",")
        km = self._number("kilometres, at least 0", 0, math.inf)
        self._need(")")
        return Near(latitude, longitude, km)

    def _number(self, expected: str, least: float, most: float) -> float:
        if self._now.kind != "number" or not least <= float(self._now.text) <= most:
            self._fail(expected)
        return float(self._value("number")[1])

    def _comparison(self) -> Condition:
        field, kinds = self._field()
        if self._take("is"):
            is_negated = bool(self._take("not"))
            self._need("null")
            return IsNull(field, is_negated)
        if operator := self._take(*_EQUALITY):
            return Comparison(field, _EQUALITY[operator], (self._value(*kinds)[1],))
        if operator := self._take(*_ORDER):
            ordered = [kind for kind in kinds if kind != "boolean"]
            return Comparison(field, _ORDER[operator], (self._value(*ordered)[1],))
        return self._search(field, kinds)

    def _search(self, field: Field, kinds: tuple[Kind, ...]) -> Condition:
        is_negated = bool(self._take("not"))
        words = list(_SEARCHES) if "text" in kinds else ["in"]
        if not (word := self._take(*words)):
            self._fail(", ".join(words if is_negated else (*_EQUALITY, *_ORDER, "is", "not", *words)))
        values = self._list(kinds) if word == "in" else (self._value("text")[1],)
        return Comparison(field, _SEARCHES[word], values, is_negated)

    def _list(self, kinds: tuple[Kind, ...]) -> tuple[Scalar, ...]:
        self._need("(")
        kind, first = self._value(*kinds)
        values = [first]
        while self._take(","):
            values.append(self._value(kind)[1])
        self._need(")")
        return tuple(values)

    def _field(self) -> _TypedField:
        token = self._now
        head, dot, _ = token.text.partition(".")
        if token.kind == "word" and token.text in _COLUMNS:
            field = _TypedField(Field(token.text), (_COLUMNS[token.text],))
        elif token.kind == "word" and token.text == "filename":
            field = _TypedField(Field("tags", ("filename",)))
        elif token.kind == "word" and head == "tags" and dot:
            field = _TypedField(Field("tags", self._names(token)))
        else:
            self._fail(_FIELDS)
        self._index += 1
        return field

    def _names(self, token: _Token) -> tuple[str, ...]:
        names = tuple(name.strip('"') for name in _NAME.findall(token.text))
        if _UNQUOTABLE.search("".join(names)):  # SQLite compares names in their escaped JSON form
            raise _error(token.start, "the name of a tag can't contain a backslash or a control character")
        return names

    def _value(self, *kinds: Kind) -> tuple[Kind, Scalar]:
        """The next value, which must have one of the kinds."""
        token = self._now
        word = token.text.lower()
        value: tuple[Kind, Scalar] | None = None
        if token.kind == "number":
            value = "number", _number(token)
        elif token.kind == "text":
            quote = token.text[0]
            value = "text", token.text[1:-1].replace(quote * 2, quote)
        elif word in ("true", "false"):
            value = "boolean", word == "true"
        elif word == "null":
            self._fail("a value (for null, write `is null` or `is not null`)")
        if value is None or value[0] not in kinds:
            self._fail(" or ".join(_KINDS[kind] for kind in kinds))
        self._index += 1
        return value

    @property
    def _now(self) -> _Token:
        return self._tokens[self._index]

    def _take(self, *words: str) -> str:
        """The current token in lower case if it is one of the words, and moves on; else ''."""
        word = self._now.text.lower()
        if word not in words:
            return ""
        self._index += 1
        return word

    def _need(self, word: str) -> None:
        if not self._take(word):
            self._fail(word)

    def _fail(self, expected: str) -> NoReturn:
        token = self._now
        actual = "the end" if token.kind == "end" else repr(token.text[:40])
        if token.text in ("'", '"'):
            actual = f"an unclosed {token.text}"
        raise _error(token.start, f"expected {expected}, found {actual}")


def _number(token: _Token) -> int | float:
    value = float(token.text) if re.search("[.eE]", token.text) else int(token.text)
    if not (-(2**63) <= value < 2**63 if isinstance(value, int) else math.isfinite(value)):
        raise _error(token.start, "the number has more than 64 bits")
    return value


def _error(start: int, message: str) -> InputError:
    return InputError(f"condition, at character {start + 1}: {message}")
