"""crossmodal sidecars."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from cli.commands import Command
from cli.options import CollectionOptions, EncoderOptions, JsonOptions
from cli.parameters import FOLDER, flag, option
from cli.printing import say_result
from crossmodal.core.errors import InputError
from crossmodal.core.settings import MAX_TOP_K

LISTED = 20
"""Sidecars that were not written and are listed; --json lists all."""


@dataclass(frozen=True, kw_only=True)
class SidecarOptions(CollectionOptions, EncoderOptions, JsonOptions):
    """Options of `sidecars`."""

    out: Path | None = option("--out", type=FOLDER, help="Write them to this folder, which is created if needed.")
    beside: bool = flag("--beside", help="Write each beside its picture.")
    keywords: tuple[str, ...] = option(
        "--keyword", multiple=True, metavar="WORD", help="A keyword to add; may be repeated."
    )
    captions: bool = flag("--captions", help="Write the captions as description.")
    search: str | None = option("--search", metavar="WORDS", help="Only the pictures that these words find.")
    top_k: int = option(
        "-k", "--top-k", type=click.IntRange(1, MAX_TOP_K), default=100, help="Most pictures of --search."
    )
    min_relevance: float | None = option(
        "--min-relevance", type=click.FloatRange(0, 1), default=0.5, help="Lowest relevance of a picture of --search."
    )
    where: str | None = option("--where", help="Only pictures that meet this condition: tags.year >= 2020.")
    merge: bool = flag("--merge", help="Add the keywords to sidecars that other programs have written.")
    dry_run: bool = flag("--dry-run", help="Write nothing, and say what would be written.")


def run(options: SidecarOptions) -> int:
    """Writes sidecars; returns 1 if one could not be written."""
    from cli.saving import save_sidecars
    from crossmodal.saving.beside import SidecarPlan

    if (options.out is None) == (not options.beside):
        raise InputError("sidecars takes one of --out FOLDER and --beside")
    if options.out is not None and not options.dry_run:
        options.out.mkdir(parents=True, exist_ok=True)
    plan = SidecarPlan(options.out, options.keywords, options.captions, options.merge, options.dry_run)
    words, where = options.search or "", options.where or ""
    report = save_sidecars(options.settings(), words, where, options.min_relevance, plan)
    would = "would be " if options.dry_run else ""
    counts = f"{report.written} {would}written, {report.merged} {would}merged, {report.unchanged} unchanged"
    without = f"; {report.without_keywords} pictures have no keywords" if report.without_keywords else ""
    lines = [f"sidecars: {counts}, {len(report.refused)} refused{without}"]
    lines += [f"  {path}: {why}" for path, why in report.refused[:LISTED]]
    if len(report.refused) > LISTED:
        lines.append(f"  ... and {len(report.refused) - LISTED} more; --json lists them all")
    say_result(report.to_dict(), lines, as_json=options.as_json)
    return 1 if report.refused else 0


COMMAND = Command(
    SidecarOptions,
    run,
    "Write the keywords of pictures to XMP sidecars.\n\n"
    "A sidecar has the picture's own keywords, its labels, and those of --keyword; Lightroom, darktable and digiKam "
    "read it. The pictures are never changed, nor the sidecars of other programs without --merge.",
    (
        ("--beside", "keywords and labels of all pictures"),
        ('--beside --search "a dog" --keyword dog --dry-run', "what would be written for the pictures of a dog"),
        ('--out ~/sidecars --where "tags.year = 2023" --captions', "those of a year, to a folder"),
    ),
)
