"""The commands of `crossmodal`, one module a command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from cli.parameters import Options

SECTIONS: dict[str, tuple[str, ...]] = {
    "Index and search": ("index", "search", "similar", "captions", "query"),
    "Serve": ("serve", "serve-index", "keys"),
    "Collections": (
        "collections", "delete", "verify", "compact", "rebuild", "reindex", "rollback", "export", "import", "calibrate",
        "map",
    ),
    "Models": ("models", "download", "train"),
    "Evaluate": ("evaluate", "analyse", "tune", "data"),
}  # fmt: skip
NAMES = tuple(name for names in SECTIONS.values() for name in names)


@dataclass(frozen=True)
class Command:
    """What a module of this package defines as COMMAND.

    Attributes:
        options: The class of its options.
        run: Does it and prints; returns the exit status.
        help: What it does, in the imperative; the first line stands in the list of commands.
        examples: (arguments, what they do).
    """

    options: type[Options]
    run: Callable[[Any], int]
    help: str
    examples: tuple[tuple[str, str], ...] = ()


def load_command(name: str) -> Command:
    """The command of a name in `NAMES`."""
    module = name.replace("-", "_") + ("_" if name == "import" else "")
    command: Command = import_module(f"cli.commands.{module}").COMMAND
    return command
