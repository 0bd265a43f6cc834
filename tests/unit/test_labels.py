"""Labels of pictures from a list of names, on stores of every kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stores import OpenStore

from crossmodal.collection import labels as labelling
from crossmodal.collection.labels import Label, TagReport, clear, read_labels, tag
from crossmodal.core.errors import InputError, StateError
from crossmodal.core.types import Document, Vectors
from crossmodal.relevance.labels import LabelRule
from crossmodal.store.protocol import Store
from crossmodal.store.records import NewDocument
from crossmodal.store.where import parse

DIM = 8
RNG = np.random.default_rng(0)
PHRASES = RNG.normal(size=(200, DIM)).astype(np.float32)
PHRASES /= np.linalg.norm(PHRASES, axis=1, keepdims=True)
RULE = LabelRule.beside(PHRASES, 3.0, 2.0)
AXES = np.eye(DIM, dtype=np.float32)


def picture(name: str, vector: Any, **tags: Any) -> NewDocument:
    vector = np.asarray(vector, np.float32)
    return NewDocument(Document(name, "image", uri=f"/p/{name}.jpg", tags=tags), vector / np.linalg.norm(vector))


def labelled(store: Store, names: Sequence[str], vectors: Vectors, **options: Any) -> TagReport:
    labels = [Label(name, (name,)) for name in names]
    given: dict[str, Any] = {"threshold": 0.5, "dry_run": False, "advance": lambda _: None, **options}
    return tag(store, labels, RULE, vectors, **given)


PICTURES = [
    picture("both", AXES[0] + AXES[1], filename="both.jpg"), picture("dog", AXES[0]), picture("none", AXES[5]),
]  # fmt: skip


def test_a_picture_may_have_several_labels(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        store.put(PICTURES)
        store.put([NewDocument(Document("caption", "text", text="dog", image_id="dog"), AXES[0])])
        dry = labelled(store, ["dog", "beach"], AXES[:2], dry_run=True)
        assert store.ids_where(parse("tags.labels is not null")) == []
        report = labelled(store, ["dog", "beach"], AXES[:2])
        assert report.to_dict() == dry.to_dict()
        assert (report.pictures, report.labelled, report.written, report.counts) == (3, 2, 3, {"dog": 2, "beach": 1})
        assert [path for _, path in report.examples["dog"]] == ["/p/dog.jpg", "/p/both.jpg"]
        assert store.ids_where(parse("tags.labels = 'dog'")) == ["both", "dog"]
        assert store.ids_where(parse("tags.labels = 'dog' and tags.labels = 'beach'")) == ["both"]
        assert store.ids_where(parse("tags.labels != 'beach'")) == ["dog", "none"]
        assert store.ids_where(parse("tags.labels_certainty.dog > 0.9")) == ["dog"]
        both = store.known(["both"])["both"].tags
        assert both["filename"] == "both.jpg"
        assert set(both["labels"]) == set(both["labels_certainty"]) == {"dog", "beach"}
        assert store.known(["none"])["none"].tags == {"labels": [], "labels_certainty": {}}
        assert store.known(["caption"])["caption"].tags == {}


def test_another_list_replaces_the_labels(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelling, "_BATCH", 2)
    with open_store(writable=True) as store:
        store.put(PICTURES)
        labelled(store, ["dog", "beach"], AXES[:2])
        assert labelled(store, ["dog", "beach"], AXES[:2]).written == 0
        advanced: list[int] = []
        labelled(store, ["cat"], AXES[5:6], advance=advanced.append)
        assert advanced == [2, 1]
        assert {name: document.tags["labels"] for name, document in store.known(["both", "dog", "none"]).items()} == {
            "both": [], "dog": [], "none": ["cat"],
        }  # fmt: skip
        assert list(store.known(["none"])["none"].tags["labels_certainty"]) == ["cat"]
        assert store.known(["dog"])["dog"].tags["labels_certainty"] == {}
        assert clear(store, lambda _: None) == 3
        assert store.known(["both"])["both"].tags == {"filename": "both.jpg"}
        assert clear(store, lambda _: None) == 0


def test_tags_of_others_are_not_overwritten(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        store.put([*PICTURES, picture("mine", AXES[0], labels="by hand")])
        with pytest.raises(StateError, match="1 pictures have a tag `labels` from their data set"):
            labelled(store, ["dog"], AXES[:1])
        assert store.ids_where(parse("tags.labels_certainty is not null")) == []
        assert clear(store, lambda _: None) == 0
        assert store.known(["mine"])["mine"].tags == {"labels": "by hand"}


def test_certainties_are_those_of_single_pictures_and_grow_with_the_cosine() -> None:
    pictures = np.stack([item.vector for item in PICTURES])
    whole = RULE.certainties(pictures, AXES[:3], [0, 1, 2])
    assert whole.shape == (3, 3)
    for row, one in zip(whole, pictures, strict=True):
        np.testing.assert_allclose(RULE.certainties(one[None], AXES[:3], [0, 1, 2])[0], row, rtol=1e-5)
    best = RULE.certainties(pictures, AXES[:3], [0, 2])  # the first label has two phrases
    np.testing.assert_allclose(best, np.column_stack([whole[:, :2].max(axis=1), whole[:, 2]]), rtol=1e-6)
    angles = np.linspace(0, 1.5, 20)[:, None]
    towards = (np.cos(angles) * AXES[0] + np.sin(angles) * AXES[1]).astype(np.float32)
    falling = RULE.certainties(towards[:1], towards, list(range(20)))[0]
    assert (np.diff(falling) < 0).all()
    z = RULE.background.z(np.array([[0.3]]), pictures[:1])[0, 0]
    assert 1 / (1 + np.exp(-3.0 * (z - 2.0))) == pytest.approx(
        RULE.certainties(pictures[:1], (0.3 * pictures[:1]), [0])[0, 0], rel=1e-4
    )


def test_a_file_of_labels(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("\ufeff# animals\ndog\n\n big cat : lion; tiger ;\r\nNew York: a skyline\n", "utf8")
    assert read_labels(file) == [
        Label("dog", ("dog",)), Label("big cat", ("lion", "tiger")), Label("New York", ("a skyline",)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has 0 labels, expected 1 to 1,000"),
        ("# only\n", "has 0 labels"),
        ("dog\ndog: puppy\n", "line 2: 'dog' is given twice"),
        ("dog:\n", "line 1: expected NAME or NAME: PHRASE; PHRASE, found 'dog:'"),
        (": puppy\n", "line 1: expected NAME"),
        ('the "dog"\n', "line 1: a label has at most 100 characters"),
        ("a" * 101, "line 1: a label has at most 100 characters"),
        ("\n".join(f"label {n}" for n in range(1_001)), "has 1,001 labels"),
    ],
)
def test_a_file_that_is_refused(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "labels.txt"
    file.write_text(content, "utf8")
    with pytest.raises(InputError, match=r"labels\.txt") as refused:
        read_labels(file)
    assert message in str(refused.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read"):
        read_labels(tmp_path / "missing.txt")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        read_labels(tmp_path / "latin.txt")
