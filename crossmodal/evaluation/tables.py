"""The figures of an evaluation as text tables, several models side by side, for a terminal or an HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OF_RANKS = ("R@1", "R@5", "R@10", "MedR", "MeanR", "MRR")
OF_CLASSES = ("P@1", "P@5", "P@10", "search_score")


@dataclass(frozen=True)
class FigureTable:
    """A table of formatted cells; the first column has names, the others have figures."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(result: Mapping[str, Any]) -> list[FigureTable]:
    """The tables of an evaluation that are not empty: recall, skills and classes.

    Args:
        result: The figures of `crossmodal.evaluation.exact.evaluate_encoder`, with `model`, `data_set` and `split`.
    """
    all_tables = [_recall(result), _skills(result), _classes(result), _per_class(result), _class_names(result)]
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


def _cell(value: float | None) -> str:
    """A formatted figure, or a dash if it is unknown."""
    return "-" if value is None else f"{value:g}"
