"""Jina Box as it is published, unmodified, on a page of another origin, against the real Flow."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from browsing import TIMEOUT_MS, Page, Seen, from_npm, wait_until
from conftest import TOY, Service

PICTURES = [TOY / "images" / f"test-0000{n}.jpg" for n in range(2)]
N_SHOWN = 16  # what Jina Box asks for
FONT = "https://fonts.googleapis.com/"  # the style of 0.1.49 asks for one
HTML = """<!doctype html><meta charset="utf-8"><title>Jina Box</title><link rel="icon" href="data:,">
<body><jina-searchbar></jina-searchbar>
<script src="jinabox.umd.js"></script>
<script>JinaBox.init("%s/search", { timeout: 60000 });</script>"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module", params=["0.1.50", "0.1.49"])
def elsewhere(
    request: Any, tmp_path_factory: pytest.TempPathFactory, query_service: Service
) -> Iterator[tuple[str, str]]:
    """The address of a page with Jina Box on it, and which version it is."""
    folder = from_npm("jinabox", request.param, tmp_path_factory.mktemp("jinabox")) / "dist"
    (folder / "index.html").write_text(HTML % query_service.url)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", request.param
        server.shutdown()
        thread.join()


@pytest.fixture
def box(browser: Any, elsewhere: tuple[str, str], query_service: Service) -> Iterator[Page]:
    """The page with Jina Box; afterwards, nothing was thrown in it, and nobody else was asked for anything."""
    origin, version = elsewhere
    context = browser.new_context()
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    page.seen = Seen(page, origin, query_service.url)
    page.route(f"{FONT}**", lambda route: route.fulfill(body="", content_type="text/css"))
    page.goto(origin)
    page.wait_for_selector(".jina-search-input")
    yield page
    context.close()
    asked_for_font = [url for url in page.seen.elsewhere if url.startswith(FONT)]
    assert bool(asked_for_font) == (version == "0.1.49")
    page.seen.elsewhere = [url for url in page.seen.elsewhere if url not in asked_for_font]
    page.seen.is_clean()


def ask(page: Page, text: str) -> None:
    page.fill(".jina-search-input", text)
    page.press(".jina-search-input", "Enter")


def drop(page: Page, *files: tuple[bytes, str], url: str = "") -> None:
    """Drops files, or a picture out of a page, on the box."""
    page.evaluate(
        """([files, url]) => {
            const carried = new DataTransfer();
            for (const [content, type] of files) {
                const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
                carried.items.add(new File([bytes], "file", { type }));
            }
            if (url) carried.setData("text/uri-list", url);
            document.querySelector(".jina-search-input").dispatchEvent(
                new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: carried }));
        }""",
        [[(base64.b64encode(content).decode(), kind) for content, kind in files], url],
    )


def shown_pictures(page: Page) -> list[str]:
    """The addresses of the result pictures, once all of them show."""
    page.wait_for_selector("img.jina-result-image")
    pictures = "[...document.querySelectorAll('img.jina-result-image')]"
    wait_until(page, f"{pictures}.every((img) => img.complete)")
    assert page.evaluate(f"{pictures}.every((img) => img.naturalWidth > 0)")
    return list(page.evaluate(f"{pictures}.map((img) => img.src)"))


def shown_captions(page: Page) -> list[str]:
    page.wait_for_selector(".jina-text-result")
    return list(page.eval_on_selector_all(".jina-text-result", "all => all.map((one) => one.textContent)"))


def told_error(page: Page) -> str:
    page.wait_for_selector(".jina-error")
    return str(page.inner_text(".jina-error p"))


def test_words_show_pictures(box: Page, query_service: Service) -> None:
    ask(box, "two tiny green drops to the right of one small white star at night")
    shown = shown_pictures(box)
    assert len(set(shown)) == N_SHOWN
    assert all(url.startswith(query_service.url + "/images/") for url in shown)
    assert f"{N_SHOWN} results in" in box.inner_text(".jina-results-label")


def test_a_dropped_picture_shows_captions(box: Page) -> None:
    drop(box, (PICTURES[0].read_bytes(), "image/jpeg"))
    captions = shown_captions(box)
    assert len(captions) == N_SHOWN
    assert "star" in captions[0]


def test_several_pictures_have_a_tab_each(box: Page) -> None:
    drop(box, *((path.read_bytes(), "image/jpeg") for path in PICTURES))
    first = shown_captions(box)
    previews = box.eval_on_selector_all(".jina-results-tab-img", "all => all.map((one) => one.style.backgroundImage)")
    assert [url[:27] for url in previews] == ['url("data:image/jpeg;base64'] * 2
    box.eval_on_selector(".jina-results-tab-1", "tab => tab.click()")  # without a style of its own it has no size
    second = shown_captions(box)
    assert len(first) == len(second) == N_SHOWN
    assert first != second


def test_a_click_on_a_result_searches_with_it(box: Page) -> None:
    ask(box, "two tiny green drops to the right of one small white star at night")
    shown_pictures(box)
    box.click(".jina-result-0")  # sends the picture's address
    captions = shown_captions(box)
    assert len(captions) == N_SHOWN
    assert "star" in captions[0]


def test_a_picture_dragged_out_of_a_page(box: Page) -> None:
    ask(box, "two hearts")
    drop(box, url=shown_pictures(box)[0])
    assert "heart" in shown_captions(box)[0]


def test_nothing_found_is_said(box: Page) -> None:
    def find_nothing(route: Any) -> None:
        asked = json.loads(route.request.post_data)
        asked["parameters"]["where"] = "width > 5000"
        route.continue_(post_data=json.dumps(asked))

    box.route("**/search", find_nothing)
    ask(box, "two hearts")
    assert "Nothing" in told_error(box)


def test_a_refusal_is_said(box: Page) -> None:
    box.seen.may_fail_to_load = True
    drop(box, (b"no picture at all", "image/jpeg"))
    assert "not a picture" in told_error(box)


def test_what_the_service_does_not_understand_is_said(box: Page) -> None:
    box.seen.may_fail_to_load = True
    ask(box, "hearts")
    shown_pictures(box)
    box.route("**/search", lambda route: route.continue_(post_data="{}"))
    ask(box, "stars")
    assert "data: Field required" in told_error(box)
