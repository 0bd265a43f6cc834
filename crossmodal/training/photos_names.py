"""Generates imagenet_names.json from WordNet 3.0: names and hypernyms of ImageNet's classes.

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
"""Hypernyms of more classes are too general; the breeds of dogs are just below."""

MOST_GENERAL = 4

TOO_GENERAL = frozenset(
    ("entity", "physical entity", "object", "physical object", "whole", "unit", "abstraction", "matter", "thing",
     "artifact", "artefact", "living thing", "organism", "being", "causal agent", "instrumentality", "instrumentation",
     "chordate", "craniate")
)  # fmt: skip


def read_nouns(file: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Words and offsets of direct hypernyms of each noun synset, by its offset."""
    nouns = {}
    for line in file.read_text("utf8").splitlines():
        if line.startswith(" "):
            continue
        fields = line.split(" | ")[0].split()
        n_words = int(fields[3], 16)
        words = [fields[4 + 2 * i].replace("_", " ") for i in range(n_words)]
        pointers = fields[5 + 2 * n_words :]
        hypernyms = [pointers[i + 1] for i in range(0, len(pointers) - 3, 4) if pointers[i] in ("@", "@i")]
        nouns[fields[0]] = (words, hypernyms)
    return nouns


def class_words(nouns: dict[str, tuple[list[str], list[str]]], synsets: list[str]) -> list[dict[str, list[str]]]:
    """The names and the hypernyms, nearest first, of each synset (`n01440764`)."""
    all_hypernyms: list[list[str]] = []
    for synset in synsets:
        hypernyms: list[str] = []
        queue = list(nouns[synset[1:]][1])
        while queue:
            offset = queue.pop(0)
            if offset not in hypernyms:
                hypernyms.append(offset)
                queue += nouns[offset][1]
        all_hypernyms.append(hypernyms)
    n_classes = Counter(offset for hypernyms in all_hypernyms for offset in hypernyms)
    entries = []
    for synset, hypernyms in zip(synsets, all_hypernyms, strict=True):
        specific = [offset for offset in hypernyms if n_classes[offset] <= MOST_CLASSES]
        general = [nouns[offset][0][0] for offset in specific if not TOO_GENERAL & {*nouns[offset][0]}]
        entries.append({"names": nouns[synset[1:]][0], "general": general[:MOST_GENERAL]})
    return entries


if __name__ == "__main__":
    prepare_torchvision()
    synset_list = resources.files("timm.data") / "_info" / "imagenet_synsets.txt"
    entries = class_words(read_nouns(Path(sys.argv[1])), synset_list.read_text("utf8").split())
    NAMES.write_text("[\n" + ",\n".join(json.dumps(entry) for entry in entries) + "\n]\n", "utf8")
