"""All pictures of a store in the orders in which they are browsed: by time, and by folder.

An overview holds a key and a few small numbers for each picture, so that sections, counts and any page of 100,000
pictures take milliseconds; the documents of a page are read from the store.
"""

from __future__ import annotations

import re
import threading
import time
from array import array
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.types import Keys
from crossmodal.search.spans import MONTHS
from crossmodal.store.protocol import Store
from crossmodal.store.where import parse

Order = Literal["newest", "oldest", "folder"]
Mask = NDArray[np.bool_]
Facet = Literal["year", "country", "place", "camera", "folder", "label"]

MOST_VALUES = 100
"""Values of a facet; the others are left out."""
NO_DATE = "No date"
TOP_FOLDER = "Top folder"
WAIT_FACTOR = 10.0
"""While the store changes, an overview is used for this many times the duration of reading another."""
WAIT_S = 1.0
"""How long a request waits for the overview after a change, before it is answered from the earlier one."""
_MAX_MASKS = 16
_TAGS = ("taken", "country", "region", "place", "camera", "folder", "filename")
_TAKEN = re.compile(r"\d{4}-(0[1-9]|1[0-2])-\d\dT\d\d:\d\d:\d\d", re.ASCII)


def is_time(taken: str) -> bool:
    """Whether the tag `taken` of a picture tells its month, day and time."""
    return _TAKEN.match(taken) is not None


class Section(NamedTuple):
    """Consecutive pictures of one month or one folder; the key is `2023-07` or the folder, and empty without one."""

    key: str
    title: str
    n: int


class _Column(NamedTuple):
    values: list[str]
    codes: NDArray[np.int32]  # (n,) of each picture, -1 without a value

    @classmethod
    def of(cls, values: Iterable[str]) -> _Column:
        """The column of the values of all pictures, empty for none."""
        known = {"": -1}
        codes = [known.setdefault(value, len(known) - 1) for value in values]
        return cls(list(known)[1:], np.array(codes, np.int32))

    def counts(self, mask: Mask | None) -> list[tuple[str, int]]:
        """The values of the pictures of a mask with their numbers, most frequent first, then by value."""
        codes = self.codes if mask is None else self.codes[mask]
        return _most_frequent(self.values, codes[codes >= 0])


def _most_frequent(values: list[str], codes: NDArray[np.integer]) -> list[tuple[str, int]]:
    numbers = np.bincount(codes, minlength=len(values)).tolist()
    pairs = [(value, n) for value, n in zip(values, numbers, strict=True) if n]
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:MOST_VALUES]


class _ListColumn(NamedTuple):
    values: list[str]
    positions: NDArray[np.int64]  # (m,) of a picture for each of its values
    codes: NDArray[np.int64]  # (m,)

    @classmethod
    def of(cls, keys: Keys, lists: Iterable[tuple[int, Sequence[str]]]) -> _ListColumn:
        """The column of the values of each key; keys that are not among `keys`, which rise, are left out."""
        known: dict[str, int] = {}
        of_keys, codes = array("q"), array("q")
        for key, values in lists:
            for value in dict.fromkeys(values):
                of_keys.append(key)
                codes.append(known.setdefault(value, len(known)))
        is_kept = np.isin(np.array(of_keys, np.int64), keys)
        positions = np.searchsorted(keys, np.array(of_keys, np.int64)[is_kept])
        return cls(list(known), positions, np.array(codes, np.int64)[is_kept])

    def counts(self, mask: Mask | None) -> list[tuple[str, int]]:
        """As `_Column.counts`."""
        return _most_frequent(self.values, self.codes if mask is None else self.codes[mask[self.positions]])


