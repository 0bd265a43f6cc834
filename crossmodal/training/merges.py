"""A byte-pair vocabulary cut to a domain: only those of CLIP's merges that the domain's words need.

Any other word is still tokenised, into single letters, so no text is rejected; the model just has not learned it.
"""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Iterable
from pathlib import Path

from open_clip.tokenizer import SimpleTokenizer

from crossmodal.scenes import language

_FRAME_WORDS = (
    "a an and of the is are to left right above over below under at in on top bottom middle , "
    "picture photo image there drawing we see with thing things shape shapes"
)


def scene_words() -> list[str]:
    """Every word that can occur in the description of a scene, sorted."""
    words = set(_FRAME_WORDS.split())
    tables: tuple[dict[object, tuple[object, ...]], ...] = (
        language.SHAPE_NAMES, language.COLOUR_NAMES, language.TEXTURE_NAMES, language.SIZE_NAMES,
        language.COUNT_NAMES, language.BACKGROUND_NAMES,
    )  # type: ignore[assignment]  # fmt: skip
    for table in tables:
        for names in table.values():
            for name in names:
                for phrase in (name,) if isinstance(name, str) else name:  # type: ignore[attr-defined]
                    words |= set(phrase.split())
    return sorted(words)


def write_merges(words: Iterable[str], path: Path) -> None:
    """Writes the merges of CLIP's vocabulary that `words` use, by rank, gzipped.

    Source: Sennrich et al. 2016 (byte pair encoding); the file's format is CLIP's `bpe_simple_vocab`.
    """
    full = SimpleTokenizer()
    used: set[tuple[str, str]] = set()
    for word in words:
        parts = [*word[:-1], word[-1] + "</w>"]
        while pairs := [p for p in itertools.pairwise(parts) if p in full.bpe_ranks]:
            best = min(pairs, key=lambda pair: full.bpe_ranks[pair])
            used.add(best)
            at = list(itertools.pairwise(parts)).index(best)
            parts[at : at + 2] = ["".join(best)]
    lines = ["#version: 0.2", *(" ".join(p) for p in sorted(used, key=lambda p: full.bpe_ranks[p]))]
    with path.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as file:
        file.write("\n".join(lines).encode())
