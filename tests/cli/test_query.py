"""The query tasks from the command line."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, TOY, TOY_DATA, RunApp, run_crossmodal
from PIL import Image

from crossmodal.store.sqlite import DocumentStore

PICTURE = TOY / "images" / "test-00005.jpg"
CAPTIONS = (TOY / "captions.txt").read_text("utf8").splitlines()


def test_text_to_image_with_a_contact_sheet(run_app: RunApp, toy_workspace: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    done = run_app("-t", "query_t2i", "-w", toy_workspace, "-k", "7", "--json", "--save", sheet, "three stars on paper")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert [hit["rank"] for hit in answer["matches"]] == list(range(1, 8))
    assert all(Path(hit["uri"]).is_file() for hit in answer["matches"])
    with Image.open(sheet) as picture:
        assert picture.width > 1000


def test_image_to_text_prints_captions_with_scores(run_app: RunApp, toy_workspace: Path) -> None:
    done = run_app("-t", "query-i2t", "-w", toy_workspace, "-k", "3", PICTURE)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in lines if line and line[0].isdigit()] == ["1", "2", "3"]
    assert lines[1][:3] == ["rank", "score", "caption"]


def test_queries_at_a_prompt_until_an_empty_line(run_app: RunApp, toy_workspace: Path) -> None:
    typed = f"{PICTURE}\n/no/such/picture.jpg\n\n"
    done = run_app("-t", "query-i2i", "-w", toy_workspace, "-k", "1", "--json", stdin=typed)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["matches"][0]["filename"] == PICTURE.name
    assert "/no/such/picture.jpg: can't be read" in done.stderr


@pytest.fixture(scope="module")
def dated_workspace(toy_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy data, in which the n-th picture was taken in the n-th minute of 1 July 2023, the first ten in Norway."""
    workspace = tmp_path_factory.mktemp("dated") / "workspace"
    shutil.copytree(toy_workspace, workspace)
    with DocumentStore(workspace / "toy-data", writable=True) as store:
        pictures = sorted(store.by_keys(store.keys("image").tolist()).values(), key=lambda one: one.tags["filename"])
        store.update(
            (one.id, {"taken": f"2023-07-01T{n // 60:02}:{n % 60:02}:00", "country": "Norway" if n < 10 else "Spain"})
            for n, one in enumerate(pictures)
        )
    return workspace


def test_a_time_and_a_place_in_the_words(run_app: RunApp, dated_workspace: Path) -> None:
    done = run_app("-t", "query-t2i", "-w", dated_workspace, "-k", "50", "--json", "stars in Norway, July 2023")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert sorted(hit["filename"] for hit in answer["matches"]) == [f"test-{n:05}.jpg" for n in range(10)]
    assert [part["text"] for part in answer["understood"]] == ["in Norway", "July 2023"]
    done = run_app(
        "-t", "query-t2i", "-w", dated_workspace, "-k", "50", "--json", "--literal", "stars in Norway, July 2023"
    )
    assert len(json.loads(done.stdout)["matches"]) == 50


def test_pictures_of_a_time_by_date(run_app: RunApp, dated_workspace: Path) -> None:
    done = run_app("-t", "query-t2i", "-w", dated_workspace, "-k", "2", "--before", "2023-07-01 00:20", "in Spain")
    assert done.returncode == 0, done.stderr
    assert 'understood: "in Spain", Spain' in done.stderr
    assert "no words are left to search for" in done.stderr
    assert re.findall(r"2023-07-01 [\d:]+", done.stdout) == ["2023-07-01 00:19:00", "2023-07-01 00:18:00"]


