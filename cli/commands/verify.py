"""crossmodal verify."""

from __future__ import annotations

from cli.commands import Command
from cli.options import MaintenanceOptions
from cli.printing import say_result


def run(options: MaintenanceOptions) -> int:
    """Prints the problems of a collection; returns 1 if there are any."""
    from cli.lifecycle import n_documents, verify
    from cli.progress import Meter

    settings = options.settings()
    with Meter("documents", n_documents(settings)) as meter:
        result = verify(settings, meter.advance)
    problems = result["problems"]
    outcome = f"{len(problems)} problems" if problems else "no problems"
    lines = [f"{result['images']} images, {result['captions']} captions: {outcome}"]
    lines += [f"  {problem['item']}: {problem['reason']}" for problem in problems]
    say_result(result, lines, as_json=options.as_json)
    return 1 if problems else 0


COMMAND = Command(
    MaintenanceOptions,
    run,
    "Compare the store of a collection with its indexes and pictures.",
    (("", "the only collection"), ("--collection pets --json", "for scripts; exits with 1 if there are problems")),
)
