#!/usr/bin/env python
"""`python app.py -t TASK ...`, the command line of 2021; see `cli/shim.py`. `crossmodal` is the other one."""

from cli.shim import main

if __name__ == "__main__":
    main()
