"""Captions of scenes in five styles, with synonyms; and short queries.

A caption depends on the scene and on a separate random generator. So the same generator state with a changed scene
(`world.flipped`, `world.swapped`, `world.changed`) gives a caption that differs only in the change: a hard negative.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from random import Random

from crossmodal.scenes.world import RELATION_GAP, Pattern, Scene, Thing, is_named

SHAPE_NAMES: dict[str, tuple[tuple[str, str], ...]] = {
    "circle": (("circle", "circles"), ("disc", "discs")),
    "square": (("square", "squares"), ("box", "boxes")),
    "triangle": (("triangle", "triangles"), ("pyramid", "pyramids")),
    "star": (("star", "stars"),),
    "heart": (("heart", "hearts"),),
    "ring": (("ring", "rings"), ("hoop", "hoops")),
    "cross": (("cross", "crosses"), ("plus sign", "plus signs")),
    "diamond": (("diamond", "diamonds"), ("rhombus", "rhombuses")),
    "moon": (("moon", "moons"), ("crescent", "crescents")),
    "hexagon": (("hexagon", "hexagons"),),
    "flower": (("flower", "flowers"), ("blossom", "blossoms")),
    "drop": (("drop", "drops"), ("teardrop", "teardrops")),
}
"""Singular and plural names; the first is the default, the others are synonyms."""
ANY_SHAPE = (("thing", "things"), ("shape", "shapes"))
"""Names for unnamed shapes, and for queries that leave the shape open: "red things"."""

COLOUR_NAMES: dict[str, tuple[str, ...]] = {
    "red": ("red", "crimson"),
    "orange": ("orange", "tangerine"),
    "yellow": ("yellow", "golden"),
    "green": ("green", "emerald"),
    "blue": ("blue", "azure"),
    "purple": ("purple", "violet"),
    "pink": ("pink", "rosy"),
    "brown": ("brown", "chestnut"),
    "black": ("black", "jet black"),
    "white": ("white", "snowy"),
}
TEXTURE_NAMES: dict[str, tuple[str, ...]] = {
    "plain": ("",),
    "striped": ("striped", "stripy"),
    "dotted": ("dotted", "spotted"),
    "checkered": ("checkered", "checked"),
}
SIZE_NAMES: dict[str, tuple[str, ...]] = {
    "small": ("small", "little", "tiny"),
    "large": ("large", "big", "huge"),
}
COUNT_NAMES: dict[int, tuple[str, ...]] = {
    1: ("a", "one", "a single"),
    2: ("two", "a pair of"),
    3: ("three", "a trio of"),
    4: ("four", "a group of four"),
}
BACKGROUND_NAMES: dict[str, tuple[str, ...]] = {
    "grass": ("on the grass", "on a lawn", "in a meadow"),
    "sky": ("in the sky", "among the clouds"),
    "night": ("at night", "in the starry night"),
    "sand": ("on the sand", "on a beach"),
    "water": ("in the water", "in the sea"),
    "wood": ("on a wooden floor", "on wood"),
    "paper": ("on paper", "on a lined page"),
    "bricks": ("on a brick wall", "in front of bricks"),
}

CAPTION_STYLES = 5
INVENTORY_STYLE = 3
PLACED_STYLES = (0, 1, 2, 4)
"""The styles that state positions, and so change when the scene is flipped."""

LEFT, RIGHT = ("left of", "to the left of"), ("right of", "to the right of")
ABOVE, BELOW = ("above", "over"), ("below", "under")


def captions(scene: Scene, rng: Random) -> list[str]:
    """Five captions of a scene, one in each style, in the order of the styles."""
    return [caption(scene, style, rng) for style in range(CAPTION_STYLES)]


def caption(scene: Scene, style: int, rng: Random) -> str:
    """One caption of a scene in a style of 0 to 4.

    Styles: 0 a relation, then the background; 1 the background, then a relation with synonyms; 2 each thing with its
    position in the picture; 3 all things with all attributes; 4 all things, then a relation.
    """
    things = list(scene.things)
    rng.shuffle(things)
    first, second, *rest = things
    synonyms = style == 1 or rng.random() < 0.3
    background = rng.choice(BACKGROUND_NAMES[scene.background])

    def name(thing: Thing, detailed: bool = False) -> str:
        return noun_phrase(thing, rng, synonyms=synonyms, detail=1.0 if detailed else 0.8)

    also = "".join(f" and {name(thing)}" for thing in rest)
    if style == 0:
        return f"{name(first)} {_relation(first, second, rng)} {name(second)}{also} {background}"
    if style == 1:
        return f"{background}, {name(first)} {_relation(first, second, rng)} {name(second)}{also}"
    if style == 2:
        placed = [f"{name(thing)} {_place(thing, rng)}" for thing in things]
        return f"{', '.join(placed[:-1])} and {placed[-1]} {background}"
    if style == 3:
        listed = [name(thing, detailed=True) for thing in things]
        lead = rng.choice(("a picture of", "there are", "a drawing of", "we see"))
        return f"{lead} {', '.join(listed[:-1])} and {listed[-1]} {background}"
    listed = [name(thing) for thing in things]
    relation = _relation(first, second, rng)
    shapes = [_shape_word(t, rng, synonyms, plural=t.count > 1) for t in (first, second)]
    be = "is" if first.count == 1 else "are"
    return f"{', '.join(listed[:-1])} and {listed[-1]} {background}, the {shapes[0]} {be} {relation} the {shapes[1]}"


def terse_caption(scene: Scene, rng: Random) -> str:
    """A short caption with a relation or a position: "red heart left of star", "stars at the top"."""
    first, second = rng.sample(scene.things, 2)
    synonyms, colours = rng.random() < 0.3, rng.random() < 0.5

    def name(thing: Thing) -> str:
        words = [_colour_word(thing.colour, rng, synonyms)] if colours else []
        words.append(_shape_word(thing, rng, synonyms, plural=thing.count > 1))
        return " ".join(word for word in words if word)

    if rng.random() < 0.5:
        return f"{name(first)} {_place(first, rng)}"
    return f"{name(first)} {_relation(first, second, rng)} {name(second)}"


def noun_phrase(thing: Thing, rng: Random, synonyms: bool = False, detail: float = 0.8) -> str:
    """A thing's count, size, texture, colour and shape in words: "two small red hearts".

    Size and texture are each mentioned with probability `detail`.
    """
    words = [rng.choice(COUNT_NAMES[thing.count])]
    with_size, with_texture = rng.random() < detail, rng.random() < detail
    size, texture = rng.choice(SIZE_NAMES[thing.size]), rng.choice(TEXTURE_NAMES[thing.texture])
    if with_size:
        words.append(size)
    if with_texture and texture:
        words.append(texture)
    words.append(_colour_word(thing.colour, rng, synonyms))
    words.append(_shape_word(thing, rng, synonyms, plural=thing.count > 1))
    phrase = " ".join(word for word in words if word)
    return _with_articles(phrase)


def _with_articles(phrase: str) -> str:
    """Replaces "a" by "an" before colours that begin with a vowel."""
    return re.sub(r"\ba (?=orange|azure|emerald)", "an ", phrase)


def _colour_word(colour: str, rng: Random, synonyms: bool) -> str:
    usual, other = COLOUR_NAMES.get(colour, ("", ""))
    return other if synonyms and rng.random() < 0.6 else usual


def _shape_word(thing: Thing, rng: Random, synonyms: bool, plural: bool) -> str:
    names = SHAPE_NAMES.get(thing.shape, ANY_SHAPE)
    pick = names[-1] if rng.random() < 0.6 and synonyms else names[0]
    return pick[1] if plural else pick[0]


def _relation(first: Thing, second: Thing, rng: Random) -> str:
    """A true relation of two things, along an axis on which their centres are at least `RELATION_GAP` apart."""
    dx, dy = first.x - second.x, first.y - second.y
    along_x = abs(dx) >= RELATION_GAP and (abs(dy) < RELATION_GAP or rng.random() < 0.5)
    wording = rng.randrange(2)
    if along_x:
        return (LEFT if dx < 0 else RIGHT)[wording]
    return (ABOVE if dy < 0 else BELOW)[wording]


def _place(thing: Thing, rng: Random) -> str:
    vertical = "top" if thing.y < 0.4 else "bottom" if thing.y > 0.6 else ""
    horizontal = "left" if thing.x < 0.4 else "right" if thing.x > 0.6 else ""
    where = f"{vertical} {horizontal}".strip() or "middle"
    return f"{rng.choice(('at the', 'in the'))} {where}"


@dataclass(frozen=True)
class ShortQuery:
    """A short text and the predicate that decides which scenes it describes."""

    text: str
    pattern: Pattern


ATTRIBUTE_SETS: tuple[tuple[str, ...], ...] = (
    ("shape",),
    ("colour", "shape"),
    ("count", "shape"),
    ("texture", "colour", "shape"),
    ("size", "colour", "shape"),
    ("count", "colour", "shape"),
    ("count", "size", "colour", "shape"),
    ("texture", "shape"),
    ("colour",),
    ("colour", "shape", "background"),
    ("background",),
)


def short_query(
    scene: Scene, rng: Random, synonyms: bool | None = None, attributes: tuple[str, ...] | None = None
) -> ShortQuery:
    """A short query that is true of the scene: "hearts", "red circle", "three small green stars".

    Args:
        scene: The scene that the query describes.
        rng: Random generator that chooses the thing, the attributes and the words.
        synonyms: True for synonyms, False for default words, None for a random choice of the two.
        attributes: The attributes to mention; None for a random element of `ATTRIBUTE_SETS`.
    """
    thing = rng.choice(scene.things)
    pattern = pattern_of(thing, scene, attributes or rng.choice(ATTRIBUTE_SETS))
    if pattern == Pattern():
        pattern = pattern_of(thing, scene, ("colour", "shape"))
    return describe(pattern, rng, synonyms)


def pattern_of(thing: Thing, scene: Scene, attributes: tuple[str, ...]) -> Pattern:
    """The pattern with the given attributes of a thing, without a plain texture or an unnamed colour or shape."""
    values = {a: getattr(thing, a) for a in attributes if a != "background"}
    if values.get("texture") == "plain":
        del values["texture"]
    for name in ("colour", "shape"):
        if not is_named(str(values.get(name, ""))):
            del values[name]
    pattern = Pattern(**values)
    return replace(pattern, background=scene.background) if "background" in attributes else pattern


def describe(pattern: Pattern, rng: Random, synonyms: bool | None = None) -> ShortQuery:
    """The pattern in words; "hearts" or "a heart" if it leaves the count open."""
    use_synonyms = rng.random() < 0.5 if synonyms is None else synonyms

    def pick(names: tuple[str, ...]) -> str:
        return rng.choice(names[1:]) if use_synonyms and len(names) > 1 else names[0]

    words = []
    if pattern.count is not None:
        words.append(pick(COUNT_NAMES[pattern.count]))
    if pattern.size is not None:
        words.append(pick(SIZE_NAMES[pattern.size]))
    if pattern.texture is not None:
        words.append(pick(TEXTURE_NAMES[pattern.texture]))
    if pattern.colour is not None:
        words.append(pick(COLOUR_NAMES[pattern.colour]))
    if pattern.shape is not None or words:
        names = SHAPE_NAMES[pattern.shape] if pattern.shape else ANY_SHAPE
        singular, plural = names[-1] if use_synonyms else names[0]
        is_count_open = pattern.count is None
        is_plural = rng.random() < 0.5 if is_count_open else pattern.count != 1
        words.append(plural if is_plural else singular)
        if is_count_open and not is_plural and rng.random() < 0.4:
            words.insert(0, "a")
    if pattern.background is not None:
        words.append(pick(BACKGROUND_NAMES[pattern.background]))
    text = " ".join(words)
    return ShortQuery(_with_articles(text), pattern)
