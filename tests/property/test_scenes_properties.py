"""A short query is true of its scene, whatever it was drawn from."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from crossmodal.scenes import language, world
from crossmodal.scenes.language import short_query
from crossmodal.scenes.world import make_scene

SCENES = st.builds(make_scene, st.sampled_from(world.SPLITS), st.integers(0, 10_000), st.integers(0, 5))


def names_of(attribute: str, value: object) -> list[str]:
    tables: dict[str, dict] = {
        "colour": language.COLOUR_NAMES, "texture": language.TEXTURE_NAMES, "size": language.SIZE_NAMES,
        "count": language.COUNT_NAMES, "background": language.BACKGROUND_NAMES,
        "shape": {s: tuple(w for pair in names for w in pair) for s, names in language.SHAPE_NAMES.items()},
    }  # fmt: skip
    return list(tables[attribute].get(value, ("thing", "shape")))


@given(SCENES, st.integers(0, 10_000), st.sampled_from([None, True, False]))
@settings(max_examples=200)
def test_a_short_query_is_true_and_says_what_it_means(scene: world.Scene, seed: int, synonyms: bool | None) -> None:
    query = short_query(scene, Random(seed), synonyms)
    assert query.pattern.matches(scene)
    assert query.text
    for attribute, value in vars(query.pattern).items():
        if value is not None:
            found = any(name in query.text for name in names_of(attribute, value))
            assert found or (attribute == "count" and value == 1 and query.text.startswith("an "))


@given(SCENES, st.integers(0, 10_000))
@settings(max_examples=100)
def test_captions_name_every_shape_and_the_background(scene: world.Scene, seed: int) -> None:
    for text in language.captions(scene, Random(seed)):
        assert all(any(name in text for name in names_of("shape", t.shape)) for t in scene.things)
        assert any(name in text for name in names_of("background", scene.background))
