"""A collection over its life: brought up to date, thinned out, checked, moved, given another model."""

from __future__ import annotations

import csv
import json
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import TOY, RunApp, run_crossmodal

from crossmodal.collection.collection import Collection
from crossmodal.encoders.clip import BUNDLED_FOLDER
from crossmodal.relevance.rules import Calibration
from crossmodal.store.where import parse
from serving.jina.ports import LOOPBACK, reserve_port_pair


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six captioned pictures, 0 to 5."""
    made = tmp_path / "pictures"
    (made / "images").mkdir(parents=True)
    for n in range(6):
        shutil.copy(TOY / "images" / f"test-0000{n}.jpg", made / "images" / f"{n}.jpg")
    tell(made, {f"{n}.jpg": [f"picture {n}", f"{n}, said again"] for n in range(6)})
    return made


def tell(folder: Path, captions: dict[str, list[str]]) -> None:
    with (folder / "captions.txt").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["image", "caption"])
        lines.writerows([name, caption] for name, told in captions.items() for caption in told)


OWN = ("-m", "clip", "--weights", "scenes", "--collection", "c", "--json")


def index(folder: Path, workspace: Path, *more: str) -> dict[str, Any]:
    return report_of(run_crossmodal("index", folder, "-w", workspace, *OWN, *more))


def index_by_flow(run_app: RunApp, folder: Path, workspace: Path, *more: str) -> dict[str, Any]:
    return report_of(run_app("-t", "index", "-d", folder, "-w", workspace, *OWN, *more))


def report_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def asked(run_app: RunApp, workspace: Path, *arguments: str | Path, code: int = 0) -> Any:
    done = run_app("-w", workspace, "--collection", "c", "--json", *arguments)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def names(workspace: Path) -> dict[str, list[str]]:
    """File names with their captions, as they are in the store."""
    with Collection.open(workspace / "c").store() as store:
        found = [item.document for _, item in store.everything(0, 1000)]
        return {
            Path(d.uri).name: sorted(store.caption_texts_of([d.id]).get(d.id, []))
            for d in found
            if d.modality == "image"
        }


def test_a_folder_that_changes(run_app: RunApp, folder: Path, tmp_path: Path) -> None:
    workspace, images = tmp_path / "w", folder / "images"
    assert index_by_flow(run_app, folder, workspace)["images"]["indexed"] == 6
    shutil.copy(TOY / "images" / "test-00010.jpg", images / "0.jpg")
    os.rename(images / "1.jpg", images / "moved.jpg")
    (images / "2.jpg").unlink()
    shutil.copy(TOY / "images" / "test-00011.jpg", images / "new.jpg")
    os.utime(images / "3.jpg", ns=(1, 1))
    captions = {"0.jpg": ["another one"], "moved.jpg": ["picture 1", "1, said again"], "3.jpg": ["picture 3", "new"]}
    tell(folder, {**captions, **{f"{n}.jpg": [f"picture {n}", f"{n}, said again"] for n in (4, 5)}})

    report = index_by_flow(run_app, folder, workspace)
    assert report["images"] == {"indexed": 2, "unchanged": 4, "failed": 0}
    assert report["removed"] == {"images": 1, "captions": 2}
    assert report["gone"] == {"images": 1, "captions": 3}
    assert any("now contains another picture" in note["reason"] for note in report["notes"])
    told = names(workspace)
    assert set(told) == {"0.jpg", "moved.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg", "new.jpg"}
    assert (told["0.jpg"], told["2.jpg"]) == (["another one"], ["2, said again", "picture 2"])
    assert told["3.jpg"] == ["3, said again", "new", "picture 3"]

    report = index_by_flow(run_app, folder, workspace, "--prune")
    assert report["images"] == {"indexed": 0, "unchanged": 6, "failed": 0}
    assert report["removed"] == {"images": 1, "captions": 3}
    assert "gone" not in report
    told = names(workspace)
    assert "2.jpg" not in told
    assert told["3.jpg"] == ["new", "picture 3"]
    assert asked(run_app, workspace, "-t", "verify")["problems"] == []


def test_pruning_a_part_of_a_data_set_is_refused(run_app: RunApp, folder: Path, tmp_path: Path) -> None:
    done = run_app("-t", "index", "-d", folder, "-w", tmp_path / "w", "-n", "3", "--prune")
    assert done.returncode == 1
    assert "--prune needs the whole data set" in done.stderr


def test_pruning_half_of_a_collection_is_confirmed_with_yes(run_app: RunApp, folder: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    index(folder, workspace)
    for n in range(3):
        (folder / "images" / f"{n}.jpg").unlink()
    own = ("-d", folder, "--weights", "scenes", "-w", workspace, "--collection", "c", "--prune")
    done = run_app("-t", "index", *own)
    assert done.returncode == 1
    *_, told, first, _, _, confirm = done.stderr.splitlines()
    assert "3 of 6 pictures" in told
    assert first == f"  {folder}/images/0.jpg: the file is gone"
    assert "--yes" in confirm
    assert len(names(workspace)) == 6
    assert "gone" not in index(folder, workspace, "-n", "3")
    assert index(folder, workspace, "--prune", "--yes")["removed"] == {"images": 3, "captions": 6}


def test_copies_of_a_picture_go_with_the_last_of_them(folder: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    shutil.copy(folder / "images" / "0.jpg", folder / "images" / "copy.jpg")
    assert index(folder, workspace)["images"] == {"indexed": 6, "unchanged": 1, "failed": 0}
    (folder / "images" / "0.jpg").unlink()
    assert index(folder, workspace, "--prune")["removed"]["images"] == 0
    assert "copy.jpg" in names(workspace)
    (folder / "images" / "copy.jpg").unlink()
    assert index(folder, workspace, "--prune")["removed"]["images"] == 1
    assert len(names(workspace)) == 5


def test_taking_out_checking_compacting_and_moving(run_app: RunApp, folder: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    index(folder, workspace)
    with Collection.open(workspace / "c").store() as store:
        [first] = store.ids_where(parse("filename = '0.jpg' and modality = 'image'"))
    assert asked(run_app, workspace, "-t", "delete", "--ids", first) == {"images": 1, "captions": 2, "unknown": []}
    assert asked(run_app, workspace, "-t", "delete", "--ids", first, code=1)["unknown"] == [first]
    told = asked(run_app, workspace, "-t", "delete", "--where", "filename = '1.jpg' and modality = 'image'")
    assert told == {"images": 1, "captions": 2, "unknown": []}
    assert asked(run_app, workspace, "-t", "delete", "--uri", folder / "images" / "2.jpg")["images"] == 1
    assert set(names(workspace)) == {"3.jpg", "4.jpg", "5.jpg"}
    for arguments in (("--where", "colour = 'red'"), ("--uri", "/nowhere"), ()):
        done = run_app("-w", workspace, "--collection", "c", "-t", "delete", *arguments)
        assert done.returncode == 1
        assert done.stderr.startswith("error: ")

    assert asked(run_app, workspace, "-t", "compact")["store_after"] > 0
    assert asked(run_app, workspace, "-t", "verify")["problems"] == []
    (folder / "images" / "3.jpg").write_bytes(b"something else")
    for path in (workspace / "c" / "index").glob("image-*.vectors.npy"):
        path.write_bytes(path.read_bytes()[:50])
    problems = asked(run_app, workspace, "-t", "verify", code=1)["problems"]
    assert {problem["item"] for problem in problems} == {str(folder / "images" / "3.jpg"), "image index"}
    shutil.copy(TOY / "images" / "test-00003.jpg", folder / "images" / "3.jpg")
    assert asked(run_app, workspace, "-t", "rebuild")["image"]["vectors"] == 3
    assert asked(run_app, workspace, "-t", "verify")["problems"] == []

    exported = tmp_path / "c.parquet"
    assert asked(run_app, workspace, "-t", "export", "--out", exported)["documents"] == 9
    there = tmp_path / "elsewhere"
    assert asked(run_app, there, "-t", "import", exported)["indexed"] == 9
    assert asked(run_app, there, "-t", "import", exported)["unchanged"] == 9
    assert names(there) == names(workspace)
    listed = asked(run_app, there, "-t", "collections")
    assert [(c["name"], c["images"], c["captions"]) for c in listed] == [("c", 3, 6)]
    found = asked(run_app, there, "-t", "query-t2i", "a star", "--where", "filename != '4.jpg'")
    assert {match["filename"] for match in found["matches"]} == {"3.jpg", "5.jpg"}


def test_another_model_and_back(run_app: RunApp, folder: Path, tmp_path: Path) -> None:
    workspace, weights = tmp_path / "w", tmp_path / "other-weights"
    index(folder, workspace)
    shutil.copytree(BUNDLED_FOLDER, weights)
    before = Collection.open(workspace / "c")
    lost = folder / "images" / "5.jpg"
    content = lost.read_bytes()
    lost.unlink()
    where = ("-w", workspace, "--collection", "c", "--engine", "torch")  # no conversion
    reindex = ("-t", "reindex", *where, "-m", "clip", "--weights", weights)
    done = run_app(*reindex)
    assert done.returncode == 1
    *_, failed, told = done.stderr.splitlines()
    assert told == (
        "error: 1 documents can't be encoded again, so nothing was changed: "
        "restore the files, or drop missing ones with --prune"
    )
    assert failed.startswith(f"  failed: {lost}: ")
    assert Collection.open(workspace / "c") == before

    lost.write_bytes(content)
    done = run_app(*reindex)
    assert done.returncode == 0, done.stderr
    after = Collection.open(workspace / "c")
    assert after.model.weights == str(weights)
    with before.store() as old, after.store() as new:
        assert new.counts() == old.counts() == {"image": 6, "text": 12}
        assert new.files.by_source() == old.files.by_source()
    assert asked(run_app, workspace, "-t", "verify")["problems"] == []
    asked(run_app, workspace, "-t", "rollback")
    assert Collection.open(workspace / "c") == before


def calibration(workspace: Path) -> Calibration:
    return Calibration.from_bytes(Collection.open(workspace / "c").calibration_path.read_bytes())


def test_the_map_is_made_once_for_each_state(run_app: RunApp, folder: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    index(folder, workspace)
    before = calibration(workspace)
    for outcome in ("made", "unchanged"):
        assert asked(run_app, workspace, "-t", "map") == {"pictures": 6, "method": "pca", "outcome": outcome}
    (folder / "images" / "5.jpg").unlink()
    index(folder, workspace, "--prune")
    assert asked(run_app, workspace, "-t", "map") == {"pictures": 5, "method": "pca", "outcome": "made"}
    with Collection.open(workspace / "c").store() as store:  # what scores mean follows from what is left
        assert before.last_seq < calibration(workspace).last_seq == store.last_seq()


def test_reindex_metadata_changes_only_tags(run_app: RunApp, folder: Path, tmp_path: Path) -> None:
    (folder / "images" / "0.jpg").rename(folder / "images" / "IMG_20210704_183005.jpg")
    index(folder, tmp_path / "w")
    with Collection.open(tmp_path / "w" / "c").store(writable=True) as store:
        (key,) = store.ids_where(parse("tags.taken = '2021-07-04T18:30:05' and modality = 'image'"))
        store.update([(key, {"taken": None, "taken_from": None})])
    (folder / "images" / "5.jpg").unlink()
    run = ("-t", "reindex", "--metadata")
    first = asked(run_app, tmp_path / "w", *run)
    assert (first["updated"], first["unchanged"]) == (1, 4)
    assert [Path(failure["path"]).name for failure in first["failures"]] == ["5.jpg"]
    assert asked(run_app, tmp_path / "w", *run)["updated"] == 0
    with Collection.open(tmp_path / "w" / "c").store() as store:
        assert store.ids_where(parse("tags.taken_from = 'filename'")) == [key]
    for refused in (("--prune",), ("-m", "clip"), ("--weights", "scenes")):
        assert "--metadata keeps the model" in run_app("-w", tmp_path / "w", *run, *refused).stderr
    assert "add --metadata" in run_app("-w", tmp_path / "w", "-t", "reindex", "--no-gps").stderr


def test_a_dry_run_starts_asks_and_stops_the_service(run_app: RunApp, toy_workspace: Path, tmp_path: Path) -> None:
    port = reserve_port_pair()
    done = run_app("-t", "dryrun", "-w", toy_workspace, "--port", str(port))
    assert done.returncode == 0, done.stderr
    assert "ok: the service encoded and searched in " in done.stdout
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, port))
    done = run_app("-t", "dryrun", "-w", tmp_path)
    assert done.returncode == 1
    assert "error: no index in " in done.stderr
