"""The results of `peers.py`: values of the programs in paired rounds, their figures and their table."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass, field

OWN = "crossmodal"


@dataclass
class Measured:
    """What the programs reached at one piece of work: by program, a value for each round.

    `figure` is the figures' name without `_over_PROGRAM`; `suffix` follows that.
    """

    figure: str
    work: str
    unit: str
    higher_is_better: bool = False
    suffix: str = ""
    values: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @property
    def peers(self) -> list[str]:
        """The other programs with values."""
        return [program for program in self.values if program != OWN]

    def times_better(self, peer: str) -> list[float]:
        """For each round, by how many times this program is better than another one."""
        pairs = zip(self.values[OWN], self.values[peer], strict=True)
        return [own / other if self.higher_is_better else other / own for own, other in pairs]

    def figures(self) -> dict[str, float]:
        """The medians of all programs, and the median, lowest and highest of the ratios to each peer."""
        unit = {"/s": "per_s"}.get(self.unit, self.unit)
        result = {
            f"{self.figure}_{identifier(program)}_{unit}": statistics.median(values)
            for program, values in self.values.items()
        }
        for peer in self.peers:
            name, ratios = f"{self.figure}_over_{identifier(peer)}{self.suffix}", self.times_better(peer)
            result |= {name: statistics.median(ratios), f"{name}_low": min(ratios), f"{name}_high": max(ratios)}
        return result


def identifier(program: str) -> str:
    """A program's name in the names of figures."""
    return program.replace("-", "_")


def table(rows: list[Measured]) -> str:
    """A Markdown table of medians, with the ratio to each peer and its range over the rounds in brackets."""
    peers = sorted({peer for row in rows for peer in row.peers})
    lines = [f"| work | this program | {' | '.join(peers)} |", "|---" * (2 + len(peers)) + "|"]
    for row in rows:
        cells = [row.work, _value(row, OWN)]
        for peer in peers:
            if peer in row.peers:
                ratios = row.times_better(peer)
                spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
                cells.append(f"{_value(row, peer)}: **{statistics.median(ratios):.2f} times** ({spread})")
            else:
                cells.append("")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _value(row: Measured, program: str) -> str:
    value = statistics.median(row.values[program])
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f}{'' if row.unit == '/s' else ' '}{row.unit}"
