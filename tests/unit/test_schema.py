"""What travels between Executors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from docarray import BaseDoc, DocList

from crossmodal.core.errors import InputError
from crossmodal.core.types import Document
from crossmodal.search.by_time import TimeOrder
from crossmodal.search.hydration import Picture
from crossmodal.search.results import Match, SearchResults
from executors.page import read, written
from executors.schema import MatchDoc, MediaDoc, modality_and_key, name_of_match

FULL = MediaDoc(
    modality="image", uri="data:,x", width=3, tags={"a": [1, 2.5, {"b": None, "c": True}], "d": {}, "e": "é", "f": 7},
    content=np.arange(5, dtype=np.uint8), embedding=np.ones(4, np.float32), found={"image/1": 0.5},
    matches=DocList[MatchDoc]([MatchDoc(id="m", scores={"cosine": 0.25}, why={"red": 1.0}, tags={"n": 1}), MatchDoc()]),
    timings_ms={"encode": 1.5},
)  # fmt: skip


@pytest.mark.parametrize("doc", [FULL, MediaDoc(), MatchDoc(tags={"deep": {"er": [[1], ["x"]]}})])
def test_documents_are_written_and_read_as_docarray_does(doc: Any) -> None:
    theirs = BaseDoc.to_protobuf(doc)
    for message in (doc.to_protobuf(), theirs):
        read, read_by_docarray = type(doc).from_protobuf(message), BaseDoc.from_protobuf.__func__(type(doc), message)
        assert BaseDoc.to_protobuf(read) == BaseDoc.to_protobuf(read_by_docarray) == theirs


def test_only_fields_with_a_value_are_written() -> None:
    assert set(MediaDoc(width=1).to_protobuf().data) == {"id", "width"}
    assert MediaDoc.from_protobuf(MediaDoc(id="").to_protobuf()).id == ""


def test_a_field_that_is_not_of_the_schema_is_left_out() -> None:
    message = MatchDoc(id="m").to_protobuf()
    message.data["extra"].text = "x"
    assert MatchDoc.from_protobuf(message) == MatchDoc(id="m")


def test_a_nested_document_where_none_belongs() -> None:
    message = MatchDoc().to_protobuf()
    message.data["tags"].dict.data["x"].doc.data["y"].text = "z"
    with pytest.raises(ValueError, match="no field has values of the kind 'doc'"):
        MatchDoc.from_protobuf(message)


@pytest.mark.parametrize("kind", [MediaDoc, MatchDoc])
def test_large_integers_in_tags_can_be_passed_on(kind: Any) -> None:
    tags = {"a": 2**31, "b": [-(2**31), -(2**31) - 1, {"c": 1_700_000_000_000}], "d": 2**31 - 1, "e": True}
    arrived = kind.from_protobuf(kind(tags=tags).to_protobuf())
    assert arrived.tags == tags
    assert isinstance(arrived.tags["a"], float)
    assert isinstance(arrived.tags["d"], int)


@pytest.mark.parametrize(
    "name", ["", "image", "image/", "image/x", "smell/1", "image/1/2", "image/-1", "text/" + "9" * 30]
)
def test_a_name_that_no_executor_gave(name: str) -> None:
    with pytest.raises(InputError, match="is not the name of a match"):
        modality_and_key(name)


def test_a_name_of_a_match_comes_back() -> None:
    assert modality_and_key(name_of_match("text", 7)) == ("text", 7)


def test_an_array_that_lacks_its_bytes() -> None:
    message = MediaDoc(embedding=np.zeros((2, 3))).to_protobuf()
    assert MediaDoc.from_protobuf(message).embedding.shape == (2, 3)
    dense = message.data["embedding"].ndarray.dense
    dense.buffer = b""
    with pytest.raises(ValueError, match="an array of 0 bytes: expected 48"):
        MediaDoc.from_protobuf(message)
    dense.shape[:] = [0, 3]
    assert MediaDoc.from_protobuf(message).embedding.shape == (0, 3)


@pytest.mark.parametrize("dtype", ["|O", "<U9", "V8", "M8[s]"])
def test_an_array_of_no_numbers(dtype: str) -> None:
    message = MediaDoc(embedding=np.zeros(3)).to_protobuf()
    message.data["embedding"].ndarray.dense.dtype = dtype
    with pytest.raises(ValueError, match="expected numbers"):
        MediaDoc.from_protobuf(message)


def test_an_array_of_any_framework_is_read_as_numbers() -> None:
    """By its bytes alone: no code of the framework that the message names is run."""
    message = MediaDoc(embedding=np.arange(3.0)).to_protobuf()
    message.data["embedding"].type = "torch_tensor"
    assert MediaDoc.from_protobuf(message).embedding.tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("ordered", [None, TimeOrder(0.5, 10, 2)])
def test_a_page_is_read_as_it_was_written_but_for_paths(ordered: TimeOrder | None) -> None:
    def results(uri: str) -> SearchResults:
        photo = Document("a", "image", uri, "image/jpeg", width=3, height=2, tags={"n": 2**53 - 1, "x": [{"é": None}]})
        caption = Document("b", "text", uri, text="\ud800 ü", image_id="a")
        scores = {"cosine": 0.1 + 0.2, "relevance": 0.5}
        matches = [
            Match(photo, scores, {"red": 1.0}, Picture("a", 3, 2, "a.jpg", ("one", "two"))),
            Match(caption, {}, {}),
        ]
        return SearchResults(matches, fits=True, more=True, ordered=ordered)

    assert read(written(results("/home/ann/a.jpg"))) == results("/images/a")
