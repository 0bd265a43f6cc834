"""Text in pictures on the page: what was found by it, its boxes in the lightbox, copying it, phone and keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from browsing import Page, axe_violations, new_page, wait_until
from conftest import Service, run_crossmodal, started
from signs import BAKERY, write_signs

from crossmodal.collection.collection import Collection
from crossmodal.core.reading import Reading, ReadLine, ReadWord


def box(left: float, top: float, right: float, bottom: float) -> tuple[float, ...]:
    return left, top, right, top, right, bottom, left, bottom


WHERE = {"BAKERY": box(0.12, 0.2, 0.55, 0.45), "open": box(0.12, 0.5, 0.4, 0.7), "daily": box(0.42, 0.5, 0.7, 0.7)}
SIGN = Reading(
    "test",
    (
        ReadLine("BAKERY", 0.99, WHERE["BAKERY"], (ReadWord("BAKERY", 0.99, WHERE["BAKERY"]),)),
        ReadLine(
            "open daily", 0.98, box(0.12, 0.5, 0.7, 0.7),
            (ReadWord("open", 0.98, WHERE["open"]), ReadWord("daily", 0.98, WHERE["daily"])),
        ),
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def signs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = write_signs(tmp_path_factory.mktemp("data") / "signs", 20)
    workspace = tmp_path_factory.mktemp("workspace")
    done = run_crossmodal("index", folder, "-w", workspace, "--weights", "scenes", "--collection", "signs")
    assert done.returncode == 0, done.stderr
    with Collection.open(workspace / "signs").store(writable=True) as store:
        documents = store.by_keys(store.keys("image").tolist()).values()
        store.readings.put((one.id, SIGN) for one in documents if one.tags["filename"] == BAKERY)
    with started("query_restful", workspace, "--collection", "signs") as service:
        yield service


@pytest.fixture(params=[(1280, 860), (360, 740)], ids=["desk", "phone"])
def page(request: pytest.FixtureRequest, browser: Any, signs: Service) -> Iterator[Page]:
    width, height = request.param
    how = {"viewport": {"width": width, "height": height}, "permissions": ["clipboard-read", "clipboard-write"]}
    with new_page(browser, signs.url, **how) as opened:
        opened.goto("/")
        wait_until(opened, "document.querySelector('#grid .tile') !== null")
        yield opened


def open_first(page: Page, words: str) -> None:
    page.fill("#words", words)
    page.press("#words", "Enter")
    wait_until(page, "document.querySelector('#grid .words li')?.textContent.startsWith('\"')")
    page.click("#grid .open >> nth=0")
    page.wait_for_selector("#reading")
    wait_until(page, "document.getElementById('large').naturalWidth === 480")


def test_the_lightbox_draws_the_words_that_were_found(page: Page) -> None:
    open_first(page, "a sign that says open")
    assert page.inner_text("#lightbox-title") == BAKERY
    assert page.locator("#lines li").all_inner_texts() == ["BAKERY", "open daily"]
    assert page.locator("#lines mark").all_inner_texts() == ["open"]
    assert page.locator("#boxes .matched").count() == 1
    assert "BAKERY" not in page.inner_text("#facts")
    left, top, _, _, right, bottom, *_ = (round(1000 * share) for share in WHERE["open"])
    points = f"{left},{top} {right},{top} {right},{bottom} {left},{bottom}"
    assert page.get_attribute("#boxes .matched", "points") == points
    picture, drawn = (page.locator(name).bounding_box() for name in ("#large", "#boxes"))
    assert [drawn[side] for side in picture] == pytest.approx(list(picture.values()), abs=1)


def test_all_boxes_by_the_keyboard_and_copying(page: Page) -> None:
    open_first(page, "bakery")
    assert page.locator("#boxes .line >> visible=true").count() == 0
    page.focus("#all-boxes")
    page.keyboard.press("Enter")
    assert page.get_attribute("#all-boxes", "aria-pressed") == "true"
    assert page.locator("#boxes .line >> visible=true").count() == 2
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    wait_until(page, "document.getElementById('copy-text').textContent === 'Copied'")
    assert page.evaluate("navigator.clipboard.readText()") == "BAKERY\nopen daily"
    page.click("#next")
    page.wait_for_selector("#reading", state="hidden")
    assert page.locator("#boxes polygon").count() == 0


def test_a_picture_that_is_browsed_has_its_text_without_marks(page: Page) -> None:
    page.click(f"#grid .open[aria-label^='{BAKERY}']")
    page.wait_for_selector("#reading")
    assert page.locator("#lines mark").count() == 0
    assert page.locator("#boxes .matched").count() == 0


def test_axe_finds_nothing_and_nothing_is_wider_than_the_window(page: Page, axe: str) -> None:
    open_first(page, "open daily")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert axe_violations(page, axe) == []
