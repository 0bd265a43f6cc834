"""The start of the `crossmodal` command."""

import sys


def main() -> None:
    """Runs the command; Ctrl-C ends it without a traceback also while its modules are imported."""
    try:
        from cli.main import main as command
    except KeyboardInterrupt:
        sys.exit(130)
    command()
