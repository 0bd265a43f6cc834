"""Pictures that are named by URL: refused, and fetched where the operator allows it."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import TOY, Service, started

PICTURE = (TOY / "images" / "test-00003.jpg").read_bytes()
APP = Path(__file__).with_name("app_with_a_web.py")


class Web(BaseHTTPRequestHandler):
    """Each path has its own kind of trouble."""

    def do_GET(self) -> None:
        port = self.server.server_port
        redirects = {
            "/moved": "/a.jpg",
            "/inwards": f"http://inner.test:{port}/a.jpg",
            "/metadata": "http://169.254.169.254/latest/",
            "/file": "file:///etc/passwd",
            "/round": "/round",
        }
        if self.path in redirects:
            self._answer(302, b"", location=redirects[self.path])
        elif self.path == "/page":
            self._answer(200, b"<html>", content_type="text/html")
        elif self.path == "/drawing":
            self._answer(200, b"<svg/>", content_type="image/svg+xml")
        elif self.path == "/lie":
            self._answer(200, b"no picture", content_type="image/jpeg")
        elif self.path == "/large":
            self._answer(200, b"x" * 1_000_001, content_type="image/jpeg")
        elif self.path == "/slow":
            time.sleep(4)
            self._answer(200, PICTURE, content_type="image/jpeg")
        elif self.path == "/a.jpg":
            self._answer(200, PICTURE, content_type="image/jpeg")
        else:
            self._answer(404, b"")

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        try:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:  # the other side has had enough
            pass

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def web() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def fetching(web: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that fetches, and writes, with one picture and a caption in it."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("WEB_PORT", str(web))
        flags = ("--writable", "--allow-url-fetch", "--weights", "scenes")
        with started("query_restful", tmp_path_factory.mktemp("w"), *flags, app=APP) as service:
            uri = "data:image/jpeg;base64," + base64.b64encode(PICTURE).decode()
            (doc,) = post(service, {"data": [uri]}, "/index").json()["data"]["docs"]
            caption = {"text": "what is there", "image_id": doc["id"]}
            assert post(service, {"data": [caption]}, "/index").status_code == 200
            yield service


def post(service: Service, body: Any, path: str = "/search") -> httpx.Response:
    return httpx.post(service.url + path, json=body, timeout=60)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/search", {"data": ["http://pictures.test/a.jpg"]}),
        ("/search", {"data": [{"uri": "HTTPS://pictures.test/a.jpg"}]}),
        ("/search", {"image": "https://pictures.test/a.jpg"}),
        ("/encode", {"images": ["http://pictures.test/a.jpg"]}),
    ],
)
def test_nothing_is_fetched_by_default(query_service: Service, path: str, body: Any) -> None:
    answer = post(query_service, body, path)
    assert answer.status_code == 422
    assert "--allow-url-fetch" in answer.json()["detail"]


def test_a_picture_is_fetched_for_a_search(fetching: Service, web: int) -> None:
    for path in ("/a.jpg", "/moved"):
        url = f"http://pictures.test:{web}{path}"
        (doc,) = post(fetching, {"data": [url], "top_k": 1}).json()["data"]["docs"]
        assert (doc["uri"], doc["matches"][0]["text"]) == (url, "what is there")
        told = post(fetching, {"image": url, "target": "image"}).json()
        assert told["results"][0]["score"] == pytest.approx(1.0, abs=1e-3)
        form = httpx.post(fetching.url + "/search", files={"image": (None, url)}, timeout=60)
        assert form.json()["results"][0]["score"] == pytest.approx(1.0, abs=1e-3)
    assert len(post(fetching, {"images": [f"http://pictures.test:{web}/a.jpg"]}, "/encode").json()["vectors"]) == 1


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/inwards", "inner.test is not a public address"),
        ("/metadata", "port 80 is not allowed"),
        ("/file", "only http and https"),
        ("/round", "more than 3 redirects"),
        ("/page", "content of type text/html"),
        ("/drawing", "content of type image/svg+xml"),
        ("/lie", "not a picture of a known kind"),
        ("/large", "1,000,001 bytes; the limit is 1,000,000"),
        ("/slow", "did not arrive within 2 s"),
        ("/none", "status 404"),
    ],
)
def test_what_is_not_taken_from_the_web(fetching: Service, web: int, path: str, told: str) -> None:
    url = f"http://pictures.test:{web}{path}"
    legacy = post(fetching, {"data": [url]})
    assert legacy.status_code == 422
    assert told in legacy.json()["status"]["description"]
    typed = post(fetching, {"image": url})
    assert typed.status_code == 422
    assert told in typed.json()["detail"]


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("127.0.0.2", "not a public address"),
        ("localhost", "not a public address"),
        ("nobody.test", "not a public address"),
        ("2130706433", "neither a host name nor an address"),
        ("[::1]", "not a public address"),
        ("user@pictures.test", "a user name or a password"),
    ],
)
def test_the_inside_is_refused_whatever_it_is_called(fetching: Service, web: int, host: str, told: str) -> None:
    answer = post(fetching, {"data": [f"http://{host}:{web}/a.jpg"]})
    assert answer.status_code == 422
    assert told in answer.json()["detail"]


def test_indexing_goes_on_without_what_could_not_be_fetched(fetching: Service, web: int) -> None:
    base = f"http://pictures.test:{web}"
    docs = post(fetching, {"data": [base + "/a.jpg", base + "/none"]}, "/index").json()["data"]["docs"]
    assert [doc["outcome"] for doc in docs] == ["unchanged", "failed"]
    assert "status 404" in docs[1]["error"]
    assert post(fetching, {"data": [base + "/none"]}, "/index").status_code == 422
    too_many = post(fetching, {"data": [f"{base}/{n}" for n in range(17)]}, "/index")
    assert "at most 16 are allowed" in too_many.json()["detail"]
