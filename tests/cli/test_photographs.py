"""Photographs whose files say when and where they were taken, found by words that say so, too."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
from conftest import RunApp, run_crossmodal, started
from photographs import Block, encoded

PLACES = {"paris": (48.8584, 2.2945), "sydney": (-33.8568, 151.2153)}
TIMES = {"2023": "2023:07:14 12:00:00", "2022": "2022:07:14 12:00:00"}
ASKED = {"star July 2023": {"paris 2023", "sydney 2023"}, "a star in Paris, July 2023": {"paris 2023"}}


def photograph(place: str, year: str, seed: int) -> bytes:
    latitude, longitude = PLACES[place]
    block = Block("<")
    block.text("exif", 0x9003, TIMES[year])
    block.text("gps", 1, "S" if latitude < 0 else "N")
    block.text("gps", 3, "E")
    for tag, degrees in ((2, latitude), (4, longitude)):
        block.rationals(tag, [(round(abs(degrees) * 10_000), 10_000), (0, 1), (0, 1)])
    return encoded("JPEG", block.written(), b"", seed=seed)


def test_what_the_files_say_is_understood_in_the_words(run_app: RunApp, tmp_path: Path) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    kinds = [(place, year) for place in PLACES for year in TIMES]
    for seed, (place, year) in enumerate(kinds):
        (folder / f"{place} {year}.jpg").write_bytes(photograph(place, year, seed))
    own = ("--collection", "c", "-m", "clip", "--weights", "scenes")
    assert run_crossmodal("index", folder, "-w", tmp_path, *own).returncode == 0
    for words, expected in ASKED.items():
        done = run_app("-t", "query-t2i", "-w", tmp_path, "--collection", "c", "--json", words)
        assert done.returncode == 0, done.stderr
        assert {Path(hit["filename"]).stem for hit in json.loads(done.stdout)["matches"]} == expected
    with started("query_restful", tmp_path, "--collection", "c") as service:
        for words, expected in ASKED.items():
            answer = httpx.post(f"{service.url}/search", json={"text": words, "understand": True}, timeout=30).json()
            assert answer["query"]["text"].removeprefix("a ") == "star"
            found = [result for result in answer["results"] if result["modality"] == "image"]
            assert {Path(result["filename"]).stem for result in found} == expected
            assert all(result["tags"]["taken"] == "2023-07-14T12:00:00" for result in found)
