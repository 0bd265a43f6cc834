"""crossmodal similar."""

from __future__ import annotations

from dataclasses import dataclass

from cli.answers import QueryOptions, answer_queries
from cli.commands import Command
from cli.parameters import option


@dataclass(frozen=True, kw_only=True)
class SimilarOptions(QueryOptions):
    """Options of `similar`."""

    query: str | None = option(argument="PICTURE")
    query_image: str | None = option("--image", help="The picture, if its name starts with a dash.")


def run(options: SimilarOptions) -> int:
    """Prints the pictures that are similar to a picture."""
    query = options.query_image if options.query is None else options.query
    return answer_queries(options, "image", "image", query)


COMMAND = Command(
    SimilarOptions,
    run,
    "Search pictures with a picture.\n\nWithout PICTURE, paths are read from a prompt, until an empty line.",
    (
        ("photo.jpg", "the ten most similar pictures"),
        ("photo.jpg --save results.png", "also as a contact sheet"),
    ),
)
