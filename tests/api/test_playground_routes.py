"""The data of experiments from a real service, with keys, and pictures tried with them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import httpx
import pytest
from conftest import TOY, RunApp, Service, started

from serving.http.errors import NOT_NOW

N = 17


@pytest.fixture(scope="module")
def workspace(toy_workspace: Path, tmp_path_factory: pytest.TempPathFactory, run_app: RunApp) -> Path:
    """The indexed toy data and an experiment."""
    copy = shutil.copytree(toy_workspace, tmp_path_factory.mktemp("service") / "workspace")
    pictures = tmp_path_factory.mktemp("set")
    for number in range(N):
        folder = pictures / ("even" if number % 2 == 0 else "odd")
        folder.mkdir(exist_ok=True)
        shutil.copy(TOY / "images" / f"test-{number:05d}.jpg", folder)
    arguments = ("--models", "test_resnet/random", "--layers", "2", "--metrics", "cosine", "--name", "numbers")
    done = run_app("-t", "experiment", "-d", pictures, "-w", copy, *arguments)
    assert done.returncode == 0, done.stderr
    return copy


def test_a_service_shows_experiments_and_tries_pictures(workspace: Path, tmp_path: Path, run_app: RunApp) -> None:
    keys = tmp_path / "keys.json"
    key = run_app("-t", "keys", "--keys", keys, "read").stdout.strip()
    (workspace / "experiments" / "link").symlink_to(tmp_path)
    with (
        started("query_restful", workspace, "--keys", str(keys), key=key) as service,
        httpx.Client(base_url=service.url, headers={"X-API-Key": key}, timeout=120) as client,
    ):
        assert httpx.get(f"{service.url}/playground/data/index.json").status_code == 401
        assert httpx.post(f"{service.url}/playground/try").status_code == 401
        told = client.get("/playground/data/index.json").json()
        assert told["live"] is True
        assert [entry["name"] for entry in told["experiments"]] == ["numbers"]
        experiment = client.get("/playground/data/numbers/experiment.json").json()
        assert experiment["set"]["n"] == N
        thumbnail = client.get("/playground/data/numbers/pictures/0.jpg")
        assert thumbnail.headers["content-type"] == "image/jpeg"
        assert thumbnail.headers["x-content-type-options"] == "nosniff"
        for path in (
            "numbers/none.json",
            "..%2f..%2fetc/passwd",
            "link/keys.json",
            "numbers/../../cache/experiments.sqlite3",
        ):
            assert client.get(f"/playground/data/{path}").status_code == 404, path

        first = experiment["pictures"][0]["path"]
        content = (TOY / "images" / Path(first).name).read_bytes()
        fields = {"experiment": "numbers", "model": "0", "layer": "1", "metric": "0"}
        found = client.post("/playground/try", data=fields, files={"file": content})
        assert found.status_code == 200, found.text
        stored = client.get("/playground/data/numbers/neighbours/0-1-0.json").json()["neighbours"][0]
        assert found.json()["neighbours"] == [0, *stored[:14]]
        assert found.json()["distances"] == sorted(found.json()["distances"])

        def refused(content: bytes = content, **changed: str) -> tuple[int, str]:
            answer = client.post("/playground/try", data=fields | changed, files={"file": content})
            return answer.status_code, answer.json()["detail"]

        assert refused(experiment="none") == (404, "no experiment 'none': GET /playground/data/index.json lists them")
        assert refused(layer="2") == (422, "layer 2: the experiment has 2, numbered from 0")
        assert refused(b"nothing")[0] == 422
        assert refused(model="first")[0] == 422
        file = workspace / "experiments" / "numbers" / "experiment.json"
        experiment["models"][0]["weights_hash"] = "another"
        file.write_text(json.dumps(experiment))
        assert refused() == (503, NOT_NOW)


def test_a_service_without_experiments(query_service: Service, toy_workspace: Path) -> None:
    assert not (toy_workspace / "experiments").exists()
    assert httpx.get(f"{query_service.url}/playground/data/index.json").json() == {
        "format": 1,
        "live": True,
        "experiments": [],
    }
    assert httpx.get(f"{query_service.url}/playground/data/numbers/experiment.json").status_code == 404
