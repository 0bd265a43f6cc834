"""models: what weights can be had by name, and which are on this machine."""

from __future__ import annotations

from rich.table import Table

from cli.printing import cells, new_table
from crossmodal.core.families import FAMILIES
from crossmodal.core.settings import Settings
from crossmodal.encoders.catalogue import Entry, entries


def run(settings: Settings, query: str | None) -> tuple[list[Entry], list[str]]:
    """The weights that can be had; no network is used.

    Args:
        settings: Its model is the family to list, where one was named; else all.
        query: Only names with this in them, in any case.

    Returns:
        The entries, and the families left out: backbones, of which there are more than a thousand, where
        neither a family nor a name was given.

    Raises:
        InputError: An unknown family.
    """
    backbones = [name for name, family in FAMILIES.items() if "text" not in family.modalities]
    left_out = [] if settings.model_named or query else backbones
    families = [settings.model] if settings.model_named else [name for name in FAMILIES if name not in left_out]
    found = [entry for family in families for entry in entries(family)]
    return [entry for entry in found if not query or query.lower() in entry.weights.lower()], left_out


def table(found: list[Entry]) -> Table:
    """The entries as a table; R@1 is text to image / image to text."""
    drawn = new_table()
    for heading in ("model", "weights"):
        drawn.add_column(heading, overflow="fold")
    for heading in ("dim", "pixels", "params", "MB"):
        drawn.add_column(heading, justify="right")
    for heading in ("licence", "Flickr30k R@1", "COCO R@1", "terms", "here"):
        drawn.add_column(heading)
    for entry in found:
        millions = "" if entry.parameters is None else f"{entry.parameters / 1e6:.1f} M"
        row = (
            entry.family, entry.weights, _text(entry.dim), str(entry.size_px), millions, _text(entry.megabytes),
            entry.licence, _pair(entry.flickr30k), _pair(entry.coco), entry.terms,
            "here" if entry.here else "",
        )  # fmt: skip
        drawn.add_row(*cells(row))
    return drawn


def _text(value: int | None) -> str:
    return "" if value is None else str(value)


def _pair(values: tuple[float, float] | None) -> str:
    return "" if values is None else f"{values[0]:.1f} / {values[1]:.1f}"
