"""query, query-t2i, query-i2t, query-i2i: questions from the command line, through the query Flow."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from crossmodal.core.errors import InputError, PictureError
from crossmodal.core.settings import Settings
from crossmodal.core.types import Modality
from crossmodal.images.decode import decode
from crossmodal.images.sheet import contact_sheet
from crossmodal.images.sources import from_file
from crossmodal.index.collection import Collection
from gateway.flow import free_ports, prepare_jina, running_flow
from tasks.index import folder_of, resolve


@dataclass(frozen=True)
class Hit:
    """One match as it is printed."""

    rank: int
    score: float
    id: str
    text: str
    uri: str
    filename: str


@dataclass(frozen=True)
class Answer:
    """A query and its matches, best first."""

    query: str
    modality: Modality
    target: Modality
    hits: tuple[Hit, ...]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        return {
            "query": self.query,
            "modality": self.modality,
            "target": self.target,
            "matches": [vars(hit) for hit in self.hits],
        }


Ask = Callable[[str], Answer]


@contextmanager
def asking(settings: Settings, modality: Modality, target: Modality) -> Iterator[Ask]:
    """A function that answers queries: texts where `modality` is text, paths of pictures where it is image.

    Raises:
        StateError: There is no index, or it is of another model than the one asked for.
    """
    collection = Collection.open(folder_of(settings))
    check_model(collection, settings)
    private = replace(settings, port=free_ports(), host="127.0.0.1")
    prepare_jina()
    with running_flow("query", collection, private):
        from executors.docs import MediaDoc, to_array
        from gateway.client import search

        def ask(query: str) -> Answer:
            doc = MediaDoc(id=uuid.uuid4().hex, modality=modality)
            if modality == "text":
                doc.text = query
            else:
                doc.content = to_array(_picture(query))
            (found,) = search(private, [doc], target)
            if found.error:
                raise InputError(f"{query}: {found.error}")
            hits = [
                Hit(rank, round(m.scores["cosine"], 4), str(m.id), m.text, m.uri, str(m.tags.get("filename", "")))
                for rank, m in enumerate(found.matches, 1)
            ]
            return Answer(query, modality, target, tuple(hits))

        yield ask


def check_model(collection: Collection, settings: Settings) -> None:
    """Refuses a model or weights that were asked for by name and are not the collection's."""
    from crossmodal.encoders import registry

    if settings.weights is not None or settings.model != collection.model.family:
        weights = settings.weights or registry.default_weights(settings.model, settings.data_set)
        collection.check_model(resolve(settings.model, weights))


def _picture(path: str) -> bytes:
    try:
        content = from_file(Path(path))
        decode(content)
    except PictureError as error:
        raise InputError(f"{path}: {error}") from error
    return content


def save_sheet(settings: Settings, answer: Answer, path: Path) -> None:
    """Draws the answer as a contact sheet; a caption is shown with its picture."""
    with Collection.open(folder_of(settings)).store() as store:
        pictures = []
        for hit in answer.hits:
            document = store.document(hit.id)
            picture_id = document.image_id if document and document.image_id else hit.id
            jpeg = store.thumbnail(picture_id)
            picture = Image.open(io.BytesIO(jpeg)) if jpeg else Image.new("RGB", (8, 8), "grey")
            pictures.append((picture, f"score={hit.score:.4f}", hit.text or hit.filename))
    query = None
    title = answer.query
    if answer.modality == "image":
        query, _ = decode(_picture(answer.query))
        title = Path(answer.query).name
    contact_sheet(title, pictures, query).save(path)
