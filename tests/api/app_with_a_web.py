"""The command line on a machine whose web is one host: pictures.test, which is a server of the test.

Only who resolves names and which address counts as public is put in from outside; all checks are the program's own.
"""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from crossmodal.images import fetch

NAMES = {"pictures.test": "127.0.0.1", "inner.test": "10.0.0.1"}


async def resolve(host: str, port: int) -> list[str]:
    if host not in NAMES:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return [NAMES[host]]


if __name__ == "__main__":
    from app import main

    fetch.DEFAULT_RULES = replace(
        fetch.DEFAULT_RULES,
        max_bytes=1_000_000,
        timeout_s=2.0,
        ports=frozenset({int(os.environ["WEB_PORT"])}),
        is_allowed=lambda address: str(address) == "127.0.0.1",
        resolve=resolve,
    )

    main()
