"""crossmodal reindex."""

from __future__ import annotations

from dataclasses import dataclass

from cli.commands import Command
from cli.options import (
    CollectionOptions,
    EncoderOptions,
    JsonOptions,
    LocationOptions,
    ModelOptions,
    RequestOptions,
)
from cli.parameters import flag
from cli.printing import say_result
from cli.wording import with_commands
from crossmodal.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ReindexOptions(CollectionOptions, ModelOptions, EncoderOptions, RequestOptions, LocationOptions, JsonOptions):
    """Options of `reindex`."""

    only_metadata: bool = flag(
        "--metadata", help="Only read dates, places and cameras from the files again, and change the tags."
    )
    prune: bool = flag("--prune", help="Drop pictures whose files are missing, changed or damaged.")


def run(options: ReindexOptions) -> int:
    """Prints the new model and the outcome of every document."""
    from cli.reindex import read_metadata
    from cli.reindex import run as reindex

    if options.only_metadata:
        if options.model or options.weights or options.prune:
            raise InputError("--metadata keeps the model and all pictures: remove --model, --weights and --prune")
        read = read_metadata(options.settings())
        return say_result(read.to_dict(), read.lines(), as_json=options.as_json)
    if options.no_gps:
        raise InputError("--no-gps changes tags, which only --metadata does: add --metadata")
    collection, report = reindex(options.settings(), without_failures=options.prune)
    kept = with_commands("the old state is kept: -t rollback restores it")
    lines = [f"model: {collection.model}", *report.lines(), kept]
    return say_result(report.to_dict(), lines, as_json=options.as_json)


COMMAND = Command(
    ReindexOptions,
    run,
    "Change the model of a collection, or with --metadata its tags.\n\n"
    "A running service switches to it. `rollback` restores the old model.",
    (
        ("--weights ViT-B-32/laion2b_s34b_b79k", "a larger CLIP"),
        ("--weights photos --prune", "without pictures that can no longer be read"),
        ("--metadata", "same model; adds dates, places and cameras to the tags"),
    ),
)
