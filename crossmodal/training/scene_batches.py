"""Batches of scenes for contrastive training: pictures, captions, false captions, short queries.

Batch number i of a run is a function of the seed and i alone, so a run resumed at step i goes on just as
the uninterrupted one would.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from io import BytesIO
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from crossmodal.core.files import atomic_path
from crossmodal.scenes import language, world
from crossmodal.scenes.render import render
from crossmodal.scenes.world import Pattern, Scene, Thing, make_scene

RENDER_PX, JPEG_QUALITY = 256, 88
"""As `datasets.scenes` draws them: a model that never saw what JPEG does to colours confuses some."""
TERSE_SHARE = 0.3
"""Share of the captions that say little but where things are; long ones alone take far longer to teach
the text tower what "left" means."""
BINDING_SHARE = 0.35
"""Share of the captions that list the things and don't say where they are, each with a twin in which two colours are
exchanged. Only what colour goes with what shape tells the two apart: it was right for 82 % of them before, and for
95 % of captions with places in them."""
MANY_THINGS_WEIGHT = 2.0
"""How much more often a scene of three things is drawn than one of two, for batches with texts."""
TEXTURE_SHARE = 0.3
"""Share of the short queries that name a texture, where there is one: three things in ten have one, so by chance one
query in twenty would, and "striped red hearts" was what the model was worst at."""
QUERIES_AN_IMAGE = 1
ALIKE_SHARE = 0.5
"""Share of the batches with few shapes and colours in them, so that many things differ in one respect only."""
SHAPES_ALIKE, COLOURS_ALIKE = 5, 5


@dataclass(frozen=True)
class PictureBatch:
    """Pictures and what is where in them."""

    images: Tensor  # (n, 3, side, side) uint8
    cells: Tensor  # (n, CELLS * CELLS, facts) int64, see `cell_targets`

    def to(self, device: torch.device) -> Self:
        """The batch on a device."""
        return replace(self, **{f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)})


@dataclass(frozen=True)
class SceneBatch(PictureBatch):
    """Pictures and texts; texts are token ids cut at the longest of their kind."""

    captions: Tensor  # (m, length) int64, m <= n, caption i of image i
    negatives: Tensor  # (m, length) int64, each caption's false twin, as wide as `captions`
    queries: Tensor  # (2 * QUERIES_AN_IMAGE * n, length) int64, the true ones of the images, then their twins
    query_facts: Tensor  # (2 * QUERIES_AN_IMAGE * n, facts) int64, what each query says, see `fact_places`
    query_is_true: Tensor  # (2 * QUERIES_AN_IMAGE * n, n) bool, query i of image j
    thing_cells: Tensor  # (t,) int64, where each thing of the batch is: n-th image * CELLS * CELLS + its cell
    query_is_true_of_thing: Tensor  # (2 * QUERIES_AN_IMAGE * n, t) bool
    attributes: Tensor  # (n, N_ATTRIBUTES) float32, 1 where the attribute is in the picture
    negative_attributes: Tensor  # (m, N_ATTRIBUTES) float32, of what the false caption says


class SceneBatches(Dataset[PictureBatch]):
    """Training batches over a pool of scenes drawn beforehand; texts are new every time.

    The first `n_pictures_only` batches have no texts.
    """

    def __init__(
        self,
        pool: NDArray[np.uint8],
        scenes: list[Scene],
        encode_word: Callable[[str], list[int]],
        special: tuple[int, int],
        *,
        context_length: int,
        batch_size: int,
        n_captions: int,
        n_pictures_only: int,
        n_batches: int,
        seed: int,
    ) -> None:
        self.pool, self.scenes, self.encode_word, self.special = pool, scenes, encode_word, special
        self.context_length, self.batch_size, self.n_captions = context_length, batch_size, n_captions
        self.n_pictures_only, self.n_batches, self.seed = n_pictures_only, n_batches, seed
        self._words: dict[str, list[int]] = {}
        self._n_things = np.array([len(scene.things) for scene in scenes])
        self._has = np.array([[_has(scene, value) for value in (*world.SHAPES, *world.COLOURS)] for scene in scenes])

    def __len__(self) -> int:
        return self.n_batches

    def __getitem__(self, step: int) -> PictureBatch:
        rng = np.random.default_rng([self.seed, step])
        rows = self._drawn(self._candidates(step, rng), step, rng)
        mirror = rng.random(self.batch_size) < 0.5
        pictures, scenes = take_pictures(self.pool, self.scenes, rows, mirror)
        return pictures if step < self.n_pictures_only else self._with_texts(pictures, scenes, step)

    def _drawn(self, candidates: NDArray[np.int64], step: int, rng: np.random.Generator) -> NDArray[np.int64]:
        weights = np.where(self._n_things[candidates] > 2, MANY_THINGS_WEIGHT, 1.0)
        if step < self.n_pictures_only:
            weights[:] = 1.0
        return rng.choice(candidates, self.batch_size, replace=False, p=weights / weights.sum())

    def _candidates(self, step: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """The scenes that a batch is drawn from: all, or those that have no other than a few shapes and colours."""
        everything = np.arange(len(self.scenes))
        if step < self.n_pictures_only or rng.random() >= ALIKE_SHARE:
            return everything
        n_shapes, n_colours = len(world.SHAPES), len(world.COLOURS)
        others = np.concatenate([
            rng.permutation(n_shapes)[SHAPES_ALIKE:], n_shapes + rng.permutation(n_colours)[COLOURS_ALIKE:]
        ])  # fmt: skip
        alike = everything[~self._has[:, others].any(axis=1)]
        return alike if len(alike) >= self.batch_size else everything

    def _with_texts(self, pictures: PictureBatch, scenes: list[Scene], step: int) -> SceneBatch:
        words = Random(self.seed * 1_000_003 + step)
        told = [caption_with_twin(scene, words) for scene in scenes[: self.n_captions]]
        captions = self.tokens([true for true, _, _ in told] + [false for _, false, _ in told])
        asked = [scene_query(scene, words) for scene in scenes for _ in range(QUERIES_AN_IMAGE)]
        asked += [language.describe(false_twin(query.pattern, words), words) for query in asked]
        true_of = truth_by_thing([query.pattern for query in asked], scenes)
        there = np.array([[k < len(scene.things) for k in range(true_of.shape[2])] for scene in scenes])
        cells = [row * CELLS * CELLS + cell_of(thing) for row, scene in enumerate(scenes) for thing in scene.things]
        return SceneBatch(
            images=pictures.images,
            cells=pictures.cells,
            captions=captions[: len(told)],
            negatives=captions[len(told) :],
            queries=self.tokens([query.text for query in asked]),
            query_facts=torch.tensor([fact_places(query.pattern) for query in asked]),
            query_is_true=torch.from_numpy(true_of.any(axis=2)),
            thing_cells=torch.tensor(cells),
            query_is_true_of_thing=torch.from_numpy(true_of[:, there]),
            attributes=torch.from_numpy(attribute_targets(scenes)),
            negative_attributes=torch.from_numpy(attribute_targets([altered for _, _, altered in told])),
        )

    def tokens(self, texts: list[str]) -> Tensor:
        """Token ids, (n, longest), padded with 0; the tokenizer's own result, word by word from a cache."""
        start, end = self.special
        rows = []
        for text in texts:
            ids = [start]
            for word in text.replace(",", " ,").split():
                known = self._words.get(word)
                if known is None:
                    known = self._words[word] = self.encode_word(word)
                ids += known
            rows.append([*ids[: self.context_length - 1], end])
        result = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
        for i, row in enumerate(rows):
            result[i, : len(row)] = torch.tensor(row)
        return result


