"""crossmodal query."""

from __future__ import annotations

from dataclasses import dataclass

from cli.answers import QueryOptions, TextOptions, answer_queries
from cli.commands import Command
from cli.parameters import option
from crossmodal.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class GenericQueryOptions(QueryOptions, TextOptions):
    """Options of `query`."""

    query_text: str | None = option("--text", help="Search pictures with this text.")
    query_image: str | None = option("--image", help="Search captions with this picture.")


def run(options: GenericQueryOptions) -> int:
    """Prints the pictures that match a text, or the captions that match a picture."""
    text, image = options.query_text, options.query_image
    if (text is None) == (image is None):
        raise InputError("-t query takes one of --text TEXT and --image FILE")
    if image is None:
        return answer_queries(options, "text", "image", text, options)
    return answer_queries(options, "image", "text", image, options)


COMMAND = Command(
    GenericQueryOptions,
    run,
    "Search the other modality: pictures with a text, captions with a picture.",
    (('--text "a dog on a beach"', "pictures"), ("--image photo.jpg", "captions")),
)
