"""Thumbs and the strip of examples in a real browser against the real Flow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from browsing import DESK, Page, answered, axe_violations, new_page, wait_until
from conftest import TOY, Service

PICTURES = [TOY / "images" / f"test-{n:05}.jpg" for n in range(3)]
ON_A_PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


def opened(browser: Any, service: Service, **how: Any) -> Iterator[Page]:
    """The page, with the answer to a search."""
    with new_page(browser, service.url, **how) as page:
        page.goto("/?q=two+hearts")
        shown(page)
        yield page


@pytest.fixture
def page(browser: Any, query_service: Service) -> Iterator[Page]:
    yield from opened(browser, query_service, **DESK)


@pytest.fixture
def phone(browser: Any, query_service: Service) -> Iterator[Page]:
    yield from opened(browser, query_service, **ON_A_PHONE)


def shown(page: Page) -> None:
    """Waits until the pictures of the latest answer are there."""
    answered(page)
    page.wait_for_selector("#grid .tile .open")


def ids(page: Page) -> list[str]:
    return list(page.eval_on_selector_all("#grid .tile", "all => all.map(one => one.dataset.id)"))


def press(page: Page, selector: str) -> None:
    """Clicks, and waits until the search that follows is answered."""
    before = page.url
    page.click(selector)
    wait_until(page, f"location.href !== {before!r}")
    shown(page)


def thumb(name: str, place: int) -> str:
    return f"#grid .tile[data-place='{place}'] .{name}"


def examples(page: Page) -> list[tuple[str, str]]:
    found = page.eval_on_selector_all("#marked-list li", "all => all.map(one => [one.dataset.example, one.className])")
    return [(example, sign) for example, sign in found]


def test_thumbs_refine_a_search_and_can_be_taken_back(page: Page) -> None:
    assert page.is_hidden("#marked")
    first, second, third = ids(page)[:3]
    page.hover(thumb("open", 1))
    press(page, thumb("like", 1))
    assert examples(page) == [(second, "liked")]
    assert page.get_attribute(f".tile[data-id='{second}'] .like", "aria-pressed") == "true"
    assert "two hearts” and 1 liked picture" in page.inner_text("#summary")
    press(page, f".tile[data-id='{first}'] .unlike")
    assert examples(page) == [(second, "liked"), (first, "unliked")]
    assert page.inner_text("#summary").endswith("“two hearts” and 1 liked picture, less like 1 other")
    assert first not in ids(page)
    assert second in ids(page)
    assert f"likes={second}" in page.url
    assert f"unlikes={first}" in page.url
    press(page, "#undo-it")
    assert first in ids(page)
    assert examples(page) == [(second, "liked")]
    press(page, f".tile[data-id='{second}'] .like")  # the same thumb again
    assert page.is_hidden("#marked")
    assert page.url.endswith("/?q=two+hearts")
    assert ids(page)[:3] == [first, second, third]


def test_the_strip_is_edited_and_is_in_the_address(page: Page, browser: Any, query_service: Service) -> None:
    first, second, third = ids(page)[:3]
    page.goto(f"/?q=two+hearts&likes={first},{second}&unlikes={third}")
    shown(page)
    assert examples(page) == [(first, "liked"), (second, "liked"), (third, "unliked")]
    order = ids(page)[:10]
    press(page, f"li[data-example='{second}'] .turn")
    assert examples(page) == [(first, "liked"), (third, "unliked"), (second, "unliked")]
    press(page, f"li[data-example='{third}'] .remove")
    assert examples(page) == [(first, "liked"), (second, "unliked")]
    page.go_back()
    shown(page)
    page.go_back()
    wait_until(page, "document.querySelectorAll('#marked-list li').length === 3")
    shown(page)
    assert ids(page)[:10] == order
    page.fill("#words", "")
    page.fill("#words", "a star")
    page.press("#words", "Enter")
    wait_until(page, "location.search.includes('star')")
    shown(page)
    assert len(examples(page)) == 3  # words are changed beside them
    press(page, "#marked-clear")
    assert page.is_hidden("#marked")
    press(page, "#undo-it")
    assert len(examples(page)) == 3


def test_keys_mark_pictures_and_the_focus_stays(page: Page) -> None:
    first, second = ids(page)[:2]
    page.focus(thumb("open", 0))
    page.keyboard.press("ArrowRight")
    page.keyboard.press("-")
    wait_until(page, "location.search.includes('unlikes')")
    shown(page)
    assert examples(page) == [(second, "unliked")]
    wait_until(page, "document.activeElement.closest('.tile')?.dataset.place === '1'")
    page.focus(f".tile[data-id='{first}'] .open")
    page.keyboard.press("+")
    wait_until(page, "/[?&]likes/.test(location.search)")
    shown(page)
    assert examples(page) == [(first, "liked"), (second, "unliked")]


def pressed(page: Page) -> list[str]:
    """Whether the thumbs of the lightbox are pressed, while it is open."""
    assert page.is_visible("#lightbox")
    return [page.get_attribute(selector, "aria-pressed") for selector in ("#lightbox-like", "#lightbox-unlike")]


def test_the_lightbox_has_thumbs_too_and_stays_open(page: Page) -> None:
    first, second, third = ids(page)[:3]
    page.click(thumb("open", 1))
    assert pressed(page) == ["false", "false"]
    press(page, "#lightbox-like")
    assert examples(page) == [(second, "liked")]
    assert pressed(page) == ["true", "false"]
    page.keyboard.press("ArrowLeft")  # through the pictures that were opened
    assert pressed(page) == ["false", "false"]
    page.keyboard.press("-")
    wait_until(page, "location.search.includes('unlikes')")
    shown(page)
    assert examples(page) == [(second, "liked"), (first, "unliked")]
    assert pressed(page) == ["false", "true"]
    press(page, "#undo-it")
    assert examples(page) == [(second, "liked")]
    assert pressed(page) == ["false", "false"]
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Escape")
    wait_until(page, f"document.activeElement.closest('.tile')?.dataset.id === {third!r}")
    assert page.is_visible("main > #undo") or page.is_hidden("#undo")


def test_the_lightbox_steps_on_through_the_collection_after_a_mark(page: Page) -> None:
    page.goto("/?order=folder")
    shown(page)
    before = ids(page)[:10]
    page.click(thumb("open", 0))
    press(page, "#lightbox-unlike")
    assert page.inner_text("#summary") == "200 pictures"
    page.keyboard.press("ArrowRight")
    assert page.get_attribute("#next", "disabled") is None
    assert pressed(page) == ["false", "false"]
    page.go_back()
    page.wait_for_selector("#lightbox", state="hidden")
    shown(page)
    assert ids(page)[:10] == before


def test_pictures_of_ones_own_are_examples(page: Page) -> None:
    page.hover(thumb("open", 0))
    press(page, thumb("like", 0))
    page.set_input_files("#marked-file", PICTURES[:2])
    wait_until(page, "document.querySelectorAll('#marked-list li').length === 3")
    shown(page)
    wait_until(page, "[...document.querySelectorAll('#marked-list img')].every(img => img.naturalWidth)")
    assert "test-00001.jpg" in page.get_attribute("#marked-list li:nth-child(3) .turn", "aria-label")
    order = ids(page)[:10]
    page.reload()  # the browser has kept them
    shown(page)
    assert len(examples(page)) == 3
    assert ids(page)[:10] == order


def test_similar_becomes_the_first_example(page: Page) -> None:
    first, second = ids(page)[:2]
    page.goto(f"/?like={first}")
    shown(page)
    assert page.is_visible("#picture")
    place = ids(page).index(second) if second in ids(page) else 1
    other = ids(page)[place]
    page.hover(thumb("open", place))
    press(page, thumb("like", place))
    assert examples(page) == [(first, "liked"), (other, "liked")]
    assert page.is_hidden("#picture")


def test_only_what_is_unliked_asks_for_more(page: Page) -> None:
    page.goto("/")
    shown(page)
    wait_until(page, "document.querySelector('#grid .tile img').naturalWidth > 0")  # no longer being laid out
    page.hover(thumb("open", 0))
    press(page, thumb("unlike", 0))
    assert page.is_visible("#marked-hint")
    assert page.inner_text("#summary") == "200 pictures"


def test_a_picture_that_another_browser_has(page: Page) -> None:
    page.goto("/?q=two+hearts&likes=~unknown")
    page.wait_for_selector("#fault")
    assert "no longer has a picture of this search" in page.inner_text("#fault-text")
    page.click("#marked-list .remove")
    shown(page)
    assert page.is_hidden("#fault")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_violations(page: Page, axe: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.hover(thumb("open", 0))
    press(page, thumb("like", 0))
    press(page, thumb("unlike", 1))
    page.wait_for_timeout(100)
    assert axe_violations(page, axe) == []


def test_a_phone_marks_in_the_lightbox_then_on_the_tiles(phone: Page) -> None:
    assert phone.is_hidden(thumb("like", 0))  # not pressed by accident
    phone.tap(thumb("open", 0))
    phone.tap("#lightbox-like")
    wait_until(phone, "location.search.includes('likes')")
    shown(phone)
    assert pressed(phone) == ["true", "false"]
    phone.tap("#close")
    wait_until(phone, "document.querySelector('#grid .tile .thumb').checkVisibility()")
    phone.tap(thumb("unlike", 2))
    wait_until(phone, "location.search.includes('unlikes')")
    shown(phone)
    assert [sign for _, sign in examples(phone)] == ["liked", "unliked"]
    assert phone.evaluate("document.documentElement.scrollWidth") <= 360
    for selector in ("#marked-clear", "#marked .choose", "#marked-list .remove >> nth=0"):
        box = phone.locator(selector).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360
        assert box["height"] >= 44
