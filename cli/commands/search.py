"""crossmodal search."""

from __future__ import annotations

from dataclasses import dataclass

from cli.answers import ExampleOptions, QueryOptions, TextOptions, answer_queries
from cli.commands import Command
from cli.parameters import option


@dataclass(frozen=True, kw_only=True)
class SearchOptions(QueryOptions, TextOptions, ExampleOptions):
    """Options of `search`."""

    query: str | None = option(argument="TEXT")
    query_text: str | None = option("--text", help="The text, if it starts with a dash.")


def run(options: SearchOptions) -> int:
    """Prints the pictures that match a text."""
    query = options.query_text if options.query is None else options.query
    return answer_queries(options, "text", "image", query, options, options.likes, options.unlikes)


COMMAND = Command(
    SearchOptions,
    run,
    "Search pictures with words.\n\n"
    "Without TEXT, queries are read from a prompt, one a line, until an empty line. Dates and places among the words, "
    'such as "July 2023", "last winter" or "in Norway", are filters, which are printed.',
    (
        ('"a dog on a beach"', "the ten best pictures"),
        ('"a dog on a beach" -k 5 --save results.png', "the five best, also as a contact sheet"),
        ('"a pizza" --min-relevance 0.5', "only results that are likely to match"),
        ('"snow in Norway last winter" --order newest', "pictures of a time and place, newest first"),
        ('"a dog" --after 2020 --near Lisbon --within 50km', "the same with options"),
        ('"a dog" --where "tags.year >= 2020"', "only documents that meet a condition"),
        ('"a dog" --like dog.jpg --unlike 8f14e45f', "more like a picture, less like a document"),
        ('"dog^2 -cat" --fusion rrf', "weighted words, in a sparse collection"),
    ),
)
