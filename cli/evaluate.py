"""evaluate: recall by the field's protocol or precision by class folder, of one model or of several."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.evaluate_collection import searched
from cli.evaluate_flow import captions_through_flow, classes_through_flow
from cli.printing import say_aside
from cli.progress import Meter
from crossmodal.core.engine import PRECISIONS, EngineRequest
from crossmodal.core.errors import CrossModalError, InputError
from crossmodal.core.files import write_output
from crossmodal.core.os_errors import why_not_writable
from crossmodal.core.settings import Settings
from crossmodal.core.types import ModelSpec
from crossmodal.datasets import registry as data_sets
from crossmodal.encoders import engine_choice
from crossmodal.encoders import registry as models
from crossmodal.evaluation import comparison, exact, speed, trec
from crossmodal.evaluation.comparison import Compared
from crossmodal.evaluation.evaluation_set import EvaluationSet, read_set
from crossmodal.evaluation.misses import worst_misses
from crossmodal.evaluation.report import html_report
from crossmodal.experiment.files import check_name, experiments_folder

if TYPE_CHECKING:
    from cli.commands.evaluate import EvaluateOptions

COLLECTION = "collection"
"""The family of `--compare collection:NAME`."""


def run(settings: Settings, options: EvaluateOptions) -> dict[str, Any]:
    """The figures of the settings' model on a data set and a split; writes the files that `options` has paths for.

    Returns:
        The figures of `crossmodal.evaluation.exact.Evaluation`, with `intervals`, `model`, `data_set`, `split` and
        `left_out`. If several models are compared, `models` has the figures of each, the first included, `pairs` their
        differences, and `failed` the reason of each model that could not be evaluated, by name. `written` has the
        paths of the run, the qrels and the comparison.

    Raises:
        InputError: An empty set, only one class, an image that can't be read, or an unknown model.
        StateError: With `through="flow"`, the set is not indexed, or the collection has another model.
    """
    subject = read_set(settings.data_set, settings.split, settings.columns, settings.num_docs)
    _check(settings, subject, options)
    described = {"data_set": subject.name, "split": subject.split, "left_out": subject.left_out}
    if options.through == "flow":
        through = captions_through_flow if subject.captions else classes_through_flow
        figures, ranked = through(settings, subject)
        result = {**figures, **described}
    else:
        evaluated, failed = _exactly(settings, options, subject)
        ranked = evaluated[0].evaluation.ranked
        compared = comparison.compare(subject, evaluated)
        result = {**_result(evaluated, failed, compared), **described}
        written = _write(settings, options, subject, evaluated, compared)
        result |= {"written": [str(path) for path in written]} if written else {}
    if options.report is not None:
        page = html_report(result, worst_misses(subject, ranked))
        options.report.parent.mkdir(parents=True, exist_ok=True)
        write_output(options.report, page.encode())
    return result


def _check(settings: Settings, subject: EvaluationSet, options: EvaluateOptions) -> None:
    reasons = {
        "--compare": "because a collection has one model",
        "--folds": "because an index ranks all pictures together",
        "--run": "because a run has a thousand results of each query",
        "--qrels": "because they belong to a --run",
        "--out": "because it compares models",
    }
    for name, reason in reasons.items():
        if options.through == "flow" and getattr(options, name[2:]):
            raise InputError(f"{name} needs exact scores, {reason}: remove --through flow")
    if options.compare and (options.run or options.qrels):
        raise InputError("--run and --qrels are for one model: remove --compare, and evaluate each model by itself")
    if options.out:
        folder = experiments_folder(settings.workspace) / check_name(options.out)
        if why := why_not_writable(folder / comparison.NAME, makes_folders=True):
            raise InputError(f"{folder} can't be written: {why}")
    exact.check(subject, options.folds or 0)


def _result(evaluated: list[Compared], failed: dict[str, str], compared: dict[str, Any]) -> dict[str, Any]:
    of_models = []
    specs = [str(model.spec) for model in evaluated]
    for model, spec, described in zip(evaluated, specs, compared["models"], strict=True):
        name = spec if specs.count(spec) == 1 else f"{spec} as {described['name']}"
        names = {"model": name, "label": described["name"], "engine": model.engine}
        intervals = {name: described[name] for name in ("measures", "skills") if described[name]}
        cost = {"cost": {**model.cost._asdict(), "dim": model.spec.dim}} if model.cost else {}
        of_models.append({**names, **model.evaluation.figures, "intervals": intervals, **cost})
    several = {"models": of_models, "pairs": compared["pairs"]} if len(of_models) > 1 else {}
    return {**of_models[0], **several, **({"failed": failed} if failed else {})}


def _write(
    settings: Settings,
    options: EvaluateOptions,
    subject: EvaluationSet,
    evaluated: list[Compared],
    compared: dict[str, Any],
) -> list[Path]:
    """Writes the run, the qrels and the comparison that the options ask for."""
    rankings, written = evaluated[0].evaluation.rankings, []
    if options.run:
        written += trec.write_run(options.run, subject, rankings, compared["models"][0]["name"])
    if options.qrels:
        written += trec.write_qrels(options.qrels, subject, rankings)
    if options.out:
        folder = experiments_folder(settings.workspace) / options.out
        written.append(comparison.write(folder, compared, subject, evaluated))
    return written


def _exactly(
    settings: Settings, options: EvaluateOptions, subject: EvaluationSet
) -> tuple[list[Compared], dict[str, str]]:
    """Every model and collection evaluated, and by name why others failed.

    Raises:
        CrossModalError: Of the first model, if all failed.
    """
    named = [(settings.model, settings.weights or "", settings.engine)]
    named += [_parse(name, settings.engine) for name in options.compare]
    for family, _, _ in named:
        if family != COLLECTION:
            subject.check_family(family)
    jobs = [
        partial(searched, settings, subject, weights)
        if family == COLLECTION
        else partial(_evaluated, settings, options, subject, _resolve(settings, family, weights), engine)
        for family, weights, engine in named
    ]  # all of them before any encoding, so that a wrong name fails early
    evaluated, failures = [], dict[str, CrossModalError]()
    for name, job in zip((settings.model, *options.compare), jobs, strict=True):
        try:
            evaluated.append(job())
        except CrossModalError as error:
            failures[name] = error
    if not evaluated:
        raise next(iter(failures.values()))
    return evaluated, {name: str(error) for name, error in failures.items()}


def _resolve(settings: Settings, family: str, weights: str) -> ModelSpec:
    data_set = data_sets.canonical(settings.data_set)
    return models.resolve(family, weights or models.default_weights(family, data_set))


def _evaluated(
    settings: Settings, options: EvaluateOptions, subject: EvaluationSet, spec: ModelSpec, request: EngineRequest
) -> Compared:
    engine = engine_choice.engine_of_new(spec, request, say_aside)
    encoder = models.load(spec, spec.modalities, settings.threads or None, engine)
    with Meter("pictures", len(subject.records)) as meter:
        evaluation = exact.evaluate_encoder(encoder, subject, options.folds or 0, meter.advance)
    cost = speed.measure(encoder, subject, engine) if options.compare or options.out else None
    return Compared(spec, engine.precision, str(engine), evaluation, cost)


def _parse(name: str, engine: EngineRequest) -> tuple[str, str, EngineRequest]:
    """Family, weights and engine of FAMILY:WEIGHTS@PRECISION."""
    model, _, precision = name.rpartition("@")
    if precision in PRECISIONS:
        engine = replace(engine, precision=precision)
    else:
        model = name
    family, _, weights = model.partition(":")
    return family, weights, engine
