"""crossmodal experiment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from cli.commands import Command
from cli.options import JsonOptions, ThreadOptions, WorkspaceOptions
from cli.parameters import FOLDER, SeveralValues, option
from cli.printing import cells, new_table, print_table, say, say_json


@dataclass(frozen=True, kw_only=True)
class ExperimentOptions(WorkspaceOptions, ThreadOptions, JsonOptions):
    """Options of `experiment`."""

    data_set: str = option(
        "-d",
        "--data-set",
        envvar="DATASET_ROOT_PATH",
        default="toy-data",
        help="The pictures: a folder with a folder of pictures for each class, or another data set.",
    )
    models: tuple[str, ...] = option(
        "--models",
        cls=SeveralValues,
        multiple=True,
        metavar="MODEL...",
        help="Weights of timm, as photos, resnet50/FILE.pth or resnet50/random; or FAMILY:WEIGHTS, as clip:photos.  "
        "[default: photos]",
    )
    layers: tuple[str, ...] = option(
        "--layers",
        cls=SeveralValues,
        multiple=True,
        metavar="N|LAYER...",
        help="Number of evenly spaced layers, or their names.  [default: 8]",
    )
    metrics: tuple[str, ...] = option(
        "--metrics",
        cls=SeveralValues,
        multiple=True,
        metavar="METRIC...",
        help="cosine, euclidean, sqeuclidean, minkowski:P.  [default: all four, with P = 3]",
    )
    name: str | None = option("--name", help="Name of the experiment.  [default: the data set's]")
    export: Path | None = option(
        "--export", type=FOLDER, metavar="DIR", help="Also write a folder for any web server, with the page."
    )
    split: str | None = option("--split", envvar="DATASET_SPLIT", help="Only the pictures of this split.")
    num_docs: int | None = option("-n", "--num-docs", type=click.IntRange(1), help="Maximum number of pictures.")


def run(options: ExperimentOptions) -> int:
    """Prints the best layer and metric of each model."""
    from cli.experiment import measure
    from crossmodal.datasets.registry import collection_name
    from crossmodal.experiment.layers import DEFAULT_LAYERS
    from crossmodal.experiment.run import METRICS, Plan

    layers: int | tuple[str, ...] = options.layers or DEFAULT_LAYERS
    if len(options.layers) == 1 and options.layers[0].isdecimal():
        layers = max(1, int(options.layers[0]))
    settings = options.settings()
    plan = Plan(
        settings.data_set,
        options.name or collection_name(settings.data_set),
        options.models or ("photos",),
        options.metrics or METRICS,
        layers,
        settings.split,
        settings.num_docs,
        settings.threads or None,
    )
    result = measure(plan, settings.workspace, options.export)
    if options.as_json:
        say_json(result)
    else:
        _print(result)
    return 0


def _print(result: dict[str, Any]) -> None:
    of_set = result["set"]
    for skipped in of_set["skipped"]:
        say(f"skipped {skipped['path']}: {skipped['reason']}", err=True)
    if not of_set["classes"]:
        say(f"all {of_set['n']} pictures are in one folder: without class folders there is no search score", err=True)
    say(f"{of_set['n']} pictures, {len(of_set['classes'])} classes, {result['seconds']:.0f} s")
    table = new_table()
    for column in ("model", "best layer", "best metric"):
        table.add_column(column)
    for column in ("search score", "P@10", "MAP"):
        table.add_column(column, justify="right")
    for model in result["models"]:
        name = model["name"] if model["trained"] else f"{model['name']} (untrained)"
        figures = ("-", "-", "-")
        if model["search_score"] is not None:
            figures = (f"{model['search_score']:.1f}", f"{model['precision']['10']:.3f}", f"{model['map']:.3f}")
        table.add_row(*cells((name, model["layer"], model["metric"], *figures)))
    print_table(table)
    for model in result["models"]:
        for direction, recalls in model.get("recall", {}).items():
            shown = "/".join(f"{recalls[k]:.3f}" for k in ("1", "5", "10"))
            say(f"{model['name']} {direction} recall at 1/5/10: {shown}")
    say(f"experiment: {result['folder']}; a service shows it at /playground.html", err=True)
    if result["export"]:
        say(f"export: python -m http.server -d {result['export']}, then open /playground.html", err=True)


COMMAND = Command(
    ExperimentOptions,
    run,
    "Measure layers, models and metrics on pictures in class folders, for the playground.",
    (
        ("-d ~/classes", "the bundled image tower, eight layers"),
        ("-d ~/classes --models photos resnet50/random clip:photos --layers 4", "several models"),
        ("-d ~/classes --layers blocks.8 output --metrics cosine", "layers by name"),
        ("-d ~/classes --export site", "for a web server without this program"),
    ),
)