def test_conditions_that_no_picture_meets_are_told_from_words_that_fit_none(
    run_app: RunApp, dated_workspace: Path
) -> None:
    own = ("-t", "query-t2i", "-w", dated_workspace)
    for filters, words, hint in (
        (("--folder", "none"), "stars", ""),
        ((), "stars in Japan", "; --literal searches for the words instead"),
    ):
        done = run_app(*own, *filters, words)
        assert done.returncode == 0, done.stderr
        assert done.stderr.splitlines()[-1] == f"note: no pictures meet the conditions{hint}"
    done = run_app(*own, "--min_relevance", "1", "--before", "2024", "--json", "sea")
    assert json.loads(done.stdout)["matches"] == []
    assert "note" not in json.loads(done.stdout)


def test_newest_first_of_what_fits(run_app: RunApp, dated_workspace: Path) -> None:
    done = run_app(
        "-t", "query-t2i", "-w", dated_workspace, "-k", "50", "--json", "--order", "newest", "stars at night"
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    times = [hit["taken"] for hit in answer["matches"]]
    assert times == sorted(times, reverse=True)
    assert len(times) > 1
    assert all(hit["relevance"] >= 0.5 for hit in answer["matches"])
    assert answer["ordered"] == {"threshold": 0.5, "candidates": 200, "fitting": len(times)}


def test_nothing_fits_is_said(run_app: RunApp, toy_workspace: Path) -> None:
    query = "two large striped yellow moons left of three small black crosses at night"
    done = run_app("-t", "query-t2i", "-w", toy_workspace, "-k", "3", query)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "nothing here fits; these are the nearest"
    rows = [line.split() for line in done.stdout.splitlines()]  # under a title that may take two lines
    table = rows[rows.index(["rank", "score", "picture", "relevance"]) :]
    assert [row[0] for row in table] == ["rank", "1", "2", "3"]
    done = run_app("-t", "query-t2i", "-w", toy_workspace, "--min_relevance", "0.5", "--json", query)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["fits"], answer["matches"]) == (False, [])


def test_a_collection_of_few_pictures_has_no_relevance(run_app: RunApp, tmp_path: Path) -> None:
    assert run_crossmodal("index", *TOY_DATA, "-w", tmp_path, "-n", "5").returncode == 0
    done = run_app("-t", "query-t2i", "-w", tmp_path, "--json", "hearts")
    answer = json.loads(done.stdout)
    assert answer["fits"] is None
    assert {hit["relevance"] for hit in answer["matches"]} == {None}
    done = run_app("-t", "query-t2i", "-w", tmp_path, "--min_relevance", "0.5", "hearts")
    assert done.returncode == 1
    assert "the command `calibrate`" in done.stderr
    done = run_app("-t", "calibrate", "-w", tmp_path, "--json")
    assert json.loads(done.stdout) == {"fitted": [], "backgrounds": ["text"]}


def test_what_a_query_can_not_find(run_app: RunApp, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    shutil.copy(PICTURE, tmp_path / "pictures")
    chosen = ("-w", tmp_path, "-d", tmp_path / "pictures")
    assert run_crossmodal("index", tmp_path / "pictures", "-w", tmp_path, "--weights", "scenes").returncode == 0
    done = run_app("-t", "query-i2t", *chosen, PICTURE)
    assert (done.returncode, "note: the collection has no captions" in done.stderr) == (0, True)
    done = run_app("-t", "query-t2i", *chosen, "a \udcff")
    assert (done.returncode, done.stdout) == (1, "")
    assert "is not UTF-8" in done.stderr
    done = run_app("-t", "query-t2i", "-w", tmp_path, "--collection", "", "hearts")
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize(("closed", "query"), [("<&-", []), (">&-", ["hearts"]), ("<&- >&- 2>&-", ["hearts"])])
def test_closed_standard_streams(toy_workspace: Path, closed: str, query: list[str]) -> None:
    program = [sys.executable, ROOT / "app.py", "-t", "query-t2i", "-w", toy_workspace, *query]
    done = subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == ("" if query else "text: \n")


@pytest.mark.parametrize("task", ["query-t2i", "query_restful"])
def test_no_index_says_what_to_run_first(run_app: RunApp, tmp_path: Path, task: str) -> None:
    done = run_app("-t", task, "-w", tmp_path, *(["x"] if task == "query-t2i" else []))
    assert done.returncode == 1
    assert "python app.py -t index" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [((), "--text TEXT and --image FILE"), (("--text", "a", "--image", "b"), "one of"), (("--text", ""), "empty")],
)
def test_query_without_a_query(run_app: RunApp, toy_workspace: Path, arguments: tuple[str, ...], told: str) -> None:
    done = run_app("-t", "query", "-w", toy_workspace, *arguments)
    assert done.returncode == 1
    assert told in done.stderr


