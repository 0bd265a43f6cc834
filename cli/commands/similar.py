"""crossmodal similar."""

from __future__ import annotations

from cli.answers import PictureQueryOptions, answer_queries
from cli.commands import Command


def run(options: PictureQueryOptions) -> int:
    """Prints the pictures that are similar to a picture."""
    return answer_queries(options, "image", "image", options.picture)


COMMAND = Command(
    PictureQueryOptions,
    run,
    "Search pictures with a picture.\n\nWithout PICTURE, paths are read from a prompt, until an empty line.",
    (
        ("photo.jpg", "the ten most similar pictures"),
        ("photo.jpg --save results.png", "also as a contact sheet"),
    ),
)
