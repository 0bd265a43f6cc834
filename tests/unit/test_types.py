"""Ids and model specs."""

import json

from crossmodal.core.types import ModelSpec, Preprocessing, caption_id, image_id


def test_image_id_is_the_sha1_of_the_bytes() -> None:
    assert image_id(b"abc") == "a9993e364706816aba3e25717850c26c9cd0d89d"
    assert image_id(b"abc") != image_id(b"abd")


def test_caption_id_depends_on_text_and_picture() -> None:
    one = caption_id("a red heart", "p1")
    assert one == caption_id("a red heart", "p1")
    assert len({one, caption_id("a red heart", "p2"), caption_id("a blue heart", "p1")}) == 3


def test_caption_id_keeps_its_parts_apart() -> None:
    assert caption_id("ab", "c") != caption_id("a", "bc")


def test_model_spec_survives_json() -> None:
    preprocessing = Preprocessing(96, "squash", "bilinear", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), 7, 110)
    spec = ModelSpec("clip", "scenes", "f" * 64, 192, preprocessing)
    found = ModelSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert found == spec
    assert hash(found) == hash(spec)


def test_a_model_spec_written_before_resize_px_is_read() -> None:
    spec = ModelSpec("clip", "scenes", "f" * 64, 192, Preprocessing(96))
    written = spec.to_dict()
    del written["preprocessing"]["resize_px"]
    assert ModelSpec.from_dict(written) == spec


def test_model_spec_names_family_weights_and_hash() -> None:
    assert str(ModelSpec("clip", "scenes", "0123456789abcdef", 4, Preprocessing(8))) == "clip scenes (0123456789ab)"
