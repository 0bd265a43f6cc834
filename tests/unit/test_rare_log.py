"""Warnings that every request would repeat."""

from __future__ import annotations

import logging

import pytest

from crossmodal.core import rare_log
from crossmodal.core.rare_log import warn_rarely

log = logging.getLogger(__name__)


def test_a_message_is_logged_again_only_after_a_while(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for message in ("away: 100%", "away: 100%", "back", "away: 100%"):
        warn_rarely(log, message)
    assert caplog.messages == ["away: 100%", "back"]
    monkeypatch.setattr(rare_log, "EVERY_S", 0.0)
    warn_rarely(log, "away: 100%")
    assert caplog.messages == ["away: 100%", "back", "away: 100%"]
