"""How the command line prints: text of users comes out as it is, whatever rich and the terminal would make of it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from crossmodal.core.terminal import printable, to_json


def prepare() -> None:
    """Makes standard output take every character, and log messages as safe to print as all else."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_Printable())


class _Printable(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- as in logging
        return printable(super().formatMessage(record))


def say(*lines: str, err: bool = False) -> None:
    """Prints each of the lines on one line."""
    click.echo("\n".join(map(printable, lines)), err=err)


def say_json(value: Any, indent: int | None = None) -> None:
    """Prints JSON."""
    click.echo(to_json(value, indent))


def new_table(title: str = "") -> Table:
    """A table without lines, to which columns and rows of `cells` are added."""
    return Table(title=Text(printable(title)) if title else None, box=None, title_justify="left")


def cells(texts: Iterable[str]) -> list[Text]:
    """Texts as the cells of a row."""
    return [Text(printable(text)) for text in texts]


def print_table(table: Table) -> None:
    """Prints it as wide as the terminal; where standard output is none, wide enough for paths."""
    Console(width=None if sys.stdout.isatty() else 200).print(table)