def _has(scene: Scene, value: str) -> bool:
    return any(value in (thing.shape, thing.colour) for thing in scene.things)


def take_pictures(
    pool: NDArray[np.uint8], scenes: list[Scene], rows: NDArray[np.int64], mirror: NDArray[np.bool_]
) -> tuple[PictureBatch, list[Scene]]:
    """The pictures of the pool's `rows`, those that `mirror` says mirrored, and the scenes they then show."""
    images = pool[rows].copy()
    images[mirror] = images[mirror][:, :, ::-1]
    shown = [
        world.flipped(scenes[row], "x") if is_mirrored else scenes[row]
        for row, is_mirrored in zip(rows, mirror, strict=True)
    ]
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
    return PictureBatch(pixels, torch.from_numpy(cell_targets(shown))), shown


def scene_query(scene: Scene, words: Random) -> language.ShortQuery:
    """A short query that is true of the scene; TEXTURE_SHARE of those that can, name a texture."""
    textured = tuple(thing for thing in scene.things if thing.texture != "plain")
    if words.random() >= TEXTURE_SHARE or not textured:
        return language.short_query(scene, words)
    named = words.choice((("texture", "colour", "shape"), ("texture", "shape")))
    return language.short_query(replace(scene, things=textured), words, attributes=named)


