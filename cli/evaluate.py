"""evaluate: recall by the field's protocol or precision by class folder, of one model or of several."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cli.evaluate_flow import captions_through_flow, classes_through_flow
from cli.printing import say_aside
from cli.progress import Meter
from crossmodal.core.errors import InputError
from crossmodal.core.settings import Settings
from crossmodal.datasets import registry as data_sets
from crossmodal.encoders import engine_choice
from crossmodal.encoders import registry as models
from crossmodal.evaluation import exact
from crossmodal.evaluation.evaluation_set import EvaluationSet, read_set
from crossmodal.evaluation.misses import ClassesRanked, Ranked, worst_misses
from crossmodal.evaluation.report import html_report


@dataclass(frozen=True)
class Options:
    """How to evaluate. `compare` has further models, FAMILY:WEIGHTS; 0 folds mean COCO's 5 for a set of its size."""

    through: Literal["exact", "flow"] = "exact"
    compare: tuple[str, ...] = ()
    folds: int = 0
    report: Path | None = None


def run(settings: Settings, options: Options | None = None) -> dict[str, Any]:
    """The figures of the settings' model on a data set and a split; writes the report if `options` has a path for it.

    Returns:
        The figures of `crossmodal.evaluation.exact.evaluate_encoder`, with `model`, `data_set`, `split` and
        `left_out`. If several models are compared, `models` has the figures of each, the first included.

    Raises:
        InputError: An empty set, only one class, an image that can't be read, or an unknown model.
        StateError: With `through="flow"`, the set is not indexed, or the collection has another model.
    """
    options = options or Options()
    subject = read_set(settings.data_set, settings.split, settings.columns, settings.num_docs)
    _check(subject, options)
    if options.through == "flow":
        through = captions_through_flow if subject.captions else classes_through_flow
        figures, ranked = through(settings, subject)
        of_models = [figures]
    else:
        of_models, ranked = _exactly(settings, options, subject)
    described = {"data_set": subject.name, "split": subject.split, "left_out": subject.left_out}
    result = {**of_models[0], **described, **({"models": of_models} if len(of_models) > 1 else {})}
    if options.report is not None:
        page = html_report(result, worst_misses(subject, ranked))
        options.report.parent.mkdir(parents=True, exist_ok=True)
        options.report.write_text(page, "utf8")
    return result


def _check(subject: EvaluationSet, options: Options) -> None:
    if options.through == "flow" and options.compare:
        raise InputError("--compare needs exact scores, because a collection has one model: remove --through flow")
    if options.through == "flow" and options.folds:
        raise InputError(
            "--folds needs exact scores, because an index ranks all pictures together: remove --through flow"
        )
    exact.check(subject, options.folds)


def _exactly(
    settings: Settings, options: Options, subject: EvaluationSet
) -> tuple[list[dict[str, Any]], Ranked | ClassesRanked]:
    """The figures of every model, and the ranks of the first."""
    data_set = data_sets.canonical(settings.data_set)
    pairs = [(settings.model, settings.weights or ""), *(_parse(name) for name in options.compare)]
    names = [(family, weights or models.default_weights(family, data_set)) for family, weights in pairs]
    for family, _ in names:
        subject.check_family(family)
    specs = [
        models.resolve(family, weights) for family, weights in names
    ]  # all of them before any encoding, so that a wrong name fails early
    of_models, rankings = [], []
    for spec in specs:
        engine = engine_choice.engine_of_new(spec, settings.engine, say_aside)
        encoder = models.load(spec, spec.modalities, settings.threads or None, engine)
        with Meter("pictures", len(subject.records)) as meter:
            figures, ranking = exact.evaluate_encoder(encoder, subject, options.folds, meter.advance)
        of_models.append({"model": str(spec), "engine": str(engine), **figures})
        rankings.append(ranking)
    return of_models, rankings[0]


def _parse(name: str) -> tuple[str, str]:
    family, _, weights = name.partition(":")
    return family, weights
