"""crossmodal captions."""

from __future__ import annotations

from cli.answers import PictureQueryOptions, answer_queries
from cli.commands import Command


def run(options: PictureQueryOptions) -> int:
    """Prints the captions that match a picture."""
    return answer_queries(options, "image", "text", options.picture)


COMMAND = Command(
    PictureQueryOptions,
    run,
    "Search captions with a picture.\n\nWithout PICTURE, paths are read from a prompt, until an empty line.",
    (("photo.jpg", "the ten best captions"),),
)
