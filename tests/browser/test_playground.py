"""The playground in a real browser: choosing, pictures and their nearest, one's own picture, and what may be missing.

It is longer than 300 lines because each control and each fault has a test of its own.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import Page, axe_violations, new_page, wait_until
from conftest import Service
from playground_data import CLASSES, MODELS, write_experiment
from playground_site import (
    READY,
    VIEWS,
    N,
    Site,
    Told,
    best,
    exported,
    instead,
    labels,
    rows_of,
    saved,
    settled,
    show,
    texts,
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with exported(tmp_path_factory.mktemp("export")) as made:
        yield made


@pytest.fixture
def page(browser: Any, site: Site) -> Iterator[Page]:
    with new_page(browser, site.url) as made:
        yield made


# -- choosing


def test_it_opens_at_the_best_result(page: Page, site: Site) -> None:
    show(page)
    told = site.told()
    top = best(told)
    model = told["models"][top["model"]]
    assert page.input_value("#set") == "shapes"
    assert page.input_value("#model") == model["name"]
    assert page.input_value("#layer") == model["layers"][top["layer"]]["name"]
    assert page.inner_text("#figures dd >> nth=0").startswith(
        f"{top['search_score']:.1f} ± {top['search_score_std']:.1f}"
    )
    assert "★ best of 18" in page.inner_text("#figures")
    assert page.locator(".shelf a").count() == N
    assert f"set=shapes&view=pictures&model={model['name']}" in page.url
    page.click("#about-set summary")
    assert "star/broken.jpg: truncated" in page.inner_text("#skipped")
    assert "torch 2.13.0" in page.inner_text("#about-facts")


def test_every_chooser_has_its_address(page: Page, site: Site) -> None:
    show(page)
    told = site.told()
    first = page.url
    page.select_option("#model", "resnet-untrained")
    settled(page, "model=resnet-untrained")
    page.select_option("#layer", "block2")
    settled(page, "layer=block2")
    page.select_option("#metric", "euclidean")
    settled(page, "metric=euclidean")
    wanted = next(one for one in told["results"] if (one["model"], one["layer"], one["metric"]) == (2, 1, 1))
    assert page.inner_text("#figures dd >> nth=0").startswith(f"{wanted['search_score']:.1f}")
    page.reload()
    wait_until(page, READY)
    assert [page.input_value(f"#{name}") for name in ("model", "layer", "metric")] == [
        "resnet-untrained", "block2", "euclidean",
    ]  # fmt: skip
    page.select_option("#set", "more shapes")
    settled(page, "set=more+shapes")
    for _ in range(4):
        page.go_back()
        page.wait_for_timeout(60)
    wait_until(page, READY)
    assert page.url == first
    page.go_forward()
    settled(page, "resnet-untrained")
    assert page.input_value("#model") == "resnet-untrained"


def test_names_that_are_unknown_are_said(page: Page) -> None:
    show(page, "#set=other&model=vgg&layer=conv9&metric=hamming&picture=abc&class=moon&view=nothing")
    notice = page.inner_text("#notice")
    for wrong in ("set “other”", "model “vgg”", "layer “conv9”", "metric “hamming”", "picture “abc”", "class “moon”"):
        assert wrong in notice
    assert page.input_value("#set") == "shapes"


# -- pictures


def test_a_picture_and_its_nearest(page: Page, site: Site) -> None:
    show(page, "#model=tiny-vit&layer=block1&metric=euclidean")
    told, found = site.told(), site.told(path="neighbours/1-0-1.json")
    n = 7
    page.click(f".shelf a >> nth={n}")
    settled(page, "picture=")
    assert page.inner_text("#chosen-title") == told["pictures"][n]["path"]
    assert page.evaluate("document.activeElement.id") == "chosen-title"
    assert page.inner_text(".score").startswith(f"{found['scores'][n]:.1f} search score")
    wanted = []
    for rank, (other, distance) in enumerate(zip(found["neighbours"][n], found["distances"][n], strict=True), 1):
        of = told["pictures"][other]
        verdict = "right" if of["class"] == told["pictures"][n]["class"] else "wrong"
        wanted.append(f"{rank}, {of['path']}, {CLASSES[of['class']]}, {verdict}, distance {distance:.3f}")
    assert labels(page, ".strip a") == wanted
    rights = [label.split(", ")[3] == "right" for label in wanted]
    assert 0 < sum(rights) < 15
    assert texts(page, ".strip .mark") == ["✓" if right else "✗" for right in rights]
    assert f"{sum(rights)} of 15" in page.inner_text(".about")
    assert page.locator(".weights .right").count() == sum(rights)
    second = found["neighbours"][n][1]
    page.click(".strip a >> nth=1")
    settled(page, told["pictures"][second]["id"][:12])
    assert page.inner_text("#chosen-title") == told["pictures"][second]["path"]
    page.go_back()
    settled(page, told["pictures"][n]["id"][:12])
    assert page.inner_text("#chosen-title") == told["pictures"][n]["path"]
    page.click(".close")
    settled(page)
    assert page.locator("#chosen").count() == 0


def test_pictures_by_keys(page: Page, site: Site) -> None:
    show(page)
    told = site.told()
    page.focus(".shelf a >> nth=0")
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "ArrowDown"):
        page.keyboard.press(key)
    label = page.evaluate("document.activeElement.getAttribute('aria-label')")
    across = page.evaluate("getComputedStyle(document.querySelector('.shelf')).gridTemplateColumns.split(' ').length")
    assert label.startswith(told["pictures"][1 + across]["path"])
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    settled(page, "picture=")
    assert page.inner_text("#chosen-title") == told["pictures"][-1]["path"]
    page.focus(".strip a >> nth=0")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    settled(page)
    assert page.evaluate("document.activeElement.id") == "chosen-title"
    page.focus("#skip")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "view"


def test_a_class_and_the_order(page: Page, site: Site) -> None:
    show(page, "#model=lite0&layer=block2&metric=cosine")
    told, found = site.told(), site.told(path="neighbours/0-1-0.json")
    score = next(one for one in told["results"] if (one["model"], one["layer"], one["metric"]) == (0, 1, 0))
    assert texts(page, "#class option")[3] == f"ring · {score['classes'][2]['search_score']:.0f}"
    page.select_option("#class", "ring")
    settled(page, "class=ring")
    assert texts(page, ".shelf .name") == ["ring"] * 10
    page.select_option("#order", "worst")
    settled(page, "order=worst")
    shown = [float(text) for text in texts(page, ".shelf .n")]
    own = [found["scores"][n] for n, picture in enumerate(told["pictures"]) if picture["class"] == 2]
    assert shown == pytest.approx(sorted(own), abs=0.51)
    page.focus("#order")
    page.select_option("#order", "best")
    settled(page, "order=best")
    assert [float(text) for text in texts(page, ".shelf .n")] == shown[::-1]
    assert page.evaluate("document.activeElement.id") == "order"


def test_many_pictures_come_in_parts(page: Page, tmp_path: Path) -> None:
    write_experiment(tmp_path, "shapes", per_class=25, models=MODELS[:1], metrics=("cosine",))
    instead(page, tmp_path)
    show(page)
    assert page.locator(".shelf a").count() == 120
    assert page.inner_text(".more") == "Show 30 more of 30"
    page.evaluate("document.querySelector('.more').click()")
    assert page.locator(".shelf a").count() == 150
    assert page.locator(".more").is_hidden()
    assert page.evaluate("document.activeElement.dataset.key") == "tile 120"


SLOW = """
window.IntersectionObserver = class extends IntersectionObserver {
  constructor(told, options) {
    super((entries) => told([{ isIntersecting: false, target: entries[0].target }, ...entries]), options);
  }
};
"""
"""A slow browser tells at once that the end of a list has gone and come."""


def test_scrolling_and_the_keyboard_list_the_rest(page: Page, tmp_path: Path) -> None:
    page.add_init_script(SLOW)
    write_experiment(tmp_path, "shapes", per_class=50, models=MODELS[:1], metrics=("cosine",))
    instead(page, tmp_path)
    show(page)
    assert page.locator(".shelf a").count() == 120
    page.focus(".shelf a")
    page.keyboard.press("End")
    wait_until(page, "document.querySelectorAll('.shelf a').length === 240")
    assert page.locator(".shelf a[tabindex='0']").count() == 1
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    wait_until(page, "document.querySelectorAll('.shelf a').length === 300")
    assert page.locator(".more").is_hidden()
    page.evaluate("document.querySelector('[data-key=\"tile 290\"]').click()")
    settled(page, "picture=")
    assert page.locator(".shelf a").count() == 300, "as many as before"
    page.select_option("#class", "ring")
    settled(page, "class=ring")
    assert page.locator(".shelf a").count() == 50


# -- a picture of one's own


PICTURE = Path(__file__).resolve().parents[1] / "data" / "drawn" / "images" / "test-00000.jpg"


def live(page: Page, site: Site, answer: Callable[[Any], None] | None = None) -> list[bytes]:
    """Makes the folder look like a service's, and returns the list of what is asked."""
    asked: list[bytes] = []
    told = json.loads((site.data / "index.json").read_text()) | {"live": True}
    page.route("**/playground/data/index.json", lambda route: route.fulfill(json=told))

    def tried(route: Any) -> None:
        asked.append(route.request.post_data_buffer)
        route.fulfill(
            json={"neighbours": list(range(20, 35)), "distances": [n / 10 for n in range(15)], "took_ms": 12.3}
        )

    page.route("**/playground/try", answer or tried)
    return asked


