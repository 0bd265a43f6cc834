"""The command line: `crossmodal COMMAND`, and `python app.py -t TASK` over the same commands."""

import sys

if sys.version_info[:2] != (3, 11):
    sys.exit(
        f"Python 3.11 is required; this is {sys.version.split()[0]}. The pinned packages support no other version."
    )
