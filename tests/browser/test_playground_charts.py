"""The charts of the playground and its table in a real browser, compared with the data they are drawn from."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import Page, new_page, wait_until
from PIL import Image
from playground_data import CLASSES, MODELS, write_experiment
from playground_site import (
    READY,
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


def test_models_by_layer(page: Page, site: Site) -> None:
    show(page, "#view=models&metric=cosine&model=lite0&layer=block1")
    told = site.told()
    results = [one for one in told["results"] if one["metric"] == 0]
    top = best(told, 0)

    def wanted(one: Told) -> str:
        model = told["models"][one["model"]]
        name = model["name"] + ("" if model["trained"] else " (untrained)")
        layer = model["layers"][one["layer"]]["name"]
        return f"{name}, {layer}: {one['search_score']:.1f}{', the best' if one is top else ''}"

    assert labels(page, ".mark") == [wanted(one) for one in results]
    high = page.eval_on_selector_all(".bar", "all => all.map((one) => Number(one.getAttribute('height')))")
    scores = [one["search_score"] for one in results]
    assert np.allclose(np.array(high) / max(high), np.array(scores) / max(scores), atol=1e-6)
    assert page.locator("text=★").count() == 1
    page.hover(".mark >> nth=4")
    assert page.inner_text(".readout") == wanted(results[4])
    page.focus(".mark >> nth=0")
    page.keyboard.press("ArrowRight")
    assert page.inner_text(".readout") == wanted(results[1])
    page.keyboard.press("Enter")
    settled(page, "layer=block2")
    assert page.input_value("#layer") == "block2"
    assert page.evaluate("document.activeElement.dataset.key") == "bar 0 1"
    page.select_option("#measure", "p5")
    settled(page, "measure=p5")
    assert "Precision@5 by layer" in page.inner_text("figcaption")
    assert labels(page, ".mark")[0].endswith(f"{results[0]['precision']['5']:.3f}")
    name, content = saved(page, "[aria-label='Download CSV']")
    assert name == "shapes-p5-by-layer.csv"
    rows = rows_of(content)
    assert [float(row[3]) for row in rows[1:]] == [one["precision"]["5"] for one in results]
    page.click(".values summary")
    page.wait_for_selector(".values tbody tr")  # drawn by the event of opening
    assert page.locator(".values tbody tr").count() == len(results)


def test_layers_of_a_model(page: Page, site: Site) -> None:
    told = site.told()
    picked = told["pictures"][11]
    show(page, f"#view=layers&model=tiny-vit&layer=block1&metric=cosine&picture={picked['id'][:12]}")
    results = [one for one in told["results"] if (one["model"], one["metric"]) == (1, 0)]
    wanted = [
        f"block{n}: mean {one['search_score']:.1f}, spread {one['search_score_std']:.1f}, {N} pictures"
        for n, one in enumerate(results, 1)
    ]
    assert labels(page, ".mark") == wanted
    assert page.locator(".picked").count() == 3
    page.focus(".mark >> nth=1")
    assert page.inner_text(".readout") == wanted[1]
    _, content = saved(page, "[aria-label='Download CSV']")
    rows = rows_of(content)
    scores = [site.told(path=f"neighbours/1-{layer}-0.json")["scores"] for layer in range(3)]
    assert rows[0] == ["picture", "class", "block1", "block2", "block3"]
    assert [[float(value) for value in row[2:]] for row in rows[1:]] == [list(row) for row in zip(*scores, strict=True)]
    x, y = page.evaluate(
        """() => {
            const { x, y, width, height } = document.querySelectorAll(".picked")[2].getBoundingClientRect();
            return [x + width / 2, y + height / 2];
        }"""
    )
    page.mouse.move(x, y)
    assert page.inner_text(".readout").startswith(f"{picked['path']}: {scores[2][11]:.1f} in block3")
    page.mouse.click(x, y)
    settled(page, "view=pictures")
    assert page.inner_text("#chosen-title") == picked["path"]
    assert page.input_value("#layer") == "block3"
    page.go_back()
    settled(page, "view=layers")
    page.focus(".mark >> nth=1")
    page.keyboard.press("Enter")
    settled(page, "layer=block2")
    assert page.evaluate("document.activeElement.dataset.key") == "layer 1"


def test_confusion_of_classes(page: Page, site: Site) -> None:
    show(page, "#view=classes&model=tiny-vit&layer=block1&metric=cosine")
    told, found = site.told(), site.told(path="neighbours/1-0-0.json")
    of = np.array([picture["class"] for picture in told["pictures"]])
    counts = np.zeros((6, 6))
    for n, near in enumerate(found["neighbours"]):
        np.add.at(counts[of[n]], of[near], 1)
    shares = counts / counts.sum(1, keepdims=True)
    assert labels(page, ".mark") == [
        f"{CLASSES[i]} finds {CLASSES[j]}: {100 * shares[i, j]:.1f}%" for i in range(6) for j in range(6)
    ]
    _, content = saved(page, "[aria-label='Download CSV']")
    rows = np.array([[float(value) for value in row[1:]] for row in rows_of(content)[1:]])
    assert np.allclose(rows, shares, atol=1e-4)
    assert np.allclose(rows.sum(1), 1, atol=1e-3)
    page.focus(".mark >> nth=0")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert page.inner_text(".readout") == f"cross finds cross: {100 * shares[1, 1]:.1f}%"
    page.keyboard.press("Enter")
    settled(page, "class=cross")
    assert page.inner_text(".head h2").startswith("cross")


def test_the_map_by_class(page: Page, site: Site) -> None:
    told = site.told()
    show(page, "#view=map&model=tiny-vit&layer=block3&metric=cosine")
    wait_until(page, "document.getElementById('map').dataset.drawn > 0")
    assert page.get_attribute("#map", "aria-label") == "UMAP of 60 pictures, shapes, tiny-vit, block3"
    assert page.locator("#legend .swatch").count() == 6
    colours = page.eval_on_selector_all("#legend i", "all => all.map((one) => getComputedStyle(one).color)")
    assert len(set(colours)) == 6
    x, y = place(page, site.told(path="umap/1-2.json"), 0)
    page.mouse.move(x, y)
    near = page.inner_text("#card-name")
    assert near.startswith("circle · circle/")
    wait_until(page, "document.getElementById('card-picture').naturalWidth > 0")
    page.click("#legend .swatch >> nth=1")
    settled(page, "off=1")
    assert page.get_attribute("#legend .swatch >> nth=1", "aria-pressed") == "false"
    assert page.evaluate("document.activeElement.dataset.key") == "legend 1"
    page.click("text=Show none")
    settled(page, "off=0.1.2.3.4.5")
    page.click("#legend .swatch >> nth=2")
    settled(page, "off=0.1.3.4.5")
    page.click("text=Show all")
    settled(page)
    assert "off=" not in page.url
    page.select_option("#layer", "block1")
    settled(page, "layer=block1")
    assert "block1" in page.inner_text("#umap-about")
    page.focus("#map")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    name = page.inner_text("#umap-told")
    assert name == page.inner_text("#card-name")
    for key in ("+", "-", "0"):
        page.keyboard.press(key)
    for button in ("closer", "further", "whole"):
        page.click(f"#{button}")
    page.focus("#map")
    page.keyboard.press("Enter")
    settled(page, "view=pictures")
    assert page.inner_text("#chosen-title") == name.split(" · ")[1]
    page.click("#views >> text=Map")
    settled(page, "view=map")
    assert f"Ringed: {name.split(' · ')[1]}" in page.inner_text("#umap-about")
    _, content = saved(page, "#umap-save [aria-label='Download CSV']")
    assert [row[0] for row in rows_of(content)[1:]] == [picture["path"] for picture in told["pictures"]]


def place(page: Page, told: Told, n: int) -> tuple[float, float]:
    """Where a point of the map is on the screen, before anybody has moved it."""
    page.locator("#map").scroll_into_view_if_needed()
    box = page.locator("#map").bounding_box()
    scale = 0.92 * min(box["width"] - 2, box["height"] - 2) / 2
    x, y = 2 * told["x"][n] - 1, 2 * told["y"][n] - 1
    return box["x"] + box["width"] / 2 + x * scale, box["y"] + box["height"] / 2 - y * scale


def test_the_map_has_a_colour_for_each_of_many_classes(page: Page, tmp_path: Path) -> None:
    names = [f"class {n}" for n in range(25)]
    write_experiment(tmp_path, "shapes", classes=names, per_class=4, models=MODELS[:1], metrics=("cosine",))
    instead(page, tmp_path)
    show(page, "#view=map")
    colours = page.eval_on_selector_all("#legend i", "all => all.map((one) => getComputedStyle(one).color)")
    assert len(set(colours)) == 25


@pytest.mark.parametrize("view", ["models", "layers", "classes", "map"])
def test_charts_become_files(page: Page, view: str) -> None:
    show(page, f"#view={view}&model=tiny-vit")
    name, content = saved(page, "[aria-label='Download SVG']")
    assert name.endswith(".svg")
    root = ET.fromstring(content)
    _, _, wide, high = map(float, root.get("viewBox", "").split())
    fills = {node.get("fill") for node in root.iter()} | {node.get("stroke") for node in root.iter()}
    assert any(fill and fill.startswith("rgb(") for fill in fills)
    assert b"var(" not in content
    assert b"href" not in content
    title = "".join(root.itertext())
    assert "tiny-vit" in title
    name, content = saved(page, "[aria-label='Download PNG']")
    assert name.endswith(".png")
    wait_until(page, READY)
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    assert picture.size == (2 * int(wide), 2 * int(high))
    assert len(picture.getcolors(1 << 24) or []) > 8


def test_all_results_in_a_table(page: Page, site: Site) -> None:
    show(page, "#view=table")
    told = site.told()
    assert page.locator(".results tbody tr").count() == 18
    assert page.locator("[aria-sort]:not([aria-sort=none])").count() == 0
    page.click("thead >> text=MAP")
    settled(page, "sort=-map")
    assert page.get_attribute("th:has-text('MAP')", "aria-sort") == "descending"
    column = texts(page, ".results tr > td:nth-child(11)")
    assert [float(text.removeprefix("★ ")) for text in column] == [
        float(f"{one['map']:.3f}") for one in sorted(told["results"], key=lambda one: -one["map"])
    ]
    assert column[0].startswith("★")
    assert page.evaluate("document.activeElement.dataset.key") == "sort map"
    page.click("thead >> text=MAP")
    settled(page, "sort=map")
    assert page.get_attribute("th:has-text('MAP')", "aria-sort") == "ascending"
    page.click("thead >> text=Model")
    settled(page, "sort=model")
    assert texts(page, ".results tbody th a")[0] == "lite0"
    name, content = saved(page, "text=Download CSV")
    rows = rows_of(content)
    assert name == "shapes-results.csv"
    assert rows[0][:6] == ["Model", "Layer", "Dimensions", "Metric", "Search score", "± spread"]
    assert len(rows) == 19
    assert rows[1][0] == "lite0"
    page.click(".results tbody th a >> nth=4")
    settled(page, "view=pictures")
    assert page.input_value("#model") == "lite0"


def test_recall_of_a_set_with_captions(page: Page, tmp_path: Path) -> None:
    write_experiment(tmp_path, "shapes", has_recall=True)
    instead(page, tmp_path)
    show(page, "#view=models&measure=t2i10")
    found = labels(page, ".mark")
    assert found[5] == "tiny-vit, block3: 0.800, the best"
    assert found[0] == "lite0, block1: –"
    show(page, "#view=table&sort=-i2t1")
    assert "★ 0.420" in page.inner_text(".results tbody tr >> nth=0")


def test_the_slanted_names_of_classes_are_not_cut_off(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    show(page, "#view=classes")
    over = """(drawn) => {
        const { right } = drawn.getBoundingClientRect();
        const names = [...drawn.querySelectorAll("text")];
        return Math.max(...names.map((text) => text.getBoundingClientRect().right - right));
    }"""
    assert page.locator(".chart .scroller svg").evaluate(over) <= 0
