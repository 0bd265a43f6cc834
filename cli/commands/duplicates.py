"""crossmodal duplicates."""

from __future__ import annotations

from dataclasses import dataclass

import click

from cli.commands import Command
from cli.options import CollectionOptions, JsonOptions
from cli.parameters import option
from cli.printing import say_aside, say_result


@dataclass(frozen=True, kw_only=True)
class DuplicatesOptions(CollectionOptions, JsonOptions):
    """Options of `duplicates`."""

    level: tuple[str, ...] = option(
        "--level",
        multiple=True,
        type=click.Choice(["1", "2", "3"]),
        help="1: the same bytes; 2: the same picture resized, recompressed or slightly edited; 3: the same scene. "
        "Can be repeated.  [default: 1 and 2]",
    )
    where: str = option("--where", default="", help="Only pictures that meet this condition: tags.year >= 2020.")
    leak: str = option(
        "--leak",
        default="",
        metavar="SPLIT:SPLIT",
        help="List the pictures of the first split that have a duplicate of level 1 or 2 in the second, as in "
        "train:test; exit with 1 if there are any.",
    )


def run(options: DuplicatesOptions) -> int:
    """Prints the groups; returns 1 if `--leak` finds any."""
    from cli.duplicates import duplicates
    from cli.progress import Meter
    from crossmodal.duplicates.groups import LEVELS

    levels = tuple(level for level in LEVELS if str(level) in (options.level or ("1", "2")))
    with Meter("compared, %", 100) as meter:
        done = 0

        def progress(part: float) -> None:
            nonlocal done
            meter.advance(max(0, int(100 * part) - done))
            done = max(done, int(100 * part))

        found = duplicates(options.settings(), levels, options.where, options.leak, progress, say_aside)
    say_result(found.result, found.lines, as_json=options.as_json)
    return 0 if found.is_fine else 1


COMMAND = Command(
    DuplicatesOptions,
    run,
    "List pictures that are there more than once, and which of them to keep; nothing is removed.",
    (
        ("", "the same bytes, and the same picture resized, recompressed or edited"),
        ("--level 3", "pictures of the same scene"),
        ("--json", "for scripts"),
        ("--leak train:test", "exits with 1 if a picture of one split has a duplicate in the other"),
    ),
)
