"""Generated scenes as a data set: written to a folder in Flickr8k's layout and read like any other data set."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from random import Random

from crossmodal.scenes.language import captions
from crossmodal.scenes.render import render
from crossmodal.scenes.world import Split, make_scene


def write_scenes(folder: Path, split: Split, n_scenes: int, seed: int = 0, start: int = 0) -> None:
    """Writes scenes `start` to `start + n_scenes` of a split: `images/`, `captions.txt` and `recipe.json`.

    Each scene has five captions. The same arguments give the same files.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    with (folder / "captions.txt").open("w", encoding="utf8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["image", "caption"])
        for index in range(start, start + n_scenes):
            scene, name = make_scene(split, index, seed), f"{split}-{index:05d}.jpg"
            render(scene).save(folder / "images" / name, "JPEG", quality=88)
            for caption in captions(scene, Random(caption_seed(seed, split, index))):
                lines.writerow([name, caption])
    recipe = {
        "made_by": "crossmodal.datasets.scenes.write_scenes",
        "split": split, "n_scenes": n_scenes, "seed": seed, "start": start,
    }  # fmt: skip
    (folder / "recipe.json").write_text(json.dumps(recipe, indent=2) + "\n")


def caption_seed(seed: int, split: Split, index: int) -> str:
    """The random seed of a scene's captions."""
    return f"{seed}-{split}-{index}"