def test_an_export_offers_no_search(page: Page) -> None:
    show(page)
    assert page.locator("#own-file").count() == 0
    assert page.locator("#to-search").is_hidden()


def test_a_chosen_picture(page: Page, site: Site) -> None:
    asked = live(page, site)
    show(page, "#model=tiny-vit&layer=block2&metric=euclidean")
    assert page.locator("#to-search").is_visible()
    page.set_input_files("#own-file", PICTURE)
    page.wait_for_selector("#chosen-title")
    assert page.inner_text("#chosen-title") == PICTURE.name
    for name, value in (("experiment", "shapes"), ("model", "1"), ("layer", "1"), ("metric", "1")):
        assert f'name="{name}"\r\n\r\n{value}\r\n'.encode() in asked[0]
    assert f'filename="{PICTURE.name}"'.encode() in asked[0]
    assert page.inner_text(".about p") == "10 of the 15 nearest are of the class ring. Searched in 12 ms."
    assert labels(page, ".strip a")[1] == f"2, {site.told()['pictures'][21]['path']}, ring, distance 0.100"
    assert page.locator(".strip .mark").count() == 0
    page.reload()  # the browser keeps the picture
    page.wait_for_selector("#chosen-title")
    page.select_option("#layer", "block3")
    settled(page, "layer=block3")
    assert b'name="layer"\r\n\r\n2\r\n' in asked[-1]
    page.click(".strip a >> nth=0")
    settled(page, "picture=")
    assert "own=" not in page.url
    page.go_back()
    settled(page, "own=")
    page.click(".close")
    settled(page)
    assert page.locator("#chosen").count() == 0


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_dropped_or_pasted_picture(page: Page, site: Site, event: str) -> None:
    asked = live(page, site)
    show(page, "#view=models")
    with_file(page, event)
    page.wait_for_selector("#chosen-title")
    assert "view=pictures" in page.url
    assert b'filename="mine.jpg"' in asked[0]
    assert page.locator("#drop-here").is_hidden()


