"""Choosing a model in a real browser: a made-up comparison on a page of its own, with the policy of the service."""

from __future__ import annotations

import csv
import io
import itertools
import json
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import Page, axe_violations, new_page, wait_until
from PIL import Image
from playground_site import WEB, served

HTML = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Choosing a model</title><link rel="icon" href="data:,"><link rel="stylesheet" href="web/style.css">
<link rel="stylesheet" href="web/playground.css"><h1>Comparison</h1><main id="here"></main>
<script type="module" src="start.js"></script></html>"""
START = """import { show } from "./web/choosing.js";
const root = document.getElementById("here");
const chosen = {};
const page = show(root, "data/", (changes) => page.then((one) => one.show(Object.assign(chosen, changes))));
page.then((one) => one.show(chosen)).catch((error) => (root.textContent = `fault: ${error.message}`));"""

# name, R@10, pictures/s, text ms, MB: the second is beaten by the first in everything; the last has no speed.
MODELS = (
    ("clip photos int8", 0.67, 160, 4.0, 38.9),
    ("clip photos fp32", 0.668, 80, 8.0, 38.9),
    ("clip ViT-B-32/laion2b_s34b_b79k fp32", 0.86, 12, 30.0, 605.2),
    ("clip ViT-S-32-alt/random fp32", 0.01, 79, 8.1, None),
    ("vse photographs of a long name int8", 0.66, None, None, 12.0),
)
MEASURES = ("t2i_r1", "t2i_r10", "t2i_map", "i2t_r10")


def interval(value: float) -> dict[str, float]:
    return {"value": value, "low": max(0, value - 0.02), "high": min(1, value + 0.02)}


def comparison(n_models: int = len(MODELS)) -> dict[str, Any]:
    models = [
        {
            "name": name, "weights": name, "weights_hash": f"{n}" * 64, "precision": name.rsplit(" ", 1)[1], "dim": 256,
            "pictures_per_s": speed, "text_ms": text_ms, "size_mb": size,
            "measures": {measure: interval(recall / (1 + MEASURES.index(measure) % 3)) for measure in MEASURES},
            "skills": {"flip": interval(0.5 + 0.1 * n), "short_query_p10": interval(0.2 * n)} if n < 3 else {},
        }
        for n, (name, recall, speed, text_ms, size) in enumerate(MODELS[:n_models])
    ]  # fmt: skip
    pairs = []
    for a, b in itertools.combinations(range(n_models), 2):
        for measure in MEASURES:
            gap = models[b]["measures"][measure]["value"] - models[a]["measures"][measure]["value"]
            p = 0.4 if abs(gap) < 0.02 else 0.004
            pairs.append(
                {"a": a, "b": b, "measure": measure, "difference": gap, "low": gap - 0.02, "high": gap + 0.02, "p": p}
            )
    differences = [
        {"query": f"<b>query</b> {n}", "picture": f"{n}.jpg", "ranks": [1 + n, 3, 50 - n, None, 12][:n_models]}
        for n in range(6)
    ]
    return {
        "format": 1, "created": "2026-01-01T00:00:00Z", "seed": 0, "bootstrap": {"samples": 2000, "confidence": 0.95},
        "set": {"name": "made-up", "split": "dev", "n_pictures": 1000, "n_captions": 5000},
        "models": models, "pairs": pairs, "differences": differences,
    }  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the page; the comparison is below data/."""
    folder = tmp_path_factory.mktemp("choosing")
    shutil.copytree(WEB, folder / "web")
    (folder / "index.html").write_text(HTML)
    (folder / "start.js").write_text(START)
    (folder / "data" / "differences").mkdir(parents=True)
    (folder / "data" / "comparison.json").write_text(json.dumps(comparison()))
    for n in range(6):
        Image.new("RGB", (96, 72), (40 * n, 90, 160)).save(folder / "data" / "differences" / f"{n}.jpg")
    shutil.copy(folder / "web" / "playground.html", folder)
    shutil.copytree(folder / "data", folder / "playground" / "data" / "toy")
    entry = {"name": "toy", "title": "toy", "n": 0, "comparison": True}
    listing = {"format": 1, "live": False, "experiments": [entry]}
    (folder / "playground" / "data" / "index.json").write_text(json.dumps(listing))
    with served(folder) as url:
        yield url


@pytest.fixture
def page(browser: Any, site: str) -> Iterator[Page]:
    with new_page(browser, site, viewport={"width": 1200, "height": 900}) as made:
        yield made


def opened(page: Page, told: dict[str, Any] | None = None) -> Page:
    if told is not None:
        page.route("**/comparison.json", lambda route: route.fulfill(json=told))
    page.goto("/")
    wait_until(page, "document.querySelectorAll('.sentences, .legend').length > 0")
    return page


def boxes(page: Page, selector: str) -> list[dict[str, float]]:
    script = "(all) => all.map((one) => one.getBoundingClientRect().toJSON())"
    return list(page.eval_on_selector_all(selector, script))


