"""The `crossmodal` command: a group that imports a command when it is used."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NoReturn

import click

from cli.commands import NAMES, SECTIONS, Command, load_command
from cli.outputs import check_outputs
from cli.parameters import click_parameters, declared, values_of
from cli.printing import prepare, say
from cli.wording import with_commands
from crossmodal import __version__
from crossmodal.core.errors import CrossModalError
from crossmodal.core.os_errors import ENVIRONMENT_ERRNOS, reason
from crossmodal.datasets.registry import is_data_set

CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def run_command(name: str, command: Command, values: Mapping[str, Any]) -> NoReturn:
    """Runs a command and ends the program with its exit status.

    An error that the user or operator can fix is printed as one line on standard error, with exit status 1.
    """
    prepare()
    try:
        check_outputs(name, values)
        sys.exit(command.run(command.options(**values)))
    except CrossModalError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno not in ENVIRONMENT_ERRNOS:
            raise
        _fail(f"{f'{error.filename}: ' if error.filename else ''}{reason(error)}")
    except KeyboardInterrupt:
        say("stopped", err=True)
        sys.exit(130)


def _fail(message: str) -> NoReturn:
    say(f"error: {with_commands(message)}", err=True)
    sys.exit(1)


class OptionsOfOthers(click.Command):
    """A command whose error for an unknown option or argument tells what to write instead."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses as click does.

        Raises:
            UsageError: There are more arguments than the command has; or an option's value is an argument of this
                command, or another command has the option.
        """
        given = [*args]  # click removes what it reads
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if argument := argument_instead(error.option_name, str(self.name)):
                hint = f"{error.option_name} is not an option of {self.name}: write crossmodal {self.name} {argument}"
                raise click.UsageError(hint, ctx) from None
            if owners := commands_with(error.option_name):
                raise click.UsageError(not_an_option(error.option_name, str(self.name), owners), ctx) from None
            raise
        except click.UsageError as error:
            takes_data_set = any("-d" in parameter.opts for parameter in self.params)
            if type(error) is click.UsageError and takes_data_set and any(map(is_data_set, given)):
                raise click.UsageError(f"{error.message}: name a data set with -d", ctx) from None
            raise


@cache
def commands_with(flag: str) -> tuple[str, ...]:
    """The names of the commands that have an option."""
    return tuple(
        name
        for name in sorted(NAMES)
        if any(flag in parameter.opts for parameter in click_parameters(load_command(name).options))
    )


def argument_instead(flag: str, name: str) -> str:
    """The name of the argument of a command whose value an option of `app.py` has; empty if there is none."""
    parameters = (parameter for _, parameter, _ in declared(load_command(name).options))
    return next((parameter.argument for parameter in parameters if flag in parameter.flags), "")


def not_an_option(flag: str, name: str, owners: Sequence[str]) -> str:
    """The message for an option of other commands."""
    return f"{flag} is not an option of {name}; it belongs to {', '.join(owners)}."


class LazyGroup(click.Group):
    """The commands by section; each is imported when it is used or listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the sections."""
        return list(NAMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command with this name, None if there is none."""
        return click_command(cmd_name) if cmd_name in NAMES else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments begin with.

        Raises:
            NoSuchCommand: There is none; similar names are suggested.
        """
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand:
            raise click.NoSuchCommand(args[0], possibilities=NAMES, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the commands of each section."""
        for section, names in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(name, load_command(name).help.partition("\n")[0]) for name in names])


def click_command(name: str) -> click.Command:
    """The click command with a name of `NAMES`."""
    command = load_command(name)

    @click.pass_context
    def callback(context: click.Context, /, **_: Any) -> None:
        run_command(name, command, values_of(context, command.options))

    return OptionsOfOthers(
        name,
        callback=callback,
        params=click_parameters(command.options),
        help=command.help,
        epilog=_examples(name, command),
        context_settings=CONTEXT,
    )


def _examples(name: str, command: Command) -> str:
    lines = [(f"crossmodal {name} {arguments}".rstrip(), comment) for arguments, comment in command.examples]
    width = max((len(line) for line, _ in lines), default=0)
    return "\n".join(["\b", "Examples:", *(f"  {line:{width}}  {comment}" for line, comment in lines)])


HELP = """Search pictures with words, captions with a picture, and pictures with a picture.

\b
  crossmodal index ~/Pictures             index a folder
  crossmodal search "a dog on a beach"    pictures with words
  crossmodal similar photo.jpg            pictures with a picture
  crossmodal serve                        a web page and an API on http://localhost:45678
"""


@click.command(
    cls=LazyGroup,
    context_settings=CONTEXT,
    help=HELP,
    epilog="`crossmodal COMMAND --help` explains a command. To complete names in bash (zsh and fish likewise): "
    'eval "$(_CROSSMODAL_COMPLETE=bash_source crossmodal)"',
)
@click.version_option(__version__, prog_name="crossmodal", message="%(prog)s %(version)s")
def main() -> None:
    """The group; its help is `HELP`."""


if __name__ == "__main__":
    main(prog_name="crossmodal")
