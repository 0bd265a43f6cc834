"""crossmodal map."""

from __future__ import annotations

from cli.commands import Command
from cli.options import MaintenanceOptions
from cli.printing import say_aside, say_result


def run(options: MaintenanceOptions) -> int:
    """Prints how many pictures the map has."""
    from cli.location import collection_of
    from crossmodal.collection.lifecycle import draw_map

    drawn, is_new = draw_map(
        collection_of(options.settings()),
        lambda n: say_aside(f"laying out {n} pictures; the first run also compiles UMAP, for up to a minute"),
    )
    result = {"pictures": len(drawn.keys), "method": drawn.method, "outcome": "made" if is_new else "unchanged"}
    size = f"{result['pictures']} pictures by {result['method']}"
    line = f"map: {size}, {result['outcome']}; a service shows it at /map.html"
    return say_result(result, [line], as_json=options.as_json)


COMMAND = Command(
    MaintenanceOptions,
    run,
    "Lay out the pictures of a collection on a plane, similar ones together.",
    (("--collection pets", "for http://localhost:45678/map.html of its service"),),
)
