"""The facts of scenes as targets: of attributes of an image, of the cells of a feature map, of queries."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crossmodal.scenes import world
from crossmodal.scenes.world import Pattern, Scene, Thing

CELLS = 3
"""Cells a side of the image tower's last feature map; every thing has a cell to itself."""
CELL_FACTS: dict[str, tuple[object, ...]] = {
    "shape": world.SHAPES,
    "colour": world.COLOURS,
    "count": world.COUNTS,
    "size": world.SIZES,
    "texture": world.TEXTURES,
}
_PLACES = {name: {value: place for place, value in enumerate(values)} for name, values in CELL_FACTS.items()}


def truth_by_thing(patterns: list[Pattern], scenes: list[Scene]) -> NDArray[np.bool_]:
    """(n patterns, n scenes, most things): whether pattern i holds for thing k of scene j; False where a scene
    has fewer things. Equals `Pattern.matches` of one thing, all at once.
    """
    most = max(len(scene.things) for scene in scenes)
    asked = np.array([fact_places(pattern) for pattern in patterns], np.int8)
    there = np.full((len(scenes), most, len(CELL_FACTS)), -2, np.int8)
    for row, scene in zip(there, scenes, strict=True):
        row[: len(scene.things)] = [fact_places(thing) for thing in scene.things]
    in_place = np.array([world.BACKGROUNDS.index(p.background) if p.background else -1 for p in patterns], np.int8)
    behind = np.array([world.BACKGROUNDS.index(scene.background) for scene in scenes], np.int8)
    fits = (in_place < 0)[:, None] | (in_place[:, None] == behind)
    holds = fits[:, :, None] & (there[None, :, :, 0] != -2)
    for name in range(len(CELL_FACTS)):
        holds &= (asked[:, name] < 0)[:, None, None] | (asked[:, None, None, name] == there[None, :, :, name])
    return np.asarray(holds, np.bool_)


def _attribute_names() -> dict[tuple[str, str, str], int]:
    """Pairs of facts a picture can show, each with its place in the target vector.

    No pair of colour and shape is among them: the held-out ones would be taught as impossible.
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
    """(n scenes, N_ATTRIBUTES): 1 where a pair of facts ("a heart on the left") holds in the scene."""
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
    """The number of the cell that the thing's centre is in, row by row."""
    return int(thing.y * CELLS) * CELLS + int(thing.x * CELLS)


def cell_targets(scenes: list[Scene]) -> NDArray[np.int64]:
    """(n scenes, CELLS * CELLS, facts): for each cell the place of each fact's value in `CELL_FACTS`.

    -1 where there is nothing to tell: an empty cell, a colour or a shape without a name.
    """
    targets = np.full((len(scenes), CELLS * CELLS, len(CELL_FACTS)), -1, np.int64)
    for row, scene in zip(targets, scenes, strict=True):
        for thing in scene.things:
            row[cell_of(thing)] = fact_places(thing)
    return targets


def fact_places(told: Thing | Pattern) -> list[int]:
    """The place of each fact's value in `CELL_FACTS`; -1 where none is told, or a colour or a shape has no name."""
    return [places.get(getattr(told, name), -1) for name, places in _PLACES.items()]
