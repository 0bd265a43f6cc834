"""Batches of scenes for contrastive training: images, captions, false captions, short queries.

Batch i depends on the seed and i only, so a resumed run gets the same batches as an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from itertools import combinations
from random import Random
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from crossmodal.scenes import language, world
from crossmodal.scenes.world import Pattern, Scene
from crossmodal.training.scene_facts import CELLS, attribute_targets, cell_of, cell_targets, fact_places, truth_by_thing

TERSE_SHARE = 0.3
"""Share of terse captions, which state little but where things are. With long captions alone, the text tower takes far
longer to learn what "left" means."""
BINDING_SHARE = 0.35
"""Share of the captions that list the things without their positions, each with a twin in which two colours are
swapped, so that only the binding of colour and shape differs. Without them the model separates 82 % of such pairs, and
95 % of pairs with positions."""
MANY_THINGS_WEIGHT = 2.0
"""Weight of scenes with three things or more, relative to two, in batches with texts."""
TEXTURE_SHARE = 0.3
"""Share of the short queries of scenes with a texture that name it. Only three things in ten have a texture, so random
queries would name one in 5 % of cases, and queries such as "striped red hearts" would be learned worst."""
QUERIES_PER_IMAGE = 1
ALIKE_SHARE = 0.5
"""Share of the batches with few shapes and colours, so that many things differ in one respect only."""
SHAPES_ALIKE, COLOURS_ALIKE = 5, 5


@dataclass(frozen=True)
class PictureBatch:
    """Images, and the facts of the thing in each of their cells."""

    images: Tensor  # (n, 3, side, side) uint8
    cells: Tensor  # (n, CELLS * CELLS, facts) int64, see `cell_targets`

    def to(self, device: torch.device) -> Self:
        """The batch on a device."""
        return replace(self, **{f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)})


@dataclass(frozen=True)
class SceneBatch(PictureBatch):
    """Images with texts. A text is a row of token ids, padded to the longest of its tensor."""

    captions: Tensor  # (m, length) int64, m <= n, caption i of image i
    negatives: Tensor  # (m, length) int64, the false twin of each caption
    queries: Tensor  # (2 * QUERIES_PER_IMAGE * n, length) int64, the true queries of the images, then their false twins
    query_facts: Tensor  # (2 * QUERIES_PER_IMAGE * n, facts) int64, the facts of each query, see `fact_places`
    query_is_true: Tensor  # (2 * QUERIES_PER_IMAGE * n, n) bool, whether query i is true of image j
    thing_cells: Tensor  # (t,) int64, the cell of each thing of the batch: index of the image * CELLS * CELLS + cell
    query_is_true_of_thing: Tensor  # (2 * QUERIES_PER_IMAGE * n, t) bool
    attributes: Tensor  # (n, N_ATTRIBUTES) float32, 1 if the image has the attribute
    negative_attributes: Tensor  # (m, N_ATTRIBUTES) float32, the attributes of the false caption


class SceneBatches(Dataset[PictureBatch]):
    """Training batches of a pool of rendered scenes, with new texts in every batch.

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
        """The indices of the scenes to draw from: all, or those of a few random shapes and colours only."""
        everything = np.arange(len(self.scenes))
        if step < self.n_pictures_only or rng.random() >= ALIKE_SHARE:
            return everything
        n_shapes, n_colours = len(world.SHAPES), len(world.COLOURS)
        excluded = np.concatenate([
            rng.permutation(n_shapes)[SHAPES_ALIKE:], n_shapes + rng.permutation(n_colours)[COLOURS_ALIKE:]
        ])  # fmt: skip
        alike = everything[~self._has[:, excluded].any(axis=1)]
        return alike if len(alike) >= self.batch_size else everything

    def _with_texts(self, pictures: PictureBatch, scenes: list[Scene], step: int) -> SceneBatch:
        words = Random(self.seed * 1_000_003 + step)
        pairs = [caption_with_twin(scene, words) for scene in scenes[: self.n_captions]]
        captions = self.tokens([true for true, _, _ in pairs] + [false for _, false, _ in pairs])
        queries = [scene_query(scene, words) for scene in scenes for _ in range(QUERIES_PER_IMAGE)]
        queries += [language.describe(false_twin(query.pattern, words), words) for query in queries]
        true_of = truth_by_thing([query.pattern for query in queries], scenes)
        there = np.array([[k < len(scene.things) for k in range(true_of.shape[2])] for scene in scenes])
        cells = [row * CELLS * CELLS + cell_of(thing) for row, scene in enumerate(scenes) for thing in scene.things]
        return SceneBatch(
            images=pictures.images,
            cells=pictures.cells,
            captions=captions[: len(pairs)],
            negatives=captions[len(pairs) :],
            queries=self.tokens([query.text for query in queries]),
            query_facts=torch.tensor([fact_places(query.pattern) for query in queries]),
            query_is_true=torch.from_numpy(true_of.any(axis=2)),
            thing_cells=torch.tensor(cells),
            query_is_true_of_thing=torch.from_numpy(true_of[:, there]),
            attributes=torch.from_numpy(attribute_targets(scenes)),
            negative_attributes=torch.from_numpy(attribute_targets([altered for _, _, altered in pairs])),
        )

    def tokens(self, texts: list[str]) -> Tensor:
        """Token ids (n, longest), padded with 0, equal to the tokenizer's but cached by word."""
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
    """The images in `rows` of the pool, mirrored where `mirror` is True, and the scenes they then show."""
    images = pool[rows].copy()
    images[mirror] = images[mirror][:, :, ::-1]
    shown = [
        world.flipped(scenes[row], "x") if is_mirrored else scenes[row]
        for row, is_mirrored in zip(rows, mirror, strict=True)
    ]
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
    return PictureBatch(pixels, torch.from_numpy(cell_targets(shown))), shown


