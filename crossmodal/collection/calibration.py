"""Calibrates the relevance of a collection's scores on a sample of its documents."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from crossmodal.collection.collection import Collection
from crossmodal.collection.phrase_vectors import general_vectors
from crossmodal.collection.shared_state import CALIBRATION
from crossmodal.core.errors import StateError
from crossmodal.core.types import MODALITIES, Keys, Modality, ModelSpec, Vectors
from crossmodal.encoders.registry import SCENES, family_of
from crossmodal.relevance import calibration as fitting
from crossmodal.relevance.calibration import Sample
from crossmodal.relevance.rules import Calibration
from crossmodal.store.protocol import Store

log = logging.getLogger(__name__)

Encode = Callable[[Sequence[str]], Vectors]
"""Encodes texts as unit vectors (n, dim), in order, with the collection's model."""

MAX_CHANGED = 0.1
"""Share of changes since the last calibration above which `index` calibrates again."""


def is_up_to_date(collection: Collection) -> bool:
    """Whether the collection has a calibration and has changed little since."""
    try:
        calibration = Calibration.from_bytes(collection.calibration_path.read_bytes())
    except FileNotFoundError:
        return False
    except (StateError, OSError) as error:
        log.warning("%s is computed again: %s", collection.calibration_path, error)
        return False
    with collection.store() as store:
        return calibration.store_id == store.store_id() and not _is_changed(store, calibration.last_seq)


def _is_changed(store: Store, since: int) -> bool:
    """Whether more than `MAX_CHANGED` of the vectors were added or removed; text in pictures has numbers, too."""
    allowed = int(MAX_CHANGED * since)
    if store.last_seq() - since <= allowed:
        return False
    n_changes = 0
    for modality in MODALITIES:
        changes = store.changes_after(modality, since, allowed + 1, with_vectors=False)
        if changes is None:  # removals are no longer recorded
            return True
        n_changes += len(changes.added) + len(changes.removed)
    return n_changes > allowed


def calibrate(collection: Collection, encode: Encode) -> Calibration:
    """Computes the calibration of a collection from a random sample, writes and returns it.

    Args:
        collection: The collection.
        encode: Encodes texts with the collection's model.

    Raises:
        StateError: The calibration can't be written, or `encode` raises it.
    """
    with collection.store() as store:
        counts = store.counts()
        store_id, last_seq = store.store_id(), store.last_seq()
        drawn = {modality: _drawn(store, modality, counts[modality]) for modality in MODALITIES}
        sample = _sample(store, drawn["image"])
        vectors = {modality: _vectors(store, drawn[modality][: fitting.MAX_BACKGROUND]) for modality in MODALITIES}
    calibration = _fitted(Calibration(store_id, last_seq), collection.model, sample, counts["image"], encode)
    for modality in MODALITIES:
        background = fitting.background(vectors[modality], counts[modality])
        calibration.backgrounds.update({modality: background} if background else {})
    collection.write(CALIBRATION, calibration.to_bytes())
    return calibration


def _fitted(calibration: Calibration, model: ModelSpec, sample: Sample, n_images: int, encode: Encode) -> Calibration:
    """The calibration with rules fitted to the sample's captions, or without enough of them to general phrases."""
    is_enough = len(sample.images) >= fitting.LEAST
    phrases = fitting.phrases(sample.captions) if is_enough and "text" in model.modalities else {}
    if phrases:
        phrase_vectors = encode(list(phrases))
        text_to_image = fitting.fit_text_to_image(sample, phrases, phrase_vectors)
        image_to_text = fitting.fit_image_to_text(sample)
        calibration.fitted.update({("text", "image"): text_to_image} if text_to_image else {})
        calibration.fitted.update({("image", "text"): image_to_text} if image_to_text else {})
        if text_to_image is not None:
            return replace(calibration, words=fitting.fit_with_captions(sample, phrases, phrase_vectors, text_to_image))
    if is_enough and has_general_vocabulary(model):
        return replace(
            calibration, words=fitting.beside_phrases(sample.images, general_vectors(model, encode), n_images)
        )
    return calibration


def has_general_vocabulary(model: ModelSpec) -> bool:
    """Whether a model encodes arbitrary phrases; the bundled scenes model and VSE++ have small vocabularies."""
    encoder = model.encoder
    return family_of(encoder.family).is_open_vocabulary and encoder.weights != SCENES


def _drawn(store: Store, modality: Modality, n: int) -> Keys:
    """A random sample of the keys, reproducible for the same store."""
    keys = store.keys(modality)
    return np.random.default_rng(0).permutation(keys)[: min(n, fitting.MAX_PICTURES)]


def _sample(store: Store, keys: Keys) -> Sample:
    """The images with these keys, and their captions."""
    pictures = [document.id for document in store.by_keys(keys.tolist()).values()]
    captions_of = store.captions_of(pictures)
    captions = [(place, caption) for place, image in enumerate(pictures) for caption in captions_of.get(image, [])]
    vectors = store.vectors_of([*pictures, *(caption.id for _, caption in captions)])
    return Sample(
        _stacked([vectors[image] for image in pictures]),
        _stacked([vectors[caption.id] for _, caption in captions]),
        [caption.text for _, caption in captions],
        np.array([place for place, _ in captions], np.int64),
    )


def _vectors(store: Store, keys: Keys) -> Vectors:
    ids = [document.id for document in store.by_keys(keys.tolist()).values()]
    return _stacked(list(store.vectors_of(ids).values()))


def _stacked(vectors: Sequence[Vectors]) -> Vectors:
    return np.stack(vectors) if vectors else np.empty((0, 0), np.float32)
