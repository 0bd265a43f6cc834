"""Warnings that every request would repeat."""

from __future__ import annotations

import logging

import pytest
from fastapi import FastAPI, Request
from starlette.testclient import TestClient

from crossmodal.core import rare_log
from crossmodal.core.rare_log import warn_rarely
from serving.config import ServiceConfig
from serving.http.listening import uvicorn_config

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


def test_a_malformed_form_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    app = FastAPI()
    uvicorn_config(app, ServiceConfig(), 0)

    @app.post("/")
    async def read(request: Request) -> int:
        return len(await request.form())

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert TestClient(app).post("/", content=b"abcde", headers=headers).status_code == 400
    assert not caplog.messages
