"""Messages that name a command, in the words of the program that was called."""

from __future__ import annotations

import re

import click

from cli.commands import NAMES

COMMAND_OF_TASK = {
    "query-t2i": "search",
    "query-i2i": "similar",
    "query-i2t": "captions",
    "query-restful": "serve",
    "index-restful": "serve-index",
}
"""The commands of the tasks of `app.py`; all others have the same name."""


def with_commands(message: str) -> str:
    """A message of the library, which names tasks of `app.py`; with the commands of `crossmodal` where that runs."""
    context = click.get_current_context(silent=True)
    is_crossmodal = context is not None and isinstance(context.find_root().command, click.Group)
    return in_commands(message) if is_crossmodal else message


def in_commands(message: str) -> str:
    """A message with `crossmodal COMMAND` in the place of `python app.py -t TASK`, which the library names.

    >>> in_commands("no index: run `python app.py -t index` first")
    'no index: run `crossmodal index` first'
    """

    def command(match: re.Match[str]) -> str:
        task = match[1].replace("_", "-")
        name = COMMAND_OF_TASK.get(task, task)
        return f"crossmodal {name}" if name in NAMES else match[0]

    return re.sub(r"(?:python app\.py )?(?<![\w-])-t ([a-z][\w-]*)", command, message)
