"""What the catalogue says of bundled weights."""

import pytest

from crossmodal.core.families import FAMILIES
from crossmodal.encoders.catalogue import _bundled
from crossmodal.encoders.lite_shape import LITE_FEATURES


@pytest.mark.parametrize("family", FAMILIES)
def test_all_bundled_weights_of_a_family_are_listed(family: str) -> None:
    listed = {entry.weights: entry for entry in _bundled(family)}
    assert set(listed) == set(FAMILIES[family].bundled)
    assert all(entry.here and entry.parameters and entry.terms for entry in listed.values())


def test_a_backbone_counts_the_image_tower_alone() -> None:
    (as_backbone,) = _bundled("timm")
    as_clip = {entry.weights: entry for entry in _bundled("clip")}["photos"]
    assert as_backbone.dim == LITE_FEATURES
    assert as_backbone.parameters is not None
    assert as_clip.parameters is not None
    assert 4e6 < as_backbone.parameters < 6e6 < as_clip.parameters  # EfficientNet-lite0 has 4.7 million
