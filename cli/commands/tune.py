"""crossmodal tune."""

from __future__ import annotations

from cli.commands import Command
from cli.commands.analyse import SparseOptions
from cli.printing import print_figures, say_json


def run(options: SparseOptions) -> int:
    """Prints the recall of each fusion."""
    from cli.sparse_model import tune
    from crossmodal.evaluation.lexical import recall_table

    result = tune(options.settings())
    if options.as_json:
        say_json(result)
    else:
        print_figures(recall_table(result["rows"]))
    return 0


COMMAND = Command(
    SparseOptions,
    run,
    "Choose the fusion of vectors, words and captions of a sparse model.\n\nIt is stored beside the weights.",
    (("scenes --split dev --weights FOLDER", "FOLDER was written by `train -m sparse`"),),
)
