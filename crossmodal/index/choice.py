"""Selection of the index kind for `auto`, by number of vectors, memory and recall."""

from __future__ import annotations

from dataclasses import dataclass

from crossmodal.index.kinds import FLAT, HNSW_FP16, IVF_PQ, IndexKind

FLAT_UP_TO = 20_000  # a query takes about 2 ms for vectors of dimension 512

# Recall@10 guaranteed up to a million clustered vectors, measured by `benchmarks/scale.py`.
RECALL = {"hnsw-fp16": 0.97, "ivf-pq": 0.95}


@dataclass(frozen=True)
class KindChoice:
    """A kind of index, and the reason for it as one sentence."""

    kind: IndexKind
    why: str


def choose(n: int, dim: int, memory_bytes: int, recall: float = 0.95) -> KindChoice:
    """The fastest kind that fits into the memory and reaches the recall.

    Args:
        n: Number of vectors.
        dim: Dimension of the vectors.
        memory_bytes: Memory for the index.
        recall: Required recall@10, 0 to 1.

    >>> choose(1_000_000, 512, 8 * 10**9).why
    'hnsw-fp16 takes 1.30 GB of the 8.00 GB for 1,000,000 vectors of 512'
    """
    if n <= FLAT_UP_TO:
        return KindChoice(FLAT, f"flat compares a query with all {n:,} vectors, which is fast up to {FLAT_UP_TO:,}")
    if recall > max(RECALL.values()):
        return KindChoice(FLAT, f"only flat reaches a recall of {recall:g} with {n:,} vectors")
    limit, vectors = f"{memory_bytes / 1e9:.2f} GB", f"for {n:,} vectors of {dim}"
    graph_bytes, lists_bytes = HNSW_FP16.resident_bytes(n, dim), IVF_PQ.resident_bytes(n, dim)
    if graph_bytes <= memory_bytes:
        return KindChoice(HNSW_FP16, f"{HNSW_FP16} takes {graph_bytes / 1e9:.2f} GB of the {limit} {vectors}")
    if recall > RECALL[str(IVF_PQ)]:
        return KindChoice(FLAT, f"flat reaches a recall of {recall:g} {vectors}: {HNSW_FP16} does not fit in {limit}")
    fits = "takes" if lists_bytes <= memory_bytes else "is the smallest kind, with"
    alternative = f"{HNSW_FP16} would take {graph_bytes / 1e9:.2f} of {limit}"
    return KindChoice(IVF_PQ, f"{IVF_PQ} {fits} {lists_bytes / 1e9:.2f} GB {vectors}: {alternative}")
