"""crossmodal ocr."""

from __future__ import annotations

from dataclasses import dataclass

import click

from cli.commands import Command
from cli.options import MaintenanceOptions, ThreadOptions
from cli.parameters import flag, option
from cli.printing import say_result


@dataclass(frozen=True, kw_only=True)
class OcrOptions(MaintenanceOptions, ThreadOptions):
    """Options of `ocr`."""

    limit_s: float = option(
        "--limit",
        type=click.FloatRange(min=0, min_open=True),
        default=30.0,
        metavar="SECONDS",
        help="Time limit for a picture.",
    )
    again: bool = flag("--again", help="Read all pictures, also those that were read before.")


def run(options: OcrOptions) -> int:
    """Prints how many pictures were read, and which could not be; returns 1 if none could."""
    from cli.location import collection_of
    from cli.ocr import run as read

    collection = collection_of(options.settings())
    report = read(collection, threads=options.threads, limit_s=options.limit_s, again=options.again)
    say_result(report.to_dict(), report.lines(), as_json=options.as_json)
    return 1 if report.failures and not report.read else 0


COMMAND = Command(
    OcrOptions,
    run,
    "Read the text in the pictures of a collection.\n\n"
    "Searches then find pictures by the words that stand in them. Pictures that were read before are left out; a run "
    "that was interrupted continues. Needs rapidocr: pip install -r requirements-ocr.txt",
    (("", "the only collection"), ("--collection signs --limit 10", "give up on a picture after 10 seconds")),
)
