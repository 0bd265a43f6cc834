"""The map in a real browser: the toy data's own through the real service, and made-up ones of other sizes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from browsing import Page, axe_violations, new_page, wait_until
from conftest import Service

SHARE = 0.92  # of the canvas that the whole map takes
NEAR_PX = 12


@pytest.fixture
def page(browser: Any, toy_map: None, query_service: Service) -> Iterator[Page]:
    with new_page(browser, query_service.url) as made:
        yield made


@pytest.fixture
def toy(toy_map: None, query_service: Service) -> dict[str, Any]:
    told: dict[str, Any] = httpx.get(query_service.url + "/map", timeout=30).raise_for_status().json()
    return told


def made_up(n: int, **more: Any) -> dict[str, Any]:
    dice = random.Random(0)
    told = {
        "collection": "made-up", "method": "umap", "outdated": False, "n": n,
        "ids": [f"{number:040x}" for number in range(n)], "filenames": [f"{number}.jpg" for number in range(n)],
        "x": [round(dice.uniform(-1, 1), 4) for _ in range(n)], "y": [round(dice.uniform(-1, 1), 4) for _ in range(n)],
        "groups": {},
    }  # fmt: skip
    return told | more


def show(page: Page, told: dict[str, Any] | None = None, query: str = "") -> None:
    """Opens the map, of the toy data or a made-up one."""
    if told is not None:
        page.route("**/map", lambda route: route.fulfill(json=told))
        page.route("**/thumbnails/*", lambda route: route.fulfill(path="web/icon.svg"))
    page.goto("/map.html" + query)
    wait_until(page, "document.getElementById('map').dataset.drawn > 0")


def summary(page: Page) -> str:
    return str(page.inner_text("#summary"))


def place(page: Page, told: dict[str, Any], n: int) -> tuple[float, float]:
    """Where a point is on the screen, before anybody has moved the map."""
    box = page.locator("#map").bounding_box()
    scale = SHARE * min(box["width"] - 2, box["height"] - 2) / 2
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    return middle[0] + told["x"][n] * scale, middle[1] - told["y"][n] * scale


def lone(told: dict[str, Any]) -> int:
    """A point that has no other near it."""

    def gap(n: int) -> float:
        return min(
            (told["x"][n] - told["x"][m]) ** 2 + (told["y"][n] - told["y"][m]) ** 2 for m in range(told["n"]) if m != n
        )

    inner = [n for n in range(told["n"]) if abs(told["x"][n]) < 0.6 and abs(told["y"][n]) < 0.6]
    return max(inner, key=gap)


def hovered(page: Page) -> str | None:
    return str(page.inner_text("#card-name")) if page.locator("#card").is_visible() else None


def test_the_map_of_the_collection(page: Page, toy: dict[str, Any]) -> None:
    show(page)
    assert toy["n"] == len(set(toy["ids"])) == 200
    assert "200 pictures, laid out by UMAP" in summary(page)
    assert page.inner_text("#about") == "Map of toy-data"
    assert page.locator("#outdated").is_hidden()
    assert page.get_attribute("#map", "aria-label") == "Map of 200 pictures"


def test_hovering_shows_the_picture_and_a_click_finds_similar_ones(page: Page, toy: dict[str, Any]) -> None:
    show(page)
    n = lone(toy)
    page.mouse.move(*place(page, toy, n))
    assert hovered(page) == toy["filenames"][n]
    wait_until(page, "document.getElementById('card-picture').naturalWidth > 0")
    page.mouse.click(*place(page, toy, n))
    page.wait_for_selector("#grid .open")
    assert page.url.endswith(f"/?like={toy['ids'][n]}")
    assert page.get_attribute("#grid .open >> nth=0", "aria-label").startswith(toy["filenames"][n] + ",")


def test_what_is_moved_and_zoomed_stays_under_the_pointer(page: Page, toy: dict[str, Any]) -> None:
    show(page)
    n = lone(toy)
    x, y = place(page, toy, n)
    page.mouse.move(x, y)
    page.mouse.wheel(0, -400)
    wait_until(page, "document.getElementById('card').hidden")
    page.mouse.move(x + 1, y)
    assert hovered(page) == toy["filenames"][n]
    page.mouse.down()
    page.mouse.move(x + 60, y + 30, steps=4)
    page.mouse.up()
    page.mouse.move(x + 61, y + 30)
    assert hovered(page) == toy["filenames"][n]
    assert "/map.html" in page.url, "a drag is no click"
    page.click("#whole")
    page.mouse.move(x, y)
    assert hovered(page) == toy["filenames"][n]


def test_colours_by_a_search(page: Page, toy: dict[str, Any], query_service: Service) -> None:
    asked = httpx.post(query_service.url + "/search", json={"text": "two hearts", "top_k": 3}, timeout=30).json()
    best = [result["filename"] for result in asked["results"]]
    show(page)
    page.fill("#words", "two hearts")
    page.press("#words", "Enter")
    wait_until(page, "document.getElementById('summary')?.textContent.includes('Best')")
    assert summary(page) == f"200 pictures are coloured by their score. Best: {', '.join(best)}"
    assert page.url.endswith("/map.html?q=two+hearts")
    assert page.input_value("#colour") == "a search"
    scores = [result["score"] for result in asked["results"]]
    assert f"{max(scores):.3f}" in page.inner_text("#legend")
    page.reload()
    wait_until(page, "document.getElementById('summary')?.textContent.includes('Best')")
    n = toy["filenames"].index(best[0])
    page.mouse.move(*place(page, toy, n))
    page.select_option("#colour", "")
    assert page.locator("#legend").is_hidden()


def test_the_page_leads_to_the_map_of_its_search(page: Page) -> None:
    page.goto("/?q=two+hearts")
    page.wait_for_selector("#grid .open")
    page.click("#to-map")
    wait_until(page, "document.getElementById('summary')?.textContent.includes('Best')")
    assert page.url.endswith("/map.html?q=two+hearts")


def test_colours_by_a_class(page: Page) -> None:
    values = [f"class {number}" for number in range(12)]
    groups = {"folder": {"values": values, "of": [number % 13 - 1 for number in range(26)]}}
    show(page, made_up(26, groups=groups))
    assert page.input_value("#colour") == "folder"
    legend = page.locator("#legend > span").all_inner_texts()
    assert legend == [*(f"class {number} (2)" for number in range(10)), "others (6)"]
    colours = page.eval_on_selector_all("#legend i", "all => all.map((one) => getComputedStyle(one).color)")
    assert len(set(colours)) == 11


def test_the_lasso_selects_and_lists(page: Page, toy: dict[str, Any]) -> None:
    show(page)
    box = page.locator("#map").bounding_box()
    left, top, right, bottom = (
        box["x"] + 4, box["y"] + 4, box["x"] + box["width"] - 4, box["y"] + box["height"] - 4,
    )  # fmt: skip
    page.click("#lasso")
    page.mouse.move(left, top)
    page.mouse.down()
    middle = box["x"] + box["width"] / 2
    for x, y in [(middle, top), (middle, bottom), (left, bottom), (left, top)]:
        page.mouse.move(x, y, steps=5)
    page.mouse.up()
    wanted = sorted(name for name, x in zip(toy["filenames"], toy["x"], strict=True) if x < 0)
    assert page.inner_text("#selected-title") == f"Selected: {len(wanted)} pictures"
    while page.locator("#more").is_visible():
        page.click("#more")
    links = page.eval_on_selector_all("#grid a", "all => all.map((one) => one.getAttribute('aria-label'))")
    assert sorted(link.removeprefix("Similar to ") for link in links) == wanted
    page.locator("#grid img").first.scroll_into_view_if_needed()
    wait_until(page, "document.querySelector('#grid img').naturalWidth > 0")
    page.click("#none")
    assert page.locator("#selected").is_hidden()
    page.click("#lasso")  # off again: Shift does it as well
    page.keyboard.down("Shift")
    page.mouse.move(right, top)
    page.mouse.down()
    for x, y in [(middle, top), (middle, bottom), (right, bottom)]:
        page.mouse.move(x, y, steps=5)
    page.mouse.up()
    assert page.inner_text("#selected-title") == f"Selected: {200 - len(wanted)} pictures"


def test_the_map_by_keys(page: Page, toy: dict[str, Any]) -> None:
    show(page)
    page.focus("#map")
    page.keyboard.press("ArrowRight")
    first = summary(page)
    page.keyboard.press("ArrowRight")
    second = summary(page)
    names = toy["filenames"]
    assert first in names
    assert second in names
    assert toy["x"][names.index(second)] > toy["x"][names.index(first)]
    page.keyboard.press(" ")
    assert page.inner_text("#selected-title") == "Selected: 1 picture"
    page.keyboard.press("+")
    page.keyboard.press("0")
    page.keyboard.press("Escape")
    assert page.locator("#selected").is_hidden()
    page.click("#in-view")
    assert page.inner_text("#selected-title") == "Selected: 200 pictures"
    assert page.evaluate("document.activeElement.id") == "selected-title"
    page.focus("#map")
    page.keyboard.press("Enter")
    page.wait_for_selector("#grid .open")
    assert page.url.endswith(f"/?like={toy['ids'][names.index(second)]}")


def test_twenty_thousand_points(page: Page) -> None:
    told = made_up(20_000)
    show(page, told)
    assert "20,000 pictures" in summary(page)
    dice = random.Random(1)
    for _ in range(20):
        n = dice.randrange(told["n"])
        x, y = place(page, told, n)
        page.mouse.move(x, y)
        near = [m for m in range(told["n"]) if _distance(told, n, m) < 0.02]
        assert hovered(page) in {told["filenames"][m] for m in near}
    page.mouse.wheel(0, -300)
    drawn = int(page.get_attribute("#map", "data-drawn"))
    page.keyboard.down("Shift")
    page.keyboard.up("Shift")
    page.click("#closer")
    wait_until(page, f"document.getElementById('map').dataset.drawn > {drawn}")


def _distance(told: dict[str, Any], n: int, m: int) -> float:
    return float(((told["x"][n] - told["x"][m]) ** 2 + (told["y"][n] - told["y"][m]) ** 2) ** 0.5)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_few_points(page: Page, n: int) -> None:
    told = made_up(n, method="pca")
    show(page, told)
    for number in range(n):
        page.mouse.move(*place(page, told, number))
        assert hovered(page) == f"{number}.jpg"
    page.focus("#map")
    page.keyboard.press("ArrowLeft")
    assert summary(page).endswith(".jpg")


def test_a_key_that_is_needed_later(page: Page) -> None:
    page.seen.may_fail_to_load = True
    show(page)
    page.route("**/search", lambda route: route.fulfill(status=401, json={"detail": "this service requires a key"}))
    page.fill("#words", "two hearts")
    page.press("#words", "Enter")
    page.wait_for_selector("#keys", state="visible")
    page.unroute("**/search")
    page.fill("#key", "cm_key")
    page.press("#key", "Enter")
    wait_until(page, "document.getElementById('summary').textContent.includes('coloured by their score')")
    page.click("#lasso")
    assert page.get_attribute("#lasso", "aria-pressed") == "true"


def test_no_pictures(page: Page) -> None:
    show(page, made_up(0, method="pca"))
    assert summary(page) == "The collection has no pictures yet."
    page.focus("#map")
    page.keyboard.press("ArrowLeft")
    page.click("#in-view")
    assert page.locator("#selected").is_hidden()


def test_without_a_map_it_says_what_to_run(page: Page) -> None:
    page.seen.may_fail_to_load = True
    detail = "there is no map of toy-data: make one with the command `map`"
    page.route("**/map", lambda route: route.fulfill(status=404, json={"detail": detail}))
    page.goto("/map.html")
    page.wait_for_selector("#none-yet")
    assert "crossmodal map or python app.py -t map" in page.inner_text("#none-yet")
    for part in ("#fault", "#plane", "#search", "#map-keys"):
        assert page.is_hidden(part)
    page.unroute("**/map")
    page.route("**/map", lambda route: route.fulfill(status=404, json={"detail": "map.npz is damaged"}))
    page.click("#look-again")
    page.wait_for_selector("#fault:has-text('map.npz is damaged')")
    page.unroute("**/map")
    page.route("**/map", lambda route: route.fulfill(json=made_up(5)))
    page.click("#retry")
    page.wait_for_selector("#plane")
    assert page.is_hidden("#none-yet")
    assert page.is_visible("#search")


def test_an_older_map_says_so(page: Page) -> None:
    show(page, made_up(5, outdated=True))
    assert "has changed since" in page.inner_text("#outdated")


def test_names_are_text_and_never_markup(page: Page) -> None:
    evil = "<img src=x onerror=\"window.broken='yes'\">"
    groups = {evil: {"values": [evil, "b"], "of": [0, 1, 1]}}
    told = made_up(3, filenames=[evil] * 3, groups=groups)
    show(page, told)
    page.mouse.move(*place(page, told, 0))
    assert hovered(page) == evil
    assert page.inner_text("#legend").startswith(evil)
    page.click("#in-view")
    assert page.locator("#grid img").count() == 3
    assert page.evaluate("window.broken") is None


def test_a_narrow_screen(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    show(page, query="?q=two+hearts")
    wait_until(page, "document.getElementById('summary')?.textContent.includes('Best')")
    page.click("#in-view")
    assert page.evaluate("document.documentElement.scrollWidth <= 360")


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_no_serious_violation(page: Page, axe: str, toy: dict[str, Any], colours: str) -> None:
    page.emulate_media(color_scheme=colours)
    show(page, query="?q=two+hearts")
    wait_until(page, "document.getElementById('summary')?.textContent.includes('Best')")
    page.click("#in-view")
    page.mouse.move(*place(page, toy, lone(toy)))
    assert axe_violations(page, axe) == []
