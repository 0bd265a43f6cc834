"""What GET /images answers if there is no picture to send."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from crossmodal.core.types import Document
from crossmodal.store.sqlite import DocumentStore, NewDocument
from serving.http.pictures import add_pictures


def client_of(store: DocumentStore) -> TestClient:
    app = FastAPI()
    opened: Any = SimpleNamespace(current=lambda: ("", SimpleNamespace(store=store)))
    add_pictures(app, opened, private_location=False)
    return TestClient(app)


@pytest.mark.parametrize(
    ("uri", "detail"), [("s3://photos/1.png", "is in an object store"), ("/nowhere/1.png", "can't be read")]
)
def test_a_picture_that_is_not_on_this_machine(uri: str, detail: str, tmp_path: Path) -> None:
    with DocumentStore(tmp_path, writable=True) as store:
        vector = np.array([1, 0], np.float32)
        store.put([NewDocument(Document("1" * 40, "image", uri, "image/png"), vector, b"jpeg")])
        client = client_of(store)
        refused = client.get(f"/images/{'1' * 40}")
        assert refused.status_code == 410
        assert detail in refused.json()["detail"]
        assert client.get(f"/thumbnails/{'1' * 40}").content == b"jpeg"


def test_nothing_but_pictures_is_sent(tmp_path: Path) -> None:
    with DocumentStore(tmp_path, writable=True) as store:
        vector = np.array([1, 0], np.float32)
        for name, mime_type in (("page", "text/html"), ("picture", "image/png")):
            store.put([NewDocument(Document(name, "image", mime_type=mime_type), vector, content=b"<script>")])
        found = {name: client_of(store).get(f"/images/{name}").status_code for name in ("page", "picture")}
    assert found == {"page": 404, "picture": 200}
