"""crossmodal encode."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

import click

from cli.commands import Command
from cli.options import EncoderOptions, ExcludeOptions, JsonOptions, LocationOptions, ModelOptions, SplitOptions
from cli.parameters import FILE, FOLDER, flag, option
from cli.printing import say, say_json
from cli.wording import with_commands
from crossmodal.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class EncodeOptions(SplitOptions, ExcludeOptions, ModelOptions, EncoderOptions, LocationOptions, JsonOptions):
    """Options of `encode`."""

    out: Path | None = option(
        "--out",
        metavar="FOLDER",
        type=FOLDER,
        help="Where the parts are written; finished ones are not encoded again.",
    )
    cluster: str | None = option(
        "--cluster",
        metavar="HOST:PORT",
        help="Encode on the machines of this Ray cluster, which this machine must be part of.  [default: this process]",
    )
    part_size: int = option(
        "--part-size",
        type=click.IntRange(1, 100_000),
        default=1_000,
        help="Pictures per part, on average; a machine that is lost costs two parts.",
    )
    s3_endpoint: str | None = option(
        "--s3-endpoint",
        metavar="URL",
        envvar="AWS_ENDPOINT_URL",
        help="URL of the object store of s3:// sources.  [default: AWS]",
    )
    report: Path | None = option("--report", type=FILE, help="Write the outcome of the run, as JSON.")
    strict: bool = flag("--strict", help="Exit with 1 if any picture failed.")


def run(options: EncodeOptions) -> int:
    """Prints the outcome of every picture; returns 1 if there is none, or with `strict` if a picture failed."""
    from cli.encode import encode

    if options.out is None:
        raise InputError("-t encode takes --out PARTS, the folder to write to")
    outcome, origin = encode(
        options.settings(),
        options.out,
        part_size=options.part_size,
        cluster=options.cluster,
        s3_endpoint=options.s3_endpoint or "",
    )
    report, counts = outcome.report, outcome.report.counts
    if options.as_json:
        parts = {"encoded": outcome.encoded, "unchanged": outcome.finished}
        say_json({**report.to_dict(), "parts": parts, "model": str(origin.model), "out": str(options.out)})
    else:
        say(f"model: {origin.model}", f"parts: {outcome.encoded} encoded, {outcome.finished} unchanged")
        say(*report.lines(), with_commands(f"next: python app.py -t import {shlex.quote(str(options.out))}"))
    if options.report:
        report.write(options.report)
    is_any = any(c["encoded"] + c["unchanged"] for c in counts.values())
    return 0 if is_any and not (options.strict and report.failures) else 1


COMMAND = Command(
    EncodeOptions,
    run,
    "Encode pictures into Parquet files that `import` adds to a collection.\n\n"
    "DATA_SET is a data set as for `index`, s3://BUCKET/PREFIX, or a text file with the path or URL of a picture in "
    "each line. A run that was interrupted continues where it stopped.",
    (
        ("~/Pictures --out parts", "in this process"),
        ("/mnt/pictures --out parts --cluster 10.0.0.1:6379", "on a Ray cluster"),
        ("s3://photos/2026 --out parts", "from an object store"),
    ),
)
