"""The index configuration in a collection's manifest."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from crossmodal.core.machine import memory_bytes
from crossmodal.index.choice import KindChoice, choose
from crossmodal.index.kinds import REPLACED, IndexKind

AUTO = "auto"
PGVECTOR = "pgvector"
"""The kind of a collection whose database searches its vectors."""


@dataclass(frozen=True)
class IndexConfig:
    """The index configuration of a collection.

    Attributes:
        kind: The name of a kind, or `auto` for the fastest kind that fits into the memory and reaches the recall;
            `pgvector` to have no index, because the database searches.
        memory_mb: Memory for `auto`; 0 for a quarter of the machine's.
        recall: Required recall@10 for `auto`, 0 to 1.
    """

    kind: str = AUTO
    memory_mb: int = 0
    recall: float = 0.95

    def choice(self, n: int, dim: int) -> KindChoice:
        """The kind for n vectors, and why.

        Raises:
            InputError: The kind is unknown; the message lists the known ones.
        """
        if self.kind in REPLACED:
            kind = IndexKind(REPLACED[self.kind])
            return KindChoice(kind, f"the nearest kind to {self.kind}, which is no longer built")
        if self.kind != AUTO:
            return KindChoice(IndexKind.parse(self.kind), "requested by name")
        memory = self.memory_mb * 2**20 or memory_bytes() // 4
        return choose(n, dim, memory, self.recall)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        return asdict(self)
