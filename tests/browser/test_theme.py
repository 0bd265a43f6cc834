"""The switch of the theme on every page, behind a plain web server: what the pages ask the service for is refused."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from browsing import Page, axe_violations, new_page
from playground_site import WEB, served

PAGES = ("index.html", "map.html", "duplicates.html", "playground.html")
PAPER = "getComputedStyle(document.body).backgroundColor"
LIGHT, DARK = "rgb(250, 250, 252)", "rgb(20, 21, 27)"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("theme")
    shutil.copytree(WEB, folder / "web")
    for name in PAGES:
        shutil.copy(WEB / name, folder)
    with served(folder) as url:
        yield url


@pytest.fixture(params=["light", "dark"])
def page(browser: Any, site: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    with new_page(browser, site, color_scheme=request.param) as page:
        page.seen.may_fail_to_load = True
        yield page


def test_a_theme_is_chosen_and_kept_on_every_page(page: Page, axe: str) -> None:
    page.goto("/index.html")
    system = page.evaluate(PAPER)
    seen = []
    for _ in range(3):
        page.click("#theme")
        seen.append((page.get_attribute("#theme", "title"), page.evaluate(PAPER)))
    assert seen == [("Theme: light", LIGHT), ("Theme: dark", DARK), ("Theme: system", system)]
    other, paper = ("dark", DARK) if system == LIGHT else ("light", LIGHT)
    while page.get_attribute("html", "data-theme") != other:
        page.focus("#theme")
        page.keyboard.press("Enter")
    for name in PAGES:
        page.goto(f"/{name}")
        page.wait_for_selector("#theme")
        assert page.evaluate(PAPER) == paper
        assert page.get_attribute("#theme", "aria-label").startswith(f"Theme: {other}. ")
        assert axe_violations(page, axe) == []


def test_without_storage_the_theme_lasts_as_long_as_the_page(page: Page) -> None:
    page.add_init_script("Object.defineProperty(window, 'localStorage', { get() { throw new Error('denied'); } })")
    page.goto("/duplicates.html")
    page.click("#theme")
    assert page.evaluate(PAPER) == LIGHT


@pytest.mark.parametrize("name", PAGES)
def test_the_switch_fits_on_a_phone(browser: Any, site: str, name: str) -> None:
    with new_page(browser, site, viewport={"width": 360, "height": 740}) as page:
        page.seen.may_fail_to_load = True
        page.goto(f"/{name}")
        box = page.locator("#theme").bounding_box()
        assert box["x"] + box["width"] <= 360
        assert min(box["width"], box["height"]) >= 44
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
