"""What `auto` means: the kind of index for so many vectors, so much memory, and the recall wanted."""

from __future__ import annotations

from dataclasses import dataclass

from crossmodal.index.kinds import FLAT, HNSW_FP16, IVF_PQ, IndexKind

FLAT_UP_TO = 20_000  # comparing a query with all of 512 numbers takes about 2 ms

# Recall@10 that can be counted on up to a million vectors that form clusters: `benchmarks/scale.py`.
RECALL = {"hnsw-fp16": 0.97, "ivf-pq": 0.95}


@dataclass(frozen=True)
class KindChoice:
    """A kind of index, and why it was taken, as one sentence."""

    kind: IndexKind
    why: str


def choose(n: int, dim: int, memory_bytes: int, recall: float = 0.95) -> KindChoice:
    """The fastest kind that fits.

    Args:
        n: How many vectors.
        dim: Length of a vector.
        memory_bytes: What the index may take.
        recall: Share of the true ten best that must be found, 0 to 1.

    >>> choose(1_000_000, 512, 8 * 10**9).why
    'hnsw-fp16 takes 1.30 GB of the 8.00 GB for 1,000,000 vectors of 512'
    """
    if n <= FLAT_UP_TO:
        return KindChoice(FLAT, f"flat compares a query with all {n:,} vectors: up to {FLAT_UP_TO:,} that is fast")
    if recall > max(RECALL.values()):
        return KindChoice(FLAT, f"flat alone reaches a recall of {recall:g}, of {n:,} vectors")
    room, of = f"{memory_bytes / 1e9:.2f} GB", f"for {n:,} vectors of {dim}"
    graph_bytes, lists_bytes = HNSW_FP16.resident_bytes(n, dim), IVF_PQ.resident_bytes(n, dim)
    if graph_bytes <= memory_bytes:
        return KindChoice(HNSW_FP16, f"{HNSW_FP16} takes {graph_bytes / 1e9:.2f} GB of the {room} {of}")
    if recall > RECALL[str(IVF_PQ)]:
        return KindChoice(FLAT, f"flat reaches a recall of {recall:g} {of}: {HNSW_FP16} does not fit in {room}")
    fits = "takes" if lists_bytes <= memory_bytes else "is the smallest there is, with"
    instead = f"{HNSW_FP16} would take {graph_bytes / 1e9:.2f} of {room}"
    return KindChoice(IVF_PQ, f"{IVF_PQ} {fits} {lists_bytes / 1e9:.2f} GB {of}: {instead}")
