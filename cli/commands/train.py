"""crossmodal train."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from cli.commands import Command
from cli.options import DataSetOptions, ModelOptions, ThreadOptions, VocabularyOptions, WorkspaceOptions
from cli.parameters import FILE, FOLDER, option
from cli.printing import say, say_aside
from crossmodal.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class TrainOptions(DataSetOptions, ModelOptions, VocabularyOptions, WorkspaceOptions, ThreadOptions):
    """Options of `train`."""

    weights: str | None = option("--weights", help="Weights to start from; with `-m sparse`, FAMILY:WEIGHTS.")
    vocabulary: Path | None = option(
        "--vocabulary",
        type=FILE,
        envvar="TEXT_EMBEDDING_VECTORIZER_PATH",
        help="For `-m sparse`: the vocabulary file.  [default: the words of the captions]",
    )
    steps: int | None = option("--steps", type=click.IntRange(1), help="For `-m clip` on scenes: number of steps.")
    recipe: tuple[str, ...] = option(
        "--set", multiple=True, metavar="NAME=VALUE", help="A setting of the recipe; may be repeated."
    )
    out: Path | None = option("--out", type=FOLDER, help="Folder to write.  [default: training/ in the workspace]")


def run(options: TrainOptions) -> int:
    """Prints the folder of the weights."""
    settings = options.settings()
    if settings.model == "sparse":
        from cli.sparse_model import train as train_sparse
        from cli.train import NO_STEPS

        if options.steps:
            raise InputError(NO_STEPS)
        folder = train_sparse(settings, options.out, options.recipe, say_aside)
    else:
        from cli.train import run as train

        folder = train(settings, options.steps, options.out, options.recipe, say_aside)
    say(f"weights: {folder}")
    return 0


COMMAND = Command(
    TrainOptions,
    run,
    "Train a model on a data set with captions.\n\nA stopped run is resumed.",
    (
        ("scenes -m clip --out weights", "the small CLIP that comes with the program"),
        ("~/photos --weights photos", "fine-tune the bundled weights for photographs"),
        ("scenes -m sparse", "weighted words, on the bundled CLIP's vectors"),
    ),
)
