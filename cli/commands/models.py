"""crossmodal models."""

from __future__ import annotations

from dataclasses import dataclass

from cli.commands import Command
from cli.options import JsonOptions
from cli.parameters import option
from cli.printing import print_table, say, say_json
from cli.wording import with_commands


@dataclass(frozen=True, kw_only=True)
class ModelsOptions(JsonOptions):
    """Options of `models`."""

    query: str | None = option(argument="NAME")
    model: str | None = option("-m", "--model", help="Only this family: clip, vse, timm or sparse.")


def run(options: ModelsOptions) -> int:
    """Prints the weights as a table or as JSON."""
    from cli.models import run as models
    from cli.models import table

    listed, left_out = models(options.settings(), options.query)
    if options.as_json:
        say_json([entry.to_dict() for entry in listed])
        return 0
    print_table(table(listed))
    for family in left_out:
        say(with_commands(f"the backbones of {family} are not listed: see -t models -m {family} [NAME]"), err=True)
    return 0


COMMAND = Command(
    ModelsOptions,
    run,
    "List known weights, and which of them are on this machine.\n\nWith NAME, only names that contain it.",
    (("siglip", "weights with siglip in their name"), ("-m timm resnet101", "backbones for similar pictures")),
)
