"""Whatever happens to a folder, `--prune` removes only what is proven to be gone, and captions stay with pictures.

`INGEST_EXAMPLES` sets how many folders are tried.
"""

from __future__ import annotations

import csv
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ingest_world import FAST_DISK, MODEL, SOMEBODY, as_somebody, documents, encoded, indexed

from crossmodal.collection.collection import Collection
from crossmodal.core.errors import InputError
from crossmodal.core.types import Document, image_id

EXAMPLES = int(os.environ.get("INGEST_EXAMPLES", "500"))
FOLDERS = ("", "a", "b", "a/deep")
NAMES = ("1.png", "2.png", "é.png")
PLACES = [f"{folder}/{name}".lstrip("/") for folder in FOLDERS for name in NAMES]


@dataclass
class World:
    """A folder as it is, by place: which picture lies there."""

    root: Path
    pictures: dict[str, int] = field(default_factory=dict)
    locked: set[str] = field(default_factory=set)  # folders and files that can't be read

    def put(self, place: str, number: int) -> None:
        path = self.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(number))
        self.pictures[place] = number

    def tell(self, captions: list[tuple[str, str]]) -> None:
        with (self.root / "captions.csv").open("w", newline="", encoding="utf8") as file:
            csv.writer(file).writerows([("image", "caption"), *captions])

    def unlock(self) -> None:
        for place in self.locked:
            if os.path.lexists(self.root / place):
                (self.root / place).chmod(0o755)
        self.locked.clear()


@dataclass(frozen=True)
class Change:
    """Something that happens to a folder."""

    what: str
    place: str
    other: str
    number: int


CHANGES = st.builds(
    Change,
    st.sampled_from(["delete", "move", "swap", "replace", "cut", "lock file", "lock folder", "empty", "add", "bury"]),
    st.sampled_from(PLACES),
    st.sampled_from(PLACES),
    st.integers(20, 25),
)


def happen(world: World, change: Change) -> None:  # noqa: C901
    place, other, pictures = change.place, change.other, world.pictures
    folder = os.path.dirname(place)
    if any(place == lock or place.startswith(f"{lock}/") or other.startswith(f"{lock}/") for lock in world.locked):
        return
    if change.what == "add":
        world.put(place, change.number)
    elif change.what == "empty" and folder:
        for name in os.listdir(world.root / folder) if (world.root / folder).is_dir() else []:
            path = world.root / folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for gone in [p for p in pictures if p.startswith(f"{folder}/")]:
            del pictures[gone]
    elif change.what == "lock folder" and folder and (world.root / folder).is_dir():
        (world.root / folder).chmod(0o000)
        world.locked.add(folder)
    elif place not in pictures:
        return
    elif change.what == "delete":
        (world.root / place).unlink()
        del pictures[place]
    elif change.what == "bury":  # a folder goes with all that is in it
        shutil.rmtree(world.root / folder) if folder else (world.root / place).unlink()
        for gone in [p for p in pictures if p.startswith(f"{folder}/") and folder] or [place]:
            del pictures[gone]
    elif change.what == "replace":
        world.put(place, change.number)
    elif change.what == "cut":
        (world.root / place).write_bytes(encoded(pictures[place])[:40])
        pictures[place] = -1
    elif change.what == "lock file":
        (world.root / place).chmod(0o000)
        world.locked.add(place)
    elif change.what == "move" and other not in pictures:
        number = pictures.pop(place)
        (world.root / place).unlink()
        if number >= 0:
            world.put(other, number)
    elif change.what == "swap" and other in pictures and pictures[place] >= 0 and pictures[other] >= 0:
        first, second = pictures[place], pictures[other]
        world.put(place, second)
        world.put(other, first)


def may_go(world: World, path: str, picture: str) -> bool:
    """Whether a look at the path, by one who may read everything, shows that the picture is not there."""
    relative = os.path.relpath(path, world.root)
    if any(relative == lock or relative.startswith(f"{lock}/") for lock in world.locked):
        return False
    if os.path.lexists(path):
        return image_id(Path(path).read_bytes()) != picture
    return True  # also from an empty folder, which is the one that was indexed


def meaning(written: str, places: dict[str, int]) -> list[str]:
    """The places that a written name fits: those that end with it, by whole names."""
    return [place for place in places if place == written or place.endswith(f"/{written}")]


