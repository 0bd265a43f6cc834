"""The rows of a table that is written as text: each is kept or named, and none swallows the ones behind it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from crossmodal.datasets.text import Unusable

DELIMITERS = (",", ";", "\t", "|")


def split_row(text: str, delimiter: str) -> list[str] | None:
    """The cells of a row, quoted as RFC 4180 has it; None where a quote is not closed, nothing where a line ends
    outside quotes.

    A quote that is closed before the end of its cell is read as it stands. Before the quote there may be blanks, but
    not behind `|`: Flickr30k's captions begin with a blank, and may go on with a quote that is never closed.
    """
    if '"' not in text:
        return text.split(delimiter)
    cells, place = [], 0
    quoted, unclosed = _cells(delimiter)
    while True:
        found = quoted.match(text, place)
        if found:
            cells.append(found[1].replace('""', '"'))
            end = found.end(2)
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
    """Rows with the index of the line they begin in; a cell in quotes may hold line ends.

    Args:
        lines: The lines behind the header.
        delimiter: What stands between cells.
        width: How many cells a row has; further ones may be there where they are empty.
        key: The column of the picture's name.
        is_key: Whether a cell looks like such a name. In an open quote it shows that the quote is a stray one.
    """

    def stray(line: str, is_open: bool) -> bool:
        cells = line.split(delimiter)
        place = key if key < width - 1 else len(cells) - 1  # the text in front of a last column may have delimiters
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
            yield start, Unusable("a quote is opened and not closed: close it, or double it if it belongs to the text")
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
    """The cells of a row whose quote is closed in a later line, and the line behind it; None where it is a stray one:
    the name of a picture stands in it, in the column for names.
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
