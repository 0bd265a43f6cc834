"""The index configuration of a collection, as its manifest has it."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

from crossmodal.index.choice import KindChoice, choose
from crossmodal.index.kinds import REPLACED, IndexKind

AUTO = "auto"


@dataclass(frozen=True)
class IndexConfig:
    """The kind of index of a collection.

    Attributes:
        kind: A kind by name, or `auto` for the fastest one that fits into the memory and reaches the recall.
        memory_mb: Memory for `auto`; 0 is a quarter of the machine's.
        recall: Recall@10 for `auto`, 0 to 1.
    """

    kind: str = AUTO
    memory_mb: int = 0
    recall: float = 0.95

    def choice(self, n: int, dim: int) -> KindChoice:
        """The kind for n vectors, and why.

        Raises:
            InputError: There is no such kind; the message lists those there are.
        """
        if self.kind in REPLACED:
            kind = IndexKind(REPLACED[self.kind])
            return KindChoice(kind, f"the nearest kind to {self.kind}, which is no longer built")
        if self.kind != AUTO:
            return KindChoice(IndexKind.parse(self.kind), "asked for by name")
        memory = self.memory_mb * 2**20 or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
        return choose(n, dim, memory, self.recall)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        return asdict(self)