def test_evaluate_prints_json_and_nothing_else(run_app: RunApp) -> None:
    done = run_app("-t", "evaluate", "-d", TOY, "--weights", "scenes", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {"t2i", "i2t", "rsum", "skills"} <= set(told)
    assert told["t2i"]["R@1"] > 0.8
    assert set(told["skills"]) == {"flip", "colour_swap", "short_query_p10", "synonym_p10"}


def test_the_small_vse_both_ways_without_a_network(run_app: RunApp, tmp_path: Path) -> None:
    done = run_crossmodal("index", *TOY_DATA, "-m", "vse", "-w", tmp_path, "-n", "20")
    assert done.returncode == 0, done.stderr
    caption = next(line.split(",", 1)[1] for line in CAPTIONS if line.startswith(PICTURE.name))
    found = run_app("-t", "query-t2i", "-m", "vse", "-w", tmp_path, "-k", "1", "--json", caption)
    assert json.loads(found.stdout)["matches"][0]["filename"] == PICTURE.name, found.stderr
    told = run_app("-t", "query-i2t", "-m", "vse", "-w", tmp_path, "-k", "1", "--json", PICTURE)
    assert f"{PICTURE.name},{json.loads(told.stdout)['matches'][0]['text']}" in CAPTIONS, told.stderr


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_service_whose_keys_cannot_be_read(
    run_app: RunApp, toy_workspace: Path, tmp_path: Path, content: str | None
) -> None:
    """It is told before any process is started, so without a traceback of one."""
    keys = tmp_path / "keys.json"
    if content is not None:
        keys.write_text(content)
    for task in ("query_restful", "index_restful"):
        done = run_app("-t", task, "-w", toy_workspace, "--keys", keys)
        assert done.returncode == 1
        (told,) = done.stderr.splitlines()
        assert str(keys) in told
        assert "`python app.py -t keys`" in told or "not a keys file" in told


def test_a_proxy_is_an_address(run_app: RunApp) -> None:
    done = run_app("-t", "query_restful", "--trust-proxy", "proxy.example")
    assert done.returncode == 2
    assert "10.0.0.0/8" in done.stderr


@pytest.mark.parametrize("given", ["photos", "=http://localhost:1", "photos=ftp://localhost", "a,b=http://localhost:1"])
def test_another_service_needs_a_name_and_an_address(run_app: RunApp, given: str) -> None:
    done = run_app("-t", "query_restful", "--also", given)
    assert done.returncode == 2
    assert "NAME=URL" in done.stderr


def test_a_query_imports_nothing_of_a_service() -> None:
    load = "import app, cli.query, sys; r = cli.query.registry; r.load(r.resolve('clip', 'photos'), ('text',))"
    printed = subprocess.run(
        [sys.executable, "-c", f"{load}; print(*sys.modules)"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    others = {"docarray", "fastapi", "grpc", "jina", "open_clip", "pyarrow", "scipy", "sklearn", "torchvision", "umap"}
    others |= {"PIL", "executors", "faiss", "openvino.tools.ovc", "serving", "torch"}
    assert not others & set(printed.split())


def test_the_documented_search_without_a_service(
    toy_workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "python-client.md").read_text("utf8")
    (code,) = [code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "SearchService" in code]
    (tmp_path / "workspace").symlink_to(toy_workspace)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs/python-client.md", "exec"), {"__name__": "example"})
    assert len(capsys.readouterr().out.splitlines()) == 5
