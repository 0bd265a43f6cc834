"""`python app.py -t TASK ...`: the command line of 2021 over the same commands.

Its tasks, short options, both spellings of long options, environment variables and defaults are unchanged. An option
that the task does not use is an error.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import click

from cli.commands import NAMES, Command, load_command
from cli.main import CONTEXT, not_an_option, run_command
from cli.parameters import click_parameters, values_of
from cli.wording import COMMAND_OF_TASK

TASKS = {name: name for name in NAMES if name not in COMMAND_OF_TASK.values()} | COMMAND_OF_TASK
"""The command of each task."""
FEW = 3
"""The help of an option lists its tasks if there are at most this many."""
EXAMPLES = """
\b
Examples:
  python app.py -t index                                index the toy data
  python app.py -t index -d ~/Pictures                  index a folder
  python app.py -t query-t2i "three green stars"        find pictures with words
  python app.py -t query-i2t photo.jpg                  find captions with a picture
  python app.py -t query-i2i photo.jpg --save out.png   find pictures with a picture
  python app.py -t query_restful                        serve on http://localhost:45678
  python app.py -t evaluate -d scenes                   measure the model
  python app.py -t models siglip                        list the weights known by name
  python app.py -t index -d ~/Pictures --prune          bring the index up to date with the folder
  python app.py -t delete --where "tags.year < 2000"    remove pictures
  python app.py -t verify                               compare index, store and pictures
  python app.py -t index -h                             the options of one task
"""


class TaskName(click.ParamType[str]):
    """A task; `-` and `_` are the same."""

    name = "task"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The task's name with hyphens."""
        name = str(value).replace("_", "-")
        if name not in TASKS:
            self.fail(f"{value!r} is not one of {', '.join(TASKS)}", param, ctx)
        return name


TASK = click.Option(
    ["-t", "--task"], type=TaskName(), default="index", show_default=True, help=f"One of {', '.join(TASKS)}."
)


@cache
def task_parameters(task: str) -> tuple[click.Parameter, ...]:
    """The parameters of a task, without `-t`."""
    return tuple(click_parameters(command_of(task).options, app=True))


def command_of(task: str) -> Command:
    """The command of a task, with the task's options."""
    command = load_command(TASKS[task])
    return replace(command, options=command.task_options or command.options)


class AppCommand(click.Command):
    """Finds the task among the arguments, then parses the arguments with the parameters of that task."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses all arguments with the task's parameters, which become those of this command.

        Raises:
            UsageError: Unknown options, or options of other tasks.
        """
        if task := _task_named_once(args):
            self.params = [TASK, *task_parameters(task)]
            with suppress(click.NoSuchOption):  # which may be another task's: looked up below
                return super().parse_args(ctx, list(args))
        by_task = {task: task_parameters(task) for task in TASKS}
        self.params = [TASK, *_every_option(by_task)]
        help_option = self.get_help_option(ctx)
        parsed, _, order = self.make_parser(ctx).parse_args(list(args))
        if help_option in order and TASK not in order:
            return super().parse_args(ctx, args)
        task = TASK.type.convert(parsed.get("task", TASK.default), TASK, ctx)
        for parameter in order:
            if parameter in (TASK, help_option) or _has(by_task[task], parameter):
                continue
            owners = [f"-t {other}" for other, parameters in by_task.items() if _has(parameters, parameter)]
            flag = next((flag for flag in parameter.opts if flag in args), max(parameter.opts, key=len))
            raise click.UsageError(not_an_option(flag, f"-t {task}", owners), ctx)
        self.params = [TASK, *by_task[task]]
        return super().parse_args(ctx, args)


def _task_named_once(args: list[str]) -> str:
    """The task that follows the only `-t` or `--task`, so that no other command is imported; else an empty string."""
    following = [value for flag, value in pairwise(args) if flag in ("-t", "--task")]
    name = following[0].replace("_", "-") if len(following) == 1 else ""
    return name if name in TASKS else ""


def _has(parameters: Sequence[click.Parameter], parameter: click.Parameter) -> bool:
    return any(candidate.name == parameter.name for candidate in parameters)


def _every_option(by_task: Mapping[str, Sequence[click.Parameter]]) -> list[click.Option]:
    """The options of all tasks; the help of an option lists its tasks if they are few or its meaning differs."""
    options: dict[str, click.Option] = {}
    tasks: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for task, parameters in by_task.items():
        for parameter in parameters:
            if isinstance(parameter, click.Option) and parameter.name:
                options.setdefault(parameter.name, copy(parameter))
                tasks[parameter.name][parameter.help or ""].append(task)
    for name, option in options.items():
        option.help = " ".join(
            f"For {', '.join(names)}: {text}" if len(names) <= FEW else text
            for text, names in sorted(tasks[name].items(), key=lambda item: -len(item[1]))
        )
    return list(options.values())


@click.command(cls=AppCommand, epilog=EXAMPLES, context_settings=CONTEXT)
@click.pass_context
def main(context: click.Context, /, task: str, **_: Any) -> None:
    """Cross-modal search: pictures with words, captions with a picture, pictures with a picture.

    A query task takes the text or the path of the picture; without one, queries are read from a prompt.
    """
    command = command_of(task)
    values = values_of(context, command.options)
    del values["task"]
    run_command(TASKS[task], command, values)
