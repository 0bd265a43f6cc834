"""Drawing a scene."""

from dataclasses import replace

import numpy as np
import pytest

from crossmodal.scenes.render import render
from crossmodal.scenes.world import BACKGROUNDS, COUNTS, PALETTE, SHAPES, TEXTURES, Scene, Thing, make_scene

STAR = Thing("star", "blue", "plain", "large", 1, 0.26, 0.26)
SCENE = Scene("sand", (STAR, replace(STAR, colour="red", x=0.74, y=0.74)), 1)


@pytest.mark.parametrize("size_px", [1, 32, 256])
def test_the_size_is_what_was_asked_for(size_px: int) -> None:
    picture = render(SCENE, size_px)
    assert (picture.size, picture.mode) == ((size_px, size_px), "RGB")


def test_the_same_scene_gives_the_same_pixels() -> None:
    for i in range(5):
        scene = make_scene("train", i)
        assert render(scene, 64).tobytes() == render(scene, 64).tobytes()


def test_the_seed_changes_the_drawing() -> None:
    assert render(SCENE, 64).tobytes() != render(replace(SCENE, seed=2), 64).tobytes()


def test_things_are_where_and_what_the_scene_says() -> None:
    picture = render(SCENE, 128)
    assert picture.getpixel((33, 33)) == PALETTE["blue"]
    assert picture.getpixel((95, 95)) == PALETTE["red"]


def test_a_shape_without_a_name_is_drawn_from_its_digits() -> None:
    blob = replace(SCENE, things=(replace(STAR, shape="#00ff12"), SCENE.things[1]))
    other = replace(SCENE, things=(replace(STAR, shape="#00ff13"), SCENE.things[1]))
    assert render(blob, 128).getpixel((33, 33)) == PALETTE["blue"]
    assert len({render(scene, 128).tobytes() for scene in (SCENE, blob, other)}) == 3


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_backgrounds_differ(background: str) -> None:
    mine = np.asarray(render(replace(SCENE, background=background), 48), float)
    for other in BACKGROUNDS:
        if other != background:
            assert np.abs(mine - np.asarray(render(replace(SCENE, background=other), 48))).mean() > 5


@pytest.mark.parametrize("shape", SHAPES)
def test_every_kind_of_thing_is_drawn_and_seen(shape: str) -> None:
    """At 96 pixels, the size the small models look at; small things are always plain."""
    seen = set()
    for size, textures in (("small", TEXTURES[:1]), ("large", TEXTURES)):
        for texture in textures:
            for count in COUNTS:
                picture = render(Scene("paper", (Thing(shape, "#00ff00", texture, size, count, 0.5, 0.5),), 3), 96)
                pixels = np.asarray(picture, int)
                assert (pixels[..., 1] - pixels[..., [0, 2]].max(axis=2) > 100).sum() >= 10
                seen.add(picture.tobytes())
    assert len(seen) == (1 + len(TEXTURES)) * len(COUNTS)


def test_a_group_at_the_edge_stays_inside() -> None:
    corner = replace(STAR, colour="#00ff00", count=4, x=0.0, y=1.0)
    pixels = np.asarray(render(Scene("sand", (corner,), 1), 128))
    green = (pixels == (0, 255, 0)).all(axis=2)
    assert green.any()
    assert not (green[0].any())
    assert not (green[-1].any())
    assert not (green[:, 0].any())
    assert not (green[:, -1].any())
