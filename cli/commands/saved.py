"""crossmodal saved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.answers import print_and_save
from cli.commands import Command
from cli.options import CollectionOptions, EncoderOptions, JsonOptions, TopKOptions
from cli.parameters import FILE, flag, option
from cli.printing import cells, new_table, print_table, say, say_json
from crossmodal.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class SavedOptions(CollectionOptions, EncoderOptions, TopKOptions, JsonOptions):
    """Options of `saved`."""

    name: str | None = option("--name", argument="NAME", help="The search to run; without it, all are listed.")
    delete: bool = flag("--delete", help="Delete the search instead of running it.")
    plain: bool = flag("--plain", help='Print lines of [rank] score: "uri", the uri as a JSON string.')
    save: Path | None = option("--save", type=FILE, help="Write the results to a file, as `search --save` does.")


def run(options: SavedOptions) -> int:
    """Lists the saved searches, runs one or deletes it; returns 0."""
    from cli import saved

    settings = options.settings()
    if options.name is None:
        if options.delete or options.save:
            raise InputError("--delete and --save need the NAME of a saved search")
        _list(saved.searches_of(settings), as_json=options.as_json)
    elif options.delete:
        saved.remove(settings, options.name)
        say(f"deleted {options.name}", err=True)
    else:
        answer = saved.run(settings, options.name)
        print_and_save(settings, answer, as_json=options.as_json, plain=options.plain, save=options.save)
    return 0


def _list(searches: dict[str, dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        say_json([{"name": name, **query} for name, query in searches.items()])
        return
    table = new_table()
    for heading in ("name", "search"):
        table.add_column(heading, overflow="fold")
    for name, query in searches.items():
        request = query.get("request") or {}
        parts = (f"{field}: {value}" for field, value in request.items() if field != "understand")
        table.add_row(*cells((name, ", ".join(parts))))
    print_table(table)


COMMAND = Command(
    SavedOptions,
    run,
    "List, run or delete saved searches.\n\nThe page and `PUT /searches/NAME` of a service that may write save them.",
    (
        ("", "all saved searches"),
        ('"dogs on a beach"', "the pictures that one finds now"),
        ('"dogs on a beach" --save dogs.zip', "the same, with the pictures in a file"),
        ('"dogs on a beach" --delete', "delete it"),
    ),
)
