"""evaluate --through flow: the figures of the query Flow's results, with the exact figures for comparison.

This process encodes nothing, because a Flow can't be forked from a process in which torch has run. The exact figures
come from the vectors in the store, so the difference is what the index and the Flow lose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cli.flow_session import resolve
from cli.location import collection_of
from cli.progress import Meter
from cli.query import check_model
from crossmodal.collection.collection import Collection
from crossmodal.core.errors import InputError, StateError
from crossmodal.core.settings import MAX_TOP_K, Settings
from crossmodal.core.types import Modality, Vectors, caption_id, image_id
from crossmodal.evaluation import classes, recall
from crossmodal.evaluation.evaluation_set import EvaluationSet
from crossmodal.evaluation.misses import ClassesRanked, Direction, Ranked
from crossmodal.evaluation.outcomes import Outcome, of_hits, of_ranks
from crossmodal.evaluation.resampling import measured
from serving.jina.ports import reserve_port_pair
from serving.jina.supervisor import prepare_jina, running_flow

if TYPE_CHECKING:
    from executors.schema import MediaDoc

TOP_K = 20
"""Matches per query if the collection holds only the set: ten, and room for ties."""

MATCHES_A_REQUEST = 2000
"""Limit of matches in one request: a match takes half a millisecond in the Flow, and requests have a time limit."""

FlowMatches = list[tuple[str, float]]
"""(id, score) of the matches of a query, best first."""
Search = Callable[["Iterator[MediaDoc]", str, int, Callable[[int, FlowMatches], None]], None]
"""Queries, the modality to search, the number of matches, and a function called with the matches of each query."""


@dataclass(frozen=True)
class SetIds:
    """Ids of the images and captions of the set, in its order."""

    pictures: list[str]
    captions: list[str]

    def relevant(self, image_of: NDArray[np.int64]) -> tuple[list[set[str]], list[set[str]]]:
        """The id of each caption's picture, and the ids of each picture's captions; `image_of` as in the set."""
        captions_of: dict[str, set[str]] = {}
        for caption, image in zip(self.captions, image_of.tolist(), strict=True):
            captions_of.setdefault(self.pictures[image], set()).add(caption)
        return [{self.pictures[image]} for image in image_of], [captions_of[name] for name in self.pictures]


def captions_through_flow(settings: Settings, subject: EvaluationSet) -> tuple[dict[str, Any], Ranked]:
    """The figures of searching with every caption and every image.

    Matches outside the set are skipped, so ranks count only the set. A query that does not return its own match is a
    miss: recall can then only be too low, and the median, mean and reciprocal rank are omitted.

    Returns:
        The figures with `"through"`, `"top_k"`, `"not_found"` (number of queries by direction) and `"exact"`.

    Raises:
        InputError: The Flow refuses an image or a caption.
        StateError: There is no collection, it has another model, or a part of the set is not indexed.
    """
    collection, ids = open_indexed(settings, subject)
    picture_at = {name: i for i, name in reversed(list(enumerate(ids.pictures)))}
    caption_at = {name: j for j, name in reversed(list(enumerate(ids.captions)))}
    relevant_picture, relevant_captions = ids.relevant(subject.image_of)
    t2i, i2t = _Ranks(relevant_picture, picture_at), _Ranks(relevant_captions, caption_at)
    counts = _counts(collection)
    top_ks = {
        "t2i": _depth(settings, counts["image"], len(picture_at)),
        "i2t": _depth(settings, counts["text"], len(caption_at)),
    }
    with _searching(settings, collection, subject) as search:
        search(_texts(subject), "image", top_ks["t2i"], t2i.take)
        search(_pictures(subject), "text", top_ks["i2t"], i2t.take)
    images, texts = stored(collection, "image", ids.pictures), stored(collection, "text", ids.captions)
    exact = recall.figures(*recall.both_ways(images, texts, subject.image_of))
    outcomes = of_ranks("t2i", t2i.ranks, subject.image_of) | of_ranks("i2t", i2t.ranks, np.arange(len(images)))
    figures = {
        **_named(collection, outcomes),
        "images": len(images),
        "captions": len(texts),
        **recall.figures(recall.summarise(t2i.ranks), recall.summarise(i2t.ranks)),
        "top_k": top_ks,
        "not_found": {"t2i": t2i.n_not_found, "i2t": i2t.n_not_found},
        "exact": exact,
    }
    return figures, Ranked(
        Direction(t2i.ranks, lambda j: int(t2i.best_other[j])), Direction(i2t.ranks, lambda i: int(i2t.best_other[i]))
    )


def classes_through_flow(settings: Settings, subject: EvaluationSet) -> tuple[dict[str, Any], ClassesRanked]:
    """The figures of searching images with every image; otherwise as `captions_through_flow`."""
    collection, ids = open_indexed(settings, subject)
    names, class_of = classes.number_classes(subject.class_names)
    picture_at = {name: i for i, name in reversed(list(enumerate(ids.pictures)))}
    hits = np.zeros((len(ids.pictures), classes.DEPTH), np.bool_)
    nearest: list[list[int]] = [[] for _ in ids.pictures]

    def take(i: int, matches: FlowMatches) -> None:
        others = [
            (picture_at[name], score) for name, score in matches if name in picture_at and name != ids.pictures[i]
        ]
        others.sort(key=lambda other: (-other[1], class_of[other[0]] == class_of[i]))
        nearest[i] = [other for other, _ in others]
        of_class = class_of[nearest[i][: classes.DEPTH]] == class_of[i]
        hits[i, : len(of_class)] = of_class

    top_k = _depth(settings, _counts(collection)["image"], len(picture_at))
    with _searching(settings, collection, subject) as search:
        search(_pictures(subject), "image", top_k, take)
    exact = classes.hits_among_best(stored(collection, "image", ids.pictures), class_of)
    figures = {
        **_named(collection, of_hits(hits, class_of)),
        "images": len(ids.pictures),
        "classes": classes.figures(hits, names, class_of),
        "top_k": {"i2i": top_k},
        "exact": {"classes": classes.figures(exact, names, class_of)},
    }
    return figures, ClassesRanked(hits, lambda i: nearest[i])


def _named(collection: Collection, outcomes: Mapping[str, Outcome]) -> dict[str, Any]:
    """What was evaluated, and its intervals."""
    return {
        "model": str(collection.model),
        "label": f"collection {collection.root.name}",
        "through": "flow",
        "intervals": {"measures": measured(outcomes)},
    }


class _Ranks:
    """The rank of each query's best relevant match and the row of the best other match, set as matches arrive."""

    def __init__(self, relevant: list[set[str]], row_of: dict[str, int]) -> None:
        self._relevant, self._row_of = relevant, row_of
        self.ranks = np.full(len(relevant), recall.NOT_FOUND, np.int64)
        self.best_other = np.full(len(relevant), -1, np.int64)

    def take(self, query: int, matches: FlowMatches) -> None:
        """Records the matches of a query."""
        of_set = [(name, score) for name, score in matches if name in self._row_of]
        relevant = self._relevant[query]
        self.ranks[query] = recall.rank_in_answer(of_set, relevant)
        self.best_other[query] = next((self._row_of[name] for name, _ in of_set if name not in relevant), -1)

    @property
    def n_not_found(self) -> int:
        """The number of queries without a relevant document among their matches."""
        return int((self.ranks == recall.NOT_FOUND).sum())


