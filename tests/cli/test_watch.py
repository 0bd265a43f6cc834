"""`watch` from the command line, and `serve --watch`."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import httpx
import psutil
import pytest
from conftest import APP, TOY, RunApp, Service, fork_server, started
from watch_world import wait_until

from cli.location import check_watched
from crossmodal.collection.collection import Collection
from crossmodal.core.errors import InputError
from crossmodal.store.source_files import SourceFile

PICTURES = sorted((TOY / "images").iterdir())
LIMIT_S = 90


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "pictures"
    made.mkdir()
    for picture in PICTURES[:3]:
        shutil.copy(picture, made)
    return made


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_other_commands_write_in_the_meantime(
    run_app: RunApp, folder: Path, tmp_path: Path, number: signal.Signals
) -> None:
    log, workspace = tmp_path / "log", ("-w", str(tmp_path / "w"))
    command = ["-t", "watch", "-d", str(folder), *workspace, "--weights", "scenes", "--debounce", "0.2"]
    with log.open("wb") as out, open(os.devnull, "rb") as nothing:
        process = fork_server().start(
            [str(APP), *command], dict(os.environ), [nothing.fileno(), out.fileno(), out.fileno()]
        )
        try:
            wait_until(lambda: "pictures: 3 indexed" in log.read_text(), LIMIT_S, log.read_text)
            shutil.copy(PICTURES[3], folder)
            wait_until(lambda: "pictures: 1 indexed" in log.read_text(), LIMIT_S, log.read_text)
            done = run_app(
                "-t", "index", "-d", folder, *workspace, "--weights", "scenes", "--exclude", PICTURES[3].name
            )
            assert done.returncode == 0, done.stderr
            os.kill(process.pid, number)
            os.kill(process.pid, signal.SIGTERM)  # as a service does whose terminal has sent the first one
            assert process.wait(30) == 0
        finally:
            process.kill()
    assert log.read_text().endswith("stopped\n")
    assert "Traceback" not in log.read_text()


def test_a_folder_is_named(run_app: RunApp, tmp_path: Path) -> None:
    done = run_app("-t", "watch", "-w", tmp_path)
    assert done.returncode == 1
    assert "-d FOLDER" in done.stderr


@pytest.mark.parametrize("command", [("watch", "-d"), ("query_restful", "--watch")])
def test_a_folder_that_never_existed_is_refused(run_app: RunApp, tmp_path: Path, command: tuple[str, str]) -> None:
    done = run_app("-t", command[0], "-w", tmp_path / "w", command[1], tmp_path / "typo")
    assert done.returncode == 1
    assert f"{tmp_path / 'typo'} is not a folder: check the spelling" in done.stderr
    assert not (tmp_path / "w").exists()


def test_only_a_folder_that_was_indexed_may_be_away(toy_workspace: Path, tmp_path: Path) -> None:
    collection = toy_workspace / "toy-data"
    with pytest.raises(InputError, match="is not a folder"):
        check_watched(tmp_path / "typo", collection)
    shutil.copytree(collection, tmp_path / "c")
    with Collection.open(tmp_path / "c").store(writable=True) as store:
        [picture] = store.by_keys(store.keys("image")[:1].tolist()).values()
        store.files.put(str(tmp_path / "disk"), [SourceFile(str(tmp_path / "disk" / "1.jpg"), 1, 1, picture.id)])
    check_watched(tmp_path / "disk", tmp_path / "c")


def test_a_writable_service_watches_no_folder(run_app: RunApp, tmp_path: Path) -> None:
    done = run_app("-t", "query_restful", "-w", tmp_path, "--watch", tmp_path, "--writable")
    assert done.returncode == 1
    assert "--watch and --writable" in done.stderr


def test_polling_needs_a_folder(run_app: RunApp, tmp_path: Path) -> None:
    done = run_app("-t", "query_restful", "-w", tmp_path, "--polling")
    assert done.returncode == 1
    assert "add --watch FOLDER" in done.stderr


def test_a_service_watches_a_folder_and_reports_its_state(folder: Path, tmp_path: Path) -> None:
    arguments = ("--watch", str(folder), "--weights", "scenes")
    with started("query_restful", tmp_path / "w", *arguments) as service:

        def watch() -> dict[str, str]:
            state: dict[str, str] = status(service)["watch"]  # type: ignore[assignment]
            return state

        def n_found() -> int:
            body = {"data": ["a red circle"], "top_k": 10}
            return len(httpx.post(f"{service.url}/search", json=body).json()["data"]["docs"][0]["matches"])

        wait_until(lambda: status(service)["images"] == 3, LIMIT_S, lambda: str(watch()))
        shutil.copy(PICTURES[3], folder)
        wait_until(lambda: n_found() == 4, LIMIT_S, lambda: str(watch()))
        wait_until(lambda: watch()["message"].startswith("pictures: 1 indexed"), LIMIT_S, lambda: str(watch()))
        assert watch() | {"at": "", "message": ""} == {
            "folder": folder.name, "state": "in step", "message": "", "at": "",
        }  # fmt: skip
        [process] = [
            child for child in psutil.Process(service.process.pid).children() if str(folder) in child.cmdline()[-1:]
        ]
        process.kill()
        wait_until(lambda: watch()["state"] == "failed", LIMIT_S, lambda: str(watch()))
        assert watch()["message"] == "the log has the reason"
        assert n_found() == 4


def test_watching_ends_with_the_service(folder: Path, tmp_path: Path) -> None:
    arguments = ("--watch", str(folder), "--polling", "--weights", "scenes")
    with started("query_restful", tmp_path / "w", *arguments) as service:
        wait_until(lambda: status(service)["images"] == 3, LIMIT_S, lambda: str(status(service)))
        children = psutil.Process(service.process.pid).children(recursive=True)
        [process] = [child for child in children if str(folder) in child.cmdline()[-1:]]
        assert "--polling" in process.cmdline()
        service.process.kill()
        process.wait(30)


def status(service: Service) -> dict[str, object]:
    values: dict[str, object] = httpx.get(f"{service.url}/status").json()
    return values