def test_what_the_service_refuses_is_said(page: Page, site: Site) -> None:
    page.seen.may_fail_to_load = True
    live(
        page, site, lambda route: route.fulfill(status=400, json={"detail": "the file is no picture: send JPEG or PNG"})
    )
    show(page)
    with_file(page, "drop")
    page.wait_for_selector("#fault")
    assert page.inner_text("#fault-text") == "the file is no picture: send JPEG or PNG"
    show(page, "#own=gone")
    assert "no longer has the picture" in page.inner_text("#fault-text")


def test_a_key_is_asked_for_and_sent(page: Page, site: Site) -> None:
    page.seen.may_fail_to_load = True

    def guarded(route: Any) -> None:
        if route.request.headers.get("x-api-key") == "secret":
            route.fallback()
        else:
            route.fulfill(status=401, json={"detail": "send a key"})

    page.route("**/playground/**", guarded)
    show(page)
    page.fill("#key", "secret")
    page.press("#key", "Enter")
    page.wait_for_selector(".shelf a")
    wait_until(page, "document.querySelector('.shelf img')?.naturalWidth > 0")


def with_file(page: Page, event: str) -> None:
    """Drops or pastes a picture."""
    content = base64.b64encode(PICTURE.read_bytes()).decode()
    page.evaluate(
        """([event, content]) => {
            const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
            const carried = new DataTransfer();
            carried.items.add(new File([bytes], "mine.jpg", { type: "image/jpeg" }));
            const init = { bubbles: true, cancelable: true };
            const over = new DragEvent("dragover", { ...init, dataTransfer: carried });
            if (event === "drop") document.body.dispatchEvent(over);
            document.body.dispatchEvent(event === "paste"
                ? new ClipboardEvent(event, { ...init, clipboardData: carried })
                : new DragEvent(event, { ...init, dataTransfer: carried }));
        }""",
        [event, content],
    )


