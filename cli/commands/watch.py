"""crossmodal watch."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import NoReturn

import click

from cli.commands import Command
from cli.options import EncoderOptions, ExcludeOptions, LocationOptions, ModelOptions, NewCollectionOptions
from cli.parameters import flag, option
from cli.printing import say
from crossmodal.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class WatchOptions(NewCollectionOptions, ExcludeOptions, ModelOptions, EncoderOptions, LocationOptions):
    """Options of `watch`."""

    data_set: str | None = option(
        "-d", "--data-set", argument="FOLDER", envvar="DATASET_ROOT_PATH", required=True, help="The folder to watch."
    )
    debounce_s: float = option(
        "--debounce",
        type=click.FloatRange(0.1, 3600),
        default=2.0,
        metavar="SECONDS",
        help="How long a file must not change before it is read.",
    )
    polling: bool = flag("--polling", help="Compare all files every few seconds, for network file systems.")


def run(options: WatchOptions) -> int:
    """Watches until Ctrl-C or SIGTERM; prints a line for each batch of changes."""
    from cli.index import open_collection
    from cli.location import check_watched, folder_of
    from cli.watch import Watcher
    from crossmodal.store.locks import check_writable

    settings = options.settings()
    if options.data_set is None:
        raise InputError("name the folder to watch with -d FOLDER")
    check_watched(Path(options.data_set), folder_of(settings))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        collection = open_collection(settings)
        check_writable(collection.folder)
        say(f"watching {options.data_set}; collection: {collection.root} (Ctrl-C stops)")
        watcher = Watcher(collection, settings, Event(), say, debounce_s=options.debounce_s, polling=options.polling)
        watcher.run()
    except KeyboardInterrupt:
        say("stopped")
    return 0


def _interrupt(*_: object) -> NoReturn:
    """Ends the run once; a service that stops may send a second signal."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # SIG_IGN would report a signal that is already on its way
    raise KeyboardInterrupt


COMMAND = Command(
    WatchOptions,
    run,
    "Keep a collection in step with a folder.\n\n"
    "Indexes the folder, then what changes in it, in batches; removes what is gone. Nothing is removed while the "
    "folder is not there or can't be read. A collection can be searched and served in the meantime.",
    (
        ("~/Pictures", "until Ctrl-C"),
        ("/mnt/nas/photos --polling", "a network file system, which sends no events"),
        ("~/Pictures --exclude 'drafts/' --exclude '*.tif'", "without some files"),
    ),
)
