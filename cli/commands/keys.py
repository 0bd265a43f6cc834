"""crossmodal keys."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cli.commands import Command
from cli.parameters import FILE, Options, option
from cli.printing import say
from crossmodal.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class KeysOptions(Options):
    """Options of `keys`."""

    keys: Path | None = option(
        "--keys", argument="FILE", type=FILE, envvar="CROSSMODAL_KEYS", required=True, help="File of API keys."
    )
    query: str | None = option(argument="SCOPE")


def run(options: KeysOptions) -> int:
    """Adds a key to the file and prints it."""
    from serving.middleware import new_key, read_keys, write_keys

    if options.keys is None:
        raise InputError("-t keys takes --keys FILE and what the key is for: python app.py -t keys --keys FILE read")
    known = read_keys(options.keys) if options.keys.exists() else []
    key, record = new_key(options.query or "read")  # type: ignore[arg-type]
    write_keys(options.keys, [*known, record])
    say(key)
    say(f"scope: {record.scope}. The key is shown once; to revoke it, remove {record.id} from the file", err=True)
    return 0


COMMAND = Command(
    KeysOptions,
    run,
    "Create an API key for a service.\n\nFILE holds the hashes of the keys. SCOPE is read (the default) or write.",
    (("keys.json", "a key that may search"), ("keys.json write", "a key that may also change the collection")),
)