# -- what may be missing


def test_without_experiments_it_says_what_to_run(page: Page) -> None:
    page.seen.may_fail_to_load = True
    page.route("**/index.json", lambda route: route.fulfill(status=404))
    show(page)
    assert "crossmodal experiment -d FOLDER --name NAME" in page.inner_text("#view")
    assert "python app.py -t experiment -d FOLDER --name NAME" in page.inner_text("#view")
    assert page.locator("#choosers").is_hidden()
    page.unroute("**/index.json")
    page.route("**/index.json", lambda route: route.fulfill(json={"format": 1, "live": True, "experiments": []}))
    show(page)
    assert "No experiments yet" in page.inner_text("#view")
    assert page.is_visible("#to-search")


@pytest.mark.parametrize(
    ("file", "answer", "said"),
    [
        ("index.json", {"body": "{"}, "playground/data/index.json is not valid JSON"),
        ("experiment.json", {"body": "[1,"}, "playground/data/shapes/experiment.json is not valid JSON"),
        ("experiment.json", {"status": 404}, "playground/data/shapes/experiment.json is missing"),
        ("experiment.json", {"status": 500}, "The service answered 500"),
        ("experiment.json", {"json": {"format": 2, "set": {}}}, "has format 2, this page reads 1"),
        ("neighbours/1-2-*.json", {"status": 404}, "playground/data/shapes/neighbours/1-2-"),
        ("umap/1-2.json", {"status": 404}, "playground/data/shapes/umap/1-2.json is missing"),
    ],
)
def test_a_file_that_cannot_be_read(page: Page, file: str, answer: Told, said: str) -> None:
    page.seen.may_fail_to_load = True
    address = f"#view={'map' if 'umap' in file else 'pictures'}&model=tiny-vit&layer=block3"
    page.route(f"**/{file}", lambda route: route.fulfill(**answer))
    show(page, address)
    assert said in page.inner_text("#fault-text")
    page.unroute(f"**/{file}")
    page.click("#again")
    page.wait_for_selector("#umap, .shelf")
    assert page.locator("#fault").is_hidden()
    assert page.locator("#umap, .shelf").first.is_visible()


def test_offline(page: Page) -> None:
    page.seen.may_fail_to_load = True
    show(page, "#model=lite0&layer=block1&metric=cosine")
    page.context.set_offline(True)
    page.select_option("#layer", "block2")
    settled(page, "layer=block2")
    assert page.inner_text("#fault-text") == "You are offline."
    page.select_option("#layer", "block1")  # what is there still works
    settled(page, "layer=block1")
    assert page.locator("#fault").is_hidden()
    page.context.set_offline(False)
    page.select_option("#layer", "block2")
    settled(page, "layer=block2")
    assert page.locator(".shelf a").count() == N


