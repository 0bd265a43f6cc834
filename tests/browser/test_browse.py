"""Browsing a dated collection in a real browser: the grid, its timeline, filters, selecting, and everyday tasks."""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from browsing import DESK, Page, axe_violations, new_page, wait_until
from conftest import ROOT, Service, started
from tasks import TASKS, Task, User, dated_tags

from crossmodal.collection.collection import Collection

SHAPES = ((3000, 2000), (2000, 3000), (4000, 3000), (1000, 1000), (1600, 900))
THUMBNAIL = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='8' height='8'/%3E"
FOCUSED = "document.activeElement.closest('.tile')?.dataset.place"

TOP = """[...document.querySelectorAll('.tile')].find((tile) => tile.getBoundingClientRect().top > 160).dataset.place"""
"""The place of the first picture in the window."""


@pytest.fixture(scope="module")
def dated(toy_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service over toy data with dates, places, cameras, folders and labels."""
    workspace = tmp_path_factory.mktemp("dated") / "workspace"
    shutil.copytree(toy_workspace, workspace)
    with Collection.open(workspace / "toy-data").store(writable=True) as store:
        pictures = [item.document.id for _, item in store.everything(0, 2_000) if item.document.modality == "image"]
        labels = [{"labels": ["outdoors", "beach"] if i % 4 == 0 else ["outdoors"]} for i in range(len(pictures))]
        store.update((one, dated_tags(i, len(pictures)) | labels[i]) for i, one in enumerate(pictures))
    with started("query_restful", workspace) as service:
        yield service


@pytest.fixture
def page(browser: Any, dated: Service) -> Iterator[Page]:
    """The page, opened."""
    with new_page(browser, dated.url, **DESK) as page:
        page.goto("/")
        drawn(page)
        yield page


@pytest.fixture
def phone(browser: Any, dated: Service) -> Iterator[Page]:
    """The page on a phone."""
    phone = {"viewport": {"width": 390, "height": 780}, "is_mobile": True, "has_touch": True}
    with new_page(browser, dated.url, **phone) as page:
        page.goto("/")
        drawn(page)
        yield page


def drawn(page: Page) -> None:
    """Waits until what was asked for is in the window."""
    User(page).sees("!/^(Loading|Searching)/.test(document.getElementById('summary').textContent)")


def places(page: Page) -> list[int]:
    return sorted(int(place) for place in page.eval_on_selector_all(".tile", "all => all.map(t => t.dataset.place)"))


def chips(page: Page) -> list[str]:
    return list(page.locator("#chips li").all_inner_texts())


def made_up(page: Page, n: int, shapes: tuple[tuple[int, int], ...] = SHAPES) -> None:
    """Makes the service tell of n pictures of some shapes, in months of a thousand."""

    def pictures(route: Any) -> None:
        query = httpx.QueryParams(route.request.url.partition("?")[2])
        offset, limit = int(query["offset"]), int(query["limit"])
        told = [
            {
                "id": f"{i:040x}", "width": shapes[i % len(shapes)][0], "height": shapes[i % len(shapes)][1],
                "taken": f"{2023 - i // 12_000}-{12 - i // 1_000 % 12:02}-{28 - i % 1_000 // 40:02}T09:00:00",
                "folder": "", "filename": f"{i}.jpg", "thumbnail": THUMBNAIL,
            }
            for i in range(offset, min(n, offset + limit))
        ]  # fmt: skip
        route.fulfill(json={"n": n, "offset": offset, "pictures": told})

    months = [(f"{2023 - i // 12}-{12 - i % 12:02}", min(1_000, n - 1_000 * i)) for i in range(-(-n // 1_000))]
    sections = [{"key": key, "title": f"Month {key}", "n": number} for key, number in months]
    page.route("**/browse/sections**", lambda route: route.fulfill(json={"n": n, "sections": sections}))
    page.route("**/browse/pictures**", pictures)


def told_tasks() -> dict[str, int]:
    """The tasks of docs/page.md with their steps here."""
    rows = re.findall(r"^\| \d+ \| (.+?) \| (\d+) \|", (ROOT / "docs" / "page.md").read_text("utf8"), re.MULTILINE)
    return {name: int(steps) for name, steps in rows}


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_an_everyday_task_takes_as_many_steps_as_the_documentation_tells(page: Page, task: Task) -> None:
    page.wait_for_selector("#facets button")
    user = User(page)
    task.do(user)
    assert told_tasks()[task.name] == user.steps


def test_the_documentation_lists_the_tasks() -> None:
    assert list(told_tasks()) == [task.name for task in TASKS]


def test_the_page_opens_on_the_newest_pictures(page: Page, dated: Service) -> None:
    newest = httpx.get(f"{dated.url}/browse/pictures", params={"order": "newest", "limit": 5}).json()["pictures"]
    shown = page.eval_on_selector_all(".tile", "all => all.map((tile) => tile.dataset.id)")
    assert shown[:5] == [picture["id"] for picture in newest]
    assert page.inner_text("#grid h2 >> nth=0").split("\n") == ["2023", "9"]
    assert page.inner_text("#grid .day >> nth=0") == "Fri 24 Nov"
    assert page.inner_text("#summary") == "200 pictures"
    assert page.get_attribute(".tile .open >> nth=0", "aria-label").endswith(", 24 November 2023")


def test_without_dates_it_opens_by_folder(browser: Any, query_service: Service) -> None:
    with new_page(browser, query_service.url, **DESK) as page:
        page.goto("/")
        drawn(page)
        assert page.input_value("#order") == "folder"
        assert page.locator("#order option").all_inner_texts() == ["By folder"]
        assert page.locator(".tile").count() > 20


def test_rows_are_full_and_pictures_keep_their_shapes(page: Page) -> None:
    made_up(page, 500)
    page.reload()
    drawn(page)
    boxes = page.eval_on_selector_all(
        ".tile .open", "all => all.map((o) => o.getBoundingClientRect()).map((b) => [b.top, b.left, b.width, b.height])"
    )
    for (_, _, width, height), place in zip(boxes, places(page), strict=True):
        shape = SHAPES[place % len(SHAPES)]
        assert abs(width / height - shape[0] / shape[1]) < 0.04
    rows: dict[float, list[list[float]]] = {}
    for box in boxes:
        rows.setdefault(box[0], []).append(box)
    ends = {row[-1][1] + row[-1][2] for row in rows.values()}
    assert len(rows) > 5
    assert max(ends) - min(ends) <= 1
    assert all(a[1] + a[2] < b[1] for row in rows.values() for a, b in pairwise(row))


def test_a_hundred_thousand_pictures_are_scrolled_through_with_few_elements(page: Page) -> None:
    made_up(page, 100_000)
    page.reload()
    drawn(page)
    for share in (0.2, 0.5, 0.9):
        page.evaluate("(share) => scrollTo(0, share * document.documentElement.scrollHeight)", share)
        near = f"({{ dataset }}) => Math.abs(dataset.place / 100_000 - {share}) < 0.03"
        tiles = "[...document.querySelectorAll('.tile')]"  # none for a moment while the window jumps
        wait_until(page, f"{tiles}.some({near})")
        drawn(page)
        wait_until(page, f"{tiles}.filter({near}).length > {tiles}.length / 2")
        assert page.locator(".tile").count() < 400
    page.focus(".tile .open >> nth=0")
    page.keyboard.press("End")
    wait_until(page, f"{FOCUSED} === '99999'")
    page.keyboard.press("ArrowUp")
    wait_until(page, f"Number({FOCUSED}) < 99999")
    page.keyboard.press("Home")
    wait_until(page, f"{FOCUSED} === '0'")
    assert page.get_attribute("[data-place='0']", "aria-setsize") == "100000"


def test_what_is_above_does_not_move_the_window_when_it_is_loaded(page: Page) -> None:
    made_up(page, 20_000, ((3000, 1000), (1000, 2000)))
    page.reload()
    drawn(page)
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight / 2)")
    drawn(page)
    before = page.evaluate(TOP)
    page.mouse.move(600, 500)
    for by in (-300, 300):
        scrolled = page.evaluate("scrollY")
        page.mouse.wheel(0, by)
        wait_until(page, f"scrollY !== {scrolled}")
        drawn(page)
    assert abs(int(page.evaluate(TOP)) - int(before)) <= 2


def test_the_order(page: Page) -> None:
    page.select_option("#order", "oldest")
    drawn(page)
    assert page.url.endswith("/?order=oldest")
    assert page.inner_text("#grid h2 >> nth=0").startswith("2004")
    page.select_option("#order", "folder")
    drawn(page)
    assert page.inner_text("#grid h2 >> nth=0").startswith("2004/0")
    page.click("#grid h2 button >> nth=1")
    drawn(page)
    assert chips(page) == ["Folder: 2004/1"]
    assert page.inner_text("#summary") == "2 pictures"
    page.go_back()
    page.go_back()
    wait_until(page, "document.getElementById('order').value === 'oldest'")


def test_a_label_is_a_filter(page: Page, dated: Service) -> None:
    labels = httpx.get(f"{dated.url}/browse/facets").json()["facets"]["label"]
    (n,) = [one["n"] for one in labels if one["value"] == "beach"]
    page.click("#facets button:has-text('beach')")
    drawn(page)
    assert chips(page) == ["Label: beach"]
    assert int(page.inner_text("#summary").split()[0]) == n


def test_the_focus_goes_on_when_a_filter_is_chosen_or_removed(page: Page) -> None:
    page.focus("#facets button:has-text('2019')")
    page.keyboard.press("Enter")
    page.wait_for_selector("#facets summary:has-text('Year')", state="detached")
    wait_until(page, "document.activeElement === document.querySelector('#facets button')")
    page.focus("#chips button")
    page.keyboard.press("Enter")
    wait_until(page, f"{FOCUSED} === '0'")
    page.focus("#undo-it")
    page.keyboard.press("Enter")
    drawn(page)
    assert chips(page) == ["Date: 2019"]
    wait_until(page, f"{FOCUSED} === '0'")


def test_filters_add_up_and_are_removed_one_by_one(page: Page) -> None:
    page.click("#facets button:has-text('2019')")
    drawn(page)
    page.click("#facets button:has-text('Norway')")
    drawn(page)
    page.click("#facets button:has-text('Pixel 7')")
    drawn(page)
    assert chips(page) == ["Date: 2019", "Camera: Pixel 7", "Country: Norway"]
    few = int(page.inner_text("#summary").split()[0])
    assert 0 < few < 5
    page.fill("#words", "two hearts")
    page.press("#words", "Enter")
    drawn(page)
    assert page.locator(".tile").count() == few, "filters hold for a search"
    page.click("[aria-label='Remove Country: Norway']")
    drawn(page)
    assert chips(page) == ["Date: 2019", "Camera: Pixel 7"]
    page.click("#undo-it")
    drawn(page)
    assert chips(page) == ["Date: 2019", "Camera: Pixel 7", "Country: Norway"]
    page.reload()
    drawn(page)
    assert chips(page) == ["Date: 2019", "Camera: Pixel 7", "Country: Norway"]


def test_clearing_a_search_can_be_undone(page: Page) -> None:
    page.fill("#words", "two hearts")
    page.press("#words", "Enter")
    drawn(page)
    page.fill("#words", "")
    page.eval_on_selector("#words", "field => field.dispatchEvent(new Event('search'))")
    drawn(page)
    assert page.inner_text("#summary") == "200 pictures"
    page.click("#undo-it")
    drawn(page)
    assert page.input_value("#words") == "two hearts"


def test_a_date_and_a_place_that_were_read_from_the_words_are_chips(page: Page) -> None:
    page.fill("#words", "hearts in Oslo 2019")
    page.press("#words", "Enter")
    wait_until(page, "document.querySelectorAll('#chips .read').length === 2")
    drawn(page)
    assert chips(page) == ["Place: Oslo, Norway", "Date: 2019"]
    found = page.locator(".tile").count()
    assert 0 < found < 5
    page.click("[aria-label='Remove Place: Oslo, Norway']")
    drawn(page)
    assert chips(page) == ["Date: 2019"], "what was read besides stays"
    assert "after=2019-01-01&before=2020-01-01" in page.url
    assert page.locator(".tile").count() > found
    page.click("#undo-it")
    wait_until(page, "document.querySelectorAll('#chips .read').length === 2")
    page.click("[aria-label='Remove Date: 2019']")
    drawn(page)
    assert chips(page) == ["Near Oslo, Norway, within 20 km"]
    assert page.get_attribute(".tile >> nth=0", "aria-setsize") == "50"
    page.fill("#words", "hearts 2019")
    page.press("#words", "Enter")
    wait_until(page, "document.querySelectorAll('#chips .read').length === 1")


def test_a_time_alone_lists_its_pictures(page: Page) -> None:
    page.fill("#words", "summer 2019")
    page.press("#words", "Enter")
    drawn(page)
    assert chips(page) == ["Date: June 2019 to August 2019"]
    assert re.fullmatch(r"[23] pictures for “summer 2019”", page.inner_text("#summary"))
    assert page.inner_text("#grid h2").split("\n")[0] == "2019"


def test_a_line_is_drawn_where_fitting_ends(page: Page) -> None:
    def judge(route: Any) -> None:
        told = route.fetch().json()
        for place, result in enumerate(told["results"], told["query"]["offset"]):
            result["relevance"] = 0.9 if place < 3 else 0.6 if place < 7 else 0.3 if place < 20 else 0.1
        route.fulfill(json={**told, "fits": True})

    page.route("**/search", judge)
    page.fill("#words", "two hearts")
    page.press("#words", "Enter")
    drawn(page)
    assert page.inner_text("#summary") == "7 fit for “two hearts”"
    assert re.sub(r"\s+", " ", page.inner_text("#grid h2")) == "Less likely below the threshold of 50%"
    line = page.locator("#grid h2").bounding_box()["y"]
    heights = page.eval_on_selector_all(".tile", "all => all.map((tile) => tile.getBoundingClientRect().top)")
    assert [height < line for height in heights[:20]] == [True] * 7 + [False] * 13
    words = page.eval_on_selector_all(".tile .mark", "all => all.map((mark) => mark.textContent)")
    assert [words[0], words[4], words[10], words[30]] == ["Fits well", "Fits", "May fit", "Unlikely"]


def test_what_fits_stays_before_the_line_when_more_is_loaded(page: Page) -> None:
    def judge(route: Any) -> None:
        told = route.fetch().json()
        for place, result in enumerate(told["results"], told["query"]["offset"]):
            result["relevance"] = 0.7 if place in (0, 5, 130) else 0.2
        route.fulfill(json={**told, "fits": True})

    page.route("**/search", judge)
    page.fill("#words", "two hearts")
    page.press("#words", "Enter")
    drawn(page)
    assert page.inner_text("#summary") == "2 fit for “two hearts”"
    page.focus("[data-place='2'] .open")
    page.keyboard.press("End")
    wait_until(page, "document.getElementById('summary').textContent.startsWith('3 fit')")
    drawn(page)
    assert page.evaluate(FOCUSED) == "120", "the last one of before, one place further"
    page.keyboard.press("Home")
    wait_until(page, f"{FOCUSED} === '0'")
    marks = page.eval_on_selector_all(".tile", "all => all.map((tile) => tile.querySelector('.mark').textContent)")
    assert marks[:5] == ["Fits", "Fits", "Fits", "Unlikely", "Unlikely"]


def test_what_fits_in_the_order_of_dates(page: Page) -> None:
    page.fill("#words", "a star at night")
    page.press("#words", "Enter")
    drawn(page)
    assert page.locator("#order option").all_inner_texts() == ["Best first", "Newest first", "Oldest first"]
    page.select_option("#order", "newest")
    drawn(page)
    said = r"\d+ fit, with a relevance of 50% or more, for “a star at night”"
    assert re.fullmatch(said, page.inner_text("#summary"))
    years = [int(title.split("\n")[0]) for title in page.locator("#grid h2").all_inner_texts()]
    assert years == sorted(years, reverse=True)
    assert len(years) > 3


def test_the_timeline_by_keyboard_and_pointer(page: Page) -> None:
    value = "document.getElementById('timeline').getAttribute('aria-valuetext')"
    page.focus("#timeline")
    assert page.evaluate(value) == "2023"
    page.keyboard.press("ArrowDown")
    wait_until(page, f"{value} === '2022'")
    page.keyboard.press("End")
    wait_until(page, f"{value} === '2004'")
    page.keyboard.press("Home")
    wait_until(page, f"{value} === '2023'")
    box = page.locator("#timeline").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + 20, box["y"] + box["height"] / 2, steps=5)
    wait_until(page, f"/201[345]/.test({value})")
    assert re.search(r"201[345]", page.inner_text("#timeline-handle"))
    page.mouse.up()


def test_back_leads_to_where_one_was(page: Page) -> None:
    page.evaluate("scrollTo(0, 2500)")
    wait_until(page, "history.state?.place > 0")
    drawn(page)
    before = page.evaluate(TOP)
    page.focus(f"[data-place='{before}'] .open")
    page.keyboard.press("s")
    wait_until(page, "location.search.startsWith('?like=')")
    drawn(page)
    assert page.evaluate("scrollY") == 0
    page.go_back()
    wait_until(page, "location.search === ''")
    drawn(page)
    assert abs(int(page.evaluate(TOP)) - int(before)) <= 3


def test_pictures_are_selected_by_keyboard_and_saved_as_a_list(page: Page) -> None:
    page.focus(".tile .open >> nth=0")
    page.keyboard.press("x")
    assert page.inner_text("#selected-count") == "1 selected"
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+X")
    assert page.inner_text("#selected-count") == "5 selected"
    assert page.locator(".tile .select[aria-pressed=true]").count() == 5
    with page.expect_download() as saved:
        page.click("#download-list")
    rows = list(csv.DictReader(io.StringIO(Path(saved.value.path()).read_text("utf8"))))
    ids = page.eval_on_selector_all(".tile", "all => all.slice(0, 5).map((tile) => tile.dataset.id)")
    assert [row["id"] for row in rows] == ids
    assert rows[0]["link"].endswith(f"/images/{ids[0]}")
    page.keyboard.press("Escape")
    assert page.is_hidden("#selected")
    page.click("#undo-it")
    assert page.inner_text("#selected-count") == "5 selected"
    page.click("#select-done")
    assert page.locator(".tile.selected").count() == 0


def test_what_has_happened_is_told_above_the_selection(phone: Page) -> None:
    phone.evaluate("import('/web/undo.js').then(({ offerUndo }) => offerUndo('Filters removed.', () => {}))")
    phone.tap("#select")
    phone.tap(".tile .open >> nth=0")
    told, selected = phone.locator("#undo").bounding_box(), phone.locator("#selected").bounding_box()
    assert told["y"] + told["height"] <= selected["y"]
    assert selected["y"] + selected["height"] <= 780


def test_selected_pictures_are_downloaded_and_their_links_copied(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("#select")
    assert page.is_disabled("#download")
    page.click(".tile .open >> nth=1")  # while selecting, a click selects
    assert page.locator("#lightbox").is_hidden()
    name = page.get_attribute(".tile .open >> nth=1", "aria-label").partition(",")[0]
    page.click("#copy-links")
    wait_until(page, "document.getElementById('undo-text').textContent === '1 link copied.'")
    assert re.fullmatch(r"http://.*/images/\w{40}", page.evaluate("navigator.clipboard.readText()"))
    with page.expect_download() as saved:
        page.click("#download")
    assert saved.value.suggested_filename == name
    assert Path(saved.value.path()).read_bytes()[:2] == b"\xff\xd8"


def test_the_lightbox_steps_through_the_collection(page: Page) -> None:
    names = page.eval_on_selector_all(".open", "all => all.slice(0, 3).map((o) => o.getAttribute('aria-label'))")
    first, second, _ = (name.partition(",")[0] for name in names)
    page.click(".tile .open >> nth=0")
    assert page.inner_text("#lightbox-title") == first
    wait_until(page, "document.querySelectorAll('#all-captions li').length === 5")
    assert "iPhone 13" in page.inner_text("#facts") or "Pixel 7" in page.inner_text("#facts")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#lightbox-title") == second
    page.keyboard.press("Escape")
    wait_until(page, f"{FOCUSED} === '1'")


def test_pictures_that_cannot_be_loaded_are_told_and_loaded_again(page: Page) -> None:
    page.seen.may_fail_to_load = True
    page.route("**/browse/**", lambda route: route.fulfill(status=503, json={"detail": "the store is busy"}))
    page.reload()
    page.wait_for_selector("#fault")
    assert page.inner_text("#fault-text") == "the store is busy"
    page.unroute("**/browse/**")
    page.click("#retry")
    drawn(page)
    assert page.is_hidden("#fault")
    assert page.locator(".tile").count() > 20
    wait_until(page, "document.getElementById('about').textContent.includes('pictures')")  # asked for again


def test_a_search_comes_back_to_a_place_beyond_its_first_results(page: Page) -> None:
    page.goto("/?q=a+star")
    drawn(page)
    for last in (119, 199):
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        wait_until(page, f"document.querySelector('.tile[data-place=\"{last}\"]')")
    page.evaluate("document.querySelector('.tile[data-place=\"160\"]').scrollIntoView()")
    wait_until(page, "history.state?.place > 120")
    place = int(page.evaluate(TOP))
    page.reload()
    drawn(page)
    wait_until(page, "scrollY > 0")
    assert abs(int(page.evaluate(TOP)) - place) < 10


def test_thumbnails_that_cannot_be_loaded_are_told_and_loaded_again(page: Page) -> None:
    page.seen.may_fail_to_load = True
    broken = "[...document.querySelectorAll('#grid img')].filter((one) => one.complete && !one.naturalWidth).length"
    for pattern in ("**/thumbnails/*", "**/status"):
        page.route(pattern, lambda route: route.fulfill(status=503, json={"detail": "the store is busy"}))
    page.evaluate("scrollTo(0, 2500)")
    page.wait_for_selector("#fault")
    assert page.inner_text("#fault-text") == "the store is busy"
    assert page.evaluate("document.getElementById('fault').getBoundingClientRect().bottom < innerHeight")
    place = int(page.evaluate(TOP))
    page.unroute("**/status")
    page.unroute("**/thumbnails/*")
    page.click("#retry")
    drawn(page)
    assert page.is_hidden("#fault")
    assert abs(int(page.evaluate(TOP)) - place) < 10  # the place stays
    page.route("**/thumbnails/*", lambda route: route.abort(), times=5)  # a moment only: nothing has to be told
    page.evaluate("scrollTo(0, 0)")
    wait_until(page, f"scrollY === 0 && {broken} > 0")
    wait_until(page, f"{broken} === 0")
    assert page.is_hidden("#fault")


def test_the_list_of_keys(page: Page) -> None:
    page.keyboard.press("?")
    page.wait_for_selector("#all-keys")
    page.keyboard.press("Escape")
    assert page.locator("#all-keys").is_hidden()


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def test_a_narrow_picture_on_a_phone_opens_with_one_tap(phone: Page) -> None:
    phone.seen.may_fail_to_load = True
    made_up(phone, 60, ((1000, 3000),))
    phone.reload()
    drawn(phone)
    phone.tap(".tile .open >> nth=1")
    assert phone.locator("#lightbox").is_visible()


def test_a_phone(phone: Page) -> None:
    assert fits(phone)
    tops = "(all) => all.filter((one) => one.checkVisibility()).map((one) => one.offsetTop)"
    assert len(set(phone.eval_on_selector_all("header nav > *", tops))) == 1
    assert phone.is_hidden("#to-keys")
    assert phone.locator("#filters").is_hidden()
    phone.tap("#to-filters")
    phone.wait_for_selector("#facets button")
    assert fits(phone)
    phone.tap("#facets button:has-text('2019')")
    phone.tap("#to-filters")  # the open panel may leave no room for the grid
    drawn(phone)
    assert chips(phone) == ["Date: 2019"]
    phone.tap(".tile .open >> nth=1")
    assert phone.locator("#lightbox").is_visible()
    assert fits(phone)
    title = phone.inner_text("#lightbox-title")
    phone.evaluate(
        """() => {
            const touch = (type, x) => {
                const target = document.getElementById("large");
                const one = new Touch({ identifier: 1, target, clientX: x, clientY: 300 });
                const touches = { touches: type === "touchend" ? [] : [one], changedTouches: [one], bubbles: true };
                target.dispatchEvent(new TouchEvent(type, touches));
            };
            touch("touchstart", 300);
            touch("touchend", 120);
        }"""
    )
    assert phone.inner_text("#lightbox-title") != title, "a swipe leads to the next picture"
    phone.tap("#close")
    phone.tap("#select")
    phone.tap(".tile .open >> nth=0")
    phone.tap(".tile .open >> nth=1")
    assert phone.inner_text("#selected-count") == "2 selected"
    assert fits(phone)
    phone.tap("#select-done")
    phone.fill("#words", "two hearts")
    phone.press("#words", "Enter")
    drawn(phone)
    assert fits(phone)


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_no_serious_violation(page: Page, axe: str, colours: str) -> None:
    page.emulate_media(color_scheme=colours, reduced_motion="reduce")
    page.wait_for_selector("#facets button")
    assert axe_violations(page, axe) == []
    page.click("#details")
    page.click("#select")
    page.click(".tile .open >> nth=1")
    page.click("#facets button:has-text('2019')")
    drawn(page)
    page.click("#chips button")
    drawn(page)
    assert axe_violations(page, axe) == []
    page.fill("#words", "two hearts")
    page.press("#words", "Enter")
    drawn(page)
    assert axe_violations(page, axe) == []


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_no_serious_violation_on_a_phone(phone: Page, axe: str, colours: str) -> None:
    phone.emulate_media(color_scheme=colours, reduced_motion="reduce")
    phone.tap("#to-filters")
    phone.wait_for_selector("#facets button")
    assert axe_violations(phone, axe) == []
