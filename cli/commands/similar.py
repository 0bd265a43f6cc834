"""crossmodal similar."""

from __future__ import annotations

from dataclasses import dataclass

from cli.answers import ExampleOptions, QueryOptions, answer_queries
from cli.commands import Command
from cli.parameters import option


@dataclass(frozen=True, kw_only=True)
class SimilarOptions(QueryOptions, ExampleOptions):
    """Options of `similar`."""

    pictures: tuple[str, ...] = option(argument="PICTURE...", nargs=-1, default=())
    query_image: str | None = option("--image", help="The picture, if its name starts with a dash.")


def run(options: SimilarOptions) -> int:
    """Prints the pictures that are similar to one or more pictures."""
    pictures = options.pictures + (() if options.query_image is None else (options.query_image,))
    query = pictures[0] if pictures else None
    return answer_queries(options, "image", "image", query, None, pictures[1:] + options.likes, options.unlikes)


COMMAND = Command(
    SimilarOptions,
    run,
    "Search pictures with one or more pictures.\n\n"
    "Without PICTURE, paths are read from a prompt, one a line, until an empty line.",
    (
        ("photo.jpg", "the ten most similar pictures"),
        ("photo.jpg other.jpg --unlike third.jpg", "like both of them, unlike the third"),
        ("photo.jpg --save results.png", "also as a contact sheet"),
    ),
)
