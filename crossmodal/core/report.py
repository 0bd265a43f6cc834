"""What became of every record of a run."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crossmodal.core.types import MODALITIES, Failure, Modality, Skipped

OUTCOMES = ("indexed", "unchanged", "failed")
_PLURAL: dict[Modality, str] = {"image": "images", "text": "captions"}


@dataclass
class Report:
    """Counts by modality and outcome, failures by name, notes on what was taken in, and what was passed over."""

    counts: dict[Modality, Counter[str]] = field(default_factory=lambda: {m: Counter() for m in MODALITIES})
    failures: list[Failure] = field(default_factory=list)
    notes: list[Failure] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    refusal: str = ""
    """Why nothing was pruned, where that would have been too much."""

    def count(self, modality: Modality, outcome: str) -> None:
        """Counts a record that was indexed or unchanged, or a document that was removed."""
        self.counts[modality][outcome] += 1

    def fail(self, failure: Failure) -> None:
        """Counts and keeps a failure."""
        self.counts[failure.modality]["failed"] += 1
        self.failures.append(failure)

    def note(self, path: str, reason: str) -> None:
        """Keeps a remark about a record that was taken in."""
        self.notes.append(Failure(path, reason))

    @property
    def anything_indexed(self) -> bool:
        """Whether anything is in the index because of this run, or was there already."""
        return any(c["indexed"] + c["unchanged"] for c in self.counts.values())

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        counts = {_PLURAL[m]: {o: self.counts[m][o] for o in OUTCOMES} for m in MODALITIES}
        return {
            **counts,
            "removed": {_PLURAL[m]: self.counts[m]["removed"] for m in MODALITIES},
            "failures": [{"path": f.path, "reason": f.reason} for f in self.failures],
            "notes": [{"path": n.path, "reason": n.reason} for n in self.notes],
            "skipped": [{"reason": s.reason, "n": s.n, "example": s.example} for s in self.skipped],
            **({"refusal": self.refusal} if self.refusal else {}),
        }

    def to_bytes(self) -> bytes:
        """The report as JSON, UTF-8."""
        return (json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n").encode("utf8", "backslashreplace")

    def write(self, path: Path) -> None:
        """Writes it as JSON, to a file or a device."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.to_bytes())

    def lines(self, at_most: int = 20) -> list[str]:
        """The report in words; of long lists only the first, with how many more there are."""
        told = [f"{_PLURAL[m]}: " + ", ".join(f"{self.counts[m][o]} {o}" for o in OUTCOMES) for m in MODALITIES]
        if removed := {_PLURAL[m]: self.counts[m]["removed"] for m in MODALITIES if self.counts[m]["removed"]}:
            told.append("removed: " + ", ".join(f"{n} {what}" for what, n in removed.items()))
        if self.skipped:
            told.append("skipped: " + "; ".join(f"{s.n} {s.reason}, as {s.example}" for s in self.skipped))
        for title, items in (("failed", self.failures), ("note", self.notes)):
            told += [f"  {title}: {item.path}: {item.reason}" for item in items[:at_most]]
            if len(items) > at_most:
                told.append(f"  ... and {len(items) - at_most} more; --report PATH writes them all")
        return told
