"""Ten everyday tasks on the page, each with the number of its steps: clicks, keys, and lines of text with Enter.

The tests run them, `benchmarks/page.py` times them, and docs/page.md lists them beside other galleries. They need a
collection with dates of 2004 to 2023, and folders of years.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

PLACES: tuple[dict[str, Any], ...] = (
    {"place": "Lisbon", "country": "Portugal", "latitude": 38.72, "longitude": -9.14},
    {"place": "Oslo", "country": "Norway", "latitude": 59.91, "longitude": 10.75},
    {"place": "Kyoto", "country": "Japan", "latitude": 35.01, "longitude": 135.77},
    {},
)
CAMERAS = ("Canon EOS 80D", "Pixel 7", "iPhone 13")
PICTURE = Path(__file__).resolve().parents[1] / "data" / "drawn" / "images" / "test-00000.jpg"
LIMIT_S = 60
IS_DRAWN = """() => {
    const [top, bottom] = [document.getElementById("bar").getBoundingClientRect().bottom, innerHeight];
    const seen = [...document.querySelectorAll("#grid .block")].filter((block) => {
        const { top: first, bottom: last } = block.getBoundingClientRect();
        return last > top && first < bottom;
    });
    return document.getElementById("results").getAttribute("aria-busy") === "false"
        && (seen.length > 0 || !document.querySelector("#grid .block"))  // the grid follows a jump a frame later
        && !seen.some((block) => block.matches(".waiting"))
        && seen.flatMap((block) => [...block.querySelectorAll("img")]).every((img) => {
            const box = img.getBoundingClientRect();
            return box.bottom <= top || box.top >= bottom || (img.complete && img.naturalWidth > 0);
        });
}"""
"""Whether the page has answered, and every picture in the window is drawn."""


def dated_tags(i: int, n: int) -> dict[str, Any]:
    """The tags of the i-th of n pictures: dates from 2004 to 2023, folders of years, a camera, and mostly a place."""
    taken = datetime(2004, 1, 1) + i * timedelta(days=20 * 365.2) / n
    tags = {"taken": taken.isoformat(timespec="seconds"), "folder": f"{taken.year}/{i % 5}"}
    return {**tags, "camera": CAMERAS[i % len(CAMERAS)], **PLACES[i % len(PLACES)]}


class User:
    """A user at a page, whose steps are counted."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.steps = 0

    def click(self, selector: str) -> None:
        """Clicks on an element."""
        self.steps += 1
        self.page.click(selector)

    def enter(self, selector: str, text: str) -> None:
        """Types a line of text and presses Enter."""
        self.steps += 1
        self.page.fill(selector, text)
        self.page.press(selector, "Enter")

    def choose(self, selector: str, value: str) -> None:
        """Opens a list and chooses one of its entries."""
        self.steps += 2
        self.page.select_option(selector, value)

    def sees(self, condition: str = "true") -> None:
        """Waits until an expression is true and the window is drawn.

        Raises:
            TimeoutError: It does not become true.
        """
        deadline = time.monotonic() + LIMIT_S
        while not (self.page.evaluate(condition) and self.page.evaluate(IS_DRAWN)):
            if time.monotonic() > deadline:
                raise TimeoutError(condition)
            self.page.wait_for_timeout(10)


class Task(NamedTuple):
    """A task: `do` carries it out on the page, which is open at the start."""

    name: str
    do: Callable[[User], None]


def see_the_newest(user: User) -> None:
    user.page.goto("/")
    user.sees("document.querySelector('#grid h2')?.textContent.includes('2023')")


def find_by_words(user: User) -> None:
    user.enter("#words", "two hearts")
    user.sees("document.getElementById('summary').textContent.includes('two hearts')")


def find_similar(user: User) -> None:
    user.page.hover("#grid .tile >> nth=0")
    user.click("#grid .similar >> nth=0")
    user.sees("location.search.startsWith('?like=') && document.querySelector('#captions li')")


def find_by_own_picture(user: User) -> None:
    with user.page.expect_file_chooser() as chosen:
        user.click("text=Search by image")
    user.steps += 1  # choosing it in the window of the system
    chosen.value.set_files(str(PICTURE))
    user.sees("document.querySelector('#captions li')")


def go_to_a_year(user: User) -> None:
    user.click("#timeline-labels span:text-is('2012')")
    user.sees("/201[123]$/.test(document.getElementById('timeline').getAttribute('aria-valuetext'))")


def see_one_year_only(user: User) -> None:
    user.click("#facets button:has-text('2019') >> nth=0")
    user.sees("document.getElementById('chips').textContent.includes('Date: 2019')")


def walk_into_a_folder(user: User) -> None:
    user.click("#facets details:last-of-type button:has-text('2004')")
    user.sees("document.getElementById('chips').textContent.includes('Folder: 2004')")


def see_when_and_where(user: User) -> None:
    user.click("#grid .open >> nth=0")
    user.sees("document.getElementById('facts').textContent.includes('taken')")


def select_and_download(user: User) -> None:
    for n in range(3):
        user.page.hover(f"#grid .tile >> nth={n}")
        user.click(f"#grid .select >> nth={n}")
    with user.page.expect_download() as saved:
        user.click("#download-list")
    assert saved.value.suggested_filename == "pictures.csv"


def undo_a_filter(user: User) -> None:
    """Narrows to a year, removes it, and takes that back."""
    see_one_year_only(user)
    user.click("#chips button")
    user.sees("document.getElementById('chips').hidden")
    user.click("#undo-it")
    user.sees("document.getElementById('chips').textContent.includes('Date: 2019')")


TASKS = [
    Task("See the newest pictures", see_the_newest),
    Task("Find pictures by words", find_by_words),
    Task("Find pictures similar to one on the screen", find_similar),
    Task("Find pictures similar to a file of one's own", find_by_own_picture),
    Task("Go to pictures of some years ago", go_to_a_year),
    Task("See the pictures of one year only", see_one_year_only),
    Task("See the pictures of a folder", walk_into_a_folder),
    Task("See when and where a picture was taken", see_when_and_where),
    Task("Save a list of three pictures", select_and_download),
    Task("Narrow to a year, remove that, and take the removal back", undo_a_filter),
]
