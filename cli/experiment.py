"""experiment: every layer of several models on a set of pictures, and its export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cli.progress import Meter
from crossmodal.core.errors import StateError
from crossmodal.core.resources import resource_folder
from crossmodal.experiment.export import PAGE, export
from crossmodal.experiment.run import Plan, run


def measure(plan: Plan, workspace: Path, export_to: Path | None) -> dict[str, Any]:
    """Runs an experiment in a workspace, and exports it to a folder if there is one.

    Returns:
        `name`, `folder`, `export`, `set`, `seconds`, and `models` with the best `layer` and `metric` of each.

    Raises:
        InputError, StateError: As `crossmodal.experiment.run.run` and `export`.
    """
    web = resource_folder("web")
    if export_to is not None and not (web / PAGE).is_file():
        raise StateError(f"{web / PAGE} is missing: install the program again, or remove --export")
    folder, experiment = run(plan, workspace, Meter)
    if export_to is not None:
        export(folder, export_to, web)
    return {
        "name": plan.name,
        "folder": str(folder),
        "export": None if export_to is None else str(export_to),
        "set": experiment["set"],
        "seconds": experiment["seconds"],
        "models": [best_of(experiment, number) for number in range(len(experiment["models"]))],
    }


def best_of(experiment: dict[str, Any], number: int) -> dict[str, Any]:
    """The best layer and metric of a model by the search score, the first of equals; the last layer without classes."""
    of_model = experiment["models"][number]
    results = [result for result in experiment["results"] if result["model"] == number]
    scored = [result for result in results if result["search_score"] is not None]
    last = [result for result in results if result["layer"] == len(of_model["layers"]) - 1]
    best = max(scored, key=lambda result: result["search_score"]) if scored else last[0]
    facts = {name: best.get(name) for name in ("search_score", "search_score_std", "precision", "map")}
    recall = next((result["recall"] for result in last if "recall" in result), None)
    return {
        "name": of_model["name"],
        "trained": of_model["trained"],
        "layer": of_model["layers"][best["layer"]]["name"],
        "metric": experiment["metrics"][best["metric"]],
        **facts,
        **({"recall": recall} if recall else {}),
        "encode_s": of_model["encode_s"],
    }
