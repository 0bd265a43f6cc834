"""Measures the page in a real browser: its first screen, scrolling, ten everyday tasks, and searches.

    python benchmarks/page.py [--pictures 100000] [--searches 30] [--json PATH]

Starts `app.py -t query_restful` on toy data to which `--pictures` stored pictures have been added, with dates of twenty
years, tags, a small thumbnail each and random vectors, and drives headless Chromium (Debian's, with Playwright).

Figures: `first_screen_ms`, from the navigation of a browser without a cache until every picture in the window is drawn,
the median of `OPENINGS`, and `first_screen_cold_ms`, the first of all, when a service that has just started may still
be reading its collection;
`blank_tiles`, the most pictures that entered the window without being drawn during `STRETCH_S` of scrolling, over
stretches at the start, in the middle and near the end, each from a window that is drawn, and `frame_p95_ms` of these;
`task_N_s`, the seconds of each task of `tests/browser/tasks.py`; and `first_results_*_ms`, from Enter until the first
result of a search is drawn.
"""

from __future__ import annotations

import argparse
import csv
import io
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, write_figures
from PIL import Image
from playwright.sync_api import sync_playwright

from crossmodal.collection.collection import Collection
from crossmodal.core.types import Document
from crossmodal.store.records import NewDocument
from serving.jina.ports import reserve_port_pair

sys.path.insert(0, str(ROOT / "tests" / "browser"))
from tasks import IS_DRAWN, TASKS, User, dated_tags

