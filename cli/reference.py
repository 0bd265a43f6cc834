"""`python -m cli.reference` prints docs/cli.md: every command with its options and examples."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

from cli.commands import SECTIONS, load_command
from cli.main import click_command
from cli.parameters import click_parameters
from cli.shim import TASKS, task_parameters

HEAD = """# Command line

Made by `make reference` from the commands themselves; a test fails if it is out of date.

`pip install .` installs the `crossmodal` command. In a checkout, `python -m cli.main` is the same, and
`python app.py -t TASK` is the command line of 2021: see [its tasks](#apppy).

Collections are kept in the user's data folder unless `-w FOLDER` names another one. A command that works on a
collection takes the only one, or the one that `--collection NAME` names.

Exit status: 0 is success, 1 an error that the message explains, 2 wrong usage, 130 Ctrl-C.

Completion of commands, options, collections and weights:

| shell | file | line |
|---|---|---|
| bash | `~/.bashrc` | `eval "$(_CROSSMODAL_COMPLETE=bash_source crossmodal)"` |
| zsh | `~/.zshrc` | `eval "$(_CROSSMODAL_COMPLETE=zsh_source crossmodal)"` |
| fish | `~/.config/fish/completions/crossmodal.fish` | `_CROSSMODAL_COMPLETE=fish_source crossmodal \\| source` |
"""
APP = """## app.py

`python app.py -t TASK` runs the same commands. Its collections are in `workspace/`, and the data set is `-d` instead of
an argument, by default `toy-data`. Names may be written with `_` or `-`: `query_restful`, `--top_k`. An option that a
task does not use is an error; `python app.py -t TASK -h` explains those that it uses.

| task | command | options |
|---|---|---|
"""


def reference() -> str:
    """The text of docs/cli.md."""
    parts = [HEAD]
    for section, names in SECTIONS.items():
        parts += [f"## {section}\n", *map(_command, names)]
    return "\n".join([*parts, APP + "\n".join(_task_rows())]) + "\n"


def _command(name: str) -> str:
    command = load_command(name)
    parameters = click_parameters(command.options)
    context = click.Context(click_command(name))
    usage = ["crossmodal", name, *(of.make_metavar(context) for of in parameters if isinstance(of, click.Argument))]
    calls = [(f"crossmodal {name} {given}".rstrip(), what) for given, what in command.examples]
    width = max(len(call) for call, _ in calls)
    lines = [f"### crossmodal {name}", "", f"`{' '.join(usage)} [OPTIONS]`", "", command.help, ""]
    lines += ["```sh", *(f"{call:{width}}  # {what}" for call, what in calls), "```", ""]
    return "\n".join([*lines, "| option | |", "|---|---|", *_option_rows(parameters, context), ""])


def _option_rows(parameters: list[click.Parameter], context: click.Context) -> Iterator[str]:
    """A row for each option: its names and values, what it does, its default and its environment variable."""
    for of in parameters:
        if not isinstance(of, click.Option):
            continue
        value = "" if of.is_flag else f" {of.make_metavar(context)}".replace(" INTEGER RANGE", " N")
        default = of.show_default if isinstance(of.show_default, str) else of.default if of.show_default else None
        text = re.sub(r" +\[default: (.*)\]", r" Default: \1.", of.help or "")
        text += f" Default: {default}." if default is not None else ""
        text += f" Environment: `{of.envvar}`." if of.envvar else ""
        yield f"| `{', '.join(of.opts)}{value.replace('|', chr(92) + '|')}` | {text} |"


def _task_rows() -> Iterator[str]:
    for task, name in TASKS.items():
        flags = [f"`{max(of.opts, key=len)}`" for of in task_parameters(task) if isinstance(of, click.Option)]
        yield f"| `{task}` | `{name}` | {' '.join(flags)} |"


if __name__ == "__main__":
    print(reference(), end="")
