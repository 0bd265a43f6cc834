"""Measures frames while maps of many points are moved in a real browser: the collection's and the playground's.

    python benchmarks/playground.py [--points 20000] [--seconds 5] [--before FOLDER] [--json PATH]

Serves the pages and generated points without a service, and drags and zooms each map with the mouse in headless
Chromium, which draws with the CPU. `--before` is the folder `web` of another version, such as that of a `git worktree`;
its map is moved in turn with this one's.

Figures: `*_fps`, frames a second, 60 at most; `*_longest_ms`, the longest frame; `*_p95_ms`, the 95th percentile;
`map_before_ratio`, the frames a second of the map over those of the version before; `playground_map_ratio`, those of
the playground over those of the map.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import json
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common import ROOT, write_figures
from playwright.sync_api import sync_playwright

N_CLASSES, N_NEAREST = 25, 15
ROUNDS = 3
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
COUNT_FRAMES = """() => {
    const frames = [];
    let last = performance.now();
    window.counting = true;
    const step = (now) => {
        frames.push(now - last);
        last = now;
        if (window.counting) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
    window.frames_ = frames;
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--before", type=Path, help="the folder web/ of another version")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("chromium is not installed: apt-get install chromium")
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        pages = {"map": (ROOT / "web", "/map.html"), "playground": (ROOT / "web", "/playground.html#view=map")}
        if arguments.before:
            pages = {"before": (arguments.before, "/map.html"), **pages}
        frames: dict[str, list[float]] = {name: [] for name in pages}
        for turn in range(ROUNDS):
            for name, (web, address) in pages.items():
                folder = Path(scratch) / f"{name}-{turn}"
                lay_out(folder, web, arguments.points)
                with served(folder) as url:
                    frames[name] += moved(browser, url + address, arguments.seconds / ROUNDS)
        browser.close()
    write_figures(arguments.json, figures_of(frames))


def lay_out(folder: Path, web: Path, n: int) -> None:
    """Writes what both pages read: the answer of GET /map, and an experiment of one model and layer."""
    dice = random.Random(0)
    data = folder / "playground" / "data"
    for part in ("neighbours", "umap"):
        (data / "made-up" / part).mkdir(parents=True)
    (folder / "web").symlink_to(web.resolve())
    for page in web.glob("*.html"):
        (folder / page.name).symlink_to(page.resolve())
    of = [i % N_CLASSES for i in range(n)]
    x, y = ([round(dice.random(), 4) for _ in range(n)] for _ in range(2))
    ids = [f"{i:040x}" for i in range(n)]
    classes = [f"class {i}" for i in range(N_CLASSES)]
    told = {
        "collection": "made-up", "method": "umap", "outdated": False, "n": n, "ids": ids,
        "filenames": [f"{i}.jpg" for i in range(n)], "x": [2 * one - 1 for one in x], "y": [2 * one - 1 for one in y],
        "groups": {"folder": {"values": classes, "of": of}},
    }  # fmt: skip
    experiment = {
        "format": 1, "created": "2026-01-01T00:00:00Z", "seconds": 1, "seed": 0, "versions": {},
        "set": {"name": "made-up", "n": n, "classes": classes, "skipped": []},
        "pictures": [
            {"id": ids[i], "path": f"{i}.jpg", "class": of[i], "width": 1, "height": 1} for i in range(n)
        ],
        "models": [{"name": "model", "family": "", "weights": "", "weights_hash": "", "trained": True, "terms": "",
                    "layers": [{"name": "layer", "dim": 8}], "encode_s": 1}],
        "metrics": ["cosine"], "results": [{"model": 0, "layer": 0, "metric": 0, "search_score": 50}],
    }  # fmt: skip
    near = [[(i + k) % n for k in range(1, N_NEAREST + 1)] for i in range(n)]
    neighbours = {"neighbours": near, "distances": [[0.5] * N_NEAREST] * n, "scores": [50] * n}
    listed = {
        "format": 1,
        "live": False,
        "experiments": [{"name": "made-up", "title": "", "n": n, "comparison": False}],
    }
    files = {
        folder / "map": told,
        data / "index.json": listed,
        data / "made-up" / "experiment.json": experiment,
        data / "made-up" / "neighbours" / "0-0-0.json": neighbours,
        data / "made-up" / "umap" / "0-0.json": {"x": x, "y": y},
    }
    for path, content in files.items():
        path.write_text(json.dumps(content))


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which a folder is served."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Handler, directory=folder))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def moved(browser: Any, url: str, seconds: float) -> list[float]:
    """The milliseconds of each frame while a map is dragged and zoomed."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(url)
    page.wait_for_function("document.getElementById('map')?.dataset.drawn > 0")
    page.wait_for_timeout(500)
    box = page.locator("#map").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + min(box["height"], 500) / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.evaluate(COUNT_FRAMES)
    start, step = time.monotonic(), 0
    while time.monotonic() - start < seconds:
        step += 1
        page.mouse.move(middle[0] + step % 200 - 100, middle[1] + step % 120 - 60)
        if step % 60 == 0:
            page.mouse.wheel(0, 120 if step % 120 else -120)
    frames: list[float] = page.evaluate("(window.counting = false, window.frames_.slice(2))")
    page.mouse.up()
    page.close()
    return frames


def figures_of(frames: dict[str, list[float]]) -> dict[str, float]:
    """Frames a second, the longest and the 95th percentile of each map, and their ratios."""
    figures = {}
    for name, spent_ms in frames.items():
        ordered = sorted(spent_ms)
        figures[f"{name}_fps"] = 1e3 * len(ordered) / sum(ordered)
        figures[f"{name}_longest_ms"] = ordered[-1]
        figures[f"{name}_p95_ms"] = ordered[len(ordered) * 95 // 100]
    figures["playground_map_ratio"] = figures["playground_fps"] / figures["map_fps"]
    if "before" in frames:
        figures["map_before_ratio"] = figures["map_fps"] / figures["before_fps"]
    return figures


if __name__ == "__main__":
    main()
