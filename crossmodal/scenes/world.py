"""Symbolic scenes: things with a shape, colour, texture, size and count, placed over a background.

`render` draws a scene and `language` describes it. Since a scene is symbolic, whether a phrase is true of its picture
is known without labels.

The test split measures compositional generalisation: each of its things has a colour-shape pair (such as a red heart)
that never occurs in training, although red things and hearts do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np

SHAPES = (
    "circle", "square", "triangle", "star", "heart", "ring",
    "cross", "diamond", "moon", "hexagon", "flower", "drop",
)  # fmt: skip
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white")
TEXTURES = ("plain", "striped", "dotted", "checkered")
SIZES = ("small", "large")
COUNTS = (1, 2, 3, 4)
BACKGROUNDS = ("grass", "sky", "night", "sand", "water", "wood", "paper", "bricks")

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")

UNNAMED_COLOUR_SHARE, UNNAMED_SHAPE_SHARE = 0.4, 0.15
"""Shares of things in the train split with an unnamed colour (`#rrggbb`) or an unnamed shape (a polygon determined by
the six digits after its `#`). No thing has both.

With named attributes alone, a model learns that red things are never hearts and fails on the held-out pairs. Unnamed
colours, which are far from all named ones, make it learn shapes independently of colour, and unnamed shapes vice versa.
"""
PALETTE: dict[str, tuple[int, int, int]] = {
    "red": (220, 30, 35), "orange": (250, 135, 15), "yellow": (250, 220, 30),
    "green": (30, 155, 60), "blue": (35, 85, 220), "purple": (130, 45, 175),
    "pink": (250, 130, 185), "brown": (120, 70, 30), "black": (25, 25, 28), "white": (248, 248, 248),
}  # fmt: skip
LEAST_COLOUR_DISTANCE = 70.0
"""Smallest Euclidean distance in 8-bit RGB between an unnamed colour and every named one."""

RELATION_GAP = 0.22
"""Smallest distance of two centres along an axis, in picture widths, for a caption to state a relation."""


@dataclass(frozen=True)
class Thing:
    """A group of `count` equal objects with its centre at (x, y) in [0, 1]; y points down."""

    shape: str
    colour: str
    texture: str
    size: str
    count: int
    x: float
    y: float


@dataclass(frozen=True)
class Scene:
    """A background and two or three things; `seed` determines the jitter and grain of its drawing."""

    background: str
    things: tuple[Thing, ...]
    seed: int


@lru_cache(maxsize=1)
def held_out_pairs() -> frozenset[tuple[str, str]]:
    """The 24 of 120 (colour, shape) pairs that only the test split has; at least two for each shape."""
    return frozenset(
        (colour, shape) for i, colour in enumerate(COLOURS) for j, shape in enumerate(SHAPES) if (i + 2 * j) % 5 == 0
    )


def pairs_of(split: Split) -> tuple[tuple[str, str], ...]:
    """The (colour, shape) pairs of a split, in a fixed order."""
    held_out = held_out_pairs()
    return tuple((c, s) for c in COLOURS for s in SHAPES if ((c, s) in held_out) == (split == "test"))


def make_scene(split: Split, index: int, seed: int = 0) -> Scene:
    """Scene number `index` of a split; the same arguments give the same scene on every machine."""
    rng = np.random.default_rng([seed, SPLITS.index(split), index])
    pairs = pairs_of(split)
    n_things = 2 if rng.random() < 0.75 else 3
    places = _places(n_things, rng)
    chosen = rng.choice(len(pairs), size=n_things, replace=False)
    things = tuple(
        _make_thing(pairs[pair][0], pairs[pair][1], place, rng) for pair, place in zip(chosen, places, strict=True)
    )
    scene = Scene(str(rng.choice(BACKGROUNDS)), things, int(rng.integers(2**31)))
    return _with_unnamed(scene, rng) if split == "train" else scene


def is_named(value: str) -> bool:
    """Whether a colour or shape has a name."""
    return not value.startswith("#")


def rgb_of(colour: str) -> tuple[int, int, int]:
    """The RGB of a named or unnamed colour."""
    if is_named(colour):
        return PALETTE[colour]
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _with_unnamed(scene: Scene, rng: np.random.Generator) -> Scene:
    things = []
    for thing in scene.things:
        draw = rng.random()
        if draw < UNNAMED_COLOUR_SHARE:
            thing = replace(thing, colour=_unnamed_colour(rng))
        elif draw < UNNAMED_COLOUR_SHARE + UNNAMED_SHAPE_SHARE:
            thing = replace(thing, shape=f"#{rng.integers(1 << 24):06x}")
        things.append(thing)
    return replace(scene, things=tuple(things))


def _unnamed_colour(rng: np.random.Generator) -> str:
    named = np.array(list(PALETTE.values()))
    while True:
        colour = rng.integers(0, 256, 3)
        if np.linalg.norm(named - colour, axis=1).min() >= LEAST_COLOUR_DISTANCE:
            return "#" + "".join(f"{value:02x}" for value in colour)


def _make_thing(colour: str, shape: str, place: tuple[float, float], rng: np.random.Generator) -> Thing:
    size = str(rng.choice(SIZES))
    # At the input size of the small models, a texture is not visible on a small object.
    textured = size == "large" and rng.random() < 0.6
    texture = str(rng.choice(TEXTURES[1:])) if textured else "plain"
    count = int(rng.choice(COUNTS, p=(0.4, 0.2, 0.2, 0.2)))
    return Thing(shape, colour, texture, size, count, *place)


def _places(n_things: int, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Centres that are far enough apart for the groups not to touch."""
    if n_things == 3:
        cells = [(0.26, 0.26), (0.74, 0.26), (0.26, 0.74), (0.74, 0.74)]
        picked = [cells[i] for i in rng.permutation(4)[:3]]
        return [_jitter(x, y, 0.02, 0.02, rng) for x, y in picked]
    kind = rng.integers(3)
    if kind == 0:
        pair = [_jitter(0.26, 0.5, 0.02, 0.1, rng), _jitter(0.74, 0.5, 0.02, 0.1, rng)]
    elif kind == 1:
        pair = [_jitter(0.5, 0.26, 0.1, 0.02, rng), _jitter(0.5, 0.74, 0.1, 0.02, rng)]
    else:
        y = 0.26 if rng.random() < 0.5 else 0.74
        pair = [_jitter(0.26, y, 0.03, 0.03, rng), _jitter(0.74, 1 - y, 0.03, 0.03, rng)]
    return pair if rng.random() < 0.5 else pair[::-1]


