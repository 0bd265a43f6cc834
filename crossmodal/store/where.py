r"""A small language of conditions on documents, compiled to SQL in which all values of the user are bound.

    tags.year >= 2020 and modality = 'image'
    tags.class in ('dog', "cat") and not (width < 200 or height < 200)
    tags.place.city = 'Oslo' and tags.author is not null
    filename like 'IMG_%' or text contains 'dog'

The grammar. Keywords are case-insensitive, names of fields and tags are not:

    condition  = both, { "or", both } ;
    both       = term, { "and", term } ;
    term       = "not", term | "(", condition, ")" | comparison ;
    comparison = field, ( operator, value
                        | "is", [ "not" ], "null"
                        | [ "not" ], "in", "(", value, { ",", value }, ")"
                        | [ "not" ], ( "like" | "contains" ), string ) ;
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
  does not match `true`. All values of an `in` have the same type. Comparisons with lists and objects are unknown.
  Unknown is SQL's NULL: its `!=`, `not in` and `not (...)` are unknown too, and only documents for which the whole
  condition is true match. `is null` is never unknown: it is true for a tag that is missing or null.
- The other fields are never null, but `''` or 0 if they have no value: `image_id = ''`. Width and height compare
  with numbers, the others with strings.
- Strings are compared exactly and ordered by code point. `like` matches the whole string, with `%` for any number
  of characters and `_` for one; `contains` matches any part, with `%` and `_` as ordinary characters. Both ignore
  the case of A to Z only.

The file is longer than 300 lines because the grammar, its parser and the SQL compiler change together.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, NoReturn

from crossmodal.core.errors import InputError

MAX_CHARACTERS = 2_000
MAX_NESTING = 50

Kind = Literal["number", "text", "boolean"]

_COLUMNS: dict[str, Kind] = {
    "id": "text", "modality": "text", "uri": "text", "mime_type": "text", "text": "text",
    "width": "number", "height": "number", "image_id": "text",
}  # fmt: skip
_FIELDS = f"a field ({', '.join(_COLUMNS)}, filename, tags.NAME)"
_JSON_TYPES: dict[Kind, str] = {"number": "'integer', 'real'", "text": "'text'", "boolean": "'true', 'false'"}
_KINDS: dict[Kind, str] = {"number": "a number", "text": "a quoted string", "boolean": "true or false"}
_EQUALITY = {"=": "=", "==": "=", "!=": "<>", "<>": "<>"}
_ORDER = ("<", "<=", ">", ">=")

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
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # NUL ends a string in SQLite, which rejects surrogates


@dataclass(frozen=True)
class Condition:
    """A parsed condition.

    `sql` is an expression over the columns of `documents`, in parentheses, with a `?` for each of `values` in order.
    It is NULL if the condition is unknown.
    """

    sql: str
    values: tuple[object, ...]


def parse(text: str) -> Condition:
    """The condition of a text; the module's docstring has the grammar and the meaning.

    >>> parse("width > 200 and modality = 'image'")
    Condition(sql='(width > ? AND modality = ?)', values=(200, 'image'))

    Raises:
        InputError: A syntax error, with its position; more than 2,000 characters; nested more than 50 deep.
    """
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"the condition has {len(text):,} characters, at most {MAX_CHARACTERS:,} are allowed")
    part = _Parser(text).whole()
    return Condition(f"({part.sql})", part.values)


class _Token(NamedTuple):
    kind: str  # a group of _TOKEN, or "end"
    text: str
    start: int


class _Part(NamedTuple):
    sql: str
    values: tuple[object, ...]
    height: int = 0  # symbols on the stack of SQLite's parser while it parses `sql`


class _Field(NamedTuple):
    column: str  # '' if it is a tag
    path: str = ""  # JSON path of a tag
    kinds: tuple[Kind, ...] = ("number", "text", "boolean")

    def of_kind(self, kind: Kind) -> _Part:
        """The field's value if it has that kind, else NULL."""
        if self.column:
            return _Part(self.column, ())
        value = f"CASE WHEN json_type(tags, ?) IN ({_JSON_TYPES[kind]}) THEN json_extract(tags, ?) END"
        return _valid(value, self.path, self.path)

    def of_any_kind(self) -> _Part:
        """The field's value, NULL if there is none."""
        return _Part(self.column, ()) if self.column else _valid("json_extract(tags, ?)", self.path)


def _valid(value: str, *paths: str) -> _Part:
    # Without the check, one document with NaN in its tags would make the query fail for all documents.
    return _Part(f"CASE WHEN json_valid(tags) THEN {value} END", paths)


