"""The training curves of a run as a PNG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def draw_curves(history: list[dict[str, Any]], path: Path) -> None:
    """Writes a PNG with the loss and the recall on dev, both directions, by epoch.

    Args:
        history: One entry per epoch with `epoch`, `loss`, `t2i` and `i2t`, the last two with `R@1`, `R@5` and `R@10`.
        path: The file to write.
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    losses, recalls = figure.subplots(1, 2)
    epochs = [entry["epoch"] for entry in history]
    losses.plot(epochs, [entry["loss"] for entry in history], color="black")
    losses.set(xlabel="epoch", title="training loss")
    for direction, style in (("t2i", "-"), ("i2t", "--")):
        for name, colour in (("R@1", "C0"), ("R@5", "C1"), ("R@10", "C2")):
            values = [entry[direction][name] for entry in history]
            recalls.plot(epochs, values, style, color=colour, label=f"{direction} {name}")
    recalls.set(xlabel="epoch", title="recall on the dev split", ylim=(0, 1))
    recalls.legend(fontsize=7, ncols=2)
    for axes in (losses, recalls):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
