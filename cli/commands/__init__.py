"""The commands of `crossmodal`, one module a command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from cli.parameters import Options

SECTIONS: dict[str, tuple[str, ...]] = {
    "Index and search": ("index", "watch", "search", "similar", "captions", "query", "saved", "sidecars"),
    "Serve": ("serve", "serve-index", "dryrun", "mcp", "keys", "kubernetes"),
    "Collections": (
        "collections", "delete", "verify", "compact", "rebuild", "reindex", "rollback", "encode", "export", "import",
        "migrate", "calibrate", "map", "tag", "ocr", "duplicates",
    ),
    "Models": ("models", "download", "train"),
    "Evaluate": ("evaluate", "experiment", "analyse", "tune", "data"),
}  # fmt: skip
NAMES = tuple(name for names in SECTIONS.values() for name in names)


@dataclass(frozen=True)
class Command:
    """A command; each module of this package defines one as COMMAND.

    Attributes:
        options: The class of its options.
        task_options: The class of the options of its task of `app.py`, if they differ.
        run: Runs the command and prints its result; returns the exit status.
        help: Description in the imperative; the list of commands shows its first line.
        examples: (arguments, description) pairs.
    """

    options: type[Options]
    run: Callable[[Any], int]
    help: str
    examples: tuple[tuple[str, str], ...] = ()
    task_options: type[Options] | None = None


def load_command(name: str) -> Command:
    """The command with a name of `NAMES`."""
    module = name.replace("-", "_") + ("_" if name == "import" else "")
    command: Command = import_module(f"cli.commands.{module}").COMMAND
    return command
