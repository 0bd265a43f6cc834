"""The playground with a computed experiment: in a running service, and exported behind a plain web server."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from browsing import Page, new_page, wait_until
from conftest import RunApp, Service, started
from playground_data import drawn
from playground_site import READY, VIEWS, WEB, labels, settled, show

from crossmodal.experiment.export import page_files
from serving.jina.ports import reserve_port_pair

PER_CLASS = 9


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn circles and stars, in a folder each."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, kind in enumerate(("circle", "star")):
        (folder / kind).mkdir()
        for n in range(PER_CLASS):
            drawn(kind, number * PER_CLASS + n).save(folder / kind / f"{n}.png")
    return folder


@pytest.fixture(scope="module")
def folder(pictures: Path, toy_workspace: Path, tmp_path_factory: pytest.TempPathFactory, run_app: RunApp) -> Path:
    """A folder with a workspace that has an experiment, and the export of it."""
    made = tmp_path_factory.mktemp("playground")
    shutil.copytree(toy_workspace, made / "workspace")
    options = ("-d", pictures, "--name", "shapes", "--layers", "2", "--metrics", "cosine", "--export", made / "export")
    done = run_app("-t", "experiment", "-w", made / "workspace", *options)
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Service]:
    with started("query_restful", folder / "workspace") as running:
        yield running


@pytest.fixture
def page(browser: Any, service: Service) -> Iterator[Page]:
    with new_page(browser, service.url) as made:
        yield made


def test_an_export_needs_no_service(browser: Any, folder: Path) -> None:
    port = reserve_port_pair()
    command = [sys.executable, "-m", "http.server", "-b", "127.0.0.1", "-d", str(folder / "export"), str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(url)
        with new_page(browser, url) as page:
            for view in VIEWS:
                show(page, f"#view={view}")
                assert page.locator("#fault").is_hidden(), view
            show(page)
            page.click(".shelf a >> nth=0")
            settled(page, "picture=")
            wait_until(page, "document.querySelector('.strip img')?.naturalWidth > 0")
            assert page.locator(".strip a").count() == 15
    finally:
        server.terminate()
        server.wait(30)
    assert {Path("choosing.js"), Path("choosing.css")} <= set(page_files(WEB, "playground.html"))


def wait_for(url: str) -> None:
    """Waits until a server answers."""
    with httpx.Client(transport=httpx.HTTPTransport(retries=8)) as client:  # waits longer each time, a minute in all
        client.get(url).raise_for_status()


def test_a_service_shows_its_experiments(page: Page, pictures: Path) -> None:
    page.goto("/")
    page.click("#to-playground")
    wait_until(page, READY)
    assert page.input_value("#set") == "shapes"
    assert page.locator(".shelf a").count() == 2 * PER_CLASS
    wait_until(page, "document.querySelector('.shelf img')?.naturalWidth > 0")
    for view in VIEWS:
        show(page, f"#view={view}")
        assert page.locator("#fault").is_hidden(), view
    show(page, "#metric=cosine")
    own = pictures / "star" / "3.png"
    page.set_input_files("#own-file", own)
    page.wait_for_selector("#chosen-title")
    assert page.inner_text("#chosen-title") == "3.png"
    assert labels(page, ".strip a")[0].startswith("1, star/3.png, star, distance 0.000")
    page.click(".close")
    settled(page)
    page.set_input_files("#own-file", {"name": "no.png", "mimeType": "image/png", "buffer": b"no picture"})
    page.seen.may_fail_to_load = True
    page.wait_for_selector("#fault")
    assert "picture" in page.inner_text("#fault-text")
    page.click("#to-search")
    page.wait_for_selector("#grid .open")
