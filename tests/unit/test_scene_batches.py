"""Training batches of scenes."""

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest

from crossmodal.encoders.clip import BUNDLED_FOLDER, MERGES_NAME
from crossmodal.encoders.torchvision_guard import prepare_torchvision
from crossmodal.scenes import language, world
from crossmodal.scenes.world import Pattern, Scene, Thing, make_scene

prepare_torchvision()

import torch  # noqa: E402
from open_clip.tokenizer import SimpleTokenizer  # noqa: E402

from crossmodal.training import scene_batches, scene_facts, scene_pool  # noqa: E402
from crossmodal.training.scene_batches import (  # noqa: E402
    COLOURS_ALIKE,
    QUERIES_PER_IMAGE,
    SHAPES_ALIKE,
    TEXTURE_SHARE,
    PictureBatch,
    SceneBatch,
    SceneBatches,
    caption_with_twin,
    false_twin,
    scene_query,
)
from crossmodal.training.scene_facts import (  # noqa: E402
    CELL_FACTS,
    CELLS,
    N_ATTRIBUTES,
    attribute_targets,
    cell_targets,
    fact_places,
    truth_by_thing,
)
from crossmodal.training.scene_pool import draw_pool  # noqa: E402

SIDE, CONTEXT = 16, 48


@pytest.fixture(scope="module")
def tokenizer() -> SimpleTokenizer:
    return SimpleTokenizer(str(BUNDLED_FOLDER / MERGES_NAME), context_length=CONTEXT)


def pool_of(scenes: list[Scene]) -> np.ndarray:
    """Each scene a black picture with the centre of thing i marked by a pixel of brightness 100 + i."""
    pool = np.zeros((len(scenes), SIDE, SIDE, 3), np.uint8)
    for picture, scene in zip(pool, scenes, strict=True):
        for i, thing in enumerate(scene.things):
            picture[int(thing.y * SIDE), int(thing.x * SIDE)] = 100 + i
    return pool


def batches(
    tokenizer: SimpleTokenizer, seed: int = 0, context_length: int = CONTEXT, n_pictures_only: int = 0
) -> SceneBatches:
    scenes = [make_scene("train", i) for i in range(40)]
    return SceneBatches(
        pool_of(scenes), scenes, tokenizer.encode, (tokenizer.sot_token_id, tokenizer.eot_token_id),
        context_length=context_length, batch_size=12, n_captions=7, n_pictures_only=n_pictures_only, n_batches=5,
        seed=seed,
    )  # fmt: skip


def equal(one: object, other: object) -> bool:
    return all(torch.equal(a, b) for a, b in zip(vars(one).values(), vars(other).values(), strict=True))


def test_a_batch_is_the_same_whenever_it_is_made(tokenizer: SimpleTokenizer) -> None:
    first, second = batches(tokenizer), batches(tokenizer)
    in_order = [first[i] for i in range(5)]
    backwards = [second[i] for i in reversed(range(5))][::-1]
    assert all(equal(a, b) for a, b in zip(in_order, backwards, strict=True))
    assert not equal(in_order[0], in_order[1])
    assert not torch.equal(in_order[0].images, batches(tokenizer, seed=1)[0].images)
    assert len(first) == 5


