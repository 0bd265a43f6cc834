"""The page of duplicates in a real browser: the toy data's through the real service, and made-up groups."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from browsing import Page, axe_violations, new_page, wait_until
from conftest import Service

READY = "document.getElementById('groups')?.ariaBusy === 'false'"


@pytest.fixture
def page(browser: Any, query_service: Service) -> Iterator[Page]:
    with new_page(browser, query_service.url) as made:
        yield made


def picture(n: int, name: str, *, keep: bool = False, **more: Any) -> dict[str, Any]:
    told = {
        "id": f"{n:040x}", "keep": keep, "path": f"holiday/{name}", "copies": 1, "width": 4000, "height": 3000,
        "bytes": 2_345_678, "modified": "2023-07-01T10:00:00Z", "taken": None, "differences": [],
    }  # fmt: skip
    return told | more


def made_up(n: int = 60) -> list[dict[str, Any]]:
    return [
        {
            "reason": "largest",
            "pictures": [
                picture(3 * k, f"{k}.jpg", keep=True, taken="2023-06-30T18:30:00"),
                picture(
                    3 * k + 1, f"{k} (1).jpg", width=400, height=300, differences=["1 % of the pixels", "mirrored"]
                ),
                picture(3 * k + 2, f"{k}-edited.jpg", copies=2, bytes=None, modified=None),
            ],
        }
        for k in range(n)
    ]


def show(page: Page, groups: list[dict[str, Any]], *, fragment: str = "", computing: int = 0, **more: Any) -> None:
    """Opens the page with these groups, after some answers that they are being computed."""
    left = computing

    def answer(route: Any) -> None:
        nonlocal left
        query = {name: int(values[0]) for name, values in parse_qs(urlsplit(route.request.url).query).items()}
        told = {"state": "ready", "progress": 1.0, "outdated": False, "level": query["level"], "n": len(groups),
                "extra": 2 * len(groups), "offset": query["offset"]}  # fmt: skip
        if left:
            left -= 1
            route.fulfill(status=202, json={**told, "state": "computing", "progress": 0.4, "groups": []})
        else:
            chosen = groups[query["offset"] : query["offset"] + query["limit"]]
            route.fulfill(json={**told, "groups": chosen, **more})

    page.route("**/duplicates?*", answer)
    page.route("**/thumbnails/*", lambda route: route.fulfill(path="web/icon.svg"))
    page.goto(f"/duplicates.html{fragment}")
    if not computing:
        wait_until(page, READY)


def selected(page: Page) -> int:
    return int(page.locator("#groups input:checked").count())


def test_the_duplicates_of_the_collection(page: Page) -> None:
    page.goto("/")
    page.click("#to-duplicates")
    wait_until(page, READY)
    assert re.search("more than needed|No picture is a copy", page.inner_text("#summary"))
    page.check("text=Same bytes")
    wait_until(page, READY)
    assert page.inner_text("#summary") == "No two files have the same bytes."
    assert page.locator("#actions").is_hidden()
    assert page.url.endswith("#1")


def test_groups_say_which_one_to_keep_and_how_the_others_differ(page: Page) -> None:
    show(page, made_up(2))
    assert page.inner_text("#summary") == "2 groups with 4 pictures more than needed."
    first = page.locator(".group").first
    assert "keep: largest" in first.inner_text()
    cards = first.locator(".picture").all_inner_texts()
    assert "Keep" in cards[0]
    assert "holiday/0.jpg" in cards[0]
    assert "4000 × 3000, 2.3 MB" in cards[0]
    assert "taken 2023-06-30 18:30" in cards[0]
    assert "1 % of the pixels, mirrored" in cards[1]
    assert "file of 2023-07-01 10:00" in cards[1]
    assert "2 files with the same bytes" in cards[2]
    wait_until(page, "document.querySelector('.picture img')?.naturalWidth > 0")
    assert page.locator(".picture.keep").count() == 2


def test_selecting_and_taking_the_list(page: Page, tmp_path: Path) -> None:
    show(page, made_up())
    assert page.locator(".group").count() == 50
    assert page.locator("#csv").is_disabled()
    page.click("#select-all")
    wait_until(page, "document.querySelectorAll('.group').length === 60")
    assert page.inner_text("#selected") == "120 selected"
    assert page.locator(".keep input:checked").count() == 0
    page.locator(".group >> nth=0 >> input >> nth=1").uncheck()
    assert page.inner_text("#selected") == "119 selected"
    for button, name in (("#csv", "duplicates.csv"), ("#json", "duplicates.json")):
        with page.expect_download() as download:
            page.click(button)
        assert download.value.suggested_filename == name
        download.value.save_as(tmp_path / name)
    rows = list(csv.DictReader((tmp_path / "duplicates.csv").read_text("utf8").splitlines()))
    told = json.loads((tmp_path / "duplicates.json").read_text())
    assert len(rows) == len(told) == 119
    assert (rows[0]["path"], rows[0]["bytes"], told[0]["bytes"]) == ("holiday/0-edited.jpg", "", None)
    assert told[1]["link"].endswith(f"/images/{4:040x}")
    page.click("#select-none")
    assert selected(page) == 0
    assert page.locator("#json").is_disabled()


def test_by_keys(page: Page) -> None:
    show(page, made_up(3))
    page.keyboard.press("n")
    page.keyboard.press("n")
    page.keyboard.press("x")
    assert selected(page) == 2
    assert page.locator(".group >> nth=1 >> input:checked").count() == 2
    page.keyboard.press("p")
    page.keyboard.press("x")
    assert selected(page) == 4
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "BUTTON"
    page.keyboard.press("Tab")
    page.keyboard.press(" ")
    assert selected(page) == 5


def test_more_groups(page: Page) -> None:
    show(page, made_up())
    page.click("#more")
    wait_until(page, "document.querySelectorAll('.group').length === 60")
    assert page.locator("#more").is_hidden()


def test_it_waits_for_the_computation(page: Page) -> None:
    show(page, made_up(1), computing=2)
    wait_until(page, "document.getElementById('summary').textContent.includes('40%')")
    assert page.evaluate("document.getElementById('progress').value") == pytest.approx(0.4)
    wait_until(page, "document.querySelectorAll('.group').length === 1")
    assert page.locator("#progress").is_hidden()


def test_an_older_state_says_so(page: Page) -> None:
    show(page, made_up(1), outdated=True)
    assert page.locator("#outdated").is_visible()
    page.click("#again")
    wait_until(page, "document.querySelectorAll('.group').length === 1")


def test_a_level_in_the_address(page: Page) -> None:
    show(page, made_up(1), fragment="#1")
    assert page.is_checked("[name=level][value='1']")
    assert page.inner_text("#summary") == "1 group with 2 files more than needed."


def test_a_failure_is_told(page: Page) -> None:
    page.seen.may_fail_to_load = True
    page.route("**/duplicates?*", lambda route: route.fulfill(status=503, json={"detail": "the store is gone"}))
    page.goto("/duplicates.html")
    page.wait_for_selector("#fault")
    assert "the store is gone" in page.inner_text("#fault")
    page.unroute("**/duplicates?*")
    page.click("#retry")
    wait_until(page, f"document.getElementById('fault').hidden && {READY}")


def test_a_service_with_keys_asks_for_one(page: Page) -> None:
    page.seen.may_fail_to_load = True
    page.route("**/duplicates?*", lambda route: route.fulfill(status=401, json={"detail": "a key is required"}))
    page.goto("/duplicates.html")
    page.wait_for_selector("#keys")
    page.unroute("**/duplicates?*")
    page.fill("#key", "cm_a_b")
    page.press("#key", "Enter")
    wait_until(page, READY)
    assert page.locator("#keys").is_hidden()


def test_names_are_text_and_never_markup(page: Page) -> None:
    evil = "<img src=x onerror=\"window.broken='yes'\">"
    show(page, [{"reason": evil, "pictures": [picture(0, evil, keep=True), picture(1, evil, differences=[evil])]}])
    assert evil in page.inner_text(".group")
    assert page.evaluate("window.broken") is None


def test_a_narrow_screen(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    show(page, made_up(3))
    page.click("#select-all")
    assert page.evaluate("document.documentElement.scrollWidth <= 360")
    assert selected(page) == 6
    page.goto("/")
    page.wait_for_selector("#grid .open")
    assert page.evaluate("document.documentElement.scrollWidth <= 360"), "the link fits into the header"


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_no_serious_violation(page: Page, axe: str, colours: str) -> None:
    page.emulate_media(color_scheme=colours)
    show(page, made_up(2))
    page.click("#select-all")
    assert axe_violations(page, axe) == []