def _compare(field: _Field, sql: str, values: list[tuple[Kind, object]]) -> _Part:
    """The SQL with the field, if it has the kind of the values, in place of `{}`."""
    left = field.of_kind(values[0][0])
    return _Part(sql.format(left.sql), (*left.values, *(value for _, value in values)))


def _join(word: str, parts: list[_Part]) -> _Part:
    """The parts joined by AND or OR, the deepest first.

    SQLite's parser has a stack of 100, on which `x AND (` is three and `(` at the front is one.
    """
    parts = sorted(parts, key=lambda part: -part.height)
    height = max(part.height + (2 if i else 0) for i, part in enumerate(parts))
    values = tuple(value for part in parts for value in part.values)
    return _Part(f" {word} ".join(part.sql for part in parts), values, height)


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
        self._index = 0
        self._nesting = 0

    def whole(self) -> _Part:
        part = self._condition()
        if self._now.kind != "end":
            self._fail("and, or, or the end")
        return part

    def _condition(self) -> _Part:
        return self._joined("or", self._both)

    def _both(self) -> _Part:
        return self._joined("and", self._term)

    def _joined(self, word: str, operand: Callable[[], _Part]) -> _Part:
        parts = [operand()]
        while self._take(word):
            parts.append(operand())
        return _join(word.upper(), parts)

    def _term(self) -> _Part:
        start = self._now.start
        if not (opening := self._take("not", "(")):
            return self._comparison()
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            raise _error(start, f"`not` and parentheses are nested more than {MAX_NESTING} deep")
        if opening == "not":
            part = self._term()
            sql = f"NOT {part.sql}"
        else:
            part = self._condition()
            self._need(")")
            sql = f"({part.sql})"
        self._nesting -= 1
        return _Part(sql, part.values, part.height + 1)

    def _comparison(self) -> _Part:
        field = self._field()
        if self._take("is"):
            negation = self._negation()
            self._need("null")
            value = field.of_any_kind()
            return _Part(f"{value.sql} IS {negation}NULL", value.values)
        if operator := self._take(*_EQUALITY):
            return _compare(field, f"{{}} {_EQUALITY[operator]} ?", [self._value(*field.kinds)])
        if operator := self._take(*_ORDER):
            ordered = [kind for kind in field.kinds if kind != "boolean"]
            return _compare(field, f"{{}} {operator} ?", [self._value(*ordered)])
        return self._search(field)

    def _search(self, field: _Field) -> _Part:
        negation = self._negation()
        words = ("in", "like", "contains") if "text" in field.kinds else ("in",)
        word = self._take(*words)
        if word == "in":
            values = self._list(field)
            return _compare(field, f"{{}} {negation}IN ({', '.join('?' * len(values))})", values)
        if word == "like":
            return _compare(field, f"{{}} {negation}LIKE ?", [self._value("text")])
        if word == "contains":
            comparison = "= 0" if negation else "> 0"
            return _compare(field, f"instr(lower({{}}), lower(?)) {comparison}", [self._value("text")])
        self._fail(", ".join(words if negation else (*_EQUALITY, *_ORDER, "is", "not", *words)))

    def _negation(self) -> str:
        return "NOT " if self._take("not") else ""

    def _list(self, field: _Field) -> list[tuple[Kind, object]]:
        self._need("(")
        values = [self._value(*field.kinds)]
        while self._take(","):
            values.append(self._value(values[0][0]))
        self._need(")")
        return values

    def _field(self) -> _Field:
        token = self._now
        head, dot, _ = token.text.partition(".")
        if token.kind == "word" and token.text in _COLUMNS:
            field = _Field(token.text, kinds=(_COLUMNS[token.text],))
        elif token.kind == "word" and token.text == "filename":
            field = _Field("", '$."filename"')
        elif token.kind == "word" and head == "tags" and dot:
            field = _Field("", self._path(token))
        else:
            self._fail(_FIELDS)
        self._index += 1
        return field

    def _path(self, token: _Token) -> str:
        names = [name.strip('"') for name in _NAME.findall(token.text)]
        if _UNQUOTABLE.search("".join(names)):  # SQLite compares names in their escaped JSON form
            raise _error(token.start, "the name of a tag can't contain a backslash or a control character")
        return "$" + "".join(f'."{name}"' for name in names)

    def _value(self, *kinds: Kind) -> tuple[Kind, object]:
        """The next value, which must have one of the kinds."""
        token = self._now
        word = token.text.lower()
        value: tuple[Kind, object] | None = None
        if token.kind == "number":
            value = "number", _number(token)
        elif token.kind == "text":
            quote = token.text[0]
            value = "text", token.text[1:-1].replace(quote * 2, quote)
        elif word in ("true", "false"):
            value = "boolean", int(word == "true")
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
