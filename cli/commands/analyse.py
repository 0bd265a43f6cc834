"""crossmodal analyse."""

from __future__ import annotations

from dataclasses import dataclass

import click

from cli.commands import Command
from cli.options import JsonOptions, ModelOptions, SplitOptions, ThreadOptions, VocabularyOptions
from cli.parameters import option
from cli.printing import say_json


@dataclass(frozen=True, kw_only=True)
class SparseOptions(SplitOptions, ModelOptions, VocabularyOptions, ThreadOptions, JsonOptions):
    """Options of a command on a sparse model."""

    model: str | None = option("-m", "--model", type=click.Choice(["sparse"]), help="Model family: sparse.")


def run(options: SparseOptions) -> int:
    """Prints the posting figures as JSON."""
    from cli.sparse_model import analyse

    say_json(analyse(options.settings()), indent=None if options.as_json else 2)
    return 0


COMMAND = Command(
    SparseOptions,
    run,
    "Print the posting lists of a sparse model and the strongest words of some pictures.",
    (("scenes --weights FOLDER", "FOLDER was written by `train -m sparse`"),),
)
