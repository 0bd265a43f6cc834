"""calibrate: finds out from a collection's own pictures and captions what its scores mean; `index` does so, too."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from crossmodal.collection.collection import Collection
from crossmodal.core.errors import StateError
from crossmodal.core.files import write_atomically
from crossmodal.core.os_errors import reason
from crossmodal.core.settings import Settings
from crossmodal.core.types import MODALITIES, Keys, Modality, ModelSpec, Vectors
from crossmodal.encoders.registry import BUNDLED, IMAGE_ONLY
from crossmodal.relevance import calibration as calibrating
from crossmodal.relevance.calibration import Sample
from crossmodal.relevance.phrases import general_phrases
from crossmodal.relevance.rules import Calibration
from crossmodal.store.database import check_writable
from crossmodal.store.sqlite import DocumentStore
from serving.jina.ports import reserve_port_pair
from serving.jina.supervisor import prepare_jina

log = logging.getLogger(__name__)
Encode = Callable[[Sequence[str]], Vectors]

CHANGED_MUCH = 0.1
"""Share of changes from which `index` calibrates again."""


def run(settings: Settings) -> dict[str, Any]:
    """Calibrates a collection anew.

    Returns:
        `fitted` and `backgrounds`: for which kinds of query there is a rule now.

    Raises:
        StateError: There is no collection, or its Flow failed.
    """
    from cli.index import IndexSession, folder_of  # which calibrates as it ends, so it imports this module

    collection = Collection.open(folder_of(settings))
    check_writable(collection.folder)
    prepare_jina()
    private = replace(settings, port=reserve_port_pair(), host="127.0.0.1")
    with IndexSession(private, collection, lambda: None) as sender:
        made = calibrate(collection, sender.encode)
    return {
        "fitted": [f"{asked} to {target}" for asked, target in made.fitted],
        "backgrounds": list(made.backgrounds),
    }


def is_up_to_date(collection: Collection) -> bool:
    """Whether the collection was calibrated, and has not changed much since."""
    try:
        known = Calibration.from_bytes(collection.calibration_path.read_bytes())
    except FileNotFoundError:
        return False
    except (StateError, OSError) as error:
        log.warning("%s is made again: %s", collection.calibration_path, error)
        return False
    with collection.store() as store:
        is_much = store.last_seq() - known.last_seq > CHANGED_MUCH * known.last_seq
        return known.store_id == store.store_id() and not is_much


def calibrate(collection: Collection, encode: Encode) -> Calibration:
    """Finds the rules of a collection and keeps them.

    Args:
        collection: What is calibrated, by a random sample of it.
        encode: Texts to unit vectors, with the collection's model.

    Raises:
        StateError: It can't be written, or the Flow that encodes failed.
    """
    with collection.store() as store:
        counts = store.counts()
        store_id, last_seq = store.store_id(), store.last_seq()
        drawn = {modality: _drawn(store, modality, counts[modality]) for modality in MODALITIES}
        sample = _sample(store, drawn["image"])
        vectors = {modality: _vectors(store, drawn[modality][: calibrating.MAX_BACKGROUND]) for modality in MODALITIES}
    made = Calibration(store_id, last_seq)
    is_enough = len(sample.images) >= calibrating.LEAST
    said = calibrating.phrases(sample.captions) if is_enough and collection.model.family not in IMAGE_ONLY else {}
    words = None
    if said:
        vectors_of_said = encode(list(said))
        words = calibrating.fit_text_to_image(sample, said, vectors_of_said)
        picture = calibrating.fit_image_to_text(sample)
        made.fitted.update({("text", "image"): words} if words else {})
        made.fitted.update({("image", "text"): picture} if picture else {})
    if words is not None:
        made = replace(made, words=calibrating.fit_with_captions(sample, said, vectors_of_said, words))
    elif is_enough and knows_many_things(collection.model):
        phrases = encode(general_phrases())
        made = replace(made, words=calibrating.beside_phrases(sample.images, phrases, counts["image"]))
    for modality in MODALITIES:
        beside = calibrating.background(vectors[modality], counts[modality])
        made.backgrounds.update({modality: beside} if beside else {})
    try:
        write_atomically(collection.calibration_path, made.to_bytes())
    except OSError as error:
        raise StateError(f"{collection.calibration_path} can't be written: {reason(error)}") from error
    return made


def knows_many_things(model: ModelSpec) -> bool:
    """Whether phrases of all kinds mean something to a model; the bundled scenes' and VSE++ know few words."""
    spec = model.base or model
    return spec.family == "clip" and spec.weights != BUNDLED


def _drawn(store: DocumentStore, modality: Modality, n: int) -> Keys:
    """Some keys, in random order; the same of the same store."""
    keys = store.keys(modality)
    return np.random.default_rng(0).permutation(keys)[: min(n, calibrating.MAX_PICTURES)]


def _sample(store: DocumentStore, keys: Keys) -> Sample:
    """The pictures of the keys with their captions."""
    pictures = [document.id for document in store.by_keys(keys.tolist()).values()]
    captions = [(place, said) for place, own in enumerate(pictures) for said in store.captions_of(own)]
    vectors = store.vectors_of([*pictures, *(said.id for _, said in captions)])
    return Sample(
        _stacked([vectors[own] for own in pictures]),
        _stacked([vectors[said.id] for _, said in captions]),
        [said.text for _, said in captions],
        np.array([place for place, _ in captions], np.int64),
    )


def _vectors(store: DocumentStore, keys: Keys) -> Vectors:
    ids = [document.id for document in store.by_keys(keys.tolist()).values()]
    return _stacked(list(store.vectors_of(ids).values()))


def _stacked(vectors: Sequence[Vectors]) -> Vectors:
    return np.stack(vectors) if vectors else np.empty((0, 0), np.float32)
