"""Rewrites task names in messages to the commands of the program that runs, `app.py` or `crossmodal`."""

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
"""The commands of tasks with another name; all other tasks have the name of their command."""


def with_commands(message: str) -> str:
    """The message, with its tasks of `app.py` replaced by commands if `crossmodal` is running."""
    context = click.get_current_context(silent=True)
    is_crossmodal = context is not None and isinstance(context.find_root().command, click.Group)
    return in_commands(message) if is_crossmodal else message


def in_commands(message: str) -> str:
    """The message with `python app.py -t TASK` replaced by `crossmodal COMMAND`.

    >>> in_commands("no index: run `python app.py -t index` first")
    'no index: run `crossmodal index` first'
    """

    def command(match: re.Match[str]) -> str:
        task = match[1].replace("_", "-")
        name = COMMAND_OF_TASK.get(task, task)
        return f"crossmodal {name}" if name in NAMES else match[0]

    return re.sub(r"(?:python app\.py )?(?<![\w-])-t ([a-z][\w-]*)", command, message)
