"""What the browser tests share: Chromium, what a page says and asks for, and packages of npm.

Packages are fetched from npm for the tests alone, and never become part of the repository.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import TOY

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser")  # the first takes the least processor time
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
if CHROMIUM is None:
    pytest.skip("chromium is not installed: apt-get install chromium-headless-shell", allow_module_level=True)

TIMEOUT_MS = 60_000
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
FAILED_LOAD = "Failed to load resource"  # Chromium says so of every answer that is an error
UNREACHABLE = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT|E5\d\d")

AXE = "4.10.3"

DESK = {"viewport": {"width": 1280, "height": 860}}

Page = Any


@contextmanager
def chromium() -> Iterator[Any]:
    """A started browser, for one module: while Playwright runs, asyncio.run can't be used in this thread.

    Afterwards, the original files are as they were, and there are no others beside them.
    """
    before = hashes(TOY)
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()
    assert hashes(TOY) == before


def hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file of a folder, by its path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


class Seen:
    """What a page has said and asked for; `origins` are those it may ask."""

    def __init__(self, page: Page, *origins: str) -> None:
        self.errors: list[str] = []
        self.elsewhere: list[str] = []
        self.may_fail_to_load = False
        page.on("console", lambda message: message.type in ("error", "warning") and self.errors.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        own = ("data:", *(f"{origin}/" for origin in origins), *(f"blob:{origin}/" for origin in origins))
        page.on("request", lambda request: request.url.startswith(own) or self.elsewhere.append(request.url))

    def is_clean(self) -> None:
        errors = [error for error in self.errors if not (self.may_fail_to_load and FAILED_LOAD in error)]
        assert errors == []
        assert self.elsewhere == []


@contextmanager
def new_page(browser: Any, url: str, **how: Any) -> Iterator[Page]:
    """A page that is not opened yet; afterwards, no error on its console and no request to another origin.

    `how` is for the browser's context: a viewport, or a phone.
    """
    context = browser.new_context(base_url=url, **{"viewport": {"width": 1280, "height": 900}, **how})
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    page.seen = Seen(page, url)
    try:
        yield page
        context.cookies()  # a round trip, after which all that the page has said so far is known here
        page.seen.is_clean()  # before the routes go: what a test answers itself may still be asked for
    finally:
        page.unroute_all(behavior="ignoreErrors")
        context.close()


def wait_until(page: Page, condition: str) -> None:
    """Waits until an expression is true. Playwright's own way to do so is an eval, which the page's policy forbids."""
    deadline = time.monotonic() + TIMEOUT_MS / 1000
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(30)


def answered(page: Page) -> None:
    """Waits until what was asked last is answered."""
    wait_until(
        page,
        "document.getElementById('results').getAttribute('aria-busy') === 'false'"
        " && !/^(Searching|Loading)/.test(document.getElementById('summary').textContent)",
    )


def from_npm(name: str, version: str, folder: Path) -> Path:
    """The unpacked files of a package; the test is skipped where npm can't be reached, and fails on any other fault."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(f"npm is not installed, so there is no {name}: apt-get install npm")
    folder.mkdir(parents=True, exist_ok=True)
    command = [npm, "pack", f"{name}@{version}", "--fetch-retries=1"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm can't be reached within two minutes, so there is no {name}")
    if done.returncode and UNREACHABLE.search(done.stderr):
        pytest.skip(f"npm can't be reached, so there is no {name}: {done.stderr.strip().splitlines()[0]}")
    assert done.returncode == 0, done.stderr
    with tarfile.open(folder / f"{name}-{version}.tgz") as packed:
        packed.extractall(folder, filter="data")
    return folder / "package"


def axe_violations(page: Page, script: str) -> list[str]:
    """What axe-core finds of serious or critical impact on a page as it is now."""
    page.evaluate(script)
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    return [f"{v['id']}: {v['nodes'][0]['html']}" for v in found if v["impact"] in ("serious", "critical")]


def axe_script(folder: Path) -> str:
    """axe-core's script, fetched into a folder."""
    return (from_npm("axe-core", AXE, folder) / "axe.min.js").read_text("utf8")
