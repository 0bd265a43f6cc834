"""What an index is to be like, as its collection's manifest says it."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

from crossmodal.index.choice import KindChoice, choose
from crossmodal.index.kinds import IndexKind

AUTO = "auto"


@dataclass(frozen=True)
class IndexConfig:
    """A kind by name, or `auto`: then the best one for so many vectors within the memory, at the recall.

    `memory_mb` of 0 is a quarter of the machine's memory.
    """

    kind: str = AUTO
    memory_mb: int = 0
    recall: float = 0.95

    def choice(self, n: int, dim: int) -> KindChoice:
        """The kind for n vectors, and why.

        Raises:
            InputError: There is no such kind; those there are, are named.
        """
        if self.kind != AUTO:
            return KindChoice(IndexKind.parse(self.kind), "asked for by name")
        memory = self.memory_mb * 2**20 or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
        return choose(n, dim, memory, self.recall)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        return asdict(self)