def open_indexed(settings: Settings, subject: EvaluationSet) -> tuple[Collection, SetIds]:
    """The collection and the ids of the set, all of which it contains."""
    collection = collection_of(settings)
    check_model(collection, settings, resolve)
    subject.check_family(collection.model.family)
    pictures = [image_id(subject.content(i)) for i in range(len(subject.records))]
    captions = [caption_id(text, pictures[i]) for text, i in zip(subject.captions, subject.image_of, strict=True)]
    with collection.store() as store:
        known = store.known({*pictures, *captions})
    missing = [str(subject.records[i].path) for i, name in enumerate(pictures) if name not in known]
    missing += [subject.captions[j] for j, name in enumerate(captions) if name not in known]
    if missing:
        raise StateError(
            f"{len(missing)} of the {len(pictures) + len(captions)} pictures and captions to evaluate with are not in "
            f"{collection.folder} (first: {missing[0]}): index them with `python app.py -t index -d {subject.name}`"
        )
    return collection, SetIds(pictures, captions)


def _counts(collection: Collection) -> dict[Modality, int]:
    with collection.store() as store:
        return store.counts()


def _depth(settings: Settings, n_indexed: int, n_of_set: int) -> int:
    """Matches to request: `-k`, or more so that about `TOP_K` of them are of the set."""
    return min(MAX_TOP_K, max(settings.top_k, -(-TOP_K * n_indexed // n_of_set)))


def _texts(subject: EvaluationSet) -> Iterator[MediaDoc]:
    from executors.schema import MediaDoc

    for j, text in enumerate(subject.captions):
        yield MediaDoc(id=str(j), modality="text", text=text)


def _pictures(subject: EvaluationSet) -> Iterator[MediaDoc]:
    from executors.schema import MediaDoc, to_array

    for i in range(len(subject.records)):
        yield MediaDoc(id=str(i), modality="image", content=to_array(subject.content(i)))


@contextmanager
def _searching(settings: Settings, collection: Collection, subject: EvaluationSet) -> Iterator[Search]:
    private = replace(settings, port=reserve_port_pair(), host="127.0.0.1")
    prepare_jina()
    with running_flow("query", collection, private):
        from serving.jina.flow_client import call

        def search(docs: Iterator[MediaDoc], target: str, top_k: int, take: Callable[[int, FlowMatches], None]) -> None:
            with_captions = target == "image" and bool(subject.captions)
            total, n_answered, refused = len(subject.captions if with_captions else subject.records), 0, list[str]()
            with Meter("caption queries" if with_captions else "picture queries", total) as meter:

                def collect(answers: Iterable[MediaDoc]) -> None:
                    nonlocal n_answered
                    for doc in answers:
                        n_answered += 1
                        query = int(doc.id)
                        if doc.error:
                            name = subject.captions[query] if with_captions else subject.records[query].path
                            refused.append(f"{name}: {doc.error}")
                        take(query, [(match.id, match.scores["cosine"]) for match in doc.matches])
                        meter.advance()

                size = max(1, min(settings.request_size, MATCHES_A_REQUEST // top_k))
                # Dense, because the exact scores are.
                parameters = {"top_k": top_k, "target": target, "fusion": "dense"}
                call(replace(private, request_size=size), "/search", docs, collect, parameters)
            if refused:
                raise InputError(f"{len(refused)} queries were refused; first: {refused[0]}")
            if n_answered != total:
                raise StateError(f"{total - n_answered} of {total} queries were not answered: see the log above")

        yield search


def stored(collection: Collection, modality: Modality, ids: list[str]) -> Vectors:
    """The vectors (n, dim) of the documents in the order of `ids`, which may repeat."""
    with collection.store() as store:
        vector_of = store.vectors_of(ids)
    return np.stack([vector_of[name] for name in ids])
