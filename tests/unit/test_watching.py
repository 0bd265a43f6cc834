"""A watched folder: when a file is read, what is never removed, and what is said."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import ClassVar

import pytest
from ingest_world import SOMEBODY, as_somebody
from watch_world import DEBOUNCE_S, WatchedFolder, picture, unmounted, wait_until, watched

from cli.ocr import say_not_read
from crossmodal.collection.watch_state import WatchState
from crossmodal.core.errors import PictureError, StateError
from crossmodal.core.reading import Reading, ReadLine, ReadWord
from crossmodal.core.types import image_id
from crossmodal.store.locks import writer_lock

__all__ = ["watched"]


def said(watched: WatchedFolder, text: str, after: int = 0) -> None:
    wait_until(lambda: any(text in line for line in watched.log[after:]), 30, lambda: "\n".join(watched.log))


def put(watched: WatchedFolder, *names: str, first: int = 0) -> None:
    for number, name in enumerate(names, first):
        (watched.root / name).parent.mkdir(parents=True, exist_ok=True)
        (watched.root / name).write_bytes(picture(number))


def test_what_changed_while_it_did_not_run_counts(watched: WatchedFolder) -> None:
    put(watched, "1.png", "2.png", "a/3.png")
    watched.watch_while(watched.wait_until_in_step)
    (watched.root / "1.png").unlink()
    (watched.root / "2.png").rename(watched.root / "a" / "new.png")
    put(watched, "a/3.png", "b/4.png", first=10)
    watched.watch_while(watched.wait_until_in_step)
    assert "pictures: 2 indexed, 1 updated, 2 removed" in watched.log[-1]


def test_a_file_is_read_when_it_is_complete(watched: WatchedFolder) -> None:
    content = picture(1)

    def happens() -> None:
        said(watched, "nothing has changed")
        with (watched.root / "slow.png").open("wb") as file:
            for start in range(0, len(content), 8):
                file.write(content[start : start + 8])
                file.flush()
                time.sleep(DEBOUNCE_S / 3)
        watched.wait_until_in_step()

    watched.watch_while(happens)
    assert not any("failed" in line for line in watched.log)


def test_a_file_that_can_not_be_read_is_told_once_and_tried_again_when_it_changes(watched: WatchedFolder) -> None:
    def happens() -> None:
        (watched.root / "1.png").write_bytes(picture(1)[:30])
        said(watched, "failed: ")
        put(watched, "2.png")
        wait_until(lambda: len(watched.pictures()) == 1, 30, lambda: "\n".join(watched.log))
        (watched.root / "1.png").write_bytes(picture(1))
        watched.wait_until_in_step()

    watched.watch_while(happens)
    assert sum("failed: " in line for line in watched.log) == 1


def test_nothing_is_removed_while_the_folder_is_not_there(watched: WatchedFolder) -> None:
    put(watched, "1.png", "a/2.png")

    def happens() -> None:
        watched.wait_until_in_step()
        before = watched.pictures()
        with unmounted(watched.root, watched.base / "aside"):
            said(watched, "its disk may not be mounted; nothing is removed")
            assert watched.pictures() == before
        said(watched, "nothing has changed")
        watched.root.rename(watched.base / "aside")
        said(watched, "No such file or directory; nothing is removed")
        assert watched.pictures() == before
        (watched.base / "aside").rename(watched.root)
        (watched.root / "1.png").unlink()
        watched.wait_until_in_step()

    watched.watch_while(happens)
    assert len(watched.pictures()) == 1


def test_nothing_is_removed_below_a_folder_that_can_not_be_listed(watched: WatchedFolder) -> None:
    put(watched, "1.png", "a/2.png", "a/deep/3.png")
    watched.watch_while(watched.wait_until_in_step)
    for path in (watched.base, *watched.base.rglob("*")):
        os.chown(path, SOMEBODY, -1) if os.geteuid() == 0 else None

    def happens() -> None:
        (watched.root / "a").chmod(0)
        said(watched, "the folder can't be read")
        (watched.root / "1.png").unlink()
        wait_until(lambda: len(watched.pictures()) == 2, 30, lambda: "\n".join(watched.log))
        (watched.root / "a").chmod(0o755)
        put(watched, "a/deep/4.png")
        watched.wait_until_in_step()

    with as_somebody():
        watched.watch_while(happens)
    assert len(watched.pictures()) == 3
    assert any("kept in the index" in line for line in watched.log)


def test_pictures_that_are_left_out_now_are_removed_and_come_back(watched: WatchedFolder) -> None:
    put(watched, "1.png", "left-out/2.png", "3.skip.png")

    def happens() -> None:
        wait_until(lambda: len(watched.indexed()) == 3, 30, lambda: "\n".join(watched.log))
        (watched.root / ".crossmodalignore").write_text("left-out\n*.skip.png\n")
        watched.wait_until_in_step()
        (watched.root / ".crossmodalignore").unlink()
        wait_until(lambda: len(watched.indexed()) == 3, 30, lambda: "\n".join(watched.log))

    watched.watch_while(happens)


def test_captions_follow_their_file(watched: WatchedFolder) -> None:
    put(watched, "1.png")

    def captions() -> set[str]:
        with watched.collection.store() as store:
            return {item.document.text for _, item in store.everything(0, 100) if item.document.modality == "text"}

    def happens() -> None:
        for texts in ({"one"}, {"two", "three"}, set()):
            (watched.root / "1.txt").write_text("\n".join(texts)) if texts else (watched.root / "1.txt").unlink()
            wait_until(lambda texts=texts: captions() == texts, 30, lambda: "\n".join(watched.log))  # type: ignore[misc]

    watched.watch_while(happens)


def test_another_writer_is_waited_for_and_the_lock_is_free_between_batches(watched: WatchedFolder) -> None:
    put(watched, "1.png")

    def happens() -> None:
        watched.wait_until_in_step()
        wait_until(lambda: lock_is_free(watched.collection.folder), 30, lambda: "the lock is held")
        with writer_lock(watched.collection.folder):
            put(watched, "1.png", "2.png")
            said(watched, "waiting: another process is writing")
        watched.wait_until_in_step()

    watched.watch_while(happens)


def lock_is_free(folder: Path) -> bool:
    try:
        with writer_lock(folder):
            return True
    except StateError:
        return False


def test_polling_notices_changes_without_events(watched: WatchedFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossmodal.datasets.changes.POLL_S", 0.2)
    put(watched, "1.png", "a/2.png")

    def happens() -> None:
        watched.wait_until_in_step()
        shutil.rmtree(watched.root / "a")
        put(watched, "b/3.png", "c/deep/4.png")
        watched.wait_until_in_step()

    watched.watch_while(happens, polling=True)


def test_the_folder_may_come_later_and_the_state_is_written(watched: WatchedFolder) -> None:
    watched.root.rmdir()

    def state() -> WatchState:
        return WatchState.read(watched.collection.root, str(watched.root))

    assert state().state == "starting"

    def happens() -> None:
        said(watched, "waiting: ")
        wait_until(lambda: state().state == "waiting", 30, lambda: str(state()))
        put(watched, "1.png")
        watched.wait_until_in_step()
        wait_until(lambda: state().message.startswith("pictures: 1 indexed"), 30, lambda: str(state()))
        assert state().state == "in step"

    watched.watch_while(happens)
    assert state().state == "stopped"
    told = WatchState("/home/me/Pictures", "waiting", "/home/me/Pictures can't be read").for_clients()
    assert (told["folder"], told["message"]) == ("Pictures", "the log has the reason")
    assert WatchState.read(watched.collection.root, "/elsewhere").state == "starting"
    assert json.loads((watched.collection.root / "watch.json").read_bytes()) == asdict(state())


def test_a_relative_folder_that_is_away_at_first_is_the_one_that_was_indexed(
    watched: WatchedFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(watched.base)
    watched.settings = replace(watched.settings, data_set=watched.root.name)
    put(watched, "1.png", "2.png")
    watched.watch_while(watched.wait_until_in_step)
    (watched.root / "1.png").unlink()
    away = watched.root.rename(watched.base / "away")

    def happens() -> None:
        said(watched, "waiting: ")
        away.rename(watched.root)
        said(watched, "pictures: 1 removed")

    watched.watch_while(happens)


def test_changes_of_hidden_files_and_of_the_workspace_are_no_reason_to_look(
    watched: WatchedFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(watched, "1.png")
    looks = []

    def happens() -> None:
        watched.wait_until_in_step()
        time.sleep(4 * DEBOUNCE_S)
        monkeypatch.setattr("cli.watch.read_path", lambda *_, **__: looks.append(1) or [])  # type: ignore[func-returns-value]
        put(watched, ".hidden/1.png", "@eaDir/2.png", "._3.png", "Thumbs.db")
        (watched.base / "workspace" / "1.png").write_bytes(picture(1))
        time.sleep(8 * DEBOUNCE_S)

    watched.watch_while(happens)
    assert looks == []


class FakeReader:
    """Reads one word in every picture, except that some can't be read; in place of the process with rapidocr."""

    unreadable: ClassVar[set[bytes]] = set()
    n_read = n_running = 0

    def __init__(self, threads: int) -> None:
        assert threads > 0
        FakeReader.n_running += 1

    def start(self) -> None:
        pass

    def close(self) -> None:
        FakeReader.n_running -= 1

    def read(self, content: bytes) -> Reading:
        FakeReader.n_read += 1
        if content in FakeReader.unreadable:
            raise PictureError("took more than 30 s to read")
        box = (0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0)
        return Reading("fake", (ReadLine("OPEN", 0.9, box, (ReadWord("OPEN", 0.9, box),)),))


