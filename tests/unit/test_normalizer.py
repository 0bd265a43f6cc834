"""The normalizer's part in what a picture's file says: notes travel with the document where it is indexed."""

from __future__ import annotations

import io
import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from docarray import DocList
from photographs import photographs
from PIL import Image

from crossmodal.core.types import Preprocessing, image_id
from crossmodal.images.prepare import Prepared, prepare
from crossmodal.metadata.tags import LOCATION_TAGS
from executors import image_normalizer
from executors.image_normalizer import ImageNormalizer
from executors.schema import MediaDoc, to_array, to_bytes


class OneGeneration:
    def __init__(self, *_: Any) -> None: ...

    def current(self) -> tuple[str, Preprocessing]:
        return "1", Preprocessing(32)


@pytest.fixture
def normalizer(monkeypatch: pytest.MonkeyPatch) -> ImageNormalizer:
    monkeypatch.setattr(image_normalizer, "GenerationCache", OneGeneration)
    return ImageNormalizer("anywhere")


def document(**options: Any) -> MediaDoc:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(buffer, "PNG", **options)
    return MediaDoc(modality="image", uri="a.png", content=to_array(buffer.getvalue()))


def test_a_note_on_the_file_travels_with_a_picture_that_is_indexed(normalizer: ImageNormalizer) -> None:
    docs = normalizer.normalize_to_store(DocList[MediaDoc]([document(icc_profile=b"no profile"), document()]))
    assert "profile" in docs[0].note
    assert (docs[0].error, docs[1].note) == ("", "")
    assert np.array_equal(docs[0].pixels, docs[1].pixels)


def test_a_picture_that_is_indexed_gets_the_tags_of_its_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_normalizer, "GenerationCache", OneGeneration)
    photograph = next(
        made for made in photographs() if "latitude" in made.tags and made.tags.get("taken_from") == "exif"
    )
    for choice, names in (("all", {"a", *photograph.tags}), ("without-gps", {"a", *photograph.tags} - LOCATION_TAGS)):
        doc = MediaDoc(modality="image", content=to_array(photograph.content), tags={"a": 1})
        ImageNormalizer("anywhere", metadata=choice).normalize_to_store(DocList[MediaDoc]([doc]))
        assert doc.tags == {name: {**photograph.tags, "a": 1}[name] for name in names}


def test_a_query_has_no_note_on_its_file(normalizer: ImageNormalizer) -> None:
    assert normalizer.normalize(DocList[MediaDoc]([document(icc_profile=b"no profile")]))[0].note == ""


def test_a_file_is_read_and_named_by_its_content(normalizer: ImageNormalizer, tmp_path: Path) -> None:
    sent = document()
    content = to_bytes(sent.content)
    (tmp_path / "a.png").write_bytes(content)
    by_path = MediaDoc(id="x", modality="image", uri=str(tmp_path / "a.png"))
    missing = MediaDoc(id="y", modality="image", uri=str(tmp_path / "b.png"))
    refused = normalizer.normalize_to_store(DocList[MediaDoc]([by_path.model_copy()]))[0]
    assert (refused.error, refused.pixels) == ("the picture is missing", None)
    normalizer.read_paths = True
    normalizer.normalize_to_store(DocList[MediaDoc]([by_path, sent, missing]))
    assert by_path.id == sent.id == image_id(content)
    assert np.array_equal(by_path.pixels, sent.pixels)
    assert by_path.content is None
    assert to_bytes(sent.content) == content  # which has no file
    assert missing.id == "y"
    assert "can't be read" in missing.error


@pytest.mark.parametrize(("quick_ms", "threads"), [(math.inf, [2, 0, 0]), (0.0, [2, 2, 2])])
def test_pictures_are_decoded_in_threads_unless_the_last_were_quick(
    normalizer: ImageNormalizer, monkeypatch: pytest.MonkeyPatch, quick_ms: float, threads: list[int]
) -> None:
    def noted(*arguments: Any, **options: Any) -> Prepared:
        in_threads.append(threading.current_thread() is not threading.main_thread())
        return prepare(*arguments, **options)

    monkeypatch.setattr(image_normalizer, "QUICK_MS", quick_ms)
    monkeypatch.setattr(image_normalizer, "prepare", noted)
    for expected in threads:
        in_threads: list[bool] = []
        docs = normalizer.normalize_to_store(DocList[MediaDoc]([document(), MediaDoc(modality="image"), document()]))
        assert [doc.error for doc in docs] == ["", "the picture is missing", ""]
        assert sum(in_threads) == expected
        normalizer.normalize_to_store(DocList[MediaDoc]())  # changes nothing
