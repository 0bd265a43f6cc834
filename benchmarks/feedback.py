"""The gain in P@10 by liked and unliked examples, with simulated users.

    python benchmarks/feedback.py --photographs FOLDER [--weights photos] [--starts 20] [--tune] [--rules] [--json PATH]
    python benchmarks/feedback.py [--scenes 1000] [--json PATH]

Photographs are a folder of class folders. Scenes are generated; their classes are the 20 shapes and backgrounds and
those pairs of a colour and a shape that 20 scenes or more have. A user looks for the pictures of one class, and starts
from its name (`text`) or from one of its pictures (`picture`, `--starts` random ones for each class).

In each of two rounds the user looks at the first 20 results and makes three marks among those that are not marked yet:
the first wrong one is unliked and the first two right ones are liked. Where there are too few right ones, further wrong
ones are unliked; where there is no wrong one, three right ones are liked. The next results are those of the query with
all marks so far; unliked pictures have left the results. The picture that a search has started from never counts.

- `KIND_before`, `KIND_1`, `KIND_2`: P@10 of what the user sees before, after one round, and after two. Liked pictures
  count, since the user sees them;
- `KIND_residual_before`, `KIND_residual`: P@10 among the pictures that the user has not marked, for the first query and
  for the one after two rounds. No picture counts because it was marked;
- `gain`: `KIND_2 - KIND_before`, the mean of both kinds; `gain_residual` likewise;
- `least_class_gain`: the gain of the class that gains least, the mean of both kinds;
- with `--tune`, `gain_cross_validated`: the weights are those with the greatest mean of `KIND_2` on one half of the
  classes, the gain is that of the other half, and the mean of both halves is told;
- with `--rules`, the same figures of every rule in feedback_rules.py are printed.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from common import write_figures
from cutoff_measures import Figures, Model
from cutoff_scenes import drawn
from feedback_rules import GRID, RULES, Rule, product

from crossmodal.core.types import ImageRecord, Vectors
from crossmodal.datasets import registry as data_sets
from crossmodal.encoders import registry as models
from crossmodal.images.decode import decode
from crossmodal.images.sources import of_record
from crossmodal.scenes.world import BACKGROUNDS, COLOURS, SHAPES, Pattern, make_scene

FIRST_SCENE = 2000
SEEN, MARKS, ROUNDS, COUNTED = 20, 3, 2, 10
LEAST = 20
KINDS = ("text", "picture")
Outcomes = dict[str, dict[str, list[np.ndarray]]]
"""By kind of start and name of the class, the results of `searched` for its searches."""


@dataclass
class Sought:
    """Pictures (n, dim), the vectors (c, dim) of the names of classes, and which pictures belong to each of them."""

    pictures: Vectors
    names: list[str]
    words: Vectors
    members: list[np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path)
    parser.add_argument("--scenes", type=int, default=1000)
    parser.add_argument("--weights", help="default: scenes, or photos with --photographs")
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--rules", action="store_true")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    model = Model(arguments.weights or ("photos" if arguments.photographs else models.SCENES))
    sought = photographs(model, arguments.photographs) if arguments.photographs else scenes(model, arguments.scenes)
    figures = figures_of(simulated(sought, product, arguments.starts))
    if arguments.rules:
        print_rules(sought, arguments.starts)
    if arguments.tune:
        figures["gain_cross_validated"] = cross_validated(sought, arguments.starts)
    write_figures(arguments.json, figures)


def photographs(model: Model, folder: Path) -> Sought:
    records = [record for record in data_sets.read(str(folder)) if isinstance(record, ImageRecord)]
    pictures = model.images([decode(of_record(record))[0] for record in records])
    folders = np.array([record.path.parent.name for record in records])
    names = sorted(set(folders))
    words = model.texts([name.replace("_", " ") for name in names])
    return Sought(pictures, names, words, [np.flatnonzero(folders == name) for name in names])


def scenes(model: Model, n: int) -> Sought:
    made = [make_scene("test", FIRST_SCENE + i) for i in range(n)]
    patterns = {f"{shape}s": Pattern(shape=shape) for shape in SHAPES}
    patterns |= {background: Pattern(background=background) for background in BACKGROUNDS}
    patterns |= {f"a {c} {shape}": Pattern(colour=c, shape=shape) for c in COLOURS for shape in SHAPES}
    members = {name: np.array([i for i in range(n) if p.matches(made[i])]) for name, p in patterns.items()}
    names = [name for name in patterns if len(members[name]) >= LEAST]
    return Sought(
        model.images([drawn(scene) for scene in made]), names, model.texts(names), [members[n] for n in names]
    )


def simulated(sought: Sought, rule: Rule, n_starts: int) -> Outcomes:
    """The searches for every class: one from its name, and one from each of `n_starts` of its pictures."""
    outcomes: Outcomes = {kind: defaultdict(list) for kind in KINDS}
    for name, words, members in zip(sought.names, sought.words, sought.members, strict=True):
        is_right = np.zeros(len(sought.pictures), bool)
        is_right[members] = True
        outcomes["text"][name].append(searched(sought.pictures, is_right, rule, words, []))
        for start in Random(name).sample(members.tolist(), min(n_starts, len(members))):
            outcomes["picture"][name].append(searched(sought.pictures, is_right, rule, None, [start]))
    return outcomes


def searched(
    pictures: Vectors, is_right: np.ndarray, rule: Rule, words: Vectors | None, start: list[int]
) -> np.ndarray:
    """(ROUNDS + 3,) P@10 before, after each round, and of the residuals of the first and the last query."""
    liked, unliked = list(start), []
    first = order = np.argsort(-rule(pictures, words, liked, unliked), kind="stable")
    precisions = [precision(order, is_right, start)]
    for _ in range(ROUNDS):
        seen = [place for place in order.tolist() if place not in unliked and place not in start][:SEEN]
        new = [place for place in seen if place not in liked]
        right, wrong = [p for p in new if is_right[p]], [p for p in new if not is_right[p]]
        added = right[: MARKS - min(1, len(wrong))]
        liked, unliked = liked + added, unliked + wrong[: MARKS - len(added)]
        order = np.argsort(-rule(pictures, words, liked, unliked), kind="stable")
        precisions.append(precision(order, is_right, start + unliked))
    marked = liked + unliked
    return np.array([*precisions, precision(first, is_right, marked), precision(order, is_right, marked)])


def precision(order: np.ndarray, is_right: np.ndarray, without: list[int]) -> float:
    """P@10 of an order from which some pictures are left out."""
    kept = order[~np.isin(order, without)][:COUNTED]
    return float(is_right[kept].mean())


def figures_of(outcomes: Outcomes, names: list[str] | None = None) -> Figures:
    """The figures of all classes, or of the named ones."""
    told = ["before", *(str(n + 1) for n in range(ROUNDS)), "residual_before", "residual"]
    by_class = {
        kind: np.array([np.mean(outcomes[kind][name], axis=0) for name in names or outcomes[kind]]) for kind in KINDS
    }
    figures: Figures = {}
    for kind in KINDS:
        figures |= {
            f"{kind}_{name}": float(value) for name, value in zip(told, by_class[kind].mean(axis=0), strict=True)
        }
    both = (by_class["text"] + by_class["picture"]) / 2
    gains = both[:, ROUNDS] - both[:, 0]
    figures |= {"gain": float(gains.mean()), "gain_residual": float((both[:, -1] - both[:, -2]).mean())}
    figures |= {"least_class_gain": float(gains.min()), "classes": len(gains)}
    return figures


def print_rules(sought: Sought, n_starts: int) -> None:
    for name, rule in RULES.items():
        figures = figures_of(simulated(sought, rule, n_starts))
        shown = " ".join(f"{figure} {value:.3f}" for figure, value in figures.items() if figure != "classes")
        print(f"{name:38} {shown}", flush=True)


def cross_validated(sought: Sought, n_starts: int) -> float:
    """The mean gain of each half of the classes with the weights that are best for the other half."""
    names = Random("halves").sample(sought.names, len(sought.names))
    halves = names[::2], names[1::2]
    by_weights = {weights: simulated(sought, rule, n_starts) for weights, rule in GRID.items()}
    gains = []
    for chosen_on, told_of in (halves, halves[::-1]):
        on_half = {weights: figures_of(outcomes, chosen_on) for weights, outcomes in by_weights.items()}
        best = max(on_half, key=lambda weights: sum(on_half[weights][f"{kind}_{ROUNDS}"] for kind in KINDS))
        gains.append(figures_of(by_weights[best], told_of)["gain"])
        print(f"liked {best[0]}, unliked {best[1]}: gain of the other half {gains[-1]:.3f}")
    return float(np.mean(gains))


if __name__ == "__main__":
    main()
