"""query, query-t2i, query-i2t, query-i2i: questions from the command line, through the query Flow."""

from __future__ import annotations

import io
import math
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from cli.index import folder_of, resolve
from crossmodal.collection.collection import Collection
from crossmodal.core.errors import InputError, PictureError, StateError
from crossmodal.core.settings import Settings
from crossmodal.core.types import Modality
from crossmodal.images.decode import decode
from crossmodal.images.sheet import contact_sheet
from crossmodal.images.sources import from_file
from crossmodal.relevance.rules import fits
from crossmodal.store.where import parse
from serving.jina.ports import reserve_port_pair
from serving.jina.supervisor import prepare_jina, running_flow

if TYPE_CHECKING:
    from executors.schema import MatchDoc


@dataclass(frozen=True)
class Hit:
    """One match as it is printed."""

    rank: int
    score: float
    relevance: float | None
    id: str
    text: str
    uri: str
    filename: str
    why: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Answer:
    """A query and its matches, best first; `fusion` is of a search by words, `note` what the answer leaves out."""

    query: str
    modality: Modality
    target: Modality
    hits: tuple[Hit, ...]
    fusion: str = ""
    note: str = ""
    fits: bool | None = None
    """Whether the best match is relevant; not where there is none, and None where they have no relevance."""

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary; `why` is the words a picture was found by, where words were searched for."""
        told: dict[str, Any] = {
            "query": self.query,
            "modality": self.modality,
            "target": self.target,
            "fits": self.fits,
            "matches": [{name: value for name, value in vars(hit).items() if name != "why"} for hit in self.hits],
        }
        if self.fusion:
            for match, hit in zip(told["matches"], self.hits, strict=True):
                match["why"] = list(hit.why)
            told["fusion"] = self.fusion
        if self.fusion or self.note:
            told["note"] = self.note
        return told


Ask = Callable[[str], Answer]

METRICS: dict[str, Callable[[float], float]] = {
    "cosine": lambda cosine: cosine,
    "euclidean": lambda cosine: 0.0 - math.sqrt(max(0.0, 2 - 2 * cosine)),
}
"""From the cosine of two unit vectors to a score, better when higher; `euclidean` is less their distance."""


@contextmanager
def asking(
    settings: Settings,
    modality: Modality,
    target: Modality,
    metric: str = "cosine",
    where: str | None = None,
    fusion: str | None = None,
    min_relevance: float | None = None,
) -> Iterator[Ask]:
    """A function that answers queries: texts where `modality` is text, paths of pictures where it is image.

    Args:
        settings: Which collection, and how many matches.
        modality: What is asked with.
        target: What is asked for.
        metric: What the scores are, one of `METRICS`. The order of the matches is the same in each.
        where: A condition that the matches fulfil.
        fusion: How words and vectors are joined, of a sparse collection; by default as it was tuned.
        min_relevance: The least relevance of a match; by default all are kept.

    Raises:
        InputError: Captions or texts, of a model that knows pictures only; `where` is no condition; or
            `min_relevance` of a collection that is not calibrated.
        StateError: There is no index, or it is of another model than the one asked for.
    """
    score = METRICS[metric]
    if where is not None:
        parse(where)
    collection = Collection.open(folder_of(settings))
    check_model(collection, settings)
    _check_modalities(collection, modality, target)
    if metric != "cosine" and collection.model.base and fusion != "dense" and (modality, target) == ("text", "image"):
        raise InputError(f"--metric {metric} is of vectors: with a sparse collection, it takes --fusion dense")
    private = replace(settings, port=reserve_port_pair(), host="127.0.0.1")
    prepare_jina()
    with running_flow("query", collection, private):
        from executors.schema import MediaDoc, to_array
        from serving.jina.flow_client import search

        def ask(query: str) -> Answer:
            doc = MediaDoc(id=uuid.uuid4().hex, modality=modality)
            if modality == "text":
                doc.text = query
            else:
                doc.content = to_array(_picture(query))
            (found,) = search(private, [doc], target, where or "", fusion or "")
            if found.error:
                raise InputError(f"{query}: {found.error}")
            hits = [_hit(rank, match, score) for rank, match in enumerate(found.matches, 1)]
            answer = Answer(query, modality, target, tuple(hits), found.fusion, found.note)
            return _judged(answer, min_relevance)

        yield ask


def _judged(answer: Answer, min_relevance: float | None) -> Answer:
    """The answer, with whether anything in it fits, and without what is less relevant than that."""
    fitting = fits([hit.relevance for hit in answer.hits], min_relevance)
    kept = tuple(hit for hit in answer.hits if min_relevance is None or (hit.relevance or 0.0) >= min_relevance)
    return replace(answer, hits=kept, fits=fitting)


def _hit(rank: int, match: MatchDoc, score: Callable[[float], float]) -> Hit:
    from executors.schema import score_of
    from serving.http.legacy import words

    scored, relevance = round(score(score_of(match)), 4), match.scores.get("relevance")
    why = tuple({"word": word["word"], "weight": round(word["weight"], 4)} for word in words(match.why))
    return Hit(rank, scored, relevance, match.id, match.text, match.uri, str(match.tags.get("filename", "")), why)


def _check_modalities(collection: Collection, modality: Modality, target: Modality) -> None:
    from crossmodal.encoders.registry import IMAGE_ONLY

    if collection.model.family in IMAGE_ONLY and "text" in (modality, target):
        raise InputError(
            f"{collection.folder} is of {collection.model}, which knows pictures only: use -t query-i2i PICTURE"
        )


def check_model(collection: Collection, settings: Settings) -> None:
    """Refuses a model or weights that were asked for by name and are not the collection's."""
    if settings.weights is not None:
        collection.check_model(resolve(settings.model, settings.weights))
    elif settings.model_named and settings.model != collection.model.family:
        raise StateError(
            f"{collection.folder} was indexed with {collection.model}: use `-m {collection.model.family}`, "
            "or another collection with `--collection NAME`"
        )


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
