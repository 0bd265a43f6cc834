"""Prints results as text or as JSON. Text from users is printed literally: no markup, no terminal control characters.

rich is imported only when a table is drawn, so that help texts appear without the delay of its import.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from cli.wording import with_commands
from crossmodal.core.terminal import printable, to_json

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from crossmodal.evaluation.tables import FigureTable


def prepare() -> None:
    """Makes standard output accept every character, and log messages escape control characters and name commands.

    A standard stream that the caller has closed is empty, or takes everything.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # in this order: each has its own number
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 -- open until the end
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_Printable())


class _Printable(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- as in logging
        return printable(with_commands(super().formatMessage(record)))


def say(*lines: str, err: bool = False) -> None:
    """Prints each string on a line, on standard error with `err`."""
    click.echo("\n".join(map(printable, lines)), err=err)


def say_aside(message: str) -> None:
    """Prints a message to standard error, beside the results."""
    say(message, err=True)


def say_json(value: Any) -> None:
    """Prints JSON."""
    click.echo(to_json(value))


def say_result(result: Any, lines: list[str], *, as_json: bool) -> int:
    """Prints a result as JSON, or as lines for people; returns 0."""
    if as_json:
        say_json(result)
    elif lines:
        say(*lines)
    return 0


def new_table(title: str = "") -> Table:
    """An empty table without rules; its rows are `cells`."""
    from rich.table import Table
    from rich.text import Text

    return Table(title=Text(printable(title)) if title else None, box=None, title_justify="left")


def cells(texts: Iterable[str]) -> list[Text]:
    """The cells of a row."""
    from rich.text import Text

    return [Text(printable(text)) for text in texts]


def print_table(table: Table) -> None:
    """Prints a table as wide as the terminal, or 200 columns for long paths if standard output is not a terminal."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 200, emoji=False).print(table)


def print_figures(figures: FigureTable) -> None:
    """Prints a table of figures, its first column aligned left and the others right."""
    from rich.text import Text

    table = new_table(figures.title)
    for column, heading in enumerate(figures.headings):
        table.add_column(Text(printable(heading)), overflow="fold", justify="right" if column else "left")
    for row in figures.rows:
        table.add_row(*cells(row))
    print_table(table)
