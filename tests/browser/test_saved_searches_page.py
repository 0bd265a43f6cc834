"""Saved searches on the page of a service that may write, and of one that may not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from browsing import Page, axe_violations, new_page, wait_until
from conftest import Service

HEARTS = {"request": {"text": "two hearts", "exclude": ["red"], "where": "width > 9"}}


@pytest.fixture
def page(browser: Any, writable_service: Service) -> Iterator[Page]:
    """The page on a phone, without saved searches."""
    for search in httpx.get(f"{writable_service.url}/searches").json()["searches"]:
        httpx.delete(f"{writable_service.url}/searches/{search['name']}", timeout=30).raise_for_status()
    with new_page(browser, writable_service.url, viewport={"width": 360, "height": 740}) as page:
        page.goto("/")
        page.wait_for_selector("#grid .tile .open")
        yield page


def searched(page: Page, address: str) -> None:
    page.goto(address)
    wait_until(page, "!/^(Loading|Searching|)$/.test(document.getElementById('summary').textContent)")
    wait_until(page, "document.getElementById('results').getAttribute('aria-busy') === 'false'")


def said(page: Page, text: str) -> None:
    wait_until(page, f"document.getElementById('saved-said').textContent === {text!r}")


def show(page: Page) -> None:
    page.click("#to-saved")
    wait_until(page, "document.getElementById('saved-said').textContent !== 'Loading…'")


def saved_names(page: Page) -> list[str]:
    return list(page.locator("#saved-searches a").all_inner_texts())


def save(page: Page, name: str) -> None:
    page.fill("#save-name", name)
    page.press("#save-name", "Enter")


def test_saving_opening_renaming_and_removing(page: Page, writable_service: Service) -> None:
    searched(page, "/?q=two+hearts&not=red&where=width+%3E+9")
    show(page)
    assert page.input_value("#save-name") == "two hearts"
    save(page, "hearts / <b>")
    said(page, "“hearts / <b>” saved.")
    (told,) = httpx.get(f"{writable_service.url}/searches").json()["searches"]
    assert told["request"] == {**HEARTS["request"], "understand": True}
    page.click("#saved-close")

    searched(page, "/")
    show(page)
    assert page.is_hidden("#save-search")
    assert page.inner_text("#why-not") == "Search or filter first, to save that."
    page.click("#saved-searches a")
    wait_until(page, "location.search === '?q=two+hearts&not=red&where=width+%3E+9'")
    wait_until(page, "/avoiding red/.test(document.getElementById('summary').textContent)")

    show(page)
    page.click("#saved-searches >> text=Rename")
    save(page, "hearts")
    said(page, "“hearts / <b>” is now “hearts”.")
    assert saved_names(page) == ["hearts"]
    page.click("#saved-searches >> text=Remove")
    said(page, "“hearts” removed.")
    assert saved_names(page) == []
    page.keyboard.press("Enter")  # on Undo, which has the focus
    said(page, "“hearts” is as it was.")
    assert saved_names(page) == ["hearts"]


def test_a_name_that_is_taken(page: Page, writable_service: Service) -> None:
    for name in ("one", "two"):
        httpx.put(f"{writable_service.url}/searches/{name}", json=HEARTS, timeout=30).raise_for_status()
    searched(page, "/?q=a+star")
    show(page)
    page.click("#saved-searches li:nth-child(2) >> text=Rename")
    save(page, "one")
    said(page, "There is a search named “one” already.")
    page.click("#saved-close")
    show(page)
    save(page, "one")
    said(page, "“one” replaced.")
    page.click("#saved-undo")
    said(page, "“one” is as it was.")
    assert httpx.get(f"{writable_service.url}/searches").json()["searches"][0]["request"] == HEARTS["request"]


def test_a_search_that_a_program_saved_is_opened(page: Page, writable_service: Service) -> None:
    httpx.put(f"{writable_service.url}/searches/hearts", json=HEARTS, timeout=30).raise_for_status()
    show(page)
    page.focus("#saved-searches a")
    page.keyboard.press("Enter")
    wait_until(page, "/avoiding red/.test(document.getElementById('summary').textContent)")
    assert "literal=1" in page.url
    assert page.locator("#chips li").all_inner_texts() == ["Filter: width > 9", "Without: red"]


def test_what_goes_wrong_is_said(page: Page) -> None:
    page.seen.may_fail_to_load = True
    searched(page, "/?q=a+star")
    page.route("**/searches/*", lambda route: route.fulfill(status=503, json={"detail": "the disk is full"}))
    show(page)
    save(page, "stars")
    said(page, "the disk is full")


def test_a_service_that_only_reads_offers_the_link(browser: Any, query_service: Service) -> None:
    with new_page(browser, query_service.url, permissions=["clipboard-read", "clipboard-write"]) as page:
        searched(page, "/?q=a+star")
        show(page)
        assert page.is_hidden("#save-search")
        assert "only reads" in page.inner_text("#why-not")
        page.click("#copy-search")
        said(page, "Link copied.")
        assert page.evaluate("navigator.clipboard.readText()") == f"{query_service.url}/?q=a+star"
        page.keyboard.press("Escape")
        assert page.is_hidden("#saved")


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_no_serious_violation(page: Page, writable_service: Service, axe: str, colours: str) -> None:
    httpx.put(f"{writable_service.url}/searches/{'hearts ' * 13}!", json=HEARTS, timeout=30).raise_for_status()
    page.emulate_media(color_scheme=colours, reduced_motion="reduce")
    searched(page, "/?q=a+star")
    show(page)
    save(page, "stars")
    said(page, "“stars” saved.")
    assert axe_violations(page, axe) == []
    for part in ("documentElement", "querySelector('#saved')"):
        assert page.evaluate(f"document.{part}.scrollWidth <= document.{part}.clientWidth")
