"""query, query-t2i, query-i2t, query-i2i: queries from the command line, answered in this process."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.location import collection_of
from cli.printing import say_aside
from crossmodal.collection.collection import Collection
from crossmodal.collection.encoder import prepared_encoder
from crossmodal.core.errors import InputError, StateError
from crossmodal.core.settings import Settings
from crossmodal.core.types import Modality, ModelSpec
from crossmodal.datasets.text import as_utf8
from crossmodal.encoders import registry
from crossmodal.search.by_time import TimeOrder, taken
from crossmodal.search.examples import Example, check_number
from crossmodal.search.known_pictures import KnownPictures
from crossmodal.search.listing import listed
from crossmodal.search.overview import LatestOverview
from crossmodal.search.query import Page, Query, SearchOptions
from crossmodal.search.service import SearchService
from crossmodal.search.understanding import Understood, UnderstoodPhrase, understand
from crossmodal.store.protocol import Store
from crossmodal.store.where import all_of, parse

if TYPE_CHECKING:
    from crossmodal.search.results import Match, SearchResults


@dataclass(frozen=True)
class Hit:
    """A match, ready to print."""

    rank: int
    score: float
    relevance: float | None
    id: str
    text: str
    uri: str
    filename: str
    taken: str = ""
    why: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class QueryAnswer:
    """A query and its matches, best first.

    Attributes:
        query: The text, or the path of the picture.
        modality: Of the query.
        target: Of the matches.
        hits: The matches.
        fusion: The fusion of words and vectors, empty in a collection without words.
        note: Parts of the query that were not used, empty if all were.
        fits: Whether the best match is relevant: False without matches, None without relevance scores.
        ordered: What the order by time was made from, None for the order by relevance.
        understood: The dates and places in the text, which were filters.
    """

    query: str
    modality: Modality
    target: Modality
    hits: tuple[Hit, ...]
    fusion: str = ""
    note: str = ""
    fits: bool | None = None
    ordered: TimeOrder | None = None
    understood: tuple[UnderstoodPhrase, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary; matches of a search by words have `why`, the words that matched."""
        values: dict[str, Any] = {
            "query": self.query,
            "modality": self.modality,
            "target": self.target,
            "fits": self.fits,
            "matches": [{name: value for name, value in vars(hit).items() if name != "why"} for hit in self.hits],
        }
        for match, hit in zip(values["matches"], self.hits, strict=True):
            if self.fusion or hit.why:
                match["why"] = list(hit.why)
        if self.fusion:
            values["fusion"] = self.fusion
        if self.fusion or self.note:
            values["note"] = self.note
        if self.ordered is not None:
            values["ordered"] = vars(self.ordered)
        if self.understood:
            values["understood"] = [part.to_dict() for part in self.understood]
        return values


SearchFunction = Callable[[str], QueryAnswer]

METRICS: dict[str, Callable[[float], float]] = {
    "cosine": lambda cosine: cosine,
    "euclidean": lambda cosine: 0.0 - math.sqrt(max(0.0, 2 - 2 * cosine)),
}
"""Scores from the cosine of two unit vectors, better when higher; `euclidean` is minus their distance."""


@dataclass(frozen=True)
class QueryPlan:
    """What the queries of a command have in common.

    Attributes:
        modality: Of the queries: texts, or paths of pictures.
        target: Of the matches.
        page: The matches to return.
        metric: The kind of score, a key of `METRICS`. The order of the matches is the same for all.
        where: A condition on the matches, empty for none.
        fusion: The fusion of words and vectors in a sparse collection; by default the tuned one.
        reads_phrases: Whether dates and places in the words are filters; see `crossmodal.search.understanding`.
        likes: Ids of documents and paths of pictures that the matches of every query should be like.
        unlikes: Such ids and paths that they should not be like.
    """

    modality: Modality
    target: Modality
    page: Page
    metric: str = "cosine"
    where: str = ""
    fusion: str | None = None
    reads_phrases: bool = False
    likes: Sequence[str] = ()
    unlikes: Sequence[str] = ()

    def options(self) -> SearchOptions:
        """The options of the searches.

        Raises:
            InputError: The condition is invalid.
        """
        fusion = self.fusion or ("" if self.metric == "cosine" else "dense")  # other metrics compare vectors only
        options = SearchOptions(self.page.n_candidates, self.target, self.where, fusion, self.page)
        options.condition  # noqa: B018 -- parsed here so that an error is reported before the model is loaded
        return options

    def towers(self) -> tuple[Modality, ...]:
        """The towers of the encoder that the queries and the examples need."""
        has_pictures = any(Path(name).is_file() for name in (*self.likes, *self.unlikes))
        return (self.modality, "image") if has_pictures else (self.modality,)

    def check(self, collection: Collection) -> None:
        """Checks that the plan fits a collection.

        Raises:
            InputError: A text query or captions with a model that encodes images only, or a metric of vectors for
                words.
        """
        model = collection.model
        if not {self.modality, self.target} <= set(model.modalities):
            raise InputError(
                f"{collection.folder} has the model {model}, which encodes images only: use -t query-i2i PICTURE"
            )
        joins_words = model.has_lexical and self.fusion != "dense" and (self.modality, self.target) == ("text", "image")
        if self.metric != "cosine" and joins_words:
            raise InputError(f"--metric {self.metric} compares vectors: with a sparse collection, add --fusion dense")