def overlap(one: dict[str, float], other: dict[str, float]) -> bool:
    across = one["left"] < other["right"] and other["left"] < one["right"]
    return across and one["top"] + 2 < other["bottom"] and other["top"] + 2 < one["bottom"]


def test_the_scatter_has_a_point_a_model_and_marks_the_front(page: Page) -> None:
    opened(page)
    labels = page.eval_on_selector_all(
        ".chart:first-child .mark", "(all) => all.map((m) => m.getAttribute('aria-label'))"
    )
    assert len(labels) == 4, "one has no speed"
    assert labels[0] == "clip photos int8: .335 [.315, .355], pictures a second 160, on the Pareto front"
    assert [label.endswith("front") for label in labels] == [True, False, True, False]
    page.get_by_label("Against").select_option("size_mb")
    assert page.locator(".chart:first-child .mark").count() == 4
    page.get_by_label("Measure").select_option("i2t_r10")
    assert "Recall@10, picture to text" in page.inner_text(".chart:first-child h2")


@pytest.mark.parametrize("width", [1200, 700, 360])
def test_labels_neither_overlap_nor_leave_the_drawing(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    opened(page)
    for cost in ("pictures_per_s", "text_ms", "dim"):
        page.get_by_label("Against").select_option(cost)
        names = boxes(page, ".chart:first-child .name")
        assert len(names) >= 4
        assert not [pair for pair in itertools.combinations(names, 2) if overlap(*pair)], cost
        (drawn,) = boxes(page, ".chart:first-child svg")
        assert all(drawn["left"] <= name["left"] and name["right"] <= drawn["right"] + 1 for name in names)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_skills_are_bars_with_intervals(page: Page) -> None:
    opened(page)
    figure = page.locator("figure", has=page.get_by_role("heading", name="Skills"))
    assert figure.locator(".mark").count() == 6
    assert figure.locator(".mark").nth(2).get_attribute("aria-label").endswith("above and below: .700 [.680, .720]")
    assert figure.locator(".chance").count() == 1


def test_pairs_are_told_in_plain_words_and_one_of_them_can_be_chosen(page: Page) -> None:
    opened(page)
    lines = page.locator(".sentences li").all_inner_texts()
    assert len(lines) == 10
    told = "No difference can be shown between clip photos int8 and clip photos fp32: .001 [−.019, .021], p = .400"
    assert lines[0] == told
    assert lines[2].startswith(
        "clip photos int8 is better than clip ViT-S-32-alt/random fp32 by .330 [.310, .350], p = .004"
    )
    page.get_by_label("Pair").select_option("0,2")
    lines = page.locator(".sentences li").all_inner_texts()
    assert len(lines) == len(MEASURES)
    assert lines[0].startswith("Recall@1, text to picture – clip ViT-B-32/laion2b_s34b_b79k fp32 is better than")


def test_queries_are_pictures_with_ranks_by_who_finds_them(page: Page) -> None:
    opened(page)
    assert page.locator(".queries > li").count() == 6
    # Out of sight, it has no text.
    drawn = "document.querySelector('.queries > li').innerText.includes('<b>query</b> 0')"
    first = page.locator(".queries > li").first
    first.scroll_into_view_if_needed()
    wait_until(page, drawn)
    ranks = first.locator(".ranks li b").all_inner_texts()
    assert ranks == ["✓ rank 1", "✓ rank 3", "✗ rank 50", "✗ not found", "✗ rank 12"]
    page.get_by_label("Pair").select_option("0,2")
    first.scroll_into_view_if_needed()
    wait_until(page, drawn)
    assert "clip photos int8 finds it, clip ViT-B-32/laion2b_s34b_b79k fp32 doesn’t" in first.inner_text()
    assert first.locator(".ranks li").all_inner_texts() == [
        "clip photos int8\n✓ rank 1",
        "clip ViT-B-32/laion2b_s34b_b79k fp32\n✗ rank 50",
    ]
    assert page.locator(".pairs h3").all_inner_texts()[1:] == [
        "clip ViT-B-32/laion2b_s34b_b79k fp32 ranks it higher than clip photos int8",
        "clip photos int8 ranks it higher than clip ViT-B-32/laion2b_s34b_b79k fp32",
    ]
    wait_until(page, "document.querySelector('.queries img').naturalWidth > 0")


def test_everything_can_be_downloaded(page: Page) -> None:
    opened(page)

    def saved(click: Any) -> bytes:
        with page.expect_download() as started:
            click.click()
        return Path(started.value.path()).read_bytes()

    chart = page.locator(".chart").first
    rows = list(csv.DictReader(io.StringIO(saved(chart.get_by_label("Download CSV")).decode())))
    assert [row["model"] for row in rows] == [name for name, *_ in MODELS]
    assert [row["Pareto front"] for row in rows] == ["yes", "no", "yes", "no", "no"]
    drawing = ET.fromstring(saved(chart.get_by_label("Download SVG")))
    assert len(drawing.findall(".//{*}circle")) == 8
    assert saved(chart.get_by_label("Download PNG")).startswith(b"\x89PNG")
    pairs = list(
        csv.DictReader(io.StringIO(saved(page.locator(".pairs").get_by_role("button", name="Download CSV")).decode()))
    )
    assert len(pairs) == 10 * len(MEASURES)


def test_the_keyboard_reaches_every_point_and_control(page: Page) -> None:
    opened(page)
    page.get_by_label("Against").focus()
    n_tabs = 0
    while not page.evaluate("document.activeElement.matches('.mark')"):
        page.keyboard.press("Tab")
        n_tabs += 1
        assert n_tabs < 6, "three downloads, the drawing, and its first point"
    focused = "document.activeElement.getAttribute('aria-label')"
    names = [page.evaluate(focused)]
    for _ in range(3):
        page.keyboard.press("ArrowRight")
        names.append(page.evaluate(focused))
    assert len(set(names)) == 4
    assert names[-1] == page.inner_text(".chart:first-child .readout")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 360])