def test_shapes(tokenizer: SimpleTokenizer) -> None:
    batch = batches(tokenizer)[0]
    assert isinstance(batch, SceneBatch)
    assert batch.images.shape == (12, 3, SIDE, SIDE)
    assert batch.images.dtype == torch.uint8
    assert batch.cells.shape == (12, CELLS * CELLS, len(CELL_FACTS))
    assert len(batch.captions) == len(batch.negatives) == len(batch.negative_attributes) == 7
    assert batch.captions.shape[1] == batch.negatives.shape[1] <= CONTEXT
    n = 12 * QUERIES_PER_IMAGE
    assert len(batch.queries) == len(batch.query_is_true) == 2 * n
    assert all(batch.query_is_true[i, i // QUERIES_PER_IMAGE] for i in range(n))
    assert batch.query_facts.shape == (2 * n, len(CELL_FACTS))
    assert batch.attributes.shape == (12, N_ATTRIBUTES)
    cells = batch.cells.flatten(0, 1)
    assert sorted(batch.thing_cells.tolist()) == torch.nonzero(cells.amax(dim=1) >= 0).flatten().tolist()
    assert batch.query_is_true_of_thing.shape == (2 * n, len(batch.thing_cells))
    image_of = batch.thing_cells // (CELLS * CELLS)
    for i in range(2 * n):
        assert set(image_of[batch.query_is_true_of_thing[i]].tolist()) == set(
            torch.nonzero(batch.query_is_true[i]).flatten().tolist()
        )


def test_the_first_batches_have_no_texts(tokenizer: SimpleTokenizer) -> None:
    made = batches(tokenizer, n_pictures_only=2)
    assert [type(made[i]) for i in range(3)] == [PictureBatch, PictureBatch, SceneBatch]
    assert torch.equal(made[1].images, batches(tokenizer, n_pictures_only=3)[1].images)


def test_half_of_the_batches_are_of_few_shapes_and_colours(tokenizer: SimpleTokenizer) -> None:
    scenes = [make_scene("train", i) for i in range(400)]
    made = SceneBatches(
        np.zeros((400, 1, 1, 3), np.uint8), scenes, tokenizer.encode, (0, 1),
        context_length=CONTEXT, batch_size=8, n_captions=2, n_pictures_only=20, n_batches=60, seed=0,
    )  # fmt: skip

    def values(step: int) -> tuple[set[str], set[str]]:
        rows = made._candidates(step, np.random.default_rng(step))
        assert len(rows) >= 8
        things = [thing for row in rows.tolist() for thing in scenes[row].things]
        return {t.shape for t in things} & set(world.SHAPES), {t.colour for t in things} & set(world.COLOURS)

    found = [values(step) for step in range(60)]
    assert all(len(shapes) == len(world.SHAPES) for shapes, _ in found[:20])
    alike = [(s, c) for s, c in found[20:] if len(s) <= SHAPES_ALIKE and len(c) <= COLOURS_ALIKE]
    assert 10 <= len(alike) <= 30
    assert all(len(s) == len(world.SHAPES) for s, c in found[20:] if (s, c) not in alike)
    assert len({frozenset(s) for s, _ in alike}) > 5


def test_the_pool_is_left_alone(tokenizer: SimpleTokenizer) -> None:
    made = batches(tokenizer)
    before = made.pool.copy()
    made[0]
    assert np.array_equal(made.pool, before)


def test_a_mirrored_picture_has_the_captions_of_the_mirrored_scene(
    tokenizer: SimpleTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every thing's mark is where the scene that is spoken of has the thing."""
    told: list[Scene] = []

    def remember(scenes: list[Scene]) -> np.ndarray:
        told.extend(scenes)
        return cell_targets(scenes)

    monkeypatch.setattr(scene_batches, "cell_targets", remember)
    made = batches(tokenizer)
    for step in range(3):
        told.clear()
        images = made[step].images.numpy()
        mirrored = sum(scene not in made.scenes for scene in told)
        assert 0 < mirrored < 12
        for picture, scene in zip(images, told, strict=True):
            for i, thing in enumerate(scene.things):
                [(row, column)] = np.argwhere(picture[0] == 100 + i)
                assert row == int(thing.y * SIDE)
                assert abs(column + 0.5 - thing.x * SIDE) <= 1
                assert np.sign(column + 0.5 - SIDE / 2) == np.sign(int(thing.x * SIDE) + 0.5 - SIDE / 2)


def test_tokens_are_the_tokenizers_own(tokenizer: SimpleTokenizer) -> None:
    made = batches(tokenizer)
    texts = []
    for i in range(60):
        rng, scene = Random(i), make_scene("train", i)
        texts += [
            *language.captions(scene, rng),
            language.terse_caption(scene, rng),
            language.short_query(scene, rng).text,
        ]
    for _ in range(2):  # the second time out of the cache
        found, expected = made.tokens(texts), tokenizer(texts)
        assert torch.equal(found, expected[:, : found.shape[1]])
        assert not expected[:, found.shape[1] :].any()


def test_tokens_beyond_the_context_are_cut(tokenizer: SimpleTokenizer) -> None:
    short = SimpleTokenizer(str(BUNDLED_FOLDER / MERGES_NAME), context_length=8)
    texts = ["a red star left of a blue heart on the grass and so on", "a star"]
    assert torch.equal(batches(tokenizer, context_length=8).tokens(texts), short(texts))


def test_truth_equals_the_patterns() -> None:
    scenes = [make_scene(split, i) for split in world.SPLITS for i in range(25)]
    rng = Random(0)
    patterns = [language.short_query(rng.choice(scenes), rng).pattern for _ in range(80)]
    patterns += [Pattern(), Pattern(background="sky"), Pattern(shape="star", background="sand"), Pattern(count=1)]
    patterns += [Pattern(shape=rng.choice(world.SHAPES), colour=rng.choice(world.COLOURS)) for _ in range(20)]
    found = truth_by_thing(patterns, scenes)
    assert found.dtype == bool
    assert found.any(axis=2).tolist() == [[pattern.matches(scene) for scene in scenes] for pattern in patterns]
    for j, scene in enumerate(scenes):
        alone = [replace(scene, things=(thing,)) for thing in scene.things]
        of_thing = [[pattern.matches(one) for one in alone] for pattern in patterns]
        assert found[:, j, : len(alone)].tolist() == of_thing
        assert not found[:, j, len(alone) :].any()


def test_twins_differ_and_come_with_their_scene() -> None:
    for i in range(200):
        scene = make_scene("train", i)
        true, false, altered = caption_with_twin(scene, Random(i))
        assert true != false
        assert altered != scene


def test_no_twin_has_a_pair_that_is_held_out() -> None:
    for i in range(300):
        scene = make_scene("train", i)
        _, _, altered = caption_with_twin(scene, Random(i))
        twin = false_twin(language.short_query(scene, Random(i)).pattern, Random(i))
        told = [(thing.colour, thing.shape) for thing in altered.things] + [(twin.colour, twin.shape)]
        assert not set(told) & set(world.held_out_pairs())


def test_a_third_of_the_captions_only_say_what_goes_with_what() -> None:
    made = [
        (scene, *caption_with_twin(scene, Random(i)))
        for i, scene in enumerate(make_scene("train", i) for i in range(400))
    ]
    exchanged = [
        (scene, altered)
        for scene, true, _, altered in made
        if true.startswith(("a picture of", "there are", "a drawing of", "we see"))
        and sorted(t.colour for t in scene.things) == sorted(t.colour for t in altered.things)
        and [t.colour for t in scene.things] != [t.colour for t in altered.things]
    ]
    assert 100 < len(exchanged) < 200
    assert all(
        [replace(t, colour="") for t in scene.things] == [replace(t, colour="") for t in altered.things]
        for scene, altered in exchanged
    )


def test_scenes_of_three_things_are_drawn_more_often(tokenizer: SimpleTokenizer) -> None:
    scenes = [make_scene("train", i) for i in range(400)]
    made = SceneBatches(
        np.zeros((400, 1, 1, 3), np.uint8), scenes, tokenizer.encode, (0, 1),
        context_length=CONTEXT, batch_size=40, n_captions=2, n_pictures_only=50, n_batches=100, seed=0,
    )  # fmt: skip

    def share(steps: range) -> float:
        rows = np.concatenate([made._drawn(np.arange(400), step, np.random.default_rng(step)) for step in steps])
        return float(np.mean([len(scenes[row].things) == 3 for row in rows.tolist()]))

    usual = np.mean([len(scene.things) == 3 for scene in scenes])
    assert share(range(50)) == pytest.approx(usual, abs=0.04)
    assert share(range(50, 100)) > 1.4 * usual


def test_many_queries_name_a_texture_where_there_is_one() -> None:
    scenes = [make_scene("train", i) for i in range(400)]
    made = [(scene, scene_query(scene, Random(i))) for i, scene in enumerate(scenes)]
    assert all(query.pattern.matches(scene) for scene, query in made)
    textured = [query for scene, query in made if any(thing.texture != "plain" for thing in scene.things)]
    assert np.mean([query.pattern.texture is not None for query in textured]) > TEXTURE_SHARE
    others = [query for scene, query in made if all(thing.texture == "plain" for thing in scene.things)]
    assert all(query.pattern.texture is None for query in others)


def test_the_twin_of_a_pattern_differs_in_one_value() -> None:
    for i in range(200):
        words = Random(i)
        pattern = language.short_query(make_scene("train", i), words).pattern
        twin = false_twin(pattern, words)
        different = {name for name, value in vars(pattern).items() if getattr(twin, name) != value}
        assert len(different) == 1
        assert all(getattr(pattern, name) is not None and getattr(twin, name) is not None for name in different)


def test_cell_targets() -> None:
    heart = Thing("heart", "red", "striped", "large", 2, 0.26, 0.26)
    star = Thing("star", "#123456", "plain", "small", 1, 0.74, 0.5)
    blob = Thing("#abcdef", "blue", "plain", "large", 4, 0.5, 0.99)
    [cells] = cell_targets([Scene("sky", (heart, star, blob), 0)])
    told = {
        cell: [values[v] if v >= 0 else None for v, values in zip(row, CELL_FACTS.values(), strict=True)]
        for cell, row in enumerate(cells.tolist())
        if max(row) >= 0
    }
    assert told == {
        0: ["heart", "red", 2, "large", "striped"],
        5: ["star", None, 1, "small", "plain"],
        7: [None, "blue", 4, "large", "plain"],
    }


def test_no_two_things_share_a_cell() -> None:
    for split in world.SPLITS:
        for i in range(200):
            scene = make_scene(split, i)
            [cells] = cell_targets([scene])
            assert (cells.max(axis=1) >= 0).sum() == len(scene.things)


def test_attribute_targets() -> None:
    heart = Thing("heart", "red", "striped", "large", 2, 0.26, 0.26)
    star = Thing("star", "#123456", "plain", "small", 1, 0.74, 0.5)
    [row] = attribute_targets([Scene("sky", (heart, star), 0)])
    names = {name for name, place in scene_facts._ATTRIBUTES.items() if row[place] == 1}
    assert names == {
        ("background", "sky", ""),
        ("half-shape", "left", "heart"), ("half-shape", "top", "heart"), ("half-shape", "right", "star"),
        ("half-colour", "left", "red"), ("half-colour", "top", "red"),
        ("shape-count", "heart", "2"), ("shape-count", "star", "1"),
        ("shape-size", "heart", "large"), ("shape-size", "star", "small"),
        ("shape-texture", "heart", "striped"), ("shape-texture", "star", "plain"),
        ("colour-count", "red", "2"),
    }  # fmt: skip
    assert set(np.unique(row)) == {0, 1}


def test_no_attribute_joins_colour_and_shape() -> None:
    for kind, first, second in scene_facts._ATTRIBUTES:
        assert kind
        assert not {first, second} & set(world.COLOURS) or not {first, second} & set(world.SHAPES)


def test_a_drawn_pool_is_mapped_and_not_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = np.stack([scene_pool._draw_small((i, SIDE, 0)) for i in range(3)])
    np.save(tmp_path / f"jpeg-3-{SIDE}-0.npy", drawn)
    monkeypatch.setattr(scene_pool, "get_context", lambda _: pytest.fail("drawn again"))
    pool, scenes = draw_pool(tmp_path, 3, SIDE, 0)
    assert np.array_equal(pool, drawn)
    assert drawn.shape == (3, SIDE, SIDE, 3)
    assert scenes == [make_scene("train", i) for i in range(3)]


def test_what_a_query_says_is_true_of_the_things_it_is_true_of(tokenizer: SimpleTokenizer) -> None:
    batch = batches(tokenizer)[0]
    assert isinstance(batch, SceneBatch)
    thing_facts = batch.cells.flatten(0, 1)[batch.thing_cells]
    n_said = 0
    for facts, is_true in zip(batch.query_facts, batch.query_is_true_of_thing, strict=True):
        said = facts >= 0
        n_said += int(said.sum()) * int(is_true.sum())
        assert (thing_facts[is_true][:, said] == facts[said]).all()
    assert n_said > 20
    assert fact_places(Pattern(shape="square", count=4)) == [1, -1, 3, -1, -1]
