"""crossmodal evaluate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

from cli.commands import Command
from cli.options import (
    JsonOptions,
    ModelOptions,
    NewCollectionOptions,
    ReplicaOptions,
    RequestOptions,
    ShardOptions,
    SplitOptions,
    TopKOptions,
    VocabularyOptions,
)
from cli.parameters import FILE, option
from cli.printing import print_figures, say, say_json
from cli.wording import with_commands
from crossmodal.core.engine import AUTO
from crossmodal.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(
    SplitOptions,
    ModelOptions,
    VocabularyOptions,
    NewCollectionOptions,
    TopKOptions,
    ReplicaOptions,
    ShardOptions,
    RequestOptions,
    JsonOptions,
):
    """Options of `evaluate`."""

    through: Literal["exact", "flow"] = option(
        "--through",
        type=click.Choice(["exact", "flow"]),
        default="exact",
        help="exact: score in memory. flow: search the collection, which must be indexed, through the query Flow.",
    )
    compare: tuple[str, ...] = option(
        "--compare",
        multiple=True,
        metavar="FAMILY:WEIGHTS[@PRECISION]",
        help="Another model to evaluate, or collection:NAME to search its indexes, with the differences and their "
        "p-values; may be repeated.",
    )
    folds: int | None = option(
        "--folds",
        type=click.IntRange(2),
        help="Also report the mean over this many folds.  [default: 5 for 5,000 pictures, as in COCO]",
    )
    report: Path | None = option("--report", type=FILE, help="Write the figures and the worst misses, as HTML.")
    run: Path | None = option(
        "--run", type=FILE, help="Write the rankings as TREC runs: FILE with .t2i and .i2t before its ending."
    )
    qrels: Path | None = option("--qrels", type=FILE, help="Write what is relevant as TREC qrels, in the same way.")
    out: str | None = option(
        "--out", metavar="NAME", help="Write the comparison for the page, to experiments/NAME in the workspace."
    )


def run(options: EvaluateOptions) -> int:
    """Prints recall both ways, or precision by class folder, and on scenes the skills."""
    if options.model == "sparse":
        return _evaluate_sparse(options)
    from cli.evaluate import run

    result = run(options.settings(), options)
    if options.as_json:
        say_json(result)
    else:
        _print(result)
    if options.report:
        say(f"report: {options.report}", err=True)
    for path in result.get("written", []):
        say(f"written: {path}", err=True)
    for name, why in result.get("failed", {}).items():
        say(f"{name} could not be evaluated: {with_commands(why)}", err=True)
    return 1 if result.get("failed") else 0


def _evaluate_sparse(options: EvaluateOptions) -> int:
    unsupported = {"--through": options.through != "exact", "--compare": options.compare, "--folds": options.folds}
    unsupported |= {f"--{name}": getattr(options, name) for name in ("report", "run", "qrels", "out")}
    unsupported |= {f"--{name}": getattr(options, name) != AUTO for name in ("device", "engine", "precision")}
    given = [name for name, is_given in unsupported.items() if is_given]
    if given:
        raise InputError(f"{', '.join(given)}: not supported by `evaluate -m sparse`; remove it")
    from cli.sparse_model import evaluate
    from crossmodal.evaluation.lexical import recall_table

    result = evaluate(options.settings())
    if options.as_json:
        say_json(result)
    else:
        print_figures(recall_table(result["rows"]))
    return 0


def _print(result: dict[str, Any]) -> None:
    from crossmodal.evaluation.tables import tables

    say(", ".join(f"{result[name]} {name}" for name in ("images", "captions") if name in result))
    for of_model in result.get("models", [result]):
        if "engine" in of_model:
            say(f"engine of {of_model['model']}: {of_model['engine']}")
    for why, n in result["left_out"].items():
        say(f"left out: {n} {why.replace('_', ' ')}")
    for direction, n in result.get("not_found", {}).items():
        if n:
            say(f"{direction}: {n} queries did not return their own match; each is a miss of unknown rank")
    for figures in tables(result):
        print_figures(figures)


COMMAND = Command(
    EvaluateOptions,
    run,
    "Measure a model on a data set: recall with captions, precision with class folders.",
    (
        ("scenes --report out.html", "recall and skills, with the worst misses as pictures"),
        ("~/flickr8k --split dev", "the pictures of one split"),
        ("~/classes --compare timm:resnet101", "two models; class folders need no captions"),
        ("scenes --compare clip:scenes@int8 --out precisions", "two precisions, and a comparison for the page"),
        ("~/flickr8k --split test --run clip.run --qrels f8k.qrels", "rankings for ir_measures and trec_eval"),
        ("--through flow", "the same through the query Flow, with the exact figures"),
    ),
)
