"""The figures of an evaluation as text tables, several models side by side, for a terminal or an HTML page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OF_RANKS = ("R@1", "R@5", "R@10", "MedR", "MeanR", "MRR")
OF_CLASSES = ("P@1", "P@5", "P@10", "search_score")
MAIN = ("r10", "p10", "map")
"""Endings of the measures whose differences are shown; files have those of all."""


@dataclass(frozen=True)
class FigureTable:
    """A table of formatted cells; the first column has names, the others have figures."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(result: Mapping[str, Any]) -> list[FigureTable]:
    """The tables of an evaluation that are not empty: recall, skills and classes, intervals, costs and differences.

    Args:
        result: The figures of `crossmodal.evaluation.exact.evaluate_encoder`, with `model`, `data_set` and `split`.
    """
    all_tables = [_recall(result), _skills(result), _classes(result), _per_class(result), _class_names(result)]
    all_tables += [_intervals(result), _costs(result), _pairs(result)]
    return [table for table in all_tables if table.rows]


def _models(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(result.get("models") or [result])


def _recall(result: Mapping[str, Any]) -> FigureTable:
    rows = []
    for model in _models(result):
        through = " through the Flow" if model.get("through") == "flow" else ""
        folds = [(f", {name.replace('_', ' of ')}", model[name]) for name in model if name.startswith("folds_")]
        for suffix, figures in [(through, model), (", exact", model.get("exact", {})), *folds]:
            for direction in ("t2i", "i2t"):
                if direction in figures:
                    values = tuple(_cell(figures[direction].get(name)) for name in OF_RANKS)
                    rsum = _cell(figures["rsum"]) if direction == "t2i" else ""
                    rows.append((f"{model['model']}{suffix}", direction, *values, rsum))
    return FigureTable("Recall", ("model", "", *OF_RANKS, "rsum"), tuple(rows))


def _skills(result: Mapping[str, Any]) -> FigureTable:
    measured = [model for model in _models(result) if "skills" in model]
    names = tuple(dict.fromkeys(name for model in measured for name in model["skills"]))
    rows = [(model["model"], *(_cell(model["skills"].get(name)) for name in names)) for model in measured]
    return FigureTable("Skills", ("model", *names), tuple(rows))


def _classes(result: Mapping[str, Any]) -> FigureTable:
    rows = []
    for model in _models(result):
        through = " through the Flow" if model.get("through") == "flow" else ""
        for suffix, figures in ((through, model), (", exact", model.get("exact", {}))):
            if "classes" in figures:
                rows.append((f"{model['model']}{suffix}", *(_cell(figures["classes"][name]) for name in OF_CLASSES)))
    return FigureTable("Class folders", ("model", *OF_CLASSES), tuple(rows))


def _per_class(result: Mapping[str, Any]) -> FigureTable:
    """The search score of each class, with a column per model."""
    models = [model for model in _models(result) if "classes" in model]
    names = list(models[0]["classes"]["per_class"]) if models else []
    rows = [(name, *(_cell(model["classes"]["per_class"][name]["search_score"]) for model in models)) for name in names]
    return FigureTable("Search score by class", ("class", *(model["model"] for model in models)), tuple(rows))


def _class_names(result: Mapping[str, Any]) -> FigureTable:
    """Precision at 10 of each class name, with a column per model and the mean in the first row."""
    models = [model for model in _models(result) if "class_names" in model]
    names = list(models[0]["class_names"]) if models else []
    means = [("all", *(_cell(model["class_name_p10"]) for model in models))] if models else []
    rows = [(name, *(_cell(model["class_names"][name]) for model in models)) for name in names]
    headings = ("a photo of a ...", *(model["model"] for model in models))
    return FigureTable("Precision at 10 by class name", headings, (*means, *rows))


def _intervals(result: Mapping[str, Any]) -> FigureTable:
    """Every measure with its interval, with a column per model."""
    models = [model for model in _models(result) if "intervals" in model]
    of_models = [{**model["intervals"]["measures"], **model["intervals"].get("skills", {})} for model in models]
    names = dict.fromkeys(name for measures in of_models for name in measures)
    rows = [(label(name), *(_spread(measures.get(name)) for measures in of_models)) for name in names]
    return FigureTable("With 95% confidence intervals", ("", *(model["label"] for model in models)), tuple(rows))


def _costs(result: Mapping[str, Any]) -> FigureTable:
    headings = {"pictures_per_s": "pictures/s", "text_ms": "text ms", "size_mb": "MB", "dim": "dim"}
    models = [model for model in _models(result) if "cost" in model]
    rows = [(model["label"], *(_cell(model["cost"][name]) for name in headings)) for model in models]
    return FigureTable("Cost, roughly", ("model", *headings.values()), tuple(rows))


def _pairs(result: Mapping[str, Any]) -> FigureTable:
    """How much better the second model of each pair is, by the main measures."""
    labels = [model["label"] for model in _models(result) if "label" in model]
    rows = [
        (f"{labels[pair['b']]} over {labels[pair['a']]}", label(pair["measure"]), _difference(pair), _p(pair["p"]))
        for pair in result.get("pairs", [])
        if pair["measure"].endswith(MAIN)
    ]
    return FigureTable("Differences", ("", "measure", "difference", "p"), tuple(rows))


def label(measure: str) -> str:
    """A measure as it is written: `t2i_r10` is `t2i R@10`.

    Example:
        >>> [label(name) for name in ("t2i_r10", "i2t_map", "i2i_search_score", "flip")]
        ['t2i R@10', 'i2t MAP', 'i2i search score', 'flip']
    """
    direction, _, name = measure.partition("_")
    if direction not in ("t2i", "i2t", "i2i"):
        return measure
    at_k = re.fullmatch(r"([rp])(\d+)", name)
    shown = f"{at_k[1].upper()}@{at_k[2]}" if at_k else name.upper() if len(name) == 3 else name.replace("_", " ")
    return f"{direction} {shown}"


def _spread(interval: Mapping[str, float] | None) -> str:
    """`.673 [.650, .694]`, or with one decimal for percentages."""
    if interval is None:
        return "-"
    value, low, high = (_short(interval[name]) for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _difference(pair: Mapping[str, Any]) -> str:
    low, high = _short(pair["low"]), _short(pair["high"])
    return f"{'+' if pair['difference'] > 0 else ''}{_short(pair['difference'])} [{low}, {high}]"


def _short(value: float) -> str:
    """`.673`, `1.000`, `-.021`; `45.3` for percentages."""
    text = f"{value:.1f}" if abs(value) > 1 else f"{round(value, 3) or 0:.3f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


def _p(value: float) -> str:
    return f"{value:.4f}".replace("0.", ".", 1)


def _cell(value: float | None) -> str:
    """A formatted figure, or a dash if it is unknown."""
    return "-" if value is None else f"{value:g}"
