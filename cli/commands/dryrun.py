"""crossmodal dryrun."""

from __future__ import annotations

from dataclasses import dataclass

from cli.commands import Command
from cli.commands.serve import ServiceOptions, say_engine
from cli.options import ShardOptions, SliceOptions
from cli.printing import say


@dataclass(frozen=True, kw_only=True)
class DryrunOptions(ServiceOptions, ShardOptions, SliceOptions):
    """Options of `dryrun`."""


def run(options: DryrunOptions) -> int:
    """Starts the service, asks it once, and stops it."""
    from cli.serve import try_queries

    settings = options.settings()
    took_ms = try_queries(settings, lambda collection: say_engine(settings, collection))
    say(f"ok: the service encoded and searched in {took_ms:.0f} ms, and is stopped")
    return 0


COMMAND = Command(
    DryrunOptions,
    run,
    "Start the service, check that it encodes and searches, and stop it.",
    (("--collection pets", "before a deployment: the exit status is 0 if all is well"),),
)
