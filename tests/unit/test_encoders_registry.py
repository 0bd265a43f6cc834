"""Model families by name."""

import pytest

from crossmodal.core.errors import InputError
from crossmodal.core.types import ModelSpec, Preprocessing
from crossmodal.encoders import registry


def test_an_unknown_family_names_the_known_ones() -> None:
    spec = ModelSpec("word2vec", "x", "", 4, Preprocessing(8))
    for call in (lambda: registry.resolve("word2vec", "x"), lambda: registry.load(spec)):
        with pytest.raises(InputError, match="unknown model 'word2vec': choose one of clip"):
            call()


def test_every_family_has_its_module() -> None:
    for name in registry.FAMILIES:
        family = registry.family_of(name)
        assert callable(family.resolve)
        assert callable(family.load)
        assert name in registry.DEFAULT_WEIGHTS or name in ("sparse", "vse")
    with pytest.raises(InputError, match="-m sparse needs a model: make one with `-t train -m sparse`"):
        registry.default_weights("sparse", "toy-data")


@pytest.mark.parametrize(
    ("data_set", "expected"),
    [("toy-data", "photos"), ("scenes", "scenes"), ("f8k", "photos"), ("/some/folder", "photos")],
)
def test_default_weights(data_set: str, expected: str) -> None:
    assert registry.default_weights("clip", data_set) == expected


@pytest.mark.parametrize("data_set", ["toy-data", "f8k"])
def test_a_family_without_captions_has_no_use_for_scenes(data_set: str) -> None:
    assert frozenset({"timm"}) == registry.IMAGE_ONLY
    assert registry.default_weights("timm", data_set) == "photos"


def test_the_bundled_weights_resolve() -> None:
    spec = registry.resolve("clip", registry.BUNDLED)
    assert (spec.family, spec.weights, spec.dim) == ("clip", "scenes", 512)
    assert len(spec.weights_hash) == 64
    assert spec == registry.resolve("clip", "scenes")
    assert (spec.preprocessing.size_px, spec.preprocessing.mean) == (96, (0.5, 0.5, 0.5))
