"""Runs the queries of the command line and prints their answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from cli.options import CollectionOptions, EncoderOptions, JsonOptions, ModelOptions, TopKOptions
from cli.parameters import FILE, Distance, Options, flag, option
from cli.printing import cells, new_table, print_table, say, say_json
from cli.wording import with_commands
from crossmodal.core.errors import InputError
from crossmodal.core.terminal import to_json

if TYPE_CHECKING:
    from cli.query import QueryAnswer
    from crossmodal.core.settings import Settings
    from crossmodal.search.filters import Filters


@dataclass(frozen=True, kw_only=True)
class QueryOptions(CollectionOptions, ModelOptions, EncoderOptions, TopKOptions, JsonOptions):
    """Options of a search from the command line."""

    where: str | None = option("--where", help="Only documents that meet this condition: tags.year >= 2020.")
    after: str | None = option(
        "--after", metavar="TIME", help="Only pictures taken in this year, month or day, or later: 2023, 2023-07-01."
    )
    before: str | None = option(
        "--before", metavar="TIME", help="Only pictures taken before this year, month or day begins."
    )
    near: str | None = option("--near", metavar="PLACE", help="Only pictures near a place, or LATITUDE,LONGITUDE.")
    within_km: float | None = option(
        "--within", type=Distance(), help="The radius around --near: 500m, 20km.  [default: 20km]"
    )
    camera: str | None = option("--camera", help="Only pictures of cameras with this in their name.")
    folder: str | None = option("--folder", help="Only pictures of this folder in the indexed one, not of subfolders.")
    order: Literal["relevance", "newest", "oldest"] = option(
        "--order",
        type=click.Choice(["relevance", "newest", "oldest"]),
        default="relevance",
        help="newest and oldest sort the results that fit: those with a relevance of --min-relevance, or 0.5.",
    )
    min_relevance: float | None = option(
        "--min-relevance",
        type=click.FloatRange(0, 1),
        help="Hide results below this relevance.  [default: show all]",
    )
    metric: str = option(
        "--metric",
        type=click.Choice(["cosine", "euclidean"]),
        default="cosine",
        help="Meaning of a score; euclidean is minus the distance of the unit vectors. The order is the same.",
    )
    plain: bool = flag("--plain", help='Print lines of [rank] score: "uri", the uri as a JSON string.')
    save: Path | None = option(
        "--save",
        type=FILE,
        help="Write the results to a file: .png or .jpg for a picture of them, .pdf for a contact sheet, .csv or .json "
        "for a list, .zip for the pictures themselves.",
    )

    @property
    def filters(self) -> Filters:
        """The filters of the results."""
        from crossmodal.search.filters import Filters  # imports numpy

        return Filters(self.where, self.after, self.before, self.near, self.within_km, self.camera, self.folder)


@dataclass(frozen=True, kw_only=True)
class TextOptions(Options):
    """How the words of a query are searched."""

    literal: bool = flag(
        "--literal", help='Search for all words; do not read "July 2023" or "in Lisbon" as a time or a place.'
    )
    fusion: str | None = option(
        "--fusion", help="Fusion of a sparse collection: dense, sparse, bm25, rrf or weighted:A,B,C."
    )


@dataclass(frozen=True, kw_only=True)
class ExampleOptions(Options):
    """Examples of what results should, or should not, be like."""

    likes: tuple[str, ...] = option(
        "--like", multiple=True, metavar="ID_OR_FILE", help="More like this document or picture; may be repeated."
    )
    unlikes: tuple[str, ...] = option(
        "--unlike", multiple=True, metavar="ID_OR_FILE", help="Less like this, which is left out; may be repeated."
    )


@dataclass(frozen=True, kw_only=True)
class PictureQueryOptions(QueryOptions):
    """Options of a search with a picture."""

    query: str | None = option(argument="PICTURE")
    query_image: str | None = option("--image", help="The picture, if its name starts with a dash.")

    @property
    def picture(self) -> str | None:
        """The path of the picture, None to read paths from a prompt."""
        return self.query_image if self.query is None else self.query


def answer_queries(
    options: QueryOptions,
    modality: Any,
    target: Any,
    query: str | None,
    words: TextOptions | None = None,
    likes: tuple[str, ...] = (),
    unlikes: tuple[str, ...] = (),
) -> int:
    """Prints the answer to a query, or to each query read from a prompt until an empty line; returns 0.

    Args:
        options: The collection, the number of results and how they are printed.
        modality: `text` if the query is words, `image` if it is the path of a picture.
        target: `text` to search captions, `image` to search pictures.
        query: The query; None to read queries from a prompt.
        words: How the words are searched, None if the query is a picture.
        likes: Ids of documents and paths of pictures that results should be like, besides the query.
        unlikes: Such ids and paths that results should not be like.

    Raises:
        InputError: The query is empty or can't be read. At the prompt, the error is printed and the next query read.
    """
    if query is not None and not query.strip():
        raise InputError(
            "the query is empty: pass words to `search`, or the path of a picture to `similar` or `captions`"
        )
    from cli.query import QueryPlan, open_search
    from crossmodal.search.query import Page

    settings = options.settings()
    page = Page(settings.top_k, min_relevance=options.min_relevance, order=options.order)
    where, fusion = options.filters.condition(), words.fusion if words else None
    reads_phrases = words is not None and not words.literal
    plan = QueryPlan(modality, target, page, options.metric, where, fusion, reads_phrases, likes, unlikes)
    with open_search(settings, plan) as search:
        for text in [query] if query is not None else _prompted("picture" if modality == "image" else "text"):
            try:
                answer = search(text)
            except InputError as error:
                if query is not None:
                    raise
                say(f"error: {with_commands(str(error))}", err=True)
                continue
            print_and_save(settings, answer, as_json=options.as_json, plain=options.plain, save=options.save)
    return 0


def _prompted(label: str) -> Iterator[str]:
    """Lines typed at a prompt, until an empty one or the end of input."""
    while True:
        try:
            line = click.prompt(label, default="", show_default=False, err=True).strip()
        except click.Abort:
            say("", err=True)  # ends the line of the prompt
            return
        if not line:
            return
        yield line


def print_and_save(settings: Settings, answer: QueryAnswer, *, as_json: bool, plain: bool, save: Path | None) -> None:
    """Prints an answer as a table, as JSON or as plain lines, and writes it to the file `save`, if there is one."""
    _print(answer, as_json=as_json, plain=plain)
    if save is not None:
        from cli.saving import save_answer

        save_answer(settings, answer, save)
        say(f"saved {save}", err=True)


def _print(answer: QueryAnswer, *, as_json: bool, plain: bool) -> None:
    for part in answer.understood if not as_json else ():
        say(f"understood: {_in_words(part)}", err=True)
    if answer.fits is False and not as_json:
        nearest = "; these are the nearest" if answer.hits else ""
        say(f"nothing here fits{nearest}", err=plain)
    if as_json:
        say_json(answer.to_dict())
    elif plain:
        say(*(f"[{hit.rank}] {hit.score:.4f}: {to_json(hit.uri)}" for hit in answer.hits))
    else:
        _print_table(answer)


def _in_words(part: Any) -> str:
    """A phrase that was understood, with what it means."""
    if part.kind == "date":
        days = [f"from {part.after}"] if part.after else []
        days += [f"before {part.before}"] if part.before else []
        return f'"{part.text}", taken {" and ".join(days)}'
    return f'"{part.text}", {"" if part.within_km is None else f"{part.within_km:g} km around "}{part.near}'


def _print_table(answer: Any) -> None:
    table = new_table(answer.query)
    captions = answer.target == "text"
    has_words = any(hit.why for hit in answer.hits)
    headings = ("caption", "of") if captions else ("picture", "why" if has_words else "")
    dates = "taken" if answer.ordered is not None or answer.understood else ""
    for heading in ("rank", "score", *headings, dates, "" if answer.fits is None else "relevance"):
        table.add_column(heading, overflow="fold")
    for hit in answer.hits:
        why = ", ".join(f"{word['word']} {word['weight']:.2f}" for word in hit.why)
        texts = (hit.text, hit.filename) if captions else (hit.uri, why)
        relevance = "" if hit.relevance is None else f"{hit.relevance:.2f}"
        day = hit.taken.replace("T", " ") if dates else ""
        table.add_row(*cells((str(hit.rank), f"{hit.score:.4f}", *texts, day, relevance)))
    print_table(table)
    if answer.ordered is not None:
        threshold, candidates, fitting = vars(answer.ordered).values()
        say(f"{fitting:,} of the {candidates:,} best results fit: their relevance is at least {threshold:g}", err=True)
    if answer.note:
        say(f"note: {answer.note}", err=True)
