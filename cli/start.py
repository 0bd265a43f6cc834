"""The start of the `crossmodal` command."""


def main() -> None:
    """Runs the command; Ctrl-C ends it without a traceback also while its modules are imported."""
    try:
        from cli.main import main as command
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    command()


if __name__ == "__main__":
    main()
