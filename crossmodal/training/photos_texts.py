"""The training texts of the `photos` weights, and their states after the frozen layers of the text tower."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crossmodal.core.files import atomic_writer
from crossmodal.encoders.photo_towers import MiniLM, mean_of_tokens
from crossmodal.encoders.wordpiece import WordPiece

NAMES = Path(__file__).with_name("imagenet_names.json")
"""Names and hypernyms, nearest first, of ImageNet's classes, from WordNet 3.0 (Princeton University)."""

TEMPLATES = ("{}", "a {}", "a photo of a {}")
GROUP = 64

BREAKS = frozenset((
    "in", "on", "at", "with", "is", "are", "of", "and", "while", "as", "to", "from", "by", "through", "into",
    "onto", "over", "under", "near", "behind", "beside", "along", "across", "down", "up", "off", "around", "for",
    "that", "which", "who", "his", "her", "their", "its", "it", "they", "he", "she", "has", "have", "having",
    "wearing", "holding", "sitting", "standing", "running", "playing", "walking", "jumping", "looking", "riding",
    "there", "out", "against", "during", "before", "after", "among", "between", "next", "front", "going", "being",
    "doing", "throwing", "catching", "swimming", "climbing", "smiling", "watching", "carrying", "pulling",
    "laying", "lying", "taking", "making", "getting",
))  # fmt: skip
"""Words that usually end a noun phrase: prepositions, pronouns, and the most frequent verbs of captions."""


def phrases(caption: str) -> list[str]:
    """Noun phrases of one to four words in a caption, roughly: the words between two of `BREAKS`.

    Example:
        >>> phrases("A brown dog is running on the green grass .")
        ['a brown dog', 'the green grass']
    """
    result: list[str] = []
    part: list[str] = []
    for word in [*re.findall(r"[a-z']+|[^\sa-z']", caption.lower()), "."]:
        if word.isalpha() and word not in BREAKS:
            part.append(word)
            continue
        has_noun = any(len(w) > 2 and w not in ("the", "another", "some", "two", "three", "other") for w in part)
        if has_noun and len(part) <= 4:
            result.append(" ".join(part))
        part = []
    return result


@dataclass(frozen=True)
class ClassWords:
    """Words of ImageNet's classes. `member` (n_words, 1000) is 1 if the word is a name or a hypernym of the class."""

    words: list[str]
    member: Tensor
    names: list[list[int]]
    general: list[list[int]]

    @classmethod
    def read(cls) -> ClassWords:
        """The words of `NAMES`, in alphabetical order."""
        entries = json.loads(NAMES.read_text("utf8"))
        words = sorted({word for entry in entries for word in (*entry["names"], *entry["general"])})
        number = {word: place for place, word in enumerate(words)}
        names = [[number[word] for word in entry["names"]] for entry in entries]
        general = [[number[word] for word in entry["general"]] for entry in entries]
        member = torch.zeros(len(words), len(entries))
        for place, (of_class, hypernyms) in enumerate(zip(names, general, strict=True)):
            member[[*of_class, *hypernyms], place] = 1
        return cls(words, member, names, general)

    def vectors(self, of_words: Tensor, general_weight: float = 0.5) -> Tensor:
        """Unit vectors of the classes, (1000, width): the mean of the names plus the weighted mean of the hypernyms."""
        unit = torch.nn.functional.normalize(of_words, dim=-1)
        rows = []
        for names, hypernyms in zip(self.names, self.general, strict=True):
            row = torch.nn.functional.normalize(unit[names].mean(0), dim=-1)
            if hypernyms:
                row = row + general_weight * torch.nn.functional.normalize(unit[hypernyms].mean(0), dim=-1)
            rows.append(row)
        return torch.nn.functional.normalize(torch.stack(rows), dim=-1)


@dataclass(frozen=True)
class TextBank:
    """Encoded texts: `pooled` (n, width) after all published layers, and the branch's inputs.

    The inputs of text i are the rows `offsets[i]` to `offsets[i + 1]` of `states`.
    """

    pooled: Tensor
    states: NDArray[np.float16]
    offsets: NDArray[np.int64]

    def batch(self, numbers: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The states (n, longest, width) of texts, and the mask of their tokens (n, longest)."""
        lengths = [int(self.offsets[i + 1] - self.offsets[i]) for i in numbers]
        states = torch.zeros(len(numbers), max(lengths), self.pooled.shape[1])
        present = torch.zeros(len(numbers), max(lengths), dtype=torch.bool)
        for place, (i, length) in enumerate(zip(numbers, lengths, strict=True)):
            states[place, :length] = torch.from_numpy(self.states[self.offsets[i] : self.offsets[i + 1]]).float()
            present[place, :length] = True
        return states, present

    @classmethod
    def make(
        cls,
        texts: Sequence[str],
        tower: MiniLM,
        tokenizer: WordPiece,
        branch_from: int,
        out: Path,
        report: Callable[[str], None],
    ) -> TextBank:
        """Encodes texts into the file `out`, or reads it if it was made from the same texts."""
        subject = hashlib.sha1("\n".join(texts).encode(), usedforsecurity=False).hexdigest()
        if not out.exists() or _subject_of(out) != subject:
            _encode(texts, tower, tokenizer, branch_from, out, subject, report)
        with np.load(out) as arrays:
            return cls(torch.from_numpy(arrays["pooled"]), arrays["states"], arrays["offsets"])


def _subject_of(file: Path) -> str:
    """The hash of the texts that the file was made from; empty for files of earlier versions."""
    with np.load(file) as arrays:
        return str(arrays["subject"]) if "subject" in arrays else ""


def _encode(
    texts: Sequence[str],
    tower: MiniLM,
    tokenizer: WordPiece,
    branch_from: int,
    out: Path,
    subject: str,
    report: Callable[[str], None],
) -> None:
    rows = [tokenizer.encode(text) for text in texts]
    by_length = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    offsets = np.cumsum([0, *map(len, rows)])
    states = np.zeros((int(offsets[-1]), tower.positions.shape[1]), np.float16)
    pooled = np.zeros((len(rows), tower.positions.shape[1]), np.float32)
    tower.eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for start in range(0, len(rows), GROUP):
            group = by_length[start : start + GROUP]
            ids = torch.zeros(len(group), max(len(rows[i]) for i in group), dtype=torch.long)
            for place, i in enumerate(group):
                ids[place, : len(rows[i])] = torch.tensor(rows[i])
            present = ids != 0
            shared = tower.run(tower.embed(ids), present, last=branch_from)
            last = tower.run(shared, present, first=branch_from)
            pooled[group] = mean_of_tokens(last.float(), present).numpy()
            half = shared.half().numpy()
            for place, i in enumerate(group):
                states[offsets[i] : offsets[i + 1]] = half[place, : len(rows[i])]
            if start % (GROUP * 100) == 0:
                report(f"texts: {start} of {len(rows)}")
    with atomic_writer(out) as file:
        np.savez(file, pooled=pooled, states=states, offsets=offsets, subject=subject)
