"""What is said of a scene."""

import re
from random import Random

from crossmodal.scenes import language, world
from crossmodal.scenes.language import caption, captions, describe, noun_phrase, short_query
from crossmodal.scenes.world import Pattern, Scene, Thing, make_scene


def test_five_different_captions_of_every_scene() -> None:
    for i in range(200):
        told = captions(make_scene("test", i), Random(i))
        assert len(told) == len(set(told)) == language.CAPTION_STYLES
        assert all(text.strip() == text and text for text in told)
        assert all("  " not in text and "#" not in text for text in told)


def test_the_same_source_gives_the_same_words() -> None:
    scene = make_scene("train", 5)
    assert captions(scene, Random(1)) == captions(scene, Random(1))


def test_placed_styles_tell_a_flip_from_its_scene() -> None:
    """What is said is said along one axis at least, so one of the two flips always shows in it."""
    for style in language.PLACED_STYLES:
        differ = [
            {
                axis: caption(scene, style, Random(i)) != caption(world.flipped(scene, axis), style, Random(i))  # type: ignore[arg-type]
                for axis in ("x", "y")
            }
            for i in range(200)
            for scene in [make_scene("test", i)]
        ]
        assert all(any(by_axis.values()) for by_axis in differ)


def test_the_inventory_does_not_say_where() -> None:
    for i in range(50):
        scene = make_scene("test", i)
        assert caption(scene, 3, Random(i)) == caption(world.flipped(scene, "x"), 3, Random(i))


def test_relations_hold() -> None:
    things = (
        Thing("heart", "red", "plain", "small", 1, 0.2, 0.5),
        Thing("star", "blue", "plain", "small", 1, 0.8, 0.5),
    )
    scene = Scene("grass", things, 0)
    for seed in range(40):
        for style in (0, 1, 4):
            text = caption(scene, style, Random(seed))
            tail = text.rsplit(", ", 1)[-1]  # style 4 repeats both things; the relation is at its end
            heart_first = re.search(r"heart|star", tail).group() == "heart"  # type: ignore[union-attr]
            assert ("left of" in tail) == heart_first
            assert ("right of" in tail) != heart_first


def test_an_stands_before_a_vowel() -> None:
    wrong = re.compile(r"\b(a [aeio]|an [^aeio])")  # no word here begins with another vowel
    for i in range(400):
        rng, scene = Random(i), make_scene("train", i)
        texts = [*captions(scene, rng), *(noun_phrase(t, rng, synonyms=True, detail=0.2) for t in scene.things)]
        assert [t for t in texts if wrong.search(t)] == []


def test_an_stands_before_a_vowel_in_queries() -> None:
    for colour in ("orange", "blue", "green"):
        for seed in range(60):
            text = describe(Pattern(shape="star", colour=colour), Random(seed)).text
            assert not re.search(r"\ba [aeio]", text), text


def test_usual_words_and_synonyms() -> None:
    pattern = Pattern(shape="circle", colour="red", size="large", count=3)
    assert describe(pattern, Random(0), synonyms=False).text == "three large red circles"
    assert describe(pattern, Random(0), synonyms=True).text.split()[-2:] == ["crimson", "discs"]


def test_chosen_attributes_are_named() -> None:
    scene = make_scene("test", 3)
    query = short_query(scene, Random(0), attributes=("count", "colour", "shape"))
    assert query.pattern.count
    assert query.pattern.colour
    assert query.pattern.shape
    assert query.pattern.size is query.pattern.texture is query.pattern.background is None


def test_what_has_no_name_is_not_asked_for() -> None:
    thing = Thing("star", "#00ff99", "plain", "small", 1, 0.2, 0.2)
    scene = Scene("sky", (thing, thing), 0)
    assert language.pattern_of(thing, scene, ("texture", "colour", "shape")) == Pattern(shape="star")
    assert language.pattern_of(thing, scene, ("background",)) == Pattern(background="sky")


def test_things_without_a_name_are_spoken_of_all_the_same() -> None:
    thing = Thing("#123456", "red", "plain", "small", 2, 0.2, 0.2)
    scene = Scene("sky", (thing, thing), 0)
    assert language.pattern_of(thing, scene, ("colour", "shape")) == Pattern(colour="red")
    assert describe(Pattern(colour="red", count=2), Random(0), synonyms=False).text == "two red things"
    assert describe(Pattern(background="sky"), Random(0), synonyms=False).text == "in the sky"
    assert "red thing" in noun_phrase(thing, Random(0))


def test_a_short_query_always_asks_for_something() -> None:
    for i in range(300):
        assert short_query(make_scene("train", i), Random(i)).pattern != Pattern()


def test_terse_captions_say_where() -> None:
    places = ("left", "right", "above", "over", "below", "under", "top", "bottom", "middle")
    for i in range(100):
        text = language.terse_caption(make_scene("train", i), Random(i))
        assert any(word in text.split() for word in places), text
        assert len(text.split()) <= 14
