"""crossmodal reindex."""

from __future__ import annotations

from dataclasses import dataclass

from cli.commands import Command
from cli.options import CollectionOptions, EncoderOptions, JsonOptions, ModelOptions, RequestOptions
from cli.parameters import flag
from cli.printing import say_result
from cli.wording import with_commands


@dataclass(frozen=True, kw_only=True)
class ReindexOptions(CollectionOptions, ModelOptions, EncoderOptions, RequestOptions, JsonOptions):
    """Options of `reindex`."""

    prune: bool = flag("--prune", help="Drop pictures whose files are missing, changed or damaged.")


def run(options: ReindexOptions) -> int:
    """Prints the new model and the outcome of every document."""
    from cli.reindex import run as reindex

    collection, report = reindex(options.settings(), without_failures=options.prune)
    kept = with_commands("the old state is kept: -t rollback restores it")
    lines = [f"model: {collection.model}", *report.lines(), kept]
    return say_result(report.to_dict(), lines, as_json=options.as_json)


COMMAND = Command(
    ReindexOptions,
    run,
    "Change the model of a collection.\n\nA running service switches to it. `rollback` restores the old state.",
    (
        ("--weights ViT-B-32/laion2b_s34b_b79k", "a larger CLIP"),
        ("--weights photos --prune", "without pictures that can no longer be read"),
    ),
)
