"""The page in a real browser against the real Flow: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from browsing import DESK, TIMEOUT_MS, Page, answered, axe_violations, new_page, wait_until
from conftest import TOY, Service, started

PICTURE = TOY / "images" / "test-00000.jpg"


@pytest.fixture
def page(browser: Any, query_service: Service) -> Iterator[Page]:
    """The page, opened."""
    with new_page(browser, query_service.url, **DESK) as opened:
        opened.goto("/")
        wait_until(opened, "document.getElementById('about').textContent && document.querySelector('#grid .tile')")
        yield opened


def browsing(page: Page) -> None:
    """Waits until the whole collection is shown."""
    wait_until(page, "location.search === '' && document.getElementById('summary').textContent === '200 pictures'")


def open_options(page: Page) -> None:
    """Opens what is under "More" in the panel of filters, which closes by itself if there are no facets."""
    page.wait_for_selector("#filters", state="hidden")
    page.click("#to-filters")
    page.click("#options summary")


def search(page: Page, words: str) -> None:
    page.fill("#words", words)
    page.press("#words", "Enter")
    answered(page)


def names(page: Page) -> list[str]:
    labels = page.eval_on_selector_all("#grid .open", "all => all.map(one => one.getAttribute('aria-label'))")
    return [label.partition(",")[0] for label in labels]


def summary(page: Page) -> str:
    return str(page.inner_text("#summary"))


def with_file(page: Page, event: str, name: str = PICTURE.name, kind: str = "image/jpeg") -> None:
    """Drops or pastes a file."""
    content = base64.b64encode(PICTURE.read_bytes()).decode()
    page.evaluate(
        """([event, content, name, type]) => {
            const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
            const carried = new DataTransfer();
            carried.items.add(new File([bytes], name, { type }));
            const init = { bubbles: true, cancelable: true };
            document.body.dispatchEvent(event === "paste"
                ? new ClipboardEvent(event, { ...init, clipboardData: carried })
                : new DragEvent(event, { ...init, dataTransfer: carried }));
        }""",
        [event, content, name, kind],
    )


def wait_for_captions(page: Page) -> None:
    page.wait_for_selector("#captions li")
    answered(page)


def test_words_find_pictures(page: Page) -> None:
    assert page.inner_text("#about") == "toy-data: 200 pictures, 1,000 captions"
    search(page, "two pink diamonds above a red ring")
    assert page.url.endswith("/?q=two+pink+diamonds+above+a+red+ring")
    assert len(names(page)) >= 30
    assert summary(page).endswith(" for “two pink diamonds above a red ring”")
    scores = [float(text) for text in page.eval_on_selector_all("#grid .score", "all => all.map(o => o.textContent)")]
    assert scores == sorted(scores, reverse=True)
    wait_until(page, "[...document.querySelectorAll('#grid img')].slice(0, 4).every(img => img.naturalWidth)")


def test_scores_and_times_are_details(page: Page) -> None:
    search(page, "two hearts")
    assert not page.is_visible("#grid .score >> nth=0")
    assert not page.is_visible("#took")
    page.click("#details")
    assert page.is_visible("#grid .score >> nth=0")
    assert re.search(
        r"clip scenes \(\w+\) · encode [\d.]+ ms · search [\d.]+ ms · rank [\d.]+ ms · total", page.inner_text("#took")
    )
    page.click("#details")
    assert not page.is_visible("#grid .score >> nth=0")


def test_words_to_avoid(page: Page) -> None:
    search(page, "a ring -pink")
    by_minus = names(page)[:10]
    assert "avoiding pink" in summary(page)
    open_options(page)
    page.fill("#avoid", "pink, ")
    search(page, "a ring")
    assert names(page)[:10] == by_minus
    assert "not=pink" in page.url


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_picture_finds_its_like_and_captions(page: Page, event: str) -> None:
    with_file(page, event)
    wait_for_captions(page)
    assert names(page)[0] == PICTURE.name
    assert page.locator("#captions li:visible").count() == 12
    assert page.is_hidden("#all-found")
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.locator("#captions li:visible").count() == 3
    page.click("#all-found")
    assert page.locator("#captions li:visible").count() == 12
    assert page.evaluate("[...document.querySelectorAll('#captions button')].indexOf(document.activeElement)") == 3
    assert "night" in page.inner_text("#captions")
    assert page.inner_text("#picture-name") == PICTURE.name
    page.reload()  # the picture is not in the address, only its hash: this browser has kept it
    wait_for_captions(page)
    assert names(page)[0] == PICTURE.name


def test_a_picture_is_chosen_and_taken_away_again(page: Page) -> None:
    page.set_input_files("#file", str(PICTURE))
    wait_for_captions(page)
    page.click("#picture-remove")
    browsing(page)
    assert page.url.endswith("/")
    assert page.locator("#picture").is_hidden()


@pytest.mark.parametrize("kind", ["text/plain", ""])
def test_what_is_no_picture_is_refused(page: Page, kind: str) -> None:
    with_file(page, "drop", "letter.txt", kind)
    page.wait_for_selector("#fault")
    assert page.inner_text("#fault-text") == "letter.txt is not a picture."


def test_a_raw_file_is_dropped_though_the_system_knows_no_type_of_it(page: Page) -> None:
    with_file(page, "drop", "DSC_0001.NEF", "")
    wait_for_captions(page)
    assert page.inner_text("#picture-name") == "DSC_0001.NEF"


def test_a_damaged_picture_is_an_error_in_words(page: Page) -> None:
    page.seen.may_fail_to_load = True
    page.set_input_files("#file", {"name": "x.jpg", "mimeType": "image/jpeg", "buffer": b"no picture at all"})
    page.wait_for_selector("#fault")
    assert "not a picture" in page.inner_text("#fault-text")


def test_words_and_a_picture_with_the_slider(page: Page) -> None:
    with_file(page, "drop")
    wait_for_captions(page)
    search(page, "a purple flower")
    assert page.locator("#mixing").is_visible()
    assert "and your picture" in summary(page)
    between = names(page)[:10]
    orders = []
    for mix in ("0", "1"):
        with page.expect_response("**/search"):
            page.eval_on_selector(
                "#mix", "(slider, mix) => { slider.value = mix; slider.dispatchEvent(new Event('change')); }", mix
            )
        answered(page)
        assert f"mix={mix}" in page.url
        orders.append(names(page)[:10])
    assert orders[1][0] == PICTURE.name
    assert len({*map(tuple, orders), tuple(between)}) == 3


def test_find_similar(page: Page) -> None:
    search(page, "two hearts")
    second = names(page)[1]
    page.hover("#grid .tile >> nth=1")
    page.click("#grid .similar >> nth=1")
    wait_for_captions(page)
    assert "like=" in page.url
    assert names(page)[0] == second
    assert second in page.inner_text("#picture-name")


@pytest.mark.parametrize("status", [200, 410], ids=["a RAW file", "a lost file"])
@pytest.mark.parametrize("key", ["", "any"], ids=["without a key", "with a key"])
def test_the_lightbox_shows_the_thumbnail_of_a_picture_that_cannot_be_drawn(page: Page, status: int, key: str) -> None:
    page.seen.may_fail_to_load = True
    page.evaluate("key => import('/web/service.js').then(({ useKey }) => useKey(key))", key)
    search(page, "two hearts")
    page.route("**/images/*", lambda route: route.fulfill(status=status, content_type="image/x-dcraw", body="II*"))
    page.click("#grid .open >> nth=0")
    page.wait_for_selector("#undrawn", state="visible")
    wait_until(page, "document.getElementById('large').naturalWidth > 0")
    assert "/thumbnails/" in page.get_attribute("#large", "data-path")
    assert "/images/" in page.get_attribute("#lightbox-download", "href")
    page.unroute("**/images/*")
    page.click("#next")
    page.wait_for_selector("#undrawn", state="hidden")
    wait_until(page, "document.getElementById('large').naturalWidth === 256")
    assert "/images/" in page.get_attribute("#large", "data-path")


@pytest.mark.parametrize("key", ["", "any"], ids=["without a key", "with a key"])
def test_the_lightbox_shows_a_thumbnail_until_the_picture_has_come(page: Page, key: str) -> None:
    page.evaluate("key => import('/web/service.js').then(({ useKey }) => useKey(key))", key)
    search(page, "two hearts")
    held: list[Any] = []
    page.route("**/images/*", lambda route: held.append(route))
    with page.expect_request("**/images/*"):
        page.click("#grid .open >> nth=0")
    wait_until(page, "document.getElementById('preview').naturalWidth > 0")
    place = page.locator("#preview").bounding_box()
    held.pop().continue_()
    wait_until(page, "document.getElementById('large').naturalWidth === 256")
    assert page.is_hidden("#preview")
    assert page.locator("#large").bounding_box() == place
    page.click("#next")
    second = page.get_attribute("#grid .tile:nth-child(2)", "data-id")
    wait_until(page, f"document.getElementById('preview').dataset.path.endsWith('{second}')")
    page.wait_for_selector("#preview")  # with a key, it is fetched first
    assert page.evaluate("document.getElementById('large').naturalWidth") == 0


def test_the_lightbox_keeps_the_picture_beside_long_details(page: Page) -> None:
    search(page, "two hearts")
    page.click("#grid .open >> nth=0")
    page.wait_for_selector("#all-captions li")
    page.evaluate("document.getElementById('facts').style.minHeight = '3000px'")
    wait_until(page, "document.getElementById('large').naturalWidth > 0")
    at_first = page.locator("#large").bounding_box()
    page.locator("#lightbox").evaluate("(lightbox) => lightbox.scrollTo(0, 600)")
    scrolled = page.locator("#large").bounding_box()
    assert 0 <= scrolled["y"] <= at_first["y"] < 200


def test_the_lightbox(page: Page, query_service: Service) -> None:
    search(page, "two hearts")
    first, second = names(page)[:2]
    page.click("#grid .open >> nth=0")
    assert page.inner_text("#lightbox-title") == first
    assert page.locator("#all-captions li").count() == 5
    assert "256 × 256" in page.inner_text("#facts")
    wait_until(page, "document.getElementById('large').naturalWidth === 256")
    assert page.get_attribute("#original", "href").startswith(f"{query_service.url}/images/")
    page.click("#next")
    assert page.inner_text("#lightbox-title") == second
    page.click("#lightbox-similar")
    wait_for_captions(page)
    assert page.locator("#lightbox").is_hidden()
    assert names(page)[0] == second


def test_a_tag_becomes_a_filter(page: Page) -> None:
    search(page, "two hearts")
    first = names(page)[0]
    page.click("#grid .open >> nth=0")
    page.click(f"[aria-label='Only pictures where filename is {first}']")
    wait_until(page, "document.querySelectorAll('#grid li').length === 1")
    assert names(page) == [first]
    assert page.input_value("#where") == f"tags.filename = '{first}'"


def test_a_filter_and_what_is_wrong_with_it(page: Page) -> None:
    page.seen.may_fail_to_load = True
    open_options(page)
    page.fill("#where", "filename like 'test-0001%'")
    search(page, "stars")
    assert len(names(page)) == 10
    assert all(name.startswith("test-0001") for name in names(page))
    page.fill("#where", "filename likes 'x'")
    page.press("#where", "Enter")
    page.wait_for_selector("#where[aria-invalid=true]")
    assert page.inner_text("#where-error")
    assert page.evaluate("document.activeElement.id") == "where"
    page.fill("#where", "")
    search(page, "stars")
    assert len(names(page)) >= 30
    assert page.get_attribute("#where", "aria-invalid") is None


def test_nothing_fits(page: Page) -> None:
    open_options(page)
    page.fill("#where", "width > 5000")
    search(page, "stars")
    assert summary(page).startswith("Nothing here fits.")
    assert names(page) == []
    assert page.inner_text("#nothing-text") == "No picture fits these filters."
    page.click("#unfilter")
    wait_until(page, "document.querySelectorAll('#grid .tile').length > 20")
    assert page.is_hidden("#nothing")
    assert page.url.endswith("/?q=stars")
    page.click("#undo-it")
    page.wait_for_selector("#nothing")
    page.goto("/?where=width+%3E+5000")
    page.click("#unfilter")
    wait_until(page, "document.getElementById('summary').textContent === '200 pictures'")


def test_scrolling_shows_the_rest(page: Page) -> None:
    search(page, "stars")
    seen: set[str] = set()
    for _ in range(60):
        seen |= {*names(page)}
        if len(seen) == 200:
            break
        page.mouse.wheel(0, 1000)
        page.wait_for_timeout(100)
    assert len(seen) == 200


def test_every_search_is_in_the_address_and_back_works(page: Page, browser: Any, query_service: Service) -> None:
    search(page, "two hearts")
    hearts = names(page)[:5]
    search(page, "a red ring -pink")
    rings, address = names(page)[:5], page.url
    page.go_back()
    wait_until(page, "document.getElementById('words').value === 'two hearts'")
    answered(page)
    assert names(page)[:5] == hearts
    page.go_back()
    browsing(page)
    page.go_forward()
    answered(page)
    other = browser.new_page()  # a context of its own: another person
    other.goto(address)
    other.wait_for_selector("#grid li")
    assert names(other)[:5] == rings
    assert other.input_value("#words") == "a red ring -pink"
    other.close()


def by_address(page: Page, url: str) -> None:
    open_options(page)
    page.fill("#url", url)
    page.press("#url", "Enter")


def test_a_picture_by_its_address_where_the_service_fetches_none(page: Page) -> None:
    page.seen.may_fail_to_load = True
    by_address(page, "https://example.org/star.jpg")
    page.wait_for_selector("#fault")
    assert (
        "'https://example.org/star.jpg' is not read: URLs are not fetched here: send the picture itself"
        in page.inner_text("#fault-text")
    )
    page.click("#picture-remove")
    browsing(page)
    assert page.input_value("#url") == ""


def test_a_picture_by_its_address_where_the_service_fetches_it(page: Page) -> None:
    """The service is told to take another picture in its place: what fetches is not the page."""
    sent: list[str] = []
    page.seen.may_fail_to_load = True  # further results of it, which are asked for once nothing takes its place

    def fetch(route: Any) -> None:
        sent.append(route.request.post_data)
        picture = base64.b64encode(PICTURE.read_bytes()).decode()
        headers = {**route.request.headers, "content-type": "application/json"}
        asked = f'{{"image": "data:image/jpeg;base64,{picture}"}}'
        route.continue_(post_data=asked, headers=headers)

    page.route("**/search", fetch)
    by_address(page, "https://example.org/star.jpg")
    wait_for_captions(page)
    assert "https://example.org/star.jpg" in sent[0]
    assert names(page)[0] == PICTURE.name
    assert "url=https" in page.url
    assert page.inner_text("#picture-name") == "https://example.org/star.jpg"
    assert page.locator("#picture-preview").is_hidden(), "nothing of elsewhere is loaded"
    page.unroute("**/search")
    with_file(page, "drop")
    wait_until(page, "location.search.startsWith('?picture=')")  # one picture at a time
    wait_for_captions(page)


def test_a_picture_dragged_from_elsewhere_is_searched_by_its_address(page: Page) -> None:
    page.seen.may_fail_to_load = True
    page.evaluate(
        """() => {
            const carried = new DataTransfer();
            carried.setData("text/uri-list", "https://example.org/star.jpg");
            document.body.dispatchEvent(
                new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: carried }));
        }"""
    )
    page.wait_for_selector("#fault")
    assert "is not read" in page.inner_text("#fault-text")
    assert page.input_value("#url") == "https://example.org/star.jpg"


def test_an_empty_collection_says_how_to_fill_it(page: Page) -> None:
    assert page.locator("#empty").is_hidden()
    nothing = {"name": "new", "model": "m", "dim": 1, "images": 0, "captions": 0, "generation": "", "examples": []}
    page.route("**/collections", lambda route: route.fulfill(json={"collections": [nothing], "elsewhere": []}))
    page.route("**/captions/random**", lambda route: route.fulfill(json={"captions": []}))
    page.reload()
    page.wait_for_selector("#empty")
    assert page.inner_text("#about") == "new: 0 pictures"
    assert page.locator("#to-guess").is_hidden()


def test_the_links_stay_in_place_while_the_page_loads(page: Page) -> None:
    held: list[Any] = []
    routes = re.compile("/captions/random|/collections")
    page.route(routes, lambda route: held.append(route))  # Playwright sets attributes of a function
    page.reload()
    page.wait_for_selector("#theme")
    place = "JSON.stringify(document.getElementById('to-playground').getBoundingClientRect())"
    before = page.evaluate(place)
    page.route(routes, lambda route: route.continue_())
    for route in held:
        route.continue_()
    page.wait_for_selector("#to-guess")
    page.wait_for_selector("#about:not(:empty)")
    assert page.evaluate(place) == before


def test_guessing_shows_nine_and_marks_the_picture_of_the_caption(page: Page) -> None:
    page.click("#to-guess")
    assert page.locator("#guesses button").count() == 4
    caption = page.inner_text("#guesses button >> nth=0")
    page.click("#guesses button >> nth=0")
    wait_until(page, "document.getElementById('expected-text').textContent")
    assert page.input_value("#words") == caption
    assert len(names(page)) == 9
    wait_until(page, "document.getElementById('expected-picture').naturalWidth > 0")
    assert_rank_is_right(page)
    page.go_back()
    browsing(page)
    assert page.locator("#expected").is_hidden()
    page.go_forward()
    wait_until(page, "document.getElementById('expected-text').textContent")
    search(page, "stars")
    assert page.locator("#expected").is_hidden()
    assert len(names(page)) >= 30


def assert_rank_is_right(page: Page) -> None:
    marked = page.eval_on_selector_all("#grid .tile", "all => all.findIndex((t) => t.matches('.expected'))")
    told = page.inner_text("#expected-text")
    if marked < 0:
        assert re.search(r"came at rank \d+\.", told)
    else:
        assert told.endswith("came first." if marked == 0 else f"came at rank {marked + 1}.")
        assert page.inner_text("#grid .expected .flag") == "expected"


def test_guessing_says_at_which_rank_the_picture_came(page: Page, query_service: Service) -> None:
    asked = {"text": "two hearts", "top_k": 40}
    ranked = httpx.post(query_service.url + "/search", json=asked, timeout=30).json()["results"]
    for rank in (1, 5, 37):
        page.goto(f"/?q=two+hearts&guess={ranked[rank - 1]['id']}")
        wait_until(page, "document.getElementById('expected-text').textContent")
        assert page.inner_text("#expected-text").endswith("came first." if rank == 1 else f"came at rank {rank}.")
        assert page.locator("#grid .expected").count() == (rank <= 9)
        assert_rank_is_right(page)


def test_other_captions_can_be_drawn(page: Page) -> None:
    page.click("#to-guess")
    shown = [page.locator("#guesses button").all_inner_texts()]
    for _ in range(3):
        with page.expect_response("**/captions/random**"):
            page.click("#guess-others")
        wait_until(page, "document.querySelectorAll('#guesses button').length === 4")
        shown.append(page.locator("#guesses button").all_inner_texts())
    assert len({tuple(texts) for texts in shown}) > 1


def test_a_link_with_a_picture_of_somebody_else(page: Page) -> None:
    page.goto("/?picture=nobodyhasthis")
    page.wait_for_selector("#fault")
    assert "drop it again" in page.inner_text("#fault-text")
    page.click("#picture-remove")
    browsing(page)


def test_examples_and_recent_searches(page: Page) -> None:
    page.click("#examples button >> nth=0")
    answered(page)
    words = page.input_value("#words")
    page.reload()
    answered(page)
    assert page.locator("#recent option").first.get_attribute("value") == words


def test_a_service_that_fails_and_comes_back(page: Page) -> None:
    page.seen.may_fail_to_load = True
    problem = '{"title": "Service Unavailable", "status": 503, "detail": "a part of the service does not answer"}'
    page.route(
        "**/search", lambda route: route.fulfill(status=503, body=problem, content_type="application/problem+json")
    )
    page.fill("#words", "stars")
    page.press("#words", "Enter")
    page.wait_for_selector("#fault")
    assert page.inner_text("#fault-text") == "a part of the service does not answer"
    page.unroute("**/search")
    page.route("**/search", lambda route: route.fulfill(status=502, body="<h1>Bad Gateway</h1>"))  # of a proxy
    page.click("#retry")
    wait_until(page, "document.getElementById('fault-text').textContent.startsWith('The service cannot be reached.')")
    page.unroute("**/search")
    page.click("#retry")
    page.wait_for_selector("#grid li")
    assert page.locator("#fault").is_hidden()


def test_offline_and_back(page: Page) -> None:
    page.seen.may_fail_to_load = True
    page.context.set_offline(True)
    page.fill("#words", "stars")
    page.press("#words", "Enter")
    page.wait_for_selector("#fault")
    assert page.inner_text("#fault-text") == "You are offline."
    page.context.set_offline(False)
    page.wait_for_selector("#grid li")
    assert page.locator("#fault").is_hidden()


def test_it_says_that_it_waits(page: Page) -> None:
    waiting: list[Any] = []
    page.route("**/search", lambda route: waiting.append(route))
    page.clock.install()
    page.fill("#words", "stars")
    page.press("#words", "Enter")
    page.wait_for_selector("#progress")
    assert summary(page) == "Searching…"
    assert page.get_attribute("#results", "aria-busy") == "true"
    while not waiting:
        page.wait_for_timeout(50)
    page.clock.fast_forward(10_000)
    assert summary(page) == "Searching… This takes longer than usual."
    waiting[0].continue_()
    answered(page)
    assert page.locator("#progress").is_hidden()


def test_captions_and_names_are_text_and_never_markup(page: Page) -> None:
    evil = "<img src=x onerror=\"window.broken='yes'\"><script>window.broken='yes'</script>"
    result = {
        "id": "a" * 40, "modality": "image", "score": 0.5, "text": "", "captions": [evil], "image_id": "a" * 40,
        "image": "/web/icon.svg", "thumbnail": "/web/icon.svg", "filename": evil, "width": 1, "height": 1,
        "tags": {"filename": evil, evil: evil},
    }  # fmt: skip
    told = {
        "model": evil, "collection": evil, "took_ms": {"encode": 1, "search": 1, "rank": 1, "total": 3}, "n": 2,
        "more": False, "results": [result, {**result, "modality": "text", "text": evil}], "query": {"exclude": [evil]},
    }  # fmt: skip
    words = [{"word": evil, "weight": 2.0}]
    result["why"] = words
    page.route("**/search", lambda route: route.fulfill(json=told))
    page.route("**/documents/*", lambda route: route.fulfill(json={"words": words}))
    search(page, evil)
    page.click("#grid .open")
    assert page.inner_text("#all-captions") == evil
    assert page.inner_text("#lightbox-title") == evil
    assert page.evaluate("window.broken") is None
    assert page.locator("#grid img").count() == page.locator("#captions img").count() == 1
    assert page.inner_text("#grid .words") == page.inner_text("#words-of-it") == evil


def test_words_that_a_result_was_found_by_and_the_strongest_of_a_picture(page: Page) -> None:
    def add(route: Any) -> None:
        told = route.fetch().json()
        told["results"][0]["why"] = [{"word": "heart", "weight": 1.25}, {"word": "two", "weight": 0.5}]
        route.fulfill(json=told)

    def describe(route: Any) -> None:
        told = route.fetch().json()
        route.fulfill(json={**told, "words": [{"word": "sea", "weight": 3.0}]})

    page.route("**/search", add)
    search(page, "two hearts")
    assert page.locator("#grid .words").count() == 1
    assert page.locator("#grid .words li").all_inner_texts() == ["heart", "two"]
    assert page.get_attribute("#grid .words li >> nth=0", "title") == "weight 1.25"
    with page.expect_response("**/documents/*"):
        page.click("#grid .open >> nth=0")
    assert page.locator("#strongest").is_hidden(), "the service says nothing of words"
    page.route("**/documents/*", describe)
    page.click("#next")
    page.wait_for_selector("#strongest")
    assert page.locator("#words-of-it li").all_inner_texts() == ["sea"]


def test_relevance_is_shown_where_the_answer_has_it(page: Page) -> None:
    def add(route: Any) -> None:
        told = route.fetch().json()
        for place, result in enumerate(told["results"]):
            result["relevance"] = 0.4 / (1 + place)
        route.fulfill(json={**told, "fits": False})

    page.route("**/search", add)
    search(page, "a bicycle")
    assert summary(page).startswith("Nothing here fits well. These are the nearest for ")
    assert page.inner_text("#grid .heading").startswith("The nearest, though none fits well")
    assert page.locator("#grid .gauge.fits").count() == 0
    assert page.locator("#grid .gauge").first.get_attribute("title") == "relevance 40%, threshold 50%"
    assert page.locator("#grid .mark").first.inner_text() == "May fit"


def test_keyboard_from_end_to_end(page: Page) -> None:
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("/")
    page.keyboard.type("two hearts")
    page.keyboard.press("Enter")
    answered(page)
    shown = names(page)
    for _ in range(60):  # past the filters to the first picture
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "open":
            break
    focused = "document.activeElement.getAttribute('aria-label')"
    assert page.evaluate(focused).startswith(shown[0] + ",")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(focused).startswith(shown[1] + ",")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.getBoundingClientRect().top") > 0
    assert page.evaluate(focused).partition(",")[0] in shown[3:20]
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    page.wait_for_selector("#lightbox")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#lightbox-title") == shown[1]
    page.keyboard.press("Escape")
    assert page.locator("#lightbox").is_hidden()
    wait_until(page, f"{focused}?.startsWith({shown[1] + ','!r})")  # where the lightbox was left
    page.keyboard.press("s")
    wait_for_captions(page)
    assert names(page)[0] == shown[1]
    wait_until(page, f"{focused}?.startsWith('{shown[1]},')")  # the first result: the picture that was left is gone


def test_a_narrow_screen(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.reload()
    browsing(page)

    def fits() -> bool:
        return bool(page.evaluate("document.documentElement.scrollWidth <= 360"))

    assert fits()
    with_file(page, "drop")
    wait_for_captions(page)
    search(page, "a-very-long-word-" * 20)
    assert fits()
    open_options(page)
    assert fits()
    page.click("#grid .open >> nth=0")
    assert fits()
    box = page.locator("#lightbox").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360


def test_a_service_that_asks_for_a_key(page: Page) -> None:
    page.seen.may_fail_to_load = True
    asked: list[str | None] = []
    good = ["cm_good"]

    def guard(route: Any) -> None:
        key = route.request.headers.get("x-api-key")
        asked.append(key)
        if key in good:
            route.continue_()
        else:
            route.fulfill(status=401, json={"detail": "a key is needed"})

    for path in ("**/search", "**/collections", "**/captions/*", "**/thumbnails/*", "**/images/*", "**/documents/*"):
        page.route(path, guard)
    page.fill("#words", "two hearts")
    page.press("#words", "Enter")
    page.fill("#key", "cm_good")
    page.press("#key", "Enter")
    page.wait_for_selector("#grid li")
    wait_until(page, "document.querySelector('#grid img').naturalWidth > 0")
    assert asked[-1] == "cm_good"
    page.click("#grid .open >> nth=0")
    with page.expect_download() as saving:
        page.click("#lightbox-download")
    assert saving.value.suggested_filename == page.inner_text("#lightbox-title")
    assert Path(saving.value.path()).stat().st_size > 1_000
    good.clear()  # the key is removed
    page.click("#next")
    wait_until(page, "document.activeElement.id === 'key'")
    assert page.is_hidden("#lightbox")


def test_the_panel_closes_before_pictures_are_shown(page: Page) -> None:
    page.add_init_script(
        "const later = setTimeout; window.setTimeout = (act, ms, ...given) => ms === 300 || later(act, ms, ...given);"
        "new MutationObserver(() => {"
        "  if (document.querySelector('#grid .tile')) window.isOpen ??= !document.getElementById('filters').hidden;"
        "}).observe(document, { childList: true, subtree: true });"
    )
    for address in ("/", "/?q=a+star"):
        page.goto(address)
        answered(page)
        assert page.evaluate("window.isOpen") is False


def test_pictures_do_not_wait_long_for_filters(page: Page) -> None:
    held: list[Any] = []
    page.route("**/browse/facets*", lambda route: held.append(route))
    page.goto("/")
    page.wait_for_selector("#grid .tile")
    assert page.is_visible("#filters")
    held[0].continue_()
    page.wait_for_selector("#filters", state="hidden")
    assert len(held) == 1


def test_a_picture_is_opened_though_the_window_changes_while_it_is_pressed(page: Page) -> None:
    page.wait_for_selector("#filters", state="hidden")
    page.hover("#grid .tile[data-place='0'] .open")
    page.mouse.down()
    right_edges = "[...document.querySelectorAll('#grid .tile')].map((tile) => tile.getBoundingClientRect().right)"
    page.set_viewport_size({"width": 1200, "height": 900})
    wait_until(page, f"Math.max(...{right_edges}) < 1200")
    page.mouse.up()
    page.wait_for_selector("#lightbox[open]")
    assert page.is_visible("#lightbox")


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_no_serious_violation(page: Page, axe: str, colours: str) -> None:
    page.emulate_media(color_scheme=colours, reduced_motion="reduce")
    assert axe_violations(page, axe) == []
    with_file(page, "drop")
    wait_for_captions(page)
    search(page, "two hearts -red")
    open_options(page)
    assert axe_violations(page, axe) == []
    page.click("#grid .open >> nth=0")
    assert axe_violations(page, axe) == []


def test_another_collection_is_chosen_and_searched(
    browser: Any, query_service: Service, toy_workspace: Path, axe: str
) -> None:
    with started("query_restful", toy_workspace, "--also", f"the other={query_service.url}/") as service:
        told = httpx.get(service.url + "/collections").json()
        assert told["elsewhere"] == [{"name": "the other", "url": query_service.url + "/"}]
        context = browser.new_context(base_url=service.url)
        context.set_default_timeout(TIMEOUT_MS)
        page = context.new_page()
        page.goto("/?q=two+hearts&where=width+%3E+1")
        page.wait_for_selector("#collection")
        answered(page)
        assert page.inner_text("#collection").split("\n") == ["toy-data", "the other"]
        assert page.inner_text("#about") == "200 pictures, 1,000 captions"
        assert axe_violations(page, axe) == []
        page.select_option("#collection", label="the other")
        page.wait_for_url(f"{query_service.url}/?q=two+hearts")
        answered(page)
        assert "for “two hearts”" in summary(page)
        assert not page.is_visible("#collection")
        page.go_back()
        page.wait_for_selector("#collection")
        assert page.input_value("#collection") == ""
        context.close()
