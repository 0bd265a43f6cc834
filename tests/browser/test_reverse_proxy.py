"""The pages behind a reverse proxy that shows the service below a path of its host."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from browsing import Page, answered, new_page, wait_until
from conftest import Service
from reverse_proxy import behind_a_proxy

from crossmodal.client import Client

SHOWN = "[...document.querySelectorAll('{}')].some((img) => img.naturalWidth > 0)"


@pytest.fixture
def site(query_service: Service, toy_map: None) -> Iterator[str]:
    """The URL of the service behind the proxy."""
    with behind_a_proxy(query_service.url) as url:
        yield url


@pytest.fixture
def page(browser: Any, site: str) -> Iterator[Page]:
    """A search on the page; afterwards, all that the page asked for was below the path."""
    with new_page(browser, site) as page:
        search(page, site)
        yield page


def search(page: Page, site: str) -> None:
    page.goto(f"{site}/")
    page.fill("#words", "two hearts")
    page.press("#words", "Enter")
    answered(page)
    wait_until(page, SHOWN.format("#grid .tile img"))
    assert page.url == f"{site}/?q=two+hearts"


def drop_link(page: Page, link: str) -> None:
    page.evaluate(
        """(link) => {
            const carried = new DataTransfer();
            carried.setData("text/uri-list", link);
            const how = { bubbles: true, cancelable: true, dataTransfer: carried };
            document.body.dispatchEvent(new DragEvent("drop", how));
        }""",
        link,
    )


def test_pictures_are_shown_saved_and_searched_with(page: Page, site: str) -> None:
    page.click("#grid .tile[data-place='0'] .open")
    wait_until(page, SHOWN.format("#large"))
    original = page.evaluate("document.getElementById('original').href")
    assert original.startswith(f"{site}/images/")
    with page.expect_download() as saved:
        page.click("#lightbox-download")
    assert Path(saved.value.path()).read_bytes() == httpx.get(original).content
    page.keyboard.press("Escape")
    page.focus("#grid .tile[data-place='0'] .open")
    page.keyboard.press("x")
    with page.expect_download() as saved:
        page.click("#download-list")
    (row,) = csv.DictReader(io.StringIO(Path(saved.value.path()).read_text("utf8")))
    assert row["link"] == original
    page.click("#select-done")
    drop_link(page, original)
    wait_until(page, f"location.search.includes('like={row['id']}')")


def test_a_search_is_saved_and_its_link_opens_it(browser: Any, writable_service: Service) -> None:
    with behind_a_proxy(writable_service.url) as site, new_page(browser, site) as page:
        search(page, site)
        page.click("#to-saved")
        page.fill("#save-name", "two of them")
        page.press("#save-name", "Enter")
        link = page.wait_for_selector("#saved-searches >> text='two of them'").evaluate("(one) => one.href")
        assert link == page.url
        saved = {search["name"]: search for search in httpx.get(f"{site}/searches").json()["searches"]}
        assert saved["two of them"]["address"] == "/?q=two+hearts"  # at any address of the service
        page.goto(f"{site}/")
        page.click("#to-saved")
        page.click("#saved-searches >> text='two of them'")
        wait_until(page, "document.getElementById('summary').textContent.endsWith('for “two hearts”')")
        assert page.url == link


def test_the_pages_lead_to_each_other(page: Page, site: str) -> None:
    for name, said in (
        ("map", "coloured by their score"), ("duplicates", "more than needed"), ("playground", "No experiments yet")
    ):  # fmt: skip
        page.click(f"#to-{name}")
        assert page.url.partition("?")[0] == f"{site}/{name}.html"
        page.wait_for_selector(f"text={said}")
        page.go_back()
        page.click("#home")
        wait_until(page, "location.search === ''")
        assert page.url == f"{site}/"


def test_the_reference_sends_requests(page: Page, site: str) -> None:
    page.goto(f"{site}/docs")
    page.click("text=/collections >> nth=0")
    page.click("text=Try it out")
    page.click("text=Execute")
    page.wait_for_selector(".request-url")
    assert f"{site}/collections" in page.inner_text(".request-url")
    page.wait_for_selector("text=/200 *Response body/")


def test_clients_get_and_may_send_urls_of_pictures(site: str) -> None:
    asked = {"data": ["two hearts"], "top_k": 1}
    url = httpx.post(f"{site}/search", json=asked, timeout=60).json()["search"]["docs"][0]["matches"][0]["uri"]
    assert url.startswith(f"{site}/images/")
    found = httpx.post(f"{site}/search", json={"image": url, "target": "image", "top_k": 1}, timeout=60).json()
    assert site + found["results"][0]["image"] == url
    with Client(site) as client:
        assert client.status().images == 200
