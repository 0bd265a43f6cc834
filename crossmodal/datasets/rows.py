"""Rows of delimited text (CSV): each row is yielded or reported, and an unclosed quote affects its own row only."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from crossmodal.datasets.text import Unusable

DELIMITERS = (",", ";", "\t", "|")


def split_row(text: str, delimiter: str) -> list[str] | None:
    """The cells of a row, quoted as in RFC 4180; None if a quote is not closed, [] if a line ends outside quotes.

    A quote that is closed before its cell ends is part of the text. Blanks may precede the opening quote, except after
    `|`: Flickr30k's captions begin with a blank and may contain an unclosed quote.
    """
    if '"' not in text:
        return text.split(delimiter)
    cells, place = [], 0
    quoted, unclosed = _cells(delimiter)
    while True:
        match = quoted.match(text, place)
        if match:
            cells.append(match[1].replace('""', '"'))
            end = match.end(2)
        elif unclosed.fullmatch(text, place):
            return None
        else:
            end = text.find(delimiter, place)
            end = len(text) if end < 0 else end
            if "\n" in text[place:end]:
                return []
            cells.append(text[place:end])
        if end == len(text):
            return cells
        place = end + 1


@lru_cache(maxsize=16)
def _cells(delimiter: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    blanks, d = "" if delimiter == "|" else " *", re.escape(delimiter)
    return (
        re.compile(rf'{blanks}"([^"]*+(?:""[^"]*+)*+)"( *)(?={d}|\Z)'),
        re.compile(rf'{blanks}"[^"]*+(?:""[^"]*+)*+'),
    )


def read_rows(
    lines: Sequence[str], delimiter: str, width: int, key: int, is_key: Callable[[str], bool]
) -> Iterator[tuple[int, list[str] | Unusable]]:
    """(index of the first line, cells) of each row; a quoted cell may span lines.

    Args:
        lines: The lines after the header.
        delimiter: The character between cells.
        width: Number of cells in a row; additional cells are allowed if empty.
        key: The index of the column with the picture's name.
        is_key: Whether a cell looks like such a name; one inside an open quote shows that the quote is a stray one.
    """

    def stray(line: str, is_open: bool) -> bool:
        cells = line.split(delimiter)
        place = key if key < width - 1 else len(cells) - 1  # text before a last key column may contain delimiters
        if len(cells) < width or not is_key(cells[place]):
            return False
        return is_open == (delimiter.join(cells[:place]).count('"') % 2 == 0)

    start = 0
    while start < len(lines):
        if not lines[start].strip():
            start += 1
            continue
        cells, end = split_row(lines[start], delimiter), start + 1
        if cells is None:
            cells, end = _over_lines(lines, start, delimiter, width, stray)
        if cells is None:
            yield start, Unusable("unclosed quote: close it, or double it if it belongs to the text")
            start += 1
            continue
        if not _is_as_wide(cells, width):
            advice = f": quote text that has {delimiter!r} in it" if len(cells) > width else ""
            yield start, Unusable(f"expected {width} columns, found {len(cells)}{advice}")
        else:
            yield start, cells[:width]
        start = end


def _over_lines(
    lines: Sequence[str], start: int, delimiter: str, width: int, stray: Callable[[str, bool], bool]
) -> tuple[list[str] | None, int]:
    """The cells of a row whose quote is closed in a later line, and the index of the line after the row.

    The cells are None if the quote is a stray one: the text in it contains a picture name in the key column.
    """
    if stray(lines[start], False):
        return None, start + 1
    n_quotes = lines[start].count('"')
    for end in range(start + 1, len(lines)):
        if stray(lines[end], True):
            break
        n = lines[end].count('"')
        n_quotes += n
        if n and n_quotes % 2 == 0:
            cells = split_row("\n".join(lines[start : end + 1]), delimiter)
            if cells is not None:
                return (cells, end + 1) if _is_as_wide(cells, width) else (None, start + 1)
    return None, start + 1


def _is_as_wide(cells: Sequence[str], width: int) -> bool:
    return len(cells) >= width and not any(cell.strip() for cell in cells[width:])
