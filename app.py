#!/usr/bin/env python
"""`python app.py -t TASK ...`, the command line of 2021; see `cli/shim.py`. `crossmodal` is the other one."""

try:
    from cli.shim import main
except KeyboardInterrupt:  # Ctrl-C while modules are imported
    raise SystemExit(130) from None

if __name__ == "__main__":
    main()
