"""The playground of a running service: an experiment that was computed, and a search with a picture of one's own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import Page, chromium, wait_until
from conftest import RunApp, Service, started
from playground_data import drawn
from playground_site import READY, VIEWS, labels, new_page, settled, show

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
def service(
    pictures: Path, toy_workspace: Path, tmp_path_factory: pytest.TempPathFactory, run_app: RunApp
) -> Iterator[Service]:
    """A service with an experiment in its workspace."""
    workspace = tmp_path_factory.mktemp("playground") / "workspace"
    shutil.copytree(toy_workspace, workspace)
    options = ("-d", pictures, "--name", "shapes", "--layers", "2", "--metrics", "cosine")
    done = run_app("-t", "experiment", "-w", workspace, *options)
    assert done.returncode == 0, done.stderr
    with started("query_restful", workspace) as running:
        yield running


@pytest.fixture
def page(service: Service) -> Iterator[Page]:
    with chromium() as browser, new_page(browser, service.url) as made:
        yield made


def test_a_service_shows_its_experiments(page: Page, pictures: Path) -> None:
    page.goto("/")
    page.click("#to-playground")
    wait_until(page, READY)
    assert page.input_value("#set") == "shapes"
    assert page.locator(".shelf a").count() == 2 * PER_CLASS
    wait_until(page, "document.querySelector('.shelf img').naturalWidth > 0")
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
