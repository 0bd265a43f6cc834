"""Tags the pictures of a collection with labels of a list, each with its certainty.

The tag `labels` has the names of the labels that reach the threshold, the most certain first, and `labels_certainty`
their certainties by name. A picture without any has an empty list, so that `tags.labels is null` finds pictures that
were not looked at.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from crossmodal.collection.calibration import has_general_vocabulary
from crossmodal.collection.collection import Collection
from crossmodal.collection.phrase_vectors import general_vectors
from crossmodal.core.batched import batched
from crossmodal.core.errors import InputError, StateError
from crossmodal.core.os_errors import reason
from crossmodal.core.types import Document, Vectors
from crossmodal.encoders.registry import SCENES
from crossmodal.relevance.calibration import phrases as phrases_of_captions
from crossmodal.relevance.labels import LEAST_PHRASES, LabelRule
from crossmodal.relevance.rules import Floats
from crossmodal.store.protocol import Store
from crossmodal.store.where import parse

LABELS, CERTAINTY = "labels", "labels_certainty"
THRESHOLD = 0.5
GENERAL_SCALE, GENERAL_THRESHOLD = 1.92, 2.92
"""Fitted to the weights `photos` on pictures of 25 classes; see benchmarks/tagging.py and docs/tagging.md."""
SCENES_SCALE, SCENES_THRESHOLD = 25.0, 0.69
"""The same for the weights `scenes`, relative to phrases of the captions of a collection."""
MAX_LABELS, MAX_NAME = 1_000, 100
N_EXAMPLES = 3
_BATCH = 1_000
_SAMPLED = 2_000
_UNUSABLE = re.compile(r'[\x00-\x1f\x7f"\\\ud800-\udfff]')  # a condition could not name it

Encode = Callable[[Sequence[str]], Vectors]


@dataclass(frozen=True)
class Label:
    """A label, and the phrases that describe what it stands for."""

    name: str
    phrases: tuple[str, ...]


@dataclass
class TagReport:
    """What tagging did, or would do.

    Attributes:
        pictures: Pictures that were looked at.
        labelled: Those with at least one label.
        counts: Pictures of each label, in the order of the list.
        examples: The most certain pictures of each label: certainty and path, or the id of a picture without a path.
        written: Pictures whose tags have changed.
    """

    pictures: int = 0
    labelled: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    written: int = 0

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        labels = [
            {"label": name, "n": self.counts[name], "examples": [{"certainty": c, "path": p} for c, p in found]}
            for name, found in self.examples.items()
        ]
        return {"pictures": self.pictures, "labelled": self.labelled, "written": self.written, "labels": labels}

    def lines(self) -> list[str]:
        """The report as text lines."""
        lines = [f"{self.labelled:,} of {self.pictures:,} pictures have a label; the tags of {self.written:,} changed"]
        for name, found in self.examples.items():
            shown = "".join(f"  {certainty:.2f} {path}" for certainty, path in found)
            lines.append(f"  {name}: {self.counts[name]:,}{shown}")
        return lines


def read_labels(path: Path) -> list[Label]:
    """The labels of a UTF-8 file with one a line: `NAME`, or `NAME: PHRASE; PHRASE`; `#` begins a comment line.

    Raises:
        InputError: The file can't be read, has no labels, or a line is malformed.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"{path} can't be read: {reason(error, path)}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: save it as UTF-8") from error
    labels: dict[str, Label] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        label, place = _label(line), f"{path} line {number}"
        if not label.name or not label.phrases:
            raise InputError(f"{place}: expected NAME or NAME: PHRASE; PHRASE, found {line[:60]!r}")
        if len(label.name) > MAX_NAME or _UNUSABLE.search(label.name):
            raise InputError(
                f'{place}: a label has at most {MAX_NAME} characters, and none of ", \\ and control characters'
            )
        if label.name in labels:
            raise InputError(f"{place}: {label.name!r} is given twice: write its phrases on one line, after a colon")
        labels[label.name] = label
    if not 1 <= len(labels) <= MAX_LABELS:
        raise InputError(f"{path} has {len(labels):,} labels, expected 1 to {MAX_LABELS:,}, one a line")
    return list(labels.values())


def _label(line: str) -> Label:
    name, colon, after = line.partition(":")
    phrases = tuple(phrase.strip() for phrase in after.split(";") if phrase.strip()) if colon else (name.strip(),)
    return Label(name.strip(), phrases)


