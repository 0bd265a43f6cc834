"""Scenes as data: determinism, the held-out split, edits, patterns."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

from crossmodal.scenes import world
from crossmodal.scenes.world import COLOURS, PALETTE, SHAPES, Pattern, Scene, Thing, make_scene

N_SCENES = 500
HEART = Thing("heart", "red", "striped", "large", 2, 0.26, 0.5)
STAR = Thing("star", "blue", "plain", "small", 1, 0.74, 0.5)
SCENE = Scene("grass", (HEART, STAR), 7)


def named_pairs(split: world.Split) -> set[tuple[str, str]]:
    scenes = [make_scene(split, i) for i in range(N_SCENES)]
    return {(t.colour, t.shape) for s in scenes for t in s.things if world.is_named(t.colour)}


@pytest.mark.parametrize("split", world.SPLITS)
def test_the_same_arguments_give_the_same_scene(split: world.Split) -> None:
    assert [make_scene(split, i) for i in range(20)] == [make_scene(split, i) for i in range(20)]
    assert len({make_scene(split, i) for i in range(200)}) == 200
    assert make_scene(split, 3, seed=1) != make_scene(split, 3, seed=2)


def test_splits_differ() -> None:
    assert make_scene("train", 0).things != make_scene("dev", 0).things


def test_train_and_test_share_no_pair() -> None:
    assert named_pairs("test") == world.held_out_pairs()
    assert not named_pairs("train") & world.held_out_pairs()
    assert not named_pairs("dev") & world.held_out_pairs()


def test_held_out_pairs_spare_every_colour_and_shape() -> None:
    held_out = world.held_out_pairs()
    assert len(held_out) == 24
    assert all(sum(shape == s for _, s in held_out) == 2 for shape in SHAPES)
    seen = set(world.pairs_of("train"))
    assert {c for c, _ in seen} == set(COLOURS)
    assert {s for _, s in seen} == set(SHAPES)
    assert seen | held_out == {(c, s) for c in COLOURS for s in SHAPES}


def test_unnamed_colours_are_in_train_only_and_far_from_named_ones() -> None:
    unnamed = {
        split: [t.colour for i in range(N_SCENES) for t in make_scene(split, i).things if not world.is_named(t.colour)]
        for split in world.SPLITS
    }
    assert unnamed["dev"] == unnamed["test"] == []
    assert len(unnamed["train"]) > 0.2 * N_SCENES
    named = np.array(list(PALETTE.values()), float)
    for colour in unnamed["train"]:
        distance = np.linalg.norm(named - np.array(world.rgb_of(colour)), axis=1).min()
        assert distance >= world.LEAST_COLOUR_DISTANCE


def test_unnamed_shapes_are_in_train_only_and_never_of_an_unnamed_colour() -> None:
    unnamed = {
        split: [t for i in range(N_SCENES) for t in make_scene(split, i).things if not world.is_named(t.shape)]
        for split in world.SPLITS
    }
    assert unnamed["dev"] == unnamed["test"] == []
    assert len(unnamed["train"]) > 0.1 * N_SCENES
    assert all(world.is_named(thing.colour) for thing in unnamed["train"])


def test_things_are_far_enough_apart_for_a_relation() -> None:
    for split in world.SPLITS:
        for i in range(N_SCENES):
            scene = make_scene(split, i)
            assert len(scene.things) in (2, 3)
            for one in scene.things:
                assert 0 < one.x < 1
                assert 0 < one.y < 1
                for other in scene.things:
                    if one is not other:
                        assert max(abs(one.x - other.x), abs(one.y - other.y)) >= world.RELATION_GAP


def test_colours_as_rgb() -> None:
    assert world.rgb_of("red") == PALETTE["red"]
    assert world.rgb_of("#0a10ff") == (10, 16, 255)
    assert world.is_named("red")
    assert not world.is_named("#0a10ff")


@pytest.mark.parametrize("axis", ["x", "y"])
def test_flipping_twice_gives_the_scene_back(axis: Literal["x", "y"]) -> None:
    there = world.flipped(SCENE, axis)
    back = world.flipped(there, axis)
    assert there != SCENE if axis == "x" else there == SCENE
    assert [(t.x, t.y) for t in back.things] == [pytest.approx((t.x, t.y)) for t in SCENE.things]


def test_a_flip_moves_along_its_axis_only() -> None:
    scene = replace(SCENE, things=(replace(HEART, y=0.3), STAR))
    assert [(t.x, t.y) for t in world.flipped(scene, "x").things] == [(1 - 0.26, 0.3), (1 - 0.74, 0.5)]
    assert [(t.x, t.y) for t in world.flipped(scene, "y").things] == [(0.26, 0.7), (0.74, 0.5)]


def test_swapping_an_attribute() -> None:
    swapped = world.swapped(SCENE, "colour")
    assert [t.colour for t in swapped.things] == ["blue", "red"]
    assert [t.shape for t in swapped.things] == ["heart", "star"]
    assert world.swapped(swapped, "colour") == SCENE


@pytest.mark.parametrize("attribute", ["shape", "colour", "texture", "size", "count", "background"])
def test_changing_changes_one_thing_only(attribute: str) -> None:
    for seed in range(20):
        changed = world.changed(SCENE, attribute, np.random.default_rng(seed))
        if attribute == "background":
            assert changed.things == SCENE.things
            assert changed.background != SCENE.background
            continue
        [(before, after)] = [(a, b) for a, b in zip(SCENE.things, changed.things, strict=True) if a != b]
        assert replace(after, **{attribute: getattr(before, attribute)}) == before
        assert attribute != "texture" or after.texture != "plain"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (Pattern(), True),
        (Pattern(shape="heart"), True),
        (Pattern(shape="circle"), False),
        (Pattern(shape="heart", colour="red", texture="striped", size="large", count=2), True),
        (Pattern(shape="heart", count=1), False),
        (Pattern(shape="heart", colour="blue"), False),  # each is there, but not on one thing
        (Pattern(background="grass"), True),
        (Pattern(background="sky"), False),
        (Pattern(shape="star", background="grass"), True),
        (Pattern(shape="star", background="sky"), False),
    ],
)
def test_patterns(pattern: Pattern, expected: bool) -> None:
    assert pattern.matches(SCENE) is expected
