"""The `crossmodal` command: a group whose commands are imported when they are used."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

import click

from cli.commands import NAMES, SECTIONS, Command, load_command
from cli.outputs import check_outputs
from cli.parameters import click_parameters, values_of
from cli.printing import prepare, say
from crossmodal.core.errors import CrossModalError
from crossmodal.core.resources import DISTRIBUTION
from crossmodal.core.os_errors import ENVIRONMENT_ERRNOS, reason

CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
COMMAND_OF_TASK = {
    "query-t2i": "search",
    "query-i2i": "similar",
    "query-i2t": "captions",
    "query-restful": "serve",
    "index-restful": "serve-index",
}
"""The commands of the tasks of `app.py`; all others have the same name."""


def run_command(name: str, command: Command, values: Mapping[str, Any], *, app: bool = False) -> NoReturn:
    """Runs a command and ends the program with its exit status.

    An error that the user or the operator can do something about is one line on standard error, and status 1.
    """
    prepare()
    try:
        check_outputs(name, values)
        sys.exit(command.run(command.options(**values)))
    except CrossModalError as error:
        _fail(str(error), app)
    except OSError as error:
        if error.errno not in ENVIRONMENT_ERRNOS:
            raise
        _fail(f"{f'{error.filename}: ' if error.filename else ''}{reason(error)}", app)
    except KeyboardInterrupt:
        say("stopped", err=True)
        sys.exit(130)


def _fail(message: str, app: bool) -> NoReturn:
    say(f"error: {message if app else in_commands(message)}", err=True)
    sys.exit(1)


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


class OptionsOfOthers(click.Command):
    """A command that names the commands an unknown option belongs to."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses as click does.

        Raises:
            UsageError: Another command has the option.
        """
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if owners := commands_with(error.option_name):
                raise click.UsageError(not_an_option(error.option_name, str(self.name), owners), ctx) from None
            raise


def commands_with(flag: str) -> list[str]:
    """The names of the commands that have an option."""
    return [
        name
        for name in sorted(NAMES)
        if any(flag in parameter.opts for parameter in click_parameters(load_command(name).options))
    ]


def not_an_option(flag: str, name: str, owners: list[str]) -> str:
    """The message for an option of other commands."""
    return f"{flag} is not an option of {name}; it belongs to {', '.join(owners)}."


class LazyGroup(click.Group):
    """The commands by section; each is imported when it is used or listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the sections."""
        return list(NAMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, None if there is none."""
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
    """The click command of a name in `NAMES`."""
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
    lines = [(f"crossmodal {name} {arguments}".rstrip(), what) for arguments, what in command.examples]
    width = max((len(line) for line, _ in lines), default=0)
    return "\n".join(["\b", "Examples:", *(f"  {line:{width}}  {what}" for line, what in lines)])


def _program_version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # a tenth of a second

    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:  # a checkout that is not installed
        from crossmodal import __version__

        return __version__


def _print_version(context: click.Context, _: click.Parameter, is_given: bool) -> None:
    if is_given and not context.resilient_parsing:
        click.echo(f"crossmodal {_program_version()}")
        context.exit()


@click.command(
    cls=LazyGroup,
    context_settings=CONTEXT,
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_print_version,
            help="Print the version.",
        )
    ],
    epilog="`crossmodal COMMAND --help` explains a command. Completion of names and options, for bash (zsh and fish "
    'likewise): eval "$(_CROSSMODAL_COMPLETE=bash_source crossmodal)"',
)
def main() -> None:
    r"""Search pictures with words, captions with a picture, and pictures with a picture.

    \b
      crossmodal index ~/Pictures             index a folder
      crossmodal search "a dog on a beach"    pictures with words
      crossmodal similar photo.jpg            pictures with a picture
      crossmodal serve                        a web page and an API on http://localhost:45678
    """


if __name__ == "__main__":
    main(prog_name="crossmodal")