START_LIMIT_S = 120
N_WARM_UP = 3
BATCH, OPENINGS = 5_000, 5
STRETCH_S, SPEED = 2.0, 2_000  # px a second
RATIOS = ((3, 2), (2, 3), (4, 3), (3, 4), (1, 1), (16, 9))
DRAWN = ROOT / "tests" / "data" / "drawn"
WINDOW = {"width": 1280, "height": 900}
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
HAS_TILES = "document.querySelectorAll('#grid .tile').length > 0"
IS_IN_WINDOW = """[...document.querySelectorAll("#grid .block")].some((block) => {
    const { top, bottom } = block.getBoundingClientRect();
    return top < innerHeight && bottom > 0;
})"""
"""Whether the grid has followed a jump, which takes it a frame."""
FIRST_SCREEN = f"""() => new Promise((resolve, reject) => {{
    const isDrawn = {IS_DRAWN};
    const look = () => document.querySelector("#grid .tile") && isDrawn()
        ? requestAnimationFrame(() => resolve(performance.now()))
        : setTimeout(look, 5);
    look();
    setTimeout(() => reject(new Error("the window was never drawn")), 60000);
}})"""
"""The milliseconds since the navigation at which every picture in the window was drawn."""
SCROLL = """([time, speed]) => new Promise((resolve) => {
    const [blank, seen, frames] = [new Set(), new Set(), []];
    const bar = document.getElementById("bar");
    let [start, last] = [performance.now(), performance.now()];
    const step = (now) => {
        frames.push(now - last);
        scrollBy(0, speed * (now - last));
        last = now;
        const top = bar.getBoundingClientRect().bottom;
        const isSeen = ({ top: first, bottom: last }) => last > top && first < innerHeight;
        for (const block of document.querySelectorAll("#grid .block")) {
            const box = block.getBoundingClientRect();
            if (!isSeen(box)) continue;
            if (block.matches(".waiting")) blank.add(`block at ${block.style.top}`);
            for (const tile of block.children) {
                if (!isSeen(tile.getBoundingClientRect())) continue;
                const img = tile.querySelector("img");
                seen.add(tile.dataset.place);
                if (!img.complete || !img.naturalWidth) blank.add(tile.dataset.place);
            }
        }
        if (now - start < time) requestAnimationFrame(step);
        else resolve({ blank: blank.size, seen: seen.size, frames: frames.slice(1) });
    };
    requestAnimationFrame(step);
})"""
"""Scrolls, and counts in every frame the pictures in the window, those that are not drawn, and milliseconds."""
ARM = """() => {
    const grid = document.getElementById("grid");
    const old = grid.querySelector(".tile");
    const field = document.getElementById("words");
    window.shown = new Promise((resolve, reject) => {
        field.addEventListener("keydown", () => {
            const start = performance.now();
            const end = () => requestAnimationFrame(() => resolve(performance.now() - start));
            const look = () => {
                const tile = grid.querySelector(".tile");
                if (!tile || tile === old) return requestAnimationFrame(look);
                const picture = tile.querySelector("img");
                picture.complete ? end() : picture.addEventListener("load", end);
            };
            look();
            setTimeout(() => reject(new Error(`nothing was shown for ${field.value}`)), 30000);
        }, { once: true });
    });
}"""
"""Sets `window.shown` to a promise of the milliseconds from the next key until new results are shown."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--searches", type=int, default=30)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("chromium is not installed: apt-get install chromium")
    with tempfile.TemporaryDirectory() as scratch:
        app = [sys.executable, str(ROOT / "app.py"), "-w", scratch]
        index = [*app, "-t", "index", "-d", str(DRAWN), "--collection", "toy-data", "--weights", "scenes"]
        subprocess.run([*index, "--index", "flat"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        add_pictures(Path(scratch) / "toy-data", arguments.pictures)
        port = reserve_port_pair()
        command = [*app, "-t", "query_restful", "--port", str(port)]
        service = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(f"{url}/readyz")
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
                figures = measure_browsing(browser, url)
                figures |= measure(browser.new_page(viewport=WINDOW), url, arguments.searches)
                browser.close()
        finally:
            service.terminate()
            service.wait(30)
    write_figures(arguments.json, figures)


def add_pictures(root: Path, n: int) -> None:
    """Adds stored pictures without files to a collection, and dates of the same years to those it has."""
    with Collection.open(root).store(writable=True) as store:
        known = store.everything(0, 2_000)
        pictures = [item.document for _, item in known if item.document.modality == "image"]
        store.update((picture.id, dated_tags(i, len(pictures))) for i, picture in enumerate(pictures))
        rng = np.random.default_rng(0)
        dim = len(known[0][1].vector)
        for start in range(0, n, BATCH):
            vectors = rng.standard_normal((min(BATCH, n - start), dim), np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            made = pictures_of(start, len(vectors), n)
            store.put([NewDocument(one, vector, jpeg) for (one, jpeg), vector in zip(made, vectors, strict=True)])


def pictures_of(start: int, n: int, n_all: int) -> Iterator[tuple[Document, bytes]]:
    """Documents with thumbnails: of a few colours, since what matters is that each is fetched and decoded."""
    dice = random.Random(start)
    for i in range(start, start + n):
        wide, high = RATIOS[dice.randrange(len(RATIOS))]
        tags = {"filename": f"IMG_{i:06}.jpg", **dated_tags(i, n_all)}
        yield (
            Document(f"{i:040x}", "image", "", "image/jpeg", width=wide * 800, height=high * 800, tags=tags),
            thumbnail(wide, high, i % 16),
        )


@cache
def thumbnail(wide: int, high: int, colour: int) -> bytes:
    """A JPEG of one colour."""
    buffer = io.BytesIO()
    Image.new("HSV", (wide * 64 // high, 64), (colour * 16, 120, 190)).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


def measure_browsing(browser: Any, url: str) -> dict[str, float]:
    """The first screen, scrolling, and the tasks."""
    openings = [first_screen_ms(browser, url) for _ in range(1 + OPENINGS)]
    page = browser.new_page(base_url=url, viewport=WINDOW)
    page.goto("/")
    user = User(page)
    user.sees(HAS_TILES)
    stretches = []
    for share in (0.0, 0.5, 0.9):
        page.evaluate("(share) => scrollTo(0, share * document.documentElement.scrollHeight)", share)
        user.sees(IS_IN_WINDOW)
        stretches.append(page.evaluate(SCROLL, [STRETCH_S * 1e3, SPEED / 1e3]))
    page.close()
    frames = sorted(frame for stretch in stretches for frame in stretch["frames"])
    return {
        "first_screen_ms": statistics.median(openings[1:]),
        "first_screen_cold_ms": openings[0],
        "blank_tiles": max(stretch["blank"] for stretch in stretches),
        "seen_tiles": sum(stretch["seen"] for stretch in stretches),
        "frame_p95_ms": frames[len(frames) * 95 // 100],
        **task_seconds(browser, url),
    }


def first_screen_ms(browser: Any, url: str) -> float:
    """Milliseconds from the navigation of a browser without a cache until its window is drawn."""
    context = browser.new_context(viewport=WINDOW)
    page = context.new_page()
    page.goto(url, wait_until="commit")
    spent_ms: float = page.evaluate(FIRST_SCREEN)
    context.close()
    return spent_ms


def task_seconds(browser: Any, url: str) -> dict[str, float]:
    """The seconds of each task, without the opening of the page unless that is the task."""
    seconds = {}
    for number, task in enumerate(TASKS, 1):
        page = browser.new_page(base_url=url, viewport=WINDOW)
        user = User(page)
        if task is not TASKS[0]:
            page.goto("/")
            user.sees(f"({HAS_TILES}) && document.querySelector('#facets button')")
        start = time.perf_counter()
        task.do(user)
        seconds[f"task_{number}_s"] = time.perf_counter() - start
        page.close()
    return seconds


def wait_for(url: str) -> None:
    """Waits until a GET request of the URL succeeds."""
    start = time.perf_counter()
    while True:
        try:
            urllib.request.urlopen(url, timeout=10).close()
            return
        except OSError:
            if time.perf_counter() - start > START_LIMIT_S:
                raise
            time.sleep(0.1)


def measure(page: Any, url: str, n_searches: int) -> dict[str, float]:
    """The times of n searches for different captions, after a few warm-up searches."""
    lines = (DRAWN / "captions.txt").read_text("utf8").splitlines()
    captions = [row["caption"] for row in csv.DictReader(lines)][::5][: n_searches + N_WARM_UP]
    page.goto(url)
    page.wait_for_selector("#grid .tile")
    spent_ms = []
    for caption in captions:
        page.fill("#words", caption)
        page.evaluate(ARM)
        page.keyboard.press("Enter")
        spent_ms.append(page.evaluate("window.shown"))
    spent_ms = spent_ms[N_WARM_UP:]
    return {
        "first_results_p50_ms": statistics.median(spent_ms),
        "first_results_p95_ms": statistics.quantiles(spent_ms, n=20)[-1],
    }


if __name__ == "__main__":
    main()
