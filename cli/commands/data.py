"""crossmodal data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from cli.commands import Command
from cli.parameters import FOLDER, Options, option
from cli.printing import say
from crossmodal.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class DataOptions(Options):
    """Options of `data`."""

    out: Path | None = option(
        "--out",
        argument="FOLDER",
        type=FOLDER,
        help="Folder to write.  [default: a folder of the program, written once]",
    )
    split: str | None = option("--split", envvar="DATASET_SPLIT", help="train, dev or test.  [default: test]")
    num_docs: int | None = option(
        "-n", "--num-docs", type=click.IntRange(1), envvar="JINA_MAX_DOCS", help="Number of scenes.  [default: 1000]"
    )


def run(options: DataOptions) -> int:
    """Prints the folder of the scenes."""
    from crossmodal.datasets.registry import N_SCENES, scenes_folder
    from crossmodal.datasets.scenes import write_scenes
    from crossmodal.scenes.world import SPLITS

    split = next((known for known in SPLITS if known == (options.split or "test")), None)
    if split is None:
        raise InputError(f"scenes has the splits {', '.join(SPLITS)}, not {options.split!r}")
    if options.out is None:
        say(str(scenes_folder(split)))
        return 0
    write_scenes(options.out, split, options.num_docs or N_SCENES)
    say(str(options.out))
    return 0


COMMAND = Command(
    DataOptions,
    run,
    "Draw scenes with captions, in Flickr8k's layout.",
    (("scenes-dev --split dev -n 100", "a hundred scenes of the dev split"),),
)
