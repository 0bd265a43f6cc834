"""Makes imagenet_names.json out of WordNet 3.0: names and more general words of ImageNet's classes.

apt-get download wordnet-base && dpkg -x wordnet-base_*.deb wordnet
python -m crossmodal.training.photos_names wordnet/usr/share/wordnet/data.noun
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from importlib import resources
from pathlib import Path

from crossmodal.encoders.torchvision_guard import prepare_torchvision
from crossmodal.training.photos_texts import NAMES

MOST_CLASSES = 130
"""A word that covers more classes than the breeds of dogs tells too little."""

MOST_GENERAL = 4

TOO_GENERAL = frozenset(
    ("entity", "physical entity", "object", "physical object", "whole", "unit", "abstraction", "matter", "thing",
     "artifact", "artefact", "living thing", "organism", "being", "causal agent", "instrumentality", "instrumentation",
     "chordate", "craniate")
)  # fmt: skip


def read_nouns(file: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Words and the offsets of the next more general synsets, by the offset of each synset of nouns."""
    nouns = {}
    for line in file.read_text("utf8").splitlines():
        if line.startswith(" "):
            continue
        fields = line.split(" | ")[0].split()
        n_words = int(fields[3], 16)
        words = [fields[4 + 2 * i].replace("_", " ") for i in range(n_words)]
        pointers = fields[5 + 2 * n_words :]
        wider = [pointers[i + 1] for i in range(0, len(pointers) - 3, 4) if pointers[i] in ("@", "@i")]
        nouns[fields[0]] = (words, wider)
    return nouns


def class_words(nouns: dict[str, tuple[list[str], list[str]]], synsets: list[str]) -> list[dict[str, list[str]]]:
    """For each synset (`n01440764`) its names, and more general words, nearest first."""
    above: list[list[str]] = []
    for synset in synsets:
        found: list[str] = []
        waiting = list(nouns[synset[1:]][1])
        while waiting:
            offset = waiting.pop(0)
            if offset not in found:
                found.append(offset)
                waiting += nouns[offset][1]
        above.append(found)
    n_classes = Counter(offset for found in above for offset in found)
    entries = []
    for synset, found in zip(synsets, above, strict=True):
        told = [offset for offset in found if n_classes[offset] <= MOST_CLASSES]
        general = [nouns[offset][0][0] for offset in told if not TOO_GENERAL & {*nouns[offset][0]}]
        entries.append({"names": nouns[synset[1:]][0], "general": general[:MOST_GENERAL]})
    return entries


if __name__ == "__main__":
    prepare_torchvision()
    listed = resources.files("timm.data") / "_info" / "imagenet_synsets.txt"
    made = class_words(read_nouns(Path(sys.argv[1])), listed.read_text("utf8").split())
    NAMES.write_text("[\n" + ",\n".join(json.dumps(entry) for entry in made) + "\n]\n", "utf8")
