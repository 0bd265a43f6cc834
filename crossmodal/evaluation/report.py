"""A self-contained HTML report of an evaluation: the figures, and the worst misses with their images."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape as escape_html
from typing import Any

from crossmodal.core.terminal import printable
from crossmodal.evaluation.tables import FigureTable, tables


@dataclass(frozen=True)
class Shown:
    """A text, with an image above it unless `jpeg` is empty."""

    text: str
    jpeg: bytes = b""


@dataclass(frozen=True)
class Miss:
    """A badly ranked query: the rank of its match, the query, its matches, and the results that ranked first."""

    rank: str
    query: Shown
    own: tuple[Shown, ...]
    instead: tuple[Shown, ...]


@dataclass(frozen=True)
class Section:
    """The misses of one direction, worst first."""

    title: str
    misses: tuple[Miss, ...]


STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #19191e; background: #fafaf8; margin: 2rem auto; max-width: 72rem;
       padding: 0 1rem; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; }
th, td { text-align: right; padding: .25rem .75rem; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
article { display: flex; flex-wrap: wrap; gap: 1.5rem; border-top: 1px solid #ddd; padding: 1rem 0; }
article > div { flex: 1 1 14rem; }
figure { display: inline-block; margin: 0 .5rem .5rem 0; vertical-align: top; max-width: 16rem; }
figcaption, h3, .about { color: #5f5f69; font-size: 13px; font-weight: normal; margin: 0 0 .25rem; }
img { max-width: 100%; }
"""


def html_report(result: Mapping[str, Any], sections: Sequence[Section]) -> str:
    """An HTML page with tables of the figures, followed by the misses.

    Args:
        result: The figures of `crossmodal.evaluation.exact.evaluate_encoder`, with `model`, `data_set` and `split`.
        sections: The misses; their images are embedded as data URIs.

    Returns:
        HTML without external resources and scripts; all texts are escaped.
    """
    title = f"Evaluation on {result['data_set']}" + (f", split {result['split']}" if result.get("split") else "")
    about = ", ".join(f"{result[name]:,} {name}" for name in ("images", "captions") if name in result)
    left_out = "; ".join(f"{n} {reason.replace('_', ' ')}" for reason, n in result.get("left_out", {}).items())
    return "\n".join(
        [
            f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{escape(title)}</title>',
            f"<style>{STYLE}</style>",
            f"<h1>{escape(title)}</h1>",
            f'<p class="about">{escape(about)}{escape("; left out: " + left_out) if left_out else ""}</p>',
            *(_table(table) for table in tables(result)),
            *(_section(section) for section in sections),
            "</html>\n",
        ]
    )


def _table(table: FigureTable) -> str:
    head = "".join(f"<th>{escape(heading)}</th>" for heading in table.headings)
    rows = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    return f"<h2>{escape(table.title)}</h2>\n<table>\n<tr>{head}</tr>\n{rows}\n</table>"


def _section(section: Section) -> str:
    misses = "\n".join(_miss(miss) for miss in section.misses) or "<p>None.</p>"
    return f"<h2>{escape(section.title)}</h2>\n{misses}"


def _miss(miss: Miss) -> str:
    parts = [(miss.rank, (miss.query,)), ("expected", miss.own), ("ranked first", miss.instead)]
    columns = [
        f"<div><h3>{escape(heading)}</h3>{''.join(_item(item) for item in items)}</div>"
        for heading, items in parts
        if items
    ]
    return f"<article>{''.join(columns)}</article>"


def _item(item: Shown) -> str:
    text = escape(item.text)
    if not item.jpeg:
        return f"<p>{text}</p>"
    uri = "data:image/jpeg;base64," + base64.b64encode(item.jpeg).decode()
    return f'<figure><img src="{uri}" alt="{text}"><figcaption>{text}</figcaption></figure>'


def escape(text: str) -> str:
    """The text escaped for HTML, in one line; control characters and invalid Unicode are shown as escapes."""
    return escape_html(printable(text))