def test_pictures_without_classes(page: Page, tmp_path: Path) -> None:
    write_experiment(tmp_path, "shapes", classes=(), models=MODELS[:2], metrics=("cosine",))
    instead(page, tmp_path)
    show(page)
    assert page.locator(".shelf a").count() == 30
    assert page.locator("#class, #order").count() == 0
    assert texts(page, "#views a:not([hidden])") == ["Pictures", "Models", "Map", "All results"]
    page.click(".shelf a >> nth=2")
    settled(page, "picture=")
    assert page.locator(".strip a").count() == 15
    assert page.locator(".strip .mark, .score").count() == 0
    for view in ("models", "layers", "classes"):
        show(page, f"#view={view}")
        assert "Nothing was measured" in page.inner_text("#view")
    show(page, "#view=map")
    assert page.locator("#legend").is_hidden()
    show(page, "#view=table")
    assert page.locator(".results tbody tr").count() == 6


def test_a_comparison_has_a_tab_of_its_own(page: Page, site: Site) -> None:
    page.seen.may_fail_to_load = True
    listed = {"format": 1, "live": False, "experiments": [
        {"name": "shapes", "title": "Shapes", "n": N, "comparison": True},
        {"name": "alone", "title": "", "n": 0, "comparison": True},
    ]}  # fmt: skip
    module = "export const show = (place, base) => { place.append(`compared ${base}`); return { show() {} }; };"
    page.route("**/playground/data/index.json", lambda route: route.fulfill(json=listed))
    page.route("**/web/choosing.js", lambda route: route.fulfill(body=module, content_type="text/javascript"))
    show(page)
    assert page.locator("#choosing").is_hidden()
    page.click("#views >> text=Choosing a model")
    settled(page, "view=choosing")
    page.wait_for_selector("#choosing:has-text('compared playground/data/shapes/')")
    page.select_option("#set", "alone")  # without an experiment.json
    page.wait_for_selector("#choosing:has-text('compared playground/data/alone/')")
    assert texts(page, "#views a:not([hidden])") == ["Choosing a model"]
    assert page.locator("#figures").is_hidden()
    assert page.locator("#model").is_hidden()
    page.select_option("#set", "shapes")
    settled(page, "set=shapes")
    page.click("#views >> text=Pictures")
    settled(page, "view=pictures")
    assert page.locator("#choosing").is_hidden()
    assert page.locator(".shelf a").count() == N


def test_names_are_text_and_never_markup(page: Page, tmp_path: Path) -> None:
    evil = "<img src=x onerror=\"window.broken='yes'\">"
    told = write_experiment(
        tmp_path, evil, classes=(evil, '=b,"c"'), models=[MODELS[1]._replace(name=evil)], metrics=("cosine",)
    )
    for picture in told["pictures"]:
        picture["path"] = evil
    (tmp_path / "experiment.json").write_text(json.dumps(told))
    instead(page, tmp_path)
    for view in VIEWS:
        show(page, f"#view={view}")
    show(page)
    page.click(".shelf a >> nth=0")
    settled(page, "picture=")
    assert page.inner_text("#chosen-title") == evil
    page.click("#views >> text=Classes")
    settled(page, "view=classes")
    _, content = saved(page, "[aria-label='Download CSV']")
    assert rows_of(content)[2][0] == '\'=b,"c"'  # no formula in a spreadsheet
    assert page.evaluate("window.broken") is None


# -- everywhere


@pytest.mark.parametrize("view", VIEWS)
def test_a_narrow_screen(page: Page, site: Site, view: str) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    picked = site.told()["pictures"][5]["id"][:12]
    show(page, f"#view={view}&picture={picked}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_no_serious_violation(page: Page, site: Site, axe: str, colours: str) -> None:
    page.emulate_media(color_scheme=colours)
    picked = site.told()["pictures"][5]["id"][:12]
    for view in VIEWS:
        show(page, f"#view={view}&picture={picked}&model=tiny-vit&layer=block1&off=1")
        for details in page.locator("details summary").all():
            details.click()
        assert axe_violations(page, axe) == [], view


def test_a_service_has_the_page(browser: Any, query_service: Service) -> None:
    with new_page(browser, query_service.url) as page:
        page.seen.may_fail_to_load = True
        page.goto("/")
        wait_until(page, "document.getElementById('about').textContent && document.querySelector('#grid .tile')")
        page.click("#to-playground")
        wait_until(page, READY)
        assert page.url.startswith(f"{query_service.url}/playground.html")
        assert "No experiments yet" in page.inner_text("#view")