def given_to_somebody(folder: Path) -> None:
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, SOMEBODY, -1)


@settings(
    max_examples=EXAMPLES, print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(
    start=st.dictionaries(st.sampled_from(PLACES), st.integers(1, 9), min_size=2),
    changes=st.lists(CHANGES, min_size=1, max_size=4),
    written=st.lists(st.tuples(st.sampled_from([*PLACES, *NAMES]), st.integers(0, 3)), max_size=5, unique=True),
    still_told=st.lists(st.booleans(), min_size=5, max_size=5),
    prune=st.booleans(),
)
def test_nothing_goes_without_a_proof_and_captions_stay_with_their_pictures(
    start: dict[str, int], changes: list[Change], written: list[tuple[str, int]], still_told: list[bool], prune: bool
) -> None:
    folder = Path(tempfile.mkdtemp(dir=FAST_DISK))
    world = World(folder / "pictures")
    try:
        for place, number in start.items():
            world.put(place, number)
        captions = [(name, f"{name} said {n}") for name, n in written]
        world.tell(captions)
        given_to_somebody(folder)
        with as_somebody():
            collection = Collection.create(folder / "c", MODEL)
            collection.store(writable=True).close()
        indexed(collection, world.root, prune=False)
        before, paths = documents(collection)
        assert {d.id for d in before.values() if d.modality == "image"} == {
            image_id(encoded(n)) for n in start.values()
        }
        check_captions(before, captions, start)

        for change in changes:
            happen(world, change)
            world.locked = {place for place in world.locked if os.path.lexists(world.root / place)}
        kept = [one for one, is_told in zip(captions, still_told, strict=False) if is_told]
        world.tell(kept)
        given_to_somebody(world.root)
        told = None
        try:
            told = indexed(collection, world.root, prune=prune)
        except InputError:
            assert not any(readable(world, place) for place in world.pictures)
        after, _ = documents(collection)
        check_removals(world, before, after, paths, kept if prune else captions)
        for own, document in after.items():
            if document.modality == "image":
                check_place(world, own, document)
        if told is not None and not prune:
            counts = indexed(collection, world.root, prune=True).counts
            # No more: captions that the first run moves with their picture to another of its files go in the next one.
            assert all(n <= counts[modality]["removed"] for modality, n in told.gone.items())
    finally:
        world.unlock()
        shutil.rmtree(folder)


def readable(world: World, place: str) -> bool:
    """Whether the folder of a place can be listed."""
    return not any(place.startswith(f"{lock}/") for lock in world.locked)


def check_removals(
    world: World,
    before: dict[str, Document],
    after: dict[str, Document],
    paths: dict[str, list[str]],
    told: list[tuple[str, str]],
) -> None:
    """Pictures went with a proof for each of their files; captions with their picture, or told no more."""
    for own in before.keys() - after.keys():
        document = before[own]
        if document.modality == "image":
            assert all(may_go(world, path, own) for path in paths[own]), (own, paths[own])
        elif document.image_id in after and (name := document.text.split(" said ")[0], document.text) in told:
            places = {place: number for place, number in world.pictures.items() if readable(world, place)}
            fitting = [name] if name in places else meaning(name, places)
            assert [image_id(encoded(places[place])) for place in fitting] != [document.image_id]
    assert all(document.image_id in after for document in after.values() if document.modality == "text")


def check_captions(found: dict[str, Document], captions: list[tuple[str, str]], places: dict[str, int]) -> None:
    """Each caption is at the one picture that its name fits, or nowhere."""
    expected = set()
    for name, text in captions:
        fitting = [name] if name in places else meaning(name, places)
        if len(fitting) == 1:
            expected.add((text, image_id(encoded(places[fitting[0]]))))
    assert {(d.text, d.image_id) for d in found.values() if d.modality == "text"} == expected


def check_place(world: World, own: str, document: Document) -> None:
    """What follows from the path of a picture is of a path that it has now, where there is one that could be read."""
    places = [
        place for place, number in world.pictures.items()
        if number > 0 and image_id(encoded(number)) == own and place not in world.locked and readable(world, place)
    ]  # fmt: skip
    place = os.path.relpath(document.uri, world.root)
    if places and not os.path.lexists(document.uri):
        assert place in places, (place, places)
    assert document.tags["filename"] == os.path.basename(place)
    assert document.tags.get("folder", "") == os.path.dirname(place)
