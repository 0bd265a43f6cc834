"""crossmodal captions."""

from __future__ import annotations

from dataclasses import dataclass

from cli.answers import QueryOptions, answer_queries
from cli.commands import Command
from cli.parameters import option


@dataclass(frozen=True, kw_only=True)
class CaptionsOptions(QueryOptions):
    """Options of `captions`."""

    query: str | None = option(argument="PICTURE")
    query_image: str | None = option("--image", help="The picture, if its name starts with a dash.")


def run(options: CaptionsOptions) -> int:
    """Prints the captions that match a picture."""
    query = options.query_image if options.query is None else options.query
    return answer_queries(options, "image", "text", query)


COMMAND = Command(
    CaptionsOptions,
    run,
    "Search captions with a picture.\n\nWithout PICTURE, paths are read from a prompt, until an empty line.",
    (("photo.jpg", "the ten best captions"),),
)
