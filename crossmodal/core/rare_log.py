"""Warnings that would be repeated by every request while something is broken."""

from __future__ import annotations

import logging
import time

EVERY_S = 60.0
_logged_at: dict[str, float] = {}


def warn_rarely(log: logging.Logger, message: str) -> None:
    """Logs a warning, unless this process has logged the same message within the last minute."""
    now = time.monotonic()
    for old in [known for known, at in list(_logged_at.items()) if now - at >= EVERY_S]:
        _logged_at.pop(old, None)  # another thread may have removed it
    if _logged_at.setdefault(message, now) == now:
        log.warning("%s", message)
