"""Removing a picture from the index in the lightbox, where the service writes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from browsing import DESK, Page, axe_violations, new_page, wait_until
from conftest import Service

BUTTON = "#lightbox-remove"


@pytest.fixture
def page(browser: Any, writable_service: Service) -> Iterator[Page]:
    with new_page(browser, writable_service.url, **DESK) as page:
        yield page


def opened(page: Page, address: str, place: int) -> str:
    """Opens a picture of what an address shows; returns its id."""
    page.goto(address)
    page.wait_for_selector("#filters", state="hidden")  # there are no facets; pictures move when the panel closes late
    page.click(f"#grid .tile[data-place='{place}'] .open")
    page.wait_for_selector(BUTTON)
    shown: str = page.get_attribute(f"#grid .tile[data-place='{place}']", "data-id")
    return shown


def is_known(service: Service, document: str) -> bool:
    return httpx.get(f"{service.url}/documents/{document}").status_code == 200


def test_a_picture_is_removed_with_the_keyboard(page: Page, writable_service: Service, axe: str) -> None:
    picture = opened(page, "/?order=folder", 3)
    following = page.get_attribute("#grid .tile[data-place='4']", "data-id")
    n = int(page.inner_text("#summary").split()[0])
    page.focus(BUTTON)
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "removing-not"
    assert "The file itself stays" in page.inner_text("#removing")
    assert axe_violations(page, axe) == []
    page.keyboard.press("Escape")
    assert page.is_hidden("#removing")
    assert page.is_visible("#lightbox")
    assert is_known(writable_service, picture)
    assert page.evaluate("document.activeElement.id") == BUTTON[1:]
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    wait_until(page, f"document.getElementById('summary').textContent === '{n - 1} pictures'")
    assert page.is_hidden("#lightbox")
    assert not is_known(writable_service, picture)
    wait_until(page, f"document.activeElement.closest('.tile')?.dataset.id === {following!r}")
    assert page.inner_text("#undo-text").endswith("was removed from the index.")
    assert page.is_hidden("#undo-it")


def test_a_removed_picture_leaves_the_search(page: Page, writable_service: Service) -> None:
    page.seen.may_fail_to_load = True  # the page may still be loading the picture
    picture = opened(page, "/?q=a+star", 0)
    page.click("#lightbox-like")
    wait_until(page, "location.search.includes('likes')")
    page.click(BUTTON)
    page.click("#removing-it")
    wait_until(page, "!location.search.includes('likes')")
    shown = "[...document.querySelectorAll('#grid .tile')].map((tile) => tile.dataset.id)"
    wait_until(page, f"{shown}.length > 0 && !{shown}.includes({picture!r})")
    assert page.is_hidden("#fault")
    assert not is_known(writable_service, picture)


def test_a_picture_that_somebody_else_has_removed(page: Page, writable_service: Service) -> None:
    page.seen.may_fail_to_load = True
    opened(page, "/?order=folder", 0)
    n = int(page.inner_text("#summary").split()[0])
    picture = page.get_attribute("#grid .tile[data-place='1']", "data-id")
    assert httpx.delete(f"{writable_service.url}/documents/{picture}").status_code == 200
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#undo-text:has-text('This picture was removed from the index.')")
    page.click(BUTTON)
    page.click("#removing-it")
    wait_until(page, f"document.getElementById('summary').textContent === '{n - 1} pictures'")
    assert page.is_hidden("#lightbox")
    assert page.locator(f"#grid .tile[data-id='{picture}']").count() == 0


def test_a_refusal_is_told(page: Page, writable_service: Service) -> None:
    page.seen.may_fail_to_load = True
    picture = opened(page, "/?order=folder", 0)
    refusal = {"status": 403, "json": {"detail": "this key only reads"}}
    page.route(
        "**/documents/*",
        lambda route: route.fulfill(**refusal) if route.request.method == "DELETE" else route.continue_(),
    )
    page.click(BUTTON)
    page.click("#removing-it")
    page.wait_for_selector("#lightbox #undo-text:has-text('Not removed: this key only reads')")
    assert page.is_visible("#lightbox")
    assert is_known(writable_service, picture)


def test_a_service_that_only_reads_offers_nothing(browser: Any, query_service: Service) -> None:
    with new_page(browser, query_service.url, **DESK) as page:
        page.goto("/?order=folder")
        with page.expect_response("**/status") as answered:
            page.click("#grid .tile[data-place='0'] .open")
        assert answered.value.json()["writable"] is False
        page.wait_for_selector("#facts dt")
        assert page.is_hidden(BUTTON)