def caption_with_twin(scene: Scene, words: Random) -> tuple[str, str, Scene]:
    """A caption of the scene, one that differs in one respect and is false of it, and the scene that the
    false one is true of. Two in five of those that can be are flips: left for right, above for below; and
    BINDING_SHARE are lists of the things with two colours exchanged. None has a pair that is held out.
    """
    style, seed = words.randrange(language.CAPTION_STYLES), words.randrange(2**31)
    draw = words.random()
    terse = draw < TERSE_SHARE
    if draw >= 1 - BINDING_SHARE:
        style = language.INVENTORY_STYLE

    def tell(told: Scene) -> str:
        own = Random(seed)
        return language.terse_caption(told, own) if terse else language.caption(told, style, own)

    true = tell(scene)
    if (terse or style in language.PLACED_STYLES) and words.random() < 0.4:
        for flip in words.sample([world.flipped(scene, "x"), world.flipped(scene, "y")], 2):
            if tell(flip) != true:
                return true, tell(flip), flip
    if draw >= 1 - BINDING_SHARE:
        pairs = list(combinations(range(len(scene.things)), 2))
        for i, j in words.sample(pairs, len(pairs)):
            exchanged = world.swapped(scene, "colour", i, j)
            if tell(exchanged) != true and not _has_held_out(exchanged):
                return true, tell(exchanged), exchanged
    while tell(altered := _altered(scene, words)) == true or _has_held_out(altered):
        pass
    return true, tell(altered), altered


def false_twin(pattern: Pattern, words: Random) -> Pattern:
    """The pattern with one of its values replaced by another; never a pair of colour and shape that is held out."""
    values = {
        "shape": world.SHAPES, "colour": world.COLOURS, "texture": world.TEXTURES[1:], "size": world.SIZES,
        "count": world.COUNTS, "background": world.BACKGROUNDS,
    }  # fmt: skip
    name = words.choice([name for name in values if getattr(pattern, name) is not None])
    others = [value for value in values[name] if value != getattr(pattern, name)]
    while True:
        twin = replace(pattern, **{name: words.choice(others)})  # type: ignore[arg-type]
        if (twin.colour, twin.shape) not in world.held_out_pairs():
            return twin


def _has_held_out(scene: Scene) -> bool:
    """Whether it has a pair of colour and shape that training must not speak of, not even as something false: it
    would learn that there is no such thing.
    """
    return any((thing.colour, thing.shape) in world.held_out_pairs() for thing in scene.things)


def _altered(scene: Scene, words: Random) -> Scene:
    attributes = ("colour", "shape", "count", "texture", "size")
    if words.random() < 0.7:
        i, j = words.sample(range(len(scene.things)), 2)
        return world.swapped(scene, words.choice(("colour", "colour", "colour", *attributes)), i, j)
    rng = np.random.default_rng(words.randrange(2**31))
    return world.changed(scene, words.choice((*attributes, "background")), rng)


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


def draw_pool(folder: Path, n_scenes: int, side_px: int, seed: int) -> tuple[NDArray[np.uint8], list[Scene]]:
    """Draws the training pool once, (n_scenes, side, side, 3) uint8, and maps it from `folder` afterwards."""
    path = folder / f"jpeg-{n_scenes}-{side_px}-{seed}.npy"
    scenes = [make_scene("train", i, seed) for i in range(n_scenes)]
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (n_scenes, side_px, side_px, 3)
        with atomic_path(path) as temporary:
            pool = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
            with get_context("spawn").Pool(len(os.sched_getaffinity(0))) as workers:
                jobs = ((i, side_px, seed) for i in range(n_scenes))
                for i, picture in enumerate(workers.imap(_draw_small, jobs, chunksize=256)):
                    pool[i] = picture
            pool.flush()
    return np.load(path, mmap_mode="r"), scenes


def _draw_small(job: tuple[int, int, int]) -> NDArray[np.uint8]:
    index, side_px, seed = job
    file = BytesIO()
    render(make_scene("train", index, seed), RENDER_PX).save(file, "JPEG", quality=JPEG_QUALITY)
    return np.asarray(Image.open(file).resize((side_px, side_px), Image.Resampling.BICUBIC))