@contextmanager
def open_search(settings: Settings, plan: QueryPlan) -> Iterator[SearchFunction]:
    """Yields a function that answers the queries of a plan in the collection of the settings.

    The settings also have the number of matches, and the options of the encoder.

    Raises:
        InputError: As `QueryPlan.options` and `QueryPlan.check`, or an example is neither a file nor a document.
        StateError: There is no index, or it has another model than the one in the settings.
    """
    options = plan.options()
    collection = collection_of(settings)
    check_model(collection, settings, registry.resolve)
    plan.check(collection)
    encoder = prepared_encoder(collection, plan.towers(), settings.threads or None, settings.engine, say_aside)
    with SearchService(collection, encoder) as service:
        yield _Search(service, plan, options)


class _Search:
    """Answers the queries of a plan with an open service."""

    def __init__(self, service: SearchService, plan: QueryPlan, options: SearchOptions) -> None:
        self._service, self._plan = service, plan
        self._overview, self._known = LatestOverview(service.store), KnownPictures(service.store)
        liked, unliked = (
            tuple(_example(name, service.store) for name in names) for names in (plan.likes, plan.unlikes)
        )
        check_number(liked, unliked)
        self._examples = Query(options=options, likes=liked, unlikes=unliked)

    def __call__(self, query: str) -> QueryAnswer:
        """The answer to a query, a text or the path of a picture.

        Raises:
            InputError: The query is not valid; the message begins with it.
        """
        plan, understood = self._plan, Understood(query)
        try:
            if plan.modality == "text":
                understood = self._understood(query)
                results = _answered(self._service, self._overview, understood, self._examples)
            else:
                from crossmodal.images.sources import from_file

                results = self._service.search(replace(self._examples, picture=from_file(Path(query))))
        except InputError as error:
            raise InputError(f"{query}: {error}") from error
        hits = tuple(hit_of(rank, match, METRICS[plan.metric]) for rank, match in enumerate(results.matches, 1))
        note = results.note if results.matches else self._why_nothing(understood) or results.note
        return QueryAnswer(
            query, plan.modality, plan.target, hits, results.fusion, note, results.fits, results.ordered,
            understood.parts,
        )  # fmt: skip

    def _why_nothing(self, understood: Understood) -> str:
        """Why no query can find anything, if it is known."""
        store, target = self._service.store, self._plan.target
        if target == "text" and not store.counts()["text"]:
            return "the collection has no captions: put them beside the pictures (docs/datasets.md) and index again"
        where = all_of(self._plan.where, understood.condition())
        if not where or len(store.keys_where(parse(where), target)):
            return ""
        literal = "; --literal searches for the words instead" if understood.parts else ""
        return f"no {'captions' if target == 'text' else 'pictures'} meet the conditions{literal}"

    def _understood(self, text: str) -> Understood:
        if as_utf8(text) != text:
            raise InputError("the query is not UTF-8: check the encoding of the terminal")
        return understand(text, date.today(), lambda: self._known) if self._plan.reads_phrases else Understood(text)


def _example(name: str, store: Store) -> Example:
    """The picture of a file, or the id of a document."""
    from crossmodal.images.sources import from_file

    if Path(name).is_file():
        return from_file(Path(name))
    if not store.known([name]):
        raise InputError(f"{name[:200]}: there is no such file, and no document with this id")
    return name


def _answered(
    service: SearchService, overview: LatestOverview, understood: Understood, examples: Query
) -> SearchResults:
    """The results for the words that remain; without any, the pictures of the time and place by date."""
    where = all_of(examples.options.where, understood.condition())
    options = replace(examples.options, where=where)
    if understood.text or not understood.parts or options.page is None or examples.has_examples:
        return service.search(replace(examples, text=understood.text, options=options))
    return listed(service.store, *overview.current(where), options.page)


def hit_of(rank: int, match: Match, score: Callable[[float], float] = METRICS["cosine"]) -> Hit:
    """A match, ready to print; `score` is one of `METRICS`."""
    document = match.document
    words = sorted(match.why.items(), key=lambda pair: (-pair[1], pair[0]))
    why = tuple({"word": word, "weight": round(weight, 4)} for word, weight in words)
    filename = str(document.tags.get("filename", ""))
    shown = round(score(match.score), 4)
    return Hit(
        rank, shown, match.relevance, document.id, document.text, document.uri, filename, taken(document.tags), why
    )


def check_model(collection: Collection, settings: Settings, resolve: Callable[[str, str], ModelSpec]) -> None:
    """Checks that the model and weights the user named are the collection's.

    Args:
        collection: The collection.
        settings: The model and weights that the user named.
        resolve: Returns the spec of a family and weights; if it runs torch, this process can't fork a Flow afterwards.

    Raises:
        StateError: The collection has another model.
    """
    if settings.weights is not None:
        collection.check_model(resolve(settings.model, settings.weights))
    elif settings.model_named and settings.model != collection.model.family:
        raise StateError(
            f"{collection.folder} was indexed with {collection.model}: use `-m {collection.model.family}`, "
            "or another collection with `--collection NAME`"
        )