def test_axe_finds_nothing(page: Page, axe: str, scheme: str, width: int) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    opened(page)
    page.get_by_label("Pair").select_option("0,2")
    assert axe_violations(page, axe) == []


def test_the_playground_shows_a_comparison_without_an_experiment(page: Page) -> None:
    page.seen.may_fail_to_load = True  # there is no experiment.json
    page.goto("/playground.html")
    wait_until(page, "document.querySelectorAll('#choosing .sentences li').length === 10")
    assert page.locator("#choosing .chart").first.is_visible()


def chosen(page: Page) -> list[str]:
    return [page.input_value(f"#choosing-{name}") for name in ("measure", "cost", "pair")]


def test_what_is_chosen_is_in_the_address(page: Page) -> None:
    page.seen.may_fail_to_load = True
    page.goto("/playground.html#set=toy&view=choosing&measure=t2i_map&cost=size_mb&pair=0%2C2")
    wait_until(page, "document.querySelectorAll('#choosing .sentences li').length === 4")
    assert chosen(page) == ["t2i_map", "size_mb", "0,2"]
    page.select_option("#choosing-measure", "i2t_r10")
    wait_until(page, "location.hash.includes('measure=i2t_r10')")
    wait_until(page, "document.querySelector('#choosing .chart h2').textContent.includes('picture to text')")
    page.focus("#choosing-pair")
    page.select_option("#choosing-pair", "")
    wait_until(page, "document.querySelectorAll('#choosing .sentences li').length === 10")
    assert "pair" not in page.url
    assert page.evaluate("document.activeElement.id") == "choosing-pair"
    page.go_back()
    wait_until(page, "document.querySelectorAll('#choosing .sentences li').length === 4")
    page.go_back()
    wait_until(page, "document.querySelector('#choosing .chart h2').textContent.includes('MAP')")
    assert chosen(page) == ["t2i_map", "size_mb", "0,2"]
    page.go_forward()
    wait_until(page, "location.hash.includes('measure=i2t_r10')")
    page.reload()
    wait_until(page, "document.querySelectorAll('#choosing .sentences li').length === 4")
    assert chosen(page) == ["i2t_r10", "size_mb", "0,2"]


def test_an_address_names_what_the_comparison_has_not(page: Page) -> None:
    page.seen.may_fail_to_load = True
    page.goto("/playground.html#view=choosing&measure=nothing&cost=nothing&pair=9%2C9")
    wait_until(page, "document.querySelectorAll('#choosing .sentences li').length === 10")
    assert chosen(page) == ["t2i_r10", "pictures_per_s", ""]


def test_one_model_and_class_folders(page: Page) -> None:
    told = comparison(1) | {"differences": []}
    opened(page, told)
    assert page.locator(".pairs").count() == 0
    told["models"][0]["measures"] = {"i2i_search_score": {"value": 72.24, "low": 70.1, "high": 74.0}}
    told["models"][0]["pictures_per_s"] = None
    opened(page, told)
    assert "72.2 [70.1, 74.0]" in page.locator(".chart:first-child .mark").first.get_attribute("aria-label")


@pytest.mark.parametrize(
    ("answer", "told"),
    [({"body": "{"}, "not valid JSON"), ({"json": {"format": 9}}, "format 9"), ({"status": 404}, "404")],
)
def test_faults_say_what_is_wrong(page: Page, answer: dict[str, Any], told: str) -> None:
    page.seen.may_fail_to_load = True
    page.route("**/comparison.json", lambda route: route.fulfill(**answer))
    page.goto("/")
    wait_until(page, "document.getElementById('here').textContent.startsWith('fault')")
    assert told in page.inner_text("#here")
