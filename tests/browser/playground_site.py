"""An exported playground for tests, behind a plain web server that sends the policy of the service."""

from __future__ import annotations

import csv
import functools
import http.server
import io
import json
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from browsing import Page, wait_until
from playground_data import write_playground

from crossmodal.core.resources import resource_folder
from serving.middleware.headers import PAGE_POLICY

WEB = resource_folder("web")
N = 60
VIEWS = ("pictures", "models", "layers", "classes", "map", "table")
READY = "document.getElementById('view')?.hasAttribute('aria-busy') === false && !document.getElementById('stuck')"
Told = dict[str, Any]


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, with the policy of the service."""

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", PAGE_POLICY)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


class _Server(http.server.ThreadingHTTPServer):
    """Tells nothing of a page that was closed before it had all files."""

    def handle_error(self, *_: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*_)


class Site:
    """An exported folder and the address it is served at."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.data = folder / "playground" / "data"

    def told(self, name: str = "shapes", path: str = "experiment.json") -> Told:
        """A file of an experiment."""
        told: Told = json.loads((self.data / name / path).read_text())
        return told


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which the files of a folder are served."""
    server = _Server(("127.0.0.1", 0), functools.partial(_Handler, directory=folder))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def exported(folder: Path) -> Iterator[Site]:
    """Two experiments of sixty drawn pictures in six classes, with the page, and served."""
    shutil.copytree(WEB, folder / "web")
    shutil.copy(WEB / "playground.html", folder)
    write_playground(folder / "playground" / "data", "shapes", "more shapes")
    with served(folder) as url:
        yield Site(folder, url)


def show(page: Page, address: str = "") -> None:
    """Opens the page at a fragment, without the page that was there."""
    page.goto("about:blank")
    page.goto(f"/playground.html{address}")
    wait_until(page, READY)


def settled(page: Page, part: str = "") -> None:
    """Waits until the address has a part, and what it says is shown."""
    wait_until(page, f"location.hash.includes({json.dumps(part)})")
    page.evaluate("new Promise((done) => setTimeout(done))")  # after the event of the new address
    wait_until(page, READY)


def instead(page: Page, folder: Path) -> None:
    """Lets the page read a folder as the experiment `shapes`."""

    def fulfil(route: Any) -> None:
        route.fulfill(path=folder / route.request.url.split("/shapes/")[1])

    page.route("**/playground/data/shapes/**", fulfil)


def labels(page: Page, selector: str) -> list[str]:
    """The accessible names of elements."""
    found: list[str] = page.eval_on_selector_all(selector, "all => all.map((one) => one.getAttribute('aria-label'))")
    return found


def texts(page: Page, selector: str) -> list[str]:
    """The texts of elements, visible or not."""
    found: list[str] = page.eval_on_selector_all(selector, "all => all.map((one) => one.textContent)")
    return found


def saved(page: Page, selector: str) -> tuple[str, bytes]:
    """The name and content of the file that a click downloads."""
    with page.expect_download() as download:
        page.click(selector)
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def rows_of(content: bytes) -> list[list[str]]:
    """The rows of a CSV file."""
    return list(csv.reader(io.StringIO(content.decode())))


def best(told: Told, metric: int | None = None) -> Told:
    """The result with the highest search score, of a metric or of all."""
    results = [one for one in told["results"] if metric in (None, one["metric"])]
    found: Told = max(results, key=lambda one: one["search_score"])
    return found
