"""Text of users is printed as it is by every task: no markup, no emoji, no control of the terminal, one line each."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
from conftest import TOY, RunApp

from crossmodal.core.terminal import printable

MARKUP = "[bold]a[/i] [link=x] :dog: [edited]"
STEERING = "b\x1b[31m\x1b]0;title\x07\rc\nd\u202ee\x9b2J"
RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
WEIGHTS = ("--weights", "scenes")
WITHOUT_WORKSPACE = ("models", "keys", "data", "download")
FLOWS = ("index", "calibrate", "map", "reindex")
TASKS = ("index", "collections", "verify", "compact", "rebuild", "calibrate", "map", "export", "delete", "reindex")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures and captions with names of both kinds, in a folder with such a name; one picture can't be read."""
    folder = tmp_path_factory.mktemp("hostile") / MARKUP.replace("/", "") / STEERING
    folder.mkdir(parents=True)
    pictures = sorted((TOY / "images").iterdir())[:4]
    names = [f'{MARKUP.replace("/", "")} ".jpg', f"{STEERING}.jpg", "a\udcff.jpg", f"damaged {STEERING}.jpg"]
    for picture, name in zip(pictures, names, strict=True):
        shutil.copy(picture, folder / name)
    (folder / names[-1]).write_bytes(b"no picture")
    with (folder / "captions.csv").open("w", encoding="utf8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "caption"])
        writer.writerows([names[place], f"{text} {place}"] for place in (0, 1) for text in (MARKUP, STEERING))
    return folder


@pytest.fixture(scope="module")
def workspace(folder: Path, run_app: RunApp) -> Path:
    """The folder, indexed in a workspace whose name Jina would read as a variable."""
    workspace = folder.parent.parent / "$HOME ${{ x }} [i]"
    done = run_app("-t", "index", "-d", folder, "-w", workspace, "--collection", "hostile", *WEIGHTS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" indexed") == 2
    return workspace


def _checked(text: str) -> str:
    assert not RAW.search(text), repr(text)
    assert "🐶" not in text
    return text


@pytest.mark.parametrize("query", ["press [/i]", MARKUP, STEERING])
def test_queries_and_what_is_found(run_app: RunApp, workspace: Path, query: str) -> None:
    done = run_app("-t", "query-t2i", "-w", workspace, "--collection", "hostile", query)
    assert done.returncode == 0, done.stderr
    printed = re.sub(r"\s+", "", _checked(done.stdout))
    for shown in (query, f'{MARKUP.replace("/", "")}".jpg', f"{STEERING}.jpg"):
        assert re.sub(r"\s+", "", printable(shown)) in printed


def test_captions_that_are_found(run_app: RunApp, workspace: Path, folder: Path) -> None:
    picture = next(path for path in folder.iterdir() if path.name.startswith("[bold]"))
    done = run_app("-t", "query-i2t", "-w", workspace, "--collection", "hostile", "-k", "4", picture)
    assert done.returncode == 0, done.stderr
    printed = _checked(done.stdout)
    assert f"{MARKUP} 0" in printed
    assert printable("b\x1b[31m\x1b]0;title\x07") in printed


def test_plain_lines_and_json_give_the_names_back(run_app: RunApp, workspace: Path, folder: Path) -> None:
    asked = ("-w", workspace, "--collection", "hostile", "a red ring")
    done = run_app("-t", "query-t2i", "--plain", *asked)
    lines = [re.fullmatch(r"\[(\d)\] (-?0\.\d{4}): (\".*\")", line) for line in _checked(done.stdout).splitlines()]
    assert all(lines), done.stdout
    plain = [json.loads(line[3]) for line in lines if line]
    done = run_app("-t", "query-t2i", "--json", *asked)
    named = [match["uri"] for match in json.loads(_checked(done.stdout))["matches"]]
    assert plain == named != []
    assert all(Path(uri).parent == folder for uri in named)


def test_figures_and_the_report_of_worst_misses(run_app: RunApp, workspace: Path, folder: Path, tmp_path: Path) -> None:
    report = tmp_path / f"{MARKUP.replace('/', '')}{STEERING}.html"
    sound = tmp_path / "sound"
    shutil.copytree(folder, sound)
    for path in sound.iterdir():
        if path.name.startswith(("damaged", "a\udcff")):
            path.unlink()
    done = run_app("-t", "evaluate", "-d", sound, *WEIGHTS, "--report", report)
    assert done.returncode == 0, done.stderr
    assert "[bold]a" in _checked(done.stderr + done.stdout)
    assert "Evaluation on" in report.read_text("utf8")


@pytest.mark.parametrize("task", TASKS)
def test_every_task(run_app: RunApp, workspace: Path, folder: Path, tmp_path: Path, task: str) -> None:
    arguments = {
        "index": ("-d", folder, *WEIGHTS),
        "reindex": WEIGHTS,
        "export": ("--out", tmp_path / f"{MARKUP.replace('/', '')}{STEERING}.parquet"),
        "delete": ("--ids", f"{MARKUP}{STEERING}"),
    }.get(task, ())
    done = run_app("-t", task, "-w", workspace, "--collection", "hostile", *arguments)
    assert "Traceback" not in done.stderr
    _checked(done.stdout)
    if task in ("index", "export", "delete"):
        assert "[bold]a" in done.stdout
        assert printable(STEERING) in done.stdout
    if task in FLOWS:  # which take seconds, and print their JSON by the same function
        return
    told = run_app("-t", task, "-w", workspace, "--collection", "hostile", "--json", *arguments)
    json.loads(_checked(told.stdout))


@pytest.mark.parametrize(
    "arguments",
    [
        ("-t", "index", "-d"), ("-t", "query-i2i"), ("-t", "models"), ("-t", "import"), ("-t", "delete", "--uri"),
        ("-t", "delete", "--where"), ("-t", "query-t2i", "x", "--where"), ("-t", "evaluate", "-d"),
        ("-t", "keys", "x", "--keys"), ("-t", "evaluate", "--compare"), ("-t", "train", "--set"),
        ("-t", "collections", "-w"), ("-t", "query_restful", "--host"), ("-t", "data", "--split"),
        ("-t", "query-t2i", "x", "--fusion"), ("-t", "download", "--weights"), ("-t", "index", "--weights"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_errors_that_name_what_was_given(run_app: RunApp, toy_workspace: Path, arguments: tuple[str, ...]) -> None:
    place = () if arguments[1] in WITHOUT_WORKSPACE or "-w" in arguments else ("-w", toy_workspace)
    done = run_app(*place, *arguments, f"{MARKUP}{STEERING}")
    assert done.returncode < 2, done.stderr
    assert "Traceback" not in done.stderr
    assert not RAW.search(done.stdout + done.stderr), repr(done.stderr)