class Overview:
    """The orders and facets of all pictures, as they were in the store when it was read."""

    def __init__(self, rows: Sequence[tuple[Any, ...]], labels: Iterable[tuple[int, Sequence[str]]] = ()) -> None:
        """Takes rows of the key of a picture, rising, and the texts of its tags `_TAGS`, and the labels by key."""
        self.keys: Keys = np.fromiter((row[0] for row in rows), np.int64, len(rows))
        columns = {name: [row[i] or "" for row in rows] for i, name in enumerate(_TAGS, 1)}
        times = [taken[:19] if is_time(taken) else "" for taken in columns["taken"]]
        self._month = _Column.of(time[:7] for time in times)
        self._facets: dict[Facet, _Column] = {"year": _Column.of(time[:4] for time in times)}
        self._facets |= {name: _Column.of(columns[name]) for name in get_args(Facet)[1:-1]}
        self._labels = _ListColumn.of(self.keys, labels)
        areas = (self._facets["country"].values, _Column.of(columns["region"]).values, self._facets["place"].values)
        self._names = frozenset(name.casefold() for values in areas for name in values)
        self.has_dates, self.has_places = bool(self._month.values), bool(self._names)
        oldest = np.argsort(np.array(times, "S19"), kind="stable").astype(np.int32)
        n_undated = times.count("")
        undated, dated = oldest[:n_undated], oldest[n_undated:]
        self._orders: dict[Order, NDArray[np.int32]] = {
            "newest": np.concatenate([dated[::-1], undated[::-1]]),
            "oldest": np.concatenate([dated, undated]),
            "folder": _by_name(self._facets["folder"], columns["filename"]),
        }

    @classmethod
    def read(cls, store: Store) -> Overview:
        """The overview of the pictures that are in the store now."""
        return cls(store.tag_texts("image", _TAGS), store.tag_lists("image", "labels"))

    def mask(self, allowed: Keys) -> Mask:
        """(n,) bool, the pictures with these keys."""
        return np.isin(self.keys, allowed, assume_unique=True)

    def ordered(self, order: Order, mask: Mask | None = None) -> Keys:
        """The keys (n,) of the pictures of a mask in an order.

        By time, pictures without a date are last, and pictures of the same second in the order in which they were
        indexed, or its reverse. By folder, they are ordered by folder and file name.
        """
        return self.keys[self._positions(order, mask)]

    def sections(self, order: Order, mask: Mask | None = None) -> list[Section]:
        """The months or folders of an order; the pictures of a section follow one another in that order."""
        column = self._facets["folder"] if order == "folder" else self._month
        codes = column.codes[self._positions(order, mask)]
        starts = np.flatnonzero(np.diff(codes, prepend=-2)).tolist()
        ends = [*starts[1:], len(codes)] if starts else []
        return [
            _section(order, column.values[codes[start]] if codes[start] >= 0 else "", end - start)
            for start, end in zip(starts, ends, strict=True)
        ]

    def facets(self, mask: Mask | None = None) -> dict[Facet, list[tuple[str, int]]]:
        """The `MOST_VALUES` most frequent values of each facet with their numbers of pictures, most frequent first."""
        counts = {name: column.counts(mask) for name, column in self._facets.items()}
        return {**counts, "label": self._labels.counts(mask)}

    def is_named(self, name: str) -> bool:
        """Whether the country, region or place of some picture has this name, in any case."""
        return name.casefold() in self._names

    def _positions(self, order: Order, mask: Mask | None) -> NDArray[np.int32]:
        positions = self._orders[order]
        return positions if mask is None else positions[mask[positions]]


class LatestOverview:
    """The overview of a store, read again after changes; shared by threads.

    While the store keeps changing, an overview is used for `WAIT_FACTOR` times the duration of reading one, so that
    reading takes at most a tenth of the time.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float] = time.monotonic,
        *,
        open_store: Callable[[], Store] | None = None,
    ) -> None:
        """Reads nothing yet.

        Args:
            store: The open store.
            clock: Returns seconds.
            open_store: Opens the store once more to read an overview, during which other requests use `store` and,
                after `WAIT_S`, the earlier overview. None if each request waits for the newest overview.
        """
        self._store, self._clock, self._open_store = store, clock, open_store
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(1)
        self._reading: Future[None] | None = None
        self._began = 0.0
        self._overview: Overview | None = None
        self._masks: dict[str, Mask] = {}
        self._version, self._used_until = (-1, -1), 0.0

    def current(self, where: str = "") -> tuple[Overview, Mask | None]:
        """The overview, and its pictures that meet a condition, None for all.

        Raises:
            InputError: `where` is not a condition.
            StateError: The store can't be read.
        """
        condition = parse(where) if where else None
        self._refresh()
        with self._lock:
            overview, masks = self._overview, self._masks
            assert overview is not None
            mask = masks.pop(where, None)
        if condition is None:
            return overview, None
        if mask is None:
            mask = overview.mask(self._store.keys_where(condition, "image"))
        with self._lock:
            masks[where] = mask  # the last used one is the last to be dropped
            if len(masks) > _MAX_MASKS:
                del masks[next(iter(masks))]
        return overview, mask

    def _refresh(self) -> None:
        """Begins to read the overview if it is due, and waits for it, for `WAIT_S` at most if there is another."""
        now, version = self._clock(), self._store.data_version()
        with self._lock:
            is_due = self._overview is None or (version != self._version and now >= self._used_until)
            if self._reading is None and is_due:
                self._began = time.monotonic()
                self._reading = self._threads.submit(self._read, now, version)
            reading, must_wait = self._reading, self._overview is None or self._open_store is None
        if reading is None:
            return
        wait([reading], None if must_wait else max(0.0, self._began + WAIT_S - time.monotonic()))
        if reading.done():
            with self._lock:
                self._reading = None if self._reading is reading else self._reading
            reading.result()  # raises what reading raised

    def _read(self, start: float, version: tuple[int, int]) -> None:
        with nullcontext(self._store) if self._open_store is None else self._open_store() as store:
            overview = Overview.read(store)
        end = self._clock()
        with self._lock:
            self._overview, self._masks, self._version = overview, {}, version
            self._used_until = end + WAIT_FACTOR * (end - start)


def _by_name(folders: _Column, filenames: list[str]) -> NDArray[np.int32]:
    """The positions by folder, those without one first, and within a folder by file name."""
    ranks = np.argsort(np.argsort(np.array(folders.values, object)))
    rank_of = np.append(ranks, -1)  # the code of no folder is -1
    by_filename = np.array(sorted(range(len(filenames)), key=filenames.__getitem__), np.int32)
    return by_filename[np.argsort(rank_of[folders.codes[by_filename]], kind="stable")]


def _section(order: Order, key: str, n: int) -> Section:
    if order == "folder":
        return Section(key, key or TOP_FOLDER, n)
    year, _, month = key.partition("-")
    return Section(key, f"{MONTHS[int(month) - 1]} {year}" if key else NO_DATE, n)
