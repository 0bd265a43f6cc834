"""crossmodal map."""

from __future__ import annotations

from cli.commands import Command
from cli.options import MaintenanceOptions
from cli.printing import say, say_result


def run(options: MaintenanceOptions) -> int:
    """Prints how many pictures the map has."""
    from cli.lifecycle import draw_map

    result = draw_map(options.settings(), lambda line: say(line, err=True))
    size = f"{result['pictures']} pictures by {result['method']}"
    line = f"map: {size}, {result['outcome']}; a service shows it at /map.html"
    return say_result(result, [line], as_json=options.as_json)


COMMAND = Command(
    MaintenanceOptions,
    run,
    "Lay out the pictures of a collection on a plane, similar ones together.",
    (("--collection pets", "for http://localhost:45678/map.html of its service"),),
)