def _jitter(x: float, y: float, dx: float, dy: float, rng: np.random.Generator) -> tuple[float, float]:
    return float(x + rng.uniform(-dx, dx)), float(y + rng.uniform(-dy, dy))


def flipped(scene: Scene, axis: Literal["x", "y"]) -> Scene:
    """The scene mirrored left to right (`x`) or top to bottom (`y`), which inverts all relations along that axis."""
    if axis == "x":
        things = tuple(replace(t, x=1 - t.x) for t in scene.things)
    else:
        things = tuple(replace(t, y=1 - t.y) for t in scene.things)
    return replace(scene, things=things)


def _set(thing: Thing, attribute: str, value: object) -> Thing:
    return replace(thing, **{attribute: value})  # type: ignore[arg-type]


def swapped(scene: Scene, attribute: str, i: int = 0, j: int = 1) -> Scene:
    """The scene with one attribute of things `i` and `j` exchanged: a red heart and a blue star become a blue heart
    and a red star.
    """
    things = list(scene.things)
    a, b = getattr(things[i], attribute), getattr(things[j], attribute)
    things[i] = _set(things[i], attribute, b)
    things[j] = _set(things[j], attribute, a)
    return replace(scene, things=tuple(things))


def changed(scene: Scene, attribute: str, rng: np.random.Generator) -> Scene:
    """The scene with one attribute of one thing, or the background, replaced by another value.

    A texture never becomes plain: captions don't mention plain, so the changed caption would still be true.
    """
    if attribute == "background":
        others = [b for b in BACKGROUNDS if b != scene.background]
        return replace(scene, background=str(rng.choice(others)))
    values = {
        "shape": SHAPES, "colour": COLOURS, "texture": TEXTURES[1:], "size": SIZES, "count": COUNTS,
    }[attribute]  # fmt: skip
    i = int(rng.integers(len(scene.things)))
    thing = scene.things[i]
    options = [v for v in values if v != getattr(thing, attribute)]
    other = options[int(rng.integers(len(options)))]
    things = (*scene.things[:i], _set(thing, attribute, other), *scene.things[i + 1 :])
    return replace(scene, things=things)


@dataclass(frozen=True)
class Pattern:
    """A predicate on scenes; None leaves an attribute open."""

    shape: str | None = None
    colour: str | None = None
    texture: str | None = None
    size: str | None = None
    count: int | None = None
    background: str | None = None

    def matches(self, scene: Scene) -> bool:
        """Whether the background matches and one thing of the scene has all attributes of the pattern."""
        if self.background is not None and self.background != scene.background:
            return False
        required = [
            (name, value)
            for name in ("shape", "colour", "texture", "size", "count")
            if (value := getattr(self, name)) is not None
        ]
        return any(all(getattr(t, n) == v for n, v in required) for t in scene.things)
