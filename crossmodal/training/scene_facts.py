"""Training targets from the facts of scenes: attributes of an image, cells of a feature map, facts of a query."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crossmodal.scenes import world
from crossmodal.scenes.world import Pattern, Scene, Thing

CELLS = 3
"""Cells per side of the image tower's last feature map; no two things share a cell."""
CELL_FACTS: dict[str, tuple[object, ...]] = {
    "shape": world.SHAPES,
    "colour": world.COLOURS,
    "count": world.COUNTS,
    "size": world.SIZES,
    "texture": world.TEXTURES,
}
_PLACES = {name: {value: place for place, value in enumerate(values)} for name, values in CELL_FACTS.items()}


def truth_by_thing(patterns: list[Pattern], scenes: list[Scene]) -> NDArray[np.bool_]:
    """Whether pattern i holds for thing k of scene j, (n patterns, n scenes, most things) bool.

    A vectorised `Pattern.matches` of single things. False beyond the number of things of a scene.
    """
    most = max(len(scene.things) for scene in scenes)
    wanted = np.array([fact_places(pattern) for pattern in patterns], np.int8)
    facts = np.full((len(scenes), most, len(CELL_FACTS)), -2, np.int8)
    for row, scene in zip(facts, scenes, strict=True):
        row[: len(scene.things)] = [fact_places(thing) for thing in scene.things]
    wanted_background = np.array(
        [world.BACKGROUNDS.index(p.background) if p.background else -1 for p in patterns], np.int8
    )
    background = np.array([world.BACKGROUNDS.index(scene.background) for scene in scenes], np.int8)
    fits = (wanted_background < 0)[:, None] | (wanted_background[:, None] == background)
    holds = fits[:, :, None] & (facts[None, :, :, 0] != -2)
    for name in range(len(CELL_FACTS)):
        holds &= (wanted[:, name] < 0)[:, None, None] | (wanted[:, None, None, name] == facts[None, :, :, name])
    return np.asarray(holds, np.bool_)


def _attribute_names() -> dict[tuple[str, str, str], int]:
    """The pairs of facts an image can show, each with its index in the target vector.

    Pairs of colour and shape are left out: their targets would teach that the held-out pairs never occur.
    """
    halves = ("left", "right", "top", "bottom")
    names = [("half-shape", h, s) for h in halves for s in world.SHAPES]
    names += [("half-colour", h, c) for h in halves for c in world.COLOURS]
    names += [("shape-count", s, str(n)) for s in world.SHAPES for n in world.COUNTS]
    names += [("shape-size", s, z) for s in world.SHAPES for z in world.SIZES]
    names += [("shape-texture", s, t) for s in world.SHAPES for t in world.TEXTURES]
    names += [("colour-count", c, str(n)) for c in world.COLOURS for n in world.COUNTS]
    names += [("background", b, "") for b in world.BACKGROUNDS]
    return {name: place for place, name in enumerate(names)}


_ATTRIBUTES = _attribute_names()
N_ATTRIBUTES = len(_ATTRIBUTES)


def attribute_targets(scenes: list[Scene]) -> NDArray[np.float32]:
    """Attributes of scenes, (n scenes, N_ATTRIBUTES): 1 if the pair of facts ("a heart on the left") holds."""
    targets = np.zeros((len(scenes), N_ATTRIBUTES), np.float32)
    for row, scene in zip(targets, scenes, strict=True):
        row[_ATTRIBUTES["background", scene.background, ""]] = 1
        for thing in scene.things:
            halves = ["left"] * (thing.x < 0.4) + ["right"] * (thing.x > 0.6)
            halves += ["top"] * (thing.y < 0.4) + ["bottom"] * (thing.y > 0.6)
            if world.is_named(thing.shape):
                for half in halves:
                    row[_ATTRIBUTES["half-shape", half, thing.shape]] = 1
                row[_ATTRIBUTES["shape-count", thing.shape, str(thing.count)]] = 1
                row[_ATTRIBUTES["shape-size", thing.shape, thing.size]] = 1
                row[_ATTRIBUTES["shape-texture", thing.shape, thing.texture]] = 1
            if world.is_named(thing.colour):
                for half in halves:
                    row[_ATTRIBUTES["half-colour", half, thing.colour]] = 1
                row[_ATTRIBUTES["colour-count", thing.colour, str(thing.count)]] = 1
    return targets


def cell_of(thing: Thing) -> int:
    """The index, row by row, of the cell with the thing's centre."""
    return int(thing.y * CELLS) * CELLS + int(thing.x * CELLS)


def cell_targets(scenes: list[Scene]) -> NDArray[np.int64]:
    """The facts of each cell as indices into `CELL_FACTS`, (n scenes, CELLS * CELLS, facts).

    -1 for unknown facts: those of an empty cell, and a colour or shape without a name.
    """
    targets = np.full((len(scenes), CELLS * CELLS, len(CELL_FACTS)), -1, np.int64)
    for row, scene in zip(targets, scenes, strict=True):
        for thing in scene.things:
            row[cell_of(thing)] = fact_places(thing)
    return targets


def fact_places(thing: Thing | Pattern) -> list[int]:
    """The index of each fact's value in `CELL_FACTS`; -1 if it is unspecified, or a colour or shape without a name."""
    return [places.get(getattr(thing, name), -1) for name, places in _PLACES.items()]