def scene_query(scene: Scene, words: Random) -> language.ShortQuery:
    """A short query that is true of the scene; if the scene has a texture, TEXTURE_SHARE of the queries name it."""
    textured = tuple(thing for thing in scene.things if thing.texture != "plain")
    if words.random() >= TEXTURE_SHARE or not textured:
        return language.short_query(scene, words)
    attributes = words.choice((("texture", "colour", "shape"), ("texture", "shape")))
    return language.short_query(replace(scene, things=textured), words, attributes=attributes)


def caption_with_twin(scene: Scene, words: Random) -> tuple[str, str, Scene]:
    """A caption of the scene, a false twin that differs in one respect, and the scene that the twin describes.

    40 % of the twins of captions with positions are flips (left for right, above for below). BINDING_SHARE of the
    captions list the things, and the twin swaps two colours. No twin has a held-out pair of colour and shape.
    """
    style, seed = words.randrange(language.CAPTION_STYLES), words.randrange(2**31)
    draw = words.random()
    terse = draw < TERSE_SHARE
    if draw >= 1 - BINDING_SHARE:
        style = language.INVENTORY_STYLE

    def describe(described: Scene) -> str:
        rng = Random(seed)  # the same for all scenes, so that captions differ in facts only
        return language.terse_caption(described, rng) if terse else language.caption(described, style, rng)

    true = describe(scene)
    if (terse or style in language.PLACED_STYLES) and words.random() < 0.4:
        for flip in words.sample([world.flipped(scene, "x"), world.flipped(scene, "y")], 2):
            if describe(flip) != true:
                return true, describe(flip), flip
    if draw >= 1 - BINDING_SHARE:
        pairs = list(combinations(range(len(scene.things)), 2))
        for i, j in words.sample(pairs, len(pairs)):
            exchanged = world.swapped(scene, "colour", i, j)
            if describe(exchanged) != true and not _has_held_out(exchanged):
                return true, describe(exchanged), exchanged
    while describe(altered := _altered(scene, words)) == true or _has_held_out(altered):
        pass
    return true, describe(altered), altered


def false_twin(pattern: Pattern, words: Random) -> Pattern:
    """The pattern with one value replaced by another; the result never has a held-out pair of colour and shape."""
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
    """Whether the scene has a held-out pair of colour and shape.

    Training must not mention these pairs even in false captions, or the model would learn that they never occur.
    """
    return any((thing.colour, thing.shape) in world.held_out_pairs() for thing in scene.things)


def _altered(scene: Scene, words: Random) -> Scene:
    attributes = ("colour", "shape", "count", "texture", "size")
    if words.random() < 0.7:
        i, j = words.sample(range(len(scene.things)), 2)
        return world.swapped(scene, words.choice(("colour", "colour", "colour", *attributes)), i, j)
    rng = np.random.default_rng(words.randrange(2**31))
    return world.changed(scene, words.choice((*attributes, "background")), rng)
