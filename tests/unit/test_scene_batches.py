"""Training batches of scenes."""

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

from crossmodal.training import scene_batches as module  # noqa: E402
from crossmodal.training.scene_batches import (  # noqa: E402
    N_ATTRIBUTES,
    NEGATIVES,
    SceneBatches,
    attribute_targets,
    caption_with_negatives,
    draw_pool,
    truth_matrix,
)

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


def batches(tokenizer: SimpleTokenizer, seed: int = 0, context_length: int = CONTEXT) -> SceneBatches:
    scenes = [make_scene("train", i) for i in range(40)]
    return SceneBatches(
        pool_of(scenes), scenes, tokenizer.encode, (tokenizer.sot_token_id, tokenizer.eot_token_id),
        context_length=context_length, batch_size=12, n_batches=5, seed=seed,
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
    assert batch.images.shape == (12, 3, SIDE, SIDE)
    assert batch.images.dtype == torch.uint8
    assert len(batch.captions) == 12
    assert len(batch.negatives) == 12 * NEGATIVES
    assert batch.captions.shape[1] == batch.negatives.shape[1] <= CONTEXT
    assert batch.short_is_true.shape == (12, 12)
    assert batch.short_is_true.diagonal().all()
    assert batch.attributes.shape == batch.negative_attributes.shape == (12, N_ATTRIBUTES)


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

    def remember(scene: Scene, words: Random, n_negatives: int) -> tuple[str, list[tuple[str, Scene]]]:
        told.append(scene)
        return caption_with_negatives(scene, words, n_negatives)

    monkeypatch.setattr(module, "caption_with_negatives", remember)
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


def test_truth_matrix_equals_the_patterns() -> None:
    scenes = [make_scene(split, i) for split in world.SPLITS for i in range(25)]
    rng = Random(0)
    patterns = [language.short_query(rng.choice(scenes), rng).pattern for _ in range(80)]
    patterns += [Pattern(), Pattern(background="sky"), Pattern(shape="star", background="sand"), Pattern(count=1)]
    patterns += [Pattern(shape=rng.choice(world.SHAPES), colour=rng.choice(world.COLOURS)) for _ in range(20)]
    found = truth_matrix(patterns, scenes)
    assert found.dtype == bool
    assert found.tolist() == [[pattern.matches(scene) for scene in scenes] for pattern in patterns]


def test_negatives_differ_and_come_with_their_scene() -> None:
    for i in range(200):
        scene = make_scene("train", i)
        true, false = caption_with_negatives(scene, Random(i), 3)
        assert len(false) == len({text for text, _ in false}) == 3
        assert all(text != true and altered != scene for text, altered in false)


def test_attribute_targets() -> None:
    heart = Thing("heart", "red", "striped", "large", 2, 0.26, 0.26)
    star = Thing("star", "#123456", "plain", "small", 1, 0.74, 0.5)
    [row] = attribute_targets([Scene("sky", (heart, star), 0)])
    names = {name for name, place in module._ATTRIBUTES.items() if row[place] == 1}
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
    for kind, first, second in module._ATTRIBUTES:
        assert kind
        assert not {first, second} & set(world.COLOURS) or not {first, second} & set(world.SHAPES)


def test_a_drawn_pool_is_mapped_and_not_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = np.stack([module._draw_small((i, SIDE, 0)) for i in range(3)])
    np.save(tmp_path / "pool.npy", drawn)
    monkeypatch.setattr(module, "get_context", lambda _: pytest.fail("drawn again"))
    pool, scenes = draw_pool(tmp_path / "pool.npy", 3, SIDE, 0)
    assert np.array_equal(pool, drawn)
    assert drawn.shape == (3, SIDE, SIDE, 3)
    assert scenes == [make_scene("train", i) for i in range(3)]