def label_rule(collection: Collection, encode: Encode) -> LabelRule:
    """The rule for the labels of a collection.

    Raises:
        InputError: Its model has no words, or only knows those of its captions.
        StateError: It is of scenes, and has too few captions.
    """
    model = collection.model
    if "text" not in model.modalities:
        raise InputError(f"{model} encodes images only: reindex the collection with a model that also encodes words")
    if has_general_vocabulary(model):
        return LabelRule.beside(general_vectors(model, encode), GENERAL_SCALE, GENERAL_THRESHOLD)
    if model.encoder.weights != SCENES:
        raise InputError(f"{model} only knows the words of its captions: reindex the collection with photos or a CLIP")
    with collection.store() as store:
        keys = store.keys("text")
        drawn = np.random.default_rng(0).permutation(keys)[:_SAMPLED].tolist()
        phrases = list(phrases_of_captions([text for _, text, _ in store.captions_by_keys(drawn)]))
    if len(phrases) < LEAST_PHRASES:
        raise StateError(f"{collection.root} has too few captions to tell how certain a label is: index more scenes")
    return LabelRule.beside(encode(phrases), SCENES_SCALE, SCENES_THRESHOLD)


def tag(
    store: Store,
    labels: Sequence[Label],
    rule: LabelRule,
    phrases: Vectors,
    *,
    threshold: float,
    dry_run: bool,
    advance: Callable[[int], None],
) -> TagReport:
    """Gives all pictures of a store their labels; earlier ones are replaced.

    Pictures are read and committed in batches, so that memory does not grow with the store. A run that is interrupted
    leaves the labels of a list on some pictures, and those of the earlier list on the others.

    Args:
        store: Open for writing, unless `dry_run`.
        labels: The labels.
        rule: Computes the certainties.
        phrases: (p, dim) unit vectors of the phrases of all labels, in order.
        threshold: The lowest certainty of a label.
        dry_run: Whether to write nothing.
        advance: Called with the number of pictures after each batch.

    Raises:
        StateError: Pictures have a tag `labels` that is not from here; nothing is written.
    """
    _check_foreign(store)
    names = [label.name for label in labels]
    starts = np.cumsum([0, *(len(label.phrases) for label in labels[:-1])]).tolist()
    report = TagReport(examples={name: [] for name in names})
    keys = store.keys("image").tolist()
    for part in batched(keys, _BATCH):
        documents = list(store.by_keys(part).values())
        vectors = store.vectors_of([document.id for document in documents])
        documents = [document for document in documents if document.id in vectors]
        if documents:
            pictures = np.stack([vectors[document.id] for document in documents])
            certainties = rule.certainties(pictures, phrases, starts).round(4)
            patches = {}
            for document, row in zip(documents, certainties, strict=True):
                found = _found(names, row, threshold)
                _count(report, document, found)
                if patch := _patch(document, found):
                    patches[document.id] = patch
            report.written += len(patches)
            if patches and not dry_run:
                store.update(patches.items())
        advance(len(part))
    return report


def clear(store: Store, advance: Callable[[int], None]) -> int:
    """Removes the labels of all pictures of a store that is open for writing; returns the number of pictures."""
    keys = store.keys_where(parse(f"tags.{CERTAINTY} is not null"), "image").tolist()
    for part in batched(keys, _BATCH):
        documents = store.by_keys(part).values()
        store.update((document.id, {LABELS: None, CERTAINTY: None}) for document in documents)
        advance(len(documents))
    return len(keys)


def _check_foreign(store: Store) -> None:
    foreign = store.keys_where(parse(f"tags.{LABELS} is not null and tags.{CERTAINTY} is null"), "image")
    if len(foreign):
        raise StateError(
            f"{len(foreign):,} pictures have a tag `{LABELS}` from their data set or a client, which would be "
            "overwritten: give that tag another name, and index again"
        )


def _found(names: Sequence[str], certainties: Floats, threshold: float) -> dict[str, float]:
    """The labels of a picture with their certainties, the most certain first, ties in the order of the list."""
    places = np.flatnonzero(certainties >= threshold)
    order = places[np.argsort(-certainties[places], kind="stable")].tolist()
    return {names[place]: float(certainties[place]) for place in order}


def _count(report: TagReport, picture: Document, found: dict[str, float]) -> None:
    report.pictures += 1
    report.labelled += bool(found)
    report.counts.update(found.keys())
    for name, certainty in found.items():
        best = report.examples[name]
        best.append((certainty, picture.uri or picture.id))
        best.sort(key=lambda example: -example[0])
        del best[N_EXAMPLES:]


def _patch(picture: Document, found: dict[str, float]) -> dict[str, Any]:
    """The merge patch of the tags of a picture, empty if it has these labels already."""
    labels, old = list(found), picture.tags.get(CERTAINTY)
    if picture.tags.get(LABELS) == labels and old == found:
        return {}
    gone = dict.fromkeys(old, None) if isinstance(old, dict) else {}
    return {LABELS: labels, CERTAINTY: {**gone, **found}}
