"""Report of an indexing run: the outcome of every record."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crossmodal.core.files import write_output
from crossmodal.core.types import MODALITIES, Failure, Modality, Skipped

OUTCOMES = ("indexed", "unchanged", "failed")
CHANGES = ("updated", "removed")
"""Changes of documents that were indexed before: another path or other tags, and their removal."""
_PLURAL: dict[Modality, str] = {"image": "images", "text": "captions"}


@dataclass
class Report:
    """Counts by modality and outcome, failed items, notes on indexed items, and skipped files."""

    counts: dict[Modality, Counter[str]] = field(default_factory=lambda: {m: Counter() for m in MODALITIES})
    failures: list[Failure] = field(default_factory=list)
    notes: list[Failure] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    refusal: str = ""
    """Why pruning was refused, if it would have removed too many documents; else empty."""
    gone: dict[Modality, int] = field(default_factory=dict)
    """Documents that are certainly no longer in the data set and stay in the collection, because nothing was pruned."""
    outcomes: tuple[str, ...] = OUTCOMES
    """The outcomes that are reported, in this order."""

    def count(self, modality: Modality, outcome: str) -> None:
        """Counts an indexed or unchanged record, or an updated or removed document."""
        self.counts[modality][outcome] += 1

    def fail(self, failure: Failure) -> None:
        """Counts and stores a failure."""
        self.counts[failure.modality]["failed"] += 1
        self.failures.append(failure)

    def note(self, path: str, reason: str) -> None:
        """Stores a remark about a record that was indexed."""
        self.notes.append(Failure(path, reason))

    @property
    def anything_indexed(self) -> bool:
        """Whether this run indexed a record or found one already indexed."""
        return any(c["indexed"] + c["unchanged"] for c in self.counts.values())

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        counts = {_PLURAL[m]: {o: self.counts[m][o] for o in self.outcomes} for m in MODALITIES}
        return {
            **counts,
            **{change: {_PLURAL[m]: self.counts[m][change] for m in MODALITIES} for change in CHANGES},
            "failures": [failure.to_dict() for failure in self.failures],
            "notes": [note.to_dict() for note in self.notes],
            "skipped": [{"reason": s.reason, "n": s.n, "example": s.example} for s in self.skipped],
            **({"gone": {_PLURAL[m]: self.gone.get(m, 0) for m in MODALITIES}} if self.gone else {}),
            **({"refusal": self.refusal} if self.refusal else {}),
        }

    def to_bytes(self) -> bytes:
        """The report as JSON in UTF-8."""
        return (json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n").encode("utf8", "backslashreplace")

    def write(self, path: Path) -> None:
        """Writes the report as JSON to a file or a device."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_output(path, self.to_bytes())

    def lines(self, at_most: int = 20) -> list[str]:
        """The report as text lines; each list is cut after `at_most` items, with the number of further ones."""
        lines = [f"{_PLURAL[m]}: " + ", ".join(f"{self.counts[m][o]} {o}" for o in self.outcomes) for m in MODALITIES]
        for change in CHANGES:
            if changed := {_PLURAL[m]: self.counts[m][change] for m in MODALITIES if self.counts[m][change]}:
                lines.append(f"{change}: " + ", ".join(f"{n} {plural}" for plural, n in changed.items()))
        if self.gone:
            gone = ", ".join(f"{n} {_PLURAL[m]}" for m, n in self.gone.items())
            lines.append(f"no longer in the data set: {gone}; --prune removes them from the collection")
        if self.skipped:
            lines.append("skipped: " + "; ".join(f"{s.n} {s.reason}, such as {s.example}" for s in self.skipped))
        rest = "--report PATH writes them all"
        return [*lines, *listed("failed", self.failures, at_most, rest), *listed("note", self.notes, at_most, rest)]


def listed(title: str, items: Sequence[Failure], at_most: int, rest: str) -> list[str]:
    """Lines of at most this many failures or notes; a further line has the number of others, and `rest`."""
    lines = [f"  {title}: {item.path}: {item.reason}" for item in items[:at_most]]
    more = len(items) - at_most
    return [*lines, f"  ... and {more} more; {rest}"] if more > 0 else lines
