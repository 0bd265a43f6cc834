"""models: the weights known by name, and which of them are on this machine."""

from __future__ import annotations

from rich.table import Table

from cli.printing import cells, new_table
from crossmodal.core.families import FAMILIES
from crossmodal.core.settings import Settings
from crossmodal.encoders.catalogue import Entry, entries


def run(settings: Settings, query: str | None) -> tuple[list[Entry], list[str]]:
    """The known weights, read without a network.

    Args:
        settings: Its model is the family to list if the user named one; otherwise all are listed.
        query: Text that the name must contain, in any case.

    Returns:
        The entries, and the families that were omitted: without a family or a name, those of more than a thousand
        backbones.

    Raises:
        InputError: An unknown family.
    """
    backbones = [name for name, family in FAMILIES.items() if "text" not in family.modalities]
    left_out = [] if settings.model_named or query else backbones
    families = [settings.model] if settings.model_named else [name for name in FAMILIES if name not in left_out]
    known = [entry for family in families for entry in entries(family)]
    return [entry for entry in known if not query or query.lower() in entry.weights.lower()], left_out


def table(listed: list[Entry]) -> Table:
    """The entries as a table; R@1 is text to image / image to text."""
    drawn = new_table()
    for heading in ("model", "weights"):
        drawn.add_column(heading, overflow="fold")
    for heading in ("dim", "pixels", "params", "MB"):
        drawn.add_column(heading, justify="right")
    for heading in ("licence", "Flickr30k R@1", "COCO R@1", "terms", "here"):
        drawn.add_column(heading)
    for entry in listed:
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
