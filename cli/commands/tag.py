"""crossmodal tag."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from cli.commands import Command
from cli.options import EncoderOptions, MaintenanceOptions
from cli.parameters import FILE, flag, option
from cli.printing import say, say_result
from crossmodal.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class TagOptions(MaintenanceOptions, EncoderOptions):
    """Options of `tag`."""

    labels: Path | None = option(
        "--labels", type=FILE, help="File with one label a line: NAME, or NAME: PHRASE; PHRASE."
    )
    threshold: float = option(
        "--threshold", type=click.FloatRange(0, 1), default=0.5, help="The lowest certainty of a label."
    )
    dry_run: bool = flag("--dry-run", help="Print the numbers of pictures and examples; write nothing.")
    clear: bool = flag("--clear", help="Remove all labels instead.")


def run(options: TagOptions) -> int:
    """Prints the number of pictures of each label."""
    from cli import tag

    if (options.labels is None) != options.clear or (options.clear and options.dry_run):
        raise InputError("give either --labels FILE, with --dry-run or without, or --clear")
    if options.labels is None:
        n = tag.clear(options.settings())
        return say_result({"cleared": n}, [f"cleared: {n:,} pictures"], as_json=options.as_json)
    report = tag.tag(options.settings(), options.labels, options.threshold, dry_run=options.dry_run)
    if options.dry_run and not options.as_json:
        say("dry run: nothing is written")
    return say_result({"dry_run": options.dry_run, **report.to_dict()}, report.lines(), as_json=options.as_json)


COMMAND = Command(
    TagOptions,
    run,
    "Label the pictures of a collection with names from a list, without examples.\n\n"
    "The labels become the tag `labels`, for conditions such as \"tags.labels = 'dog'\" and for facets, each with its "
    "certainty from 0 to 1. Another list replaces the labels. The pictures' files are not touched.",
    (
        ("--labels labels.txt --dry-run", "numbers and examples only"),
        ("--labels labels.txt --collection pets", "one of several collections"),
        ("--labels labels.txt --threshold 0.8", "fewer labels, more of them right"),
        ("--clear", "without labels again"),
    ),
)
