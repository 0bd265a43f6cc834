"""crossmodal analyse."""

from __future__ import annotations

from dataclasses import dataclass

import click

from cli.commands import Command
from cli.options import JsonOptions, ModelOptions, SplitOptions, ThreadOptions, VocabularyOptions
from cli.parameters import option
from cli.printing import print_figures, say, say_json


@dataclass(frozen=True, kw_only=True)
class SparseOptions(SplitOptions, ModelOptions, VocabularyOptions, ThreadOptions, JsonOptions):
    """Options of a command on a sparse model."""

    model: str | None = option("-m", "--model", type=click.Choice(["sparse"]), help="Model family: sparse.")


def run(options: SparseOptions) -> int:
    """Prints the statistics, the longest posting lists, and the strongest words of some pictures."""
    from cli.sparse_model import analyse
    from crossmodal.evaluation.term_ranking import analysis_tables

    result = analyse(options.settings())
    if options.as_json:
        say_json(result)
        return 0
    for table in analysis_tables(result):
        print_figures(table)
    for picture, words in result["pictures"].items():
        say(f"{picture}: " + ", ".join(f"{word} {weight:.2f}" for word, weight in words))
    return 0


COMMAND = Command(
    SparseOptions,
    run,
    "Print the posting lists of a sparse model and the strongest words of some pictures.",
    (("scenes --weights FOLDER", "FOLDER was written by `train -m sparse`"),),
)
