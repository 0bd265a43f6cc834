"""Measures the time in a real browser from Enter until the page shows the first result.

    python benchmarks/page.py [--searches 30] [--json PATH]

Starts `app.py -t query_restful` on toy data (indexed into a scratch workspace first), opens the page in headless
Chromium (Debian's, driven by Playwright), and searches for captions of the collection one after the other. A search
ends with the frame after its first result picture has loaded.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from typing import Any

from common import ROOT, write_figures
from playwright.sync_api import sync_playwright

from serving.jina.ports import reserve_port_pair

START_LIMIT_S = 120
N_WARM_UP = 3
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
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
    parser.add_argument("--searches", type=int, default=30)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("chromium is not installed: apt-get install chromium")
    with tempfile.TemporaryDirectory() as scratch:
        app = [sys.executable, str(ROOT / "app.py"), "-w", scratch]
        subprocess.run([*app, "-t", "index"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port = reserve_port_pair()
        command = [*app, "-t", "query_restful", "--port", str(port)]
        service = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(f"{url}/readyz")
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
                figures = measure(browser.new_page(viewport={"width": 1280, "height": 900}), url, arguments.searches)
                browser.close()
        finally:
            service.terminate()
            service.wait(30)
    write_figures(arguments.json, figures)


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
    lines = (ROOT / "data" / "toy-data" / "captions.txt").read_text("utf8").splitlines()
    captions = [row["caption"] for row in csv.DictReader(lines)][::5][: n_searches + N_WARM_UP]
    page.goto(url)
    page.wait_for_selector("#guesses button")
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
