"""Groups of duplicates in a store of each kind."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from pictures_with_copies import DIM, cropped, entry, marked, recompressed, scene, unit
from PIL import Image, ImageOps
from stores import OpenStore

from crossmodal.collection.shared_state import HASHES
from crossmodal.core.errors import InputError
from crossmodal.core.types import image_id
from crossmodal.duplicates.finding import DuplicateGroups, find
from crossmodal.duplicates.fingerprints import Fingerprints, read_fingerprints
from crossmodal.duplicates.groups import Group, as_json
from crossmodal.duplicates.leaks import leaks
from crossmodal.index.vector_replica import VectorReplica
from crossmodal.store.known_folders import FolderState, FolderStates
from crossmodal.store.protocol import Store
from crossmodal.store.source_files import SourceFile

N = 12


def found_in(
    store: Store,
    tmp_path: Path,
    prints: Fingerprints | None = None,
    where: str = "",
    folders: FolderStates | None = None,
) -> DuplicateGroups:
    known = Fingerprints.none() if prints is None else prints
    return find(store, lambda: VectorReplica(store, "image", tmp_path, DIM), known, where=where, folders=folders)


def names(groups: list[Group]) -> list[list[str]]:
    return [[member.name for member in group.members] for group in groups]


def rearranged(picture: Image.Image) -> Image.Image:
    """Another picture in the same colours."""
    tiles = np.asarray(picture).reshape(3, 80, 4, 80, 3).swapaxes(1, 2).reshape(12, 80, 80, 3)
    tiles = np.random.default_rng(0).permutation(tiles).reshape(3, 4, 80, 80, 3)
    return Image.fromarray(tiles.swapaxes(1, 2).reshape(240, 320, 3))


def fill(store: Store) -> None:
    """Twelve pictures, and copies of some of them."""
    for seed in range(N):
        store.put([entry(f"{seed}.jpg", scene(seed), unit(seed))])
    turned = scene(2).transpose(Image.Transpose.ROTATE_90)
    store.put(
        [
            entry("0-small.jpg", scene(0).resize((160, 120)), unit(100)),
            entry("0 (1).jpg", recompressed(scene(0), 30), unit(101)),
            entry("1-crop.jpg", cropped(scene(1), 0, 0, 0.88, 0.84), unit(102, unit(1), 0.3)),
            entry("2-turned.jpg", turned, unit(103)),
            entry("3-marked.jpg", marked(scene(3)), unit(104, unit(3), 0.3)),
        ]
    )


def test_versions_of_a_picture_are_one_group(open_store: OpenStore, tmp_path: Path) -> None:
    with open_store(writable=True) as store:
        fill(store)
        found = found_in(store, tmp_path)
    assert (found.n_pictures, found.n_plain) == (N + 5, 0)
    assert sorted(names(found.groups[2])) == [
        ["0.jpg", "0 (1).jpg", "0-small.jpg"], ["1.jpg", "1-crop.jpg"], ["2.jpg", "2-turned.jpg"],
        ["3.jpg", "3-marked.jpg"],
    ]  # fmt: skip
    assert len(found.groups[2][0].members) == 3, "the largest group is first"
    said = {member.name: member.differences for group in found.groups[2] for member in group.members}
    assert said["0-small.jpg"] == ("25 % of the pixels",)
    assert said["2-turned.jpg"] == ("turned anticlockwise",)
    assert said["1-crop.jpg"] == ("74 % of the pixels", "shows 74 %")
    assert said["1.jpg"] == ()
    reasons = {group.members[0].name: group.reason for group in found.groups[2]}
    assert reasons["0.jpg"] == "its name is not that of a copy"
    assert reasons["1.jpg"] == "largest"
    assert found.groups[3] == [], "versions of a picture are no scene"


def test_files_of_the_same_bytes(open_store: OpenStore, tmp_path: Path) -> None:
    with open_store(writable=True) as store:
        store.put([entry("0.jpg", scene(0), unit(0))])
        picture = image_id(b"0.jpg")
        paths = ["/a/0.jpg", "/a/0 (1).jpg", "/b/0.jpg"]
        store.files.put("/a", [SourceFile(path, 5, 10**9 * n, picture) for n, path in enumerate(paths, 1)])
        found = found_in(store, tmp_path)
        assert [member.paths for member in found.groups[1][0].members] == [
            ["/a/0.jpg"], ["/a/0 (1).jpg"], ["/b/0.jpg"],
        ]  # fmt: skip
        assert found.groups[1][0].reason == "oldest file"
        assert found.groups[2] == []
        told = as_json(found.groups[1][0])["members"][0]
        assert (told["keep"], told["bytes"], told["modified"]) == (True, 5, "1970-01-01T00:00:01Z")
        assert found_in(store, tmp_path, where="width > 9999").groups[1] == []


def test_a_file_that_is_gone_is_no_duplicate_of_one_that_is_there(open_store: OpenStore, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("gone", "0.jpg", "0 (1).jpg")]
    for path in paths[1:]:
        path.touch()
    with open_store(writable=True) as store:
        store.put([entry("0.jpg", scene(0), unit(0))])
        store.files.put("/a", [SourceFile(str(path), 5, 1, image_id(b"0.jpg")) for path in paths])
        folders = {str(tmp_path): FolderState(1, is_mount=False)}
        [group] = found_in(store, tmp_path, folders=folders).groups[1]
        assert [member.paths for member in group.members] == [[str(path)] for path in paths[1:]]
        paths[2].unlink()
        assert found_in(store, tmp_path, folders=folders).groups[1] == []
        [group] = found_in(store, tmp_path).groups[1]  # indexed on another machine, where the files may be
        assert len(group.members) == 3


def test_scenes_need_similar_vectors_and_times(open_store: OpenStore, tmp_path: Path) -> None:
    def at(name: str, seed: int, vector: int, by: float, taken: str, picture: Image.Image | None = None) -> None:
        tags = [("taken", taken)] if taken else []
        store.put([entry(name, picture or scene(seed), unit(seed, unit(vector), by), tags)])

    with open_store(writable=True) as store:
        for seed in range(20, 40):
            at(f"{seed}.jpg", seed, seed, 0.0, "")
        at("a1.jpg", 1, 50, 0.3, "2023-07-01T12:00:00")
        at("a2.jpg", 2, 50, 0.3, "2023-07-01T12:03:00")
        at("late.jpg", 3, 50, 0.3, "2023-07-01T15:00:00")
        at("b1.jpg", 4, 60, 0.1, "")
        at("b2.jpg", 5, 60, 0.1, "2023-07-01T12:00:00", rearranged(scene(4)))
        at("other colours.jpg", 7, 60, 0.1, "", ImageOps.colorize(scene(7).convert("L"), "black", "red"))
        at("odd.jpg", 6, 60, 0.5, "not a time")
        found = found_in(store, tmp_path)
        edited = find(store, lambda: VectorReplica(store, "image", tmp_path, DIM), found.prints, up_to=2)
    assert found.groups[2] == []
    assert sorted(map(sorted, names(found.groups[3]))) == [["a1.jpg", "a2.jpg"], ["b1.jpg", "b2.jpg"]]
    assert found.cosines is not None
    assert found.cosines.unrelated < found.cosines.timed < found.cosines.untimed < 1
    assert (edited.groups, edited.cosines) == ({1: found.groups[1], 2: found.groups[2]}, None)


def test_a_condition_leaves_out_pictures(open_store: OpenStore, tmp_path: Path) -> None:
    with open_store(writable=True) as store:
        fill(store)
        found = found_in(store, tmp_path, where="filename like '0%'")
        assert (found.n_pictures, names(found.groups[2])) == (3, [["0.jpg", "0 (1).jpg", "0-small.jpg"]])
        assert len(found.prints.keys) == N + 5, "all are hashed"
        nothing = found_in(store, tmp_path, where="width > 9999")
        assert (nothing.n_pictures, nothing.groups[1]) == (0, [])
        with pytest.raises(InputError):
            found_in(store, tmp_path, where="width >")


def test_plain_pictures_are_not_compared(open_store: OpenStore, tmp_path: Path) -> None:
    with open_store(writable=True) as store:
        for n in range(4):
            store.put([entry(f"{n}.png", Image.new("RGB", (64, 48), (200, 200, 200 + n)), unit(n, unit(9), 0.01))])
        found = found_in(store, tmp_path)
    assert (found.n_plain, found.groups[2], found.groups[3]) == (4, [], [])


def test_many_equal_hashes_are_few_pairs(open_store: OpenStore, tmp_path: Path) -> None:
    with open_store(writable=True) as store:
        store.put([entry(f"{n}.jpg", scene(0), unit(n)) for n in range(150)])
        store.put([entry("other.jpg", scene(1), unit(200))])
        [group] = found_in(store, tmp_path).groups[2]
    assert len(group.members) == 150


def test_hashes_follow_the_store(open_store: OpenStore, tmp_path: Path) -> None:
    with open_store(writable=True) as store:
        fill(store)
        steps: list[int] = []
        first = Fingerprints.none().followed(store, steps.append)
        assert sum(steps) == N + 5
        assert first.followed(store) is first
        (tmp_path / HASHES).write_bytes(first.to_bytes())
        read = read_fingerprints(tmp_path)
        assert read.followed(store) is read
        steps.clear()
        store.put([entry("new.jpg", scene(70), unit(70))])
        store.remove([image_id(b"0.jpg")])
        later = read.followed(store, steps.append)
        assert steps == [1], "only the new picture is read"
        assert later.keys.tolist() == store.keys("image").tolist()
        again = Fingerprints.none().followed(store)
        for name in ("keys", "hashes", "windows", "is_plain"):
            assert np.array_equal(getattr(later, name), getattr(again, name))


def test_hashes_of_another_store_are_not_used(new_store: object, tmp_path: Path) -> None:
    assert callable(new_store)
    with new_store()(writable=True) as one, new_store()(writable=True) as other:
        one.put([entry("0.jpg", scene(0), unit(0))])
        other.put([entry("1.jpg", scene(1), unit(1))])
        followed = Fingerprints.none().followed(one).followed(other)
        assert np.array_equal(followed.hashes, Fingerprints.none().followed(other).hashes)


def test_damaged_hashes_are_computed_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert len(read_fingerprints(tmp_path).keys) == 0
    whole = Fingerprints.none().to_bytes()
    for content in (b"", b"nothing", whole[: len(whole) // 2]):
        (tmp_path / HASHES).write_bytes(content)
        with caplog.at_level(logging.WARNING):
            assert len(read_fingerprints(tmp_path).keys) == 0
        assert "computed again" in caplog.text
        caplog.clear()


def test_leaks_between_splits(open_store: OpenStore, tmp_path: Path) -> None:
    with open_store(writable=True) as store:
        for seed in range(4):
            store.put([entry(f"{seed}.jpg", scene(seed), unit(seed), [("split", "train")])])
        store.put([entry("copy.jpg", recompressed(scene(1), 30), unit(9), [("split", "test")])])
        store.put([entry("other.jpg", recompressed(scene(2), 30), unit(8), [("split", "train")])])
        picture = image_id(b"3.jpg")
        store.files.put("/d", [SourceFile(f"/d/{split}/3.jpg", 5, 1, picture) for split in ("train", "test")])
        groups = found_in(store, tmp_path).groups
    found = leaks([*groups[1], *groups[2]], "train", "test")
    assert [(leak.level, [m.name for m in leak.ours], [m.name for m in leak.theirs]) for leak in found] == [
        (1, ["3.jpg"], ["3.jpg"]),
        (2, ["1.jpg"], ["copy.jpg"]),
    ]
    assert leaks([*groups[1], *groups[2]], "train", "val") == []
