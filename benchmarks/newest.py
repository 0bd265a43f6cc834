"""Precision of the first 20 results: newest first among what fits, against the order by relevance.

    python benchmarks/newest.py --collection FOLDER [--json PATH]

FOLDER is an indexed and calibrated collection of class folders, such as workspace/NAME; it is copied, and the pictures
of the copy get random dates. The queries are the names of the classes, alone, as "a X" and as "a photo of a X"; a
result is right if it is in the folder of that name.

- `precision_newest`, `precision_relevance`: the share of right results among the first 20, or all if there are fewer,
  mean over the queries;
- `difference`: of the two;
- `precision_as_many`: of as many first results by relevance as the order by date has;
- `shown_newest`: the mean number of results of the order by date, at most 20;
- `falling`: the share of queries whose results have falling dates.
"""

from __future__ import annotations

import argparse
import shutil
from itertools import pairwise
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np
from common import write_figures

from crossmodal.collection.collection import Collection
from crossmodal.encoders import registry
from crossmodal.search.by_time import taken
from crossmodal.search.query import Order, Page, Query, SearchOptions
from crossmodal.search.results import Match
from crossmodal.search.service import SearchService

FIRST = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collection", type=Path, required=True)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        copy = Path(folder) / arguments.collection.name
        shutil.copytree(arguments.collection, copy)
        collection = Collection.open(copy)
        names = dated(collection)
        if not names:
            how = "index a folder that has a folder for each class"
            parser.error(f"{arguments.collection} has no pictures in class folders: {how}")
        with SearchService(collection, registry.load(collection.model)) as service:
            write_figures(arguments.json, measured(service, names))


def dated(collection: Collection) -> list[str]:
    """Gives the pictures random dates, and returns the names of their folders."""
    random = Random("dates")
    with collection.store(writable=True) as store:
        pictures = store.by_keys(store.keys("image").tolist()).values()
        store.update((picture.id, {"taken": random_date(random)}) for picture in pictures)
        return sorted({str(picture.tags.get("folder", "")) for picture in pictures} - {""})


def random_date(random: Random) -> str:
    return f"{random.randrange(2010, 2024)}-{random.randrange(1, 13):02}-{random.randrange(1, 29):02}T12:00:00"


def measured(service: SearchService, names: list[str]) -> dict[str, float]:
    rows = []
    for name in names:
        for form in ("", "a ", "a photo of a "):
            text = form + name.replace("_", " ")
            newest, best = found(service, text, "newest"), found(service, text, "relevance")
            is_falling = all(taken(a.document.tags) >= taken(b.document.tags) for a, b in pairwise(newest))
            as_many = precision(best[: len(newest)], name)
            rows.append((precision(newest, name), precision(best, name), as_many, len(newest), is_falling))
    newest_p, best_p, as_many_p, shown, falling = np.nanmean(np.array(rows, float), axis=0).tolist()
    return {
        "precision_newest": newest_p, "precision_relevance": best_p, "difference": newest_p - best_p,
        "precision_as_many": as_many_p, "shown_newest": shown, "falling": falling, "queries": len(rows),
    }  # fmt: skip


def found(service: SearchService, text: str, order: Order) -> list[Match]:
    page = Page(FIRST, order=order)
    options = SearchOptions(page.n_candidates, "image", page=page)
    return service.search(Query(text, options=options)).matches


def precision(matches: list[Match], name: str) -> float:
    """The share of right matches; NaN without any."""
    return float(np.mean([match.document.tags.get("folder") == name for match in matches])) if matches else np.nan


if __name__ == "__main__":
    main()