@pytest.fixture
def with_text(watched: WatchedFolder, monkeypatch: pytest.MonkeyPatch) -> WatchedFolder:
    """A watched folder with a picture whose text was read, so that new ones are read, too."""
    monkeypatch.setattr("cli.watch_text.ReadingProcess", FakeReader)
    monkeypatch.setattr("cli.watch_text.AT_ONCE", 2)
    monkeypatch.setattr(FakeReader, "n_read", 0)
    put(watched, "1.png")
    watched.watch_while(watched.wait_until_in_step)
    assert FakeReader.n_read == 0, "text was read in no picture so far"
    with watched.collection.store(writable=True) as store:
        assert store.readings.put([(image_id(picture(0)), Reading("fake", ()))]) == 1
    return watched


def texts(watched: WatchedFolder) -> tuple[int, int]:
    with watched.collection.store() as store:
        rows = store.readings.rows(0, 2**31)
    return len(rows), sum(bool(row.tag) for row in rows)


def test_text_in_new_pictures_is_read_if_that_of_others_was(
    with_text: WatchedFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeReader, "unreadable", {picture(4)})

    def happens() -> None:
        put(with_text, *(f"{number}.png" for number in range(2, 7)), first=2)
        said(with_text, "with text, ")
        wait_until(lambda: texts(with_text) == (5, 4), 30, lambda: "\n".join(with_text.log))
        put(with_text, "7.png", first=7)
        wait_until(lambda: texts(with_text) == (6, 5), 30, lambda: "\n".join(with_text.log))
        wait_until(lambda: FakeReader.n_running == 0, 30, lambda: "the reader still runs")

    with_text.watch_while(happens)
    log = "\n".join(with_text.log)
    assert "text in pictures: 2 read, 2 of them with text, 3 left (" in log
    assert log.count("text not read: ") == log.count("4.png: took more than 30 s to read") == 1
    assert FakeReader.n_read == 6, "the unreadable picture was tried once"
    with with_text.collection.store() as store:
        document = store.document(image_id(picture(7)))
    assert document is not None
    assert document.tags["text"] == "OPEN"
    assert list(with_text.collection.index_folder.glob("readings*"))


def test_a_missing_reader_of_text_is_said_once_and_the_rest_goes_on(
    with_text: WatchedFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_: int) -> FakeReader:
        raise StateError("text in pictures needs rapidocr")

    monkeypatch.setattr("cli.watch_text.ReadingProcess", missing)

    def happens() -> None:
        for number in (2, 3):
            put(with_text, f"{number}.png", first=number)
            with_text.wait_until_in_step()
            said(
                with_text, "text in pictures is not read (1 so far): text in pictures needs rapidocr; then start again"
            )

    with_text.watch_while(happens)
    assert sum("is not read" in line for line in with_text.log) == 1


def test_other_programs_say_that_they_do_not_read_text(
    with_text: WatchedFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    say_not_read(with_text.collection)
    assert capsys.readouterr().out == "text in new pictures is not read: run `python app.py -t ocr` afterwards\n"
    with with_text.collection.store(writable=True) as store:
        store.remove([image_id(picture(0))])
    say_not_read(with_text.collection)
    assert capsys.readouterr().out == ""
