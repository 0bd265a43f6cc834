"""A sparse collection, from training to answers: the command line, the typed API and the legacy shapes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import TOY, RunApp, Service, started

from cli import sparse_model
from cli.index import run as index
from crossmodal.client import Client
from crossmodal.collection.collection import Collection
from crossmodal.collection.lifecycle import describe_indexes
from crossmodal.collection.verification import verify
from crossmodal.core.settings import Settings

N_PICTURES = 60


def post(service: Service, **body: Any) -> tuple[int, dict[str, Any]]:
    answer = httpx.post(f"{service.url}/search", json=body, timeout=60)
    return answer.status_code, answer.json()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty toy pictures with their captions, and which are to train on."""
    folder = tmp_path_factory.mktemp("sparse") / "pictures"
    (folder / "images").mkdir(parents=True)
    chosen = sorted(path.name for path in (TOY / "images").iterdir())[:N_PICTURES]
    for name in chosen:
        shutil.copy(TOY / "images" / name, folder / "images")
    header, *lines = (TOY / "captions.txt").read_text().splitlines()
    kept = [line for line in lines if line.partition(",")[0] in chosen]
    (folder / "captions.txt").write_text("\n".join([header, *kept]) + "\n")
    splits = [f"{name},{'train' if i < 50 else 'dev'}" for i, name in enumerate(chosen)]
    (folder / "splits.csv").write_text("\n".join(["image,split", *splits]) + "\n")
    return folder


@pytest.fixture(scope="module")
def model(pictures: Path) -> Path:
    settings = Settings(data_set=str(pictures), weights="clip:scenes", workspace=pictures.parent, threads=1)
    given = ("epochs=6", "batch_size=32", "warm_up=0", "learning_rate=0.02", "min_df=1")
    return sparse_model.train(settings, pictures.parent / "model", given, lambda line: None)


@pytest.fixture(scope="module")
def workspace(run_app: RunApp, pictures: Path, model: Path) -> Path:
    place = pictures.parent / "workspace"
    done = run_app("-t", "index", "-m", "sparse", "--weights", model, "-d", pictures, "-w", place)
    assert done.returncode == 0, done.stderr
    assert f"model: sparse {model}" in done.stdout
    assert "on clip scenes" in done.stdout
    assert f"index: {N_PICTURES} sparse vectors, inverted:" in done.stdout
    assert f"inverted: captions of {N_PICTURES} pictures" in done.stdout
    return place


def test_indexing_in_this_process_leaves_the_same_indexes(
    workspace: Path, pictures: Path, model: Path, tmp_path: Path
) -> None:
    settings = Settings(data_set=str(pictures), model="sparse", weights=str(model), workspace=tmp_path)
    here, report = index(settings)
    assert (report.counts["image"], report.failures) == ({"indexed": N_PICTURES}, [])
    flow = Collection.open(workspace / here.root.name)
    assert describe_indexes(here) == describe_indexes(flow)
    assert verify(here, lambda n: None).problems == []


@pytest.fixture(scope="module")
def service(workspace: Path, pictures: Path) -> Iterator[Service]:
    with started("query_restful", workspace, "-m", "sparse", "-d", str(pictures)) as found:
        yield found


@pytest.mark.parametrize(
    ("fusion", "explained"),
    [("sparse", "sparse"), ("bm25", "bm25"), ("rrf", "sparse"), ("weighted:0.6,0.3,0.1", "sparse"), (None, "sparse")],
)
def test_words_that_sum_to_the_score_come_with_each_match(service: Service, fusion: str | None, explained: str) -> None:
    status, told = post(service, text="a red heart^2 -blue", top_k=5, fusion=fusion)
    assert status == 200
    assert told["query"]["fusion"] == (fusion or "rrf")
    assert len(told["results"]) == 5
    for result in told["results"]:
        assert sum(word["weight"] for word in result["why"]) == pytest.approx(
            result["scores"].get(explained, 0), abs=1e-4
        )
        assert {word["word"] for word in result["why"]} <= {"red", "heart", "blue"}
    if fusion == explained:
        assert [result["score"] for result in told["results"]] == pytest.approx(
            [result["scores"][explained] for result in told["results"]]
        )
    scores = [result["score"] for result in told["results"]]
    assert scores == sorted(scores, reverse=True)


def test_a_dense_search_is_what_it_is_elsewhere(service: Service) -> None:
    _, told = post(service, text="a red heart", fusion="dense", top_k=3)
    assert told["query"]["fusion"] == "dense"
    assert told["n"] == 3
    assert all("why" not in result and -1 <= result["score"] <= 1 for result in told["results"])


def test_weights_change_the_order_and_filters_hold(service: Service) -> None:
    _, heart = post(service, text="red heart^9", fusion="sparse", top_k=1)
    assert heart["results"][0]["why"][0]["word"] == "heart"
    _, red = post(service, text="red^9 heart", fusion="sparse", top_k=1)
    assert red["results"][0]["why"][0]["word"] == "red"
    name = heart["results"][0]["filename"]
    _, kept = post(service, text="red heart", where=f"filename <> '{name}'", top_k=N_PICTURES)
    assert name not in [result["filename"] for result in kept["results"]]
    assert kept["n"] > 1


def test_unknown_words_are_named(service: Service) -> None:
    for fusion in (None, "sparse"):
        status, told = post(service, text="a unicorn", fusion=fusion)
        assert status == 422
        assert "no word of the query is known: unicorn" in told["detail"]
    status, told = post(service, text="a unicorn", fusion="rrf")
    assert (status, told["query"]["fusion"]) == (200, "dense")
    assert "unicorn; searched by vectors only" in told["note"]
    _, told = post(service, text="a red unicorn")
    assert told["note"].endswith("not used in the search by words: unicorn")


@pytest.mark.parametrize("body", [{"text": "a heart"}, {"data": ["a heart"]}])
def test_what_is_no_fusion_is_refused(service: Service, body: dict[str, Any]) -> None:
    asked = {"fusion": "loud"} if "text" in body else {"parameters": {"fusion": "loud"}}
    status, told = post(service, **body, **asked)
    assert status == 422
    assert "give dense, sparse, bm25, rrf, or weighted:A,B,C" in told["detail"]


def test_words_are_for_words(service: Service) -> None:
    own = post(service, text="heart", top_k=1)[1]["results"][0]["id"]
    assert post(service, like=own, top_k=2)[1]["query"]["fusion"] == "dense"
    status, told = post(service, like=own, fusion="sparse")
    assert status == 422
    assert "fusion 'sparse' applies only to searches of pictures by words" in told["detail"]


def test_the_legacy_shapes(service: Service) -> None:
    body = {"data": ["a red heart", "blue^3 star -red"], "parameters": {"top_k": 2, "fusion": "sparse"}}
    _, told = post(service, **body)
    for doc in told["data"]["docs"]:
        assert doc["fusion"] == "sparse"
        for match in doc["matches"]:
            assert match["score"]["op_name"] == "sparse"
            weights = [word["weight"] for word in match["tags"]["why"]]
            assert sum(weights) == pytest.approx(match["score"]["value"], abs=1e-4)
            assert weights == sorted(weights, reverse=True)
            assert match["tags"]["filename"]
    status, told = post(service, top_k=5, mode="search", data=["unicorn"])
    assert (status, told["status"]["code"]) == (422, "ERROR")
    assert "data[0]: no word of the query is known: unicorn" in told["status"]["description"]


def test_a_picture_says_its_words(service: Service) -> None:
    with Client(service.url) as client:
        (hit,) = client.search("red heart", top_k=1, fusion="sparse").results
        assert hit.why
        assert hit.scores.keys() == {"sparse"}
        words = {word.word: word.weight for word in client.document(hit.id).words}
        assert list(words.values()) == sorted(words.values(), reverse=True)
        assert 5 < len(words) <= 20
        assert client.document(client.search(image=TOY / "images" / "test-00000.jpg").captions[0].id).words == []


def test_the_service_is_well_and_says_how_it_joins(service: Service) -> None:
    assert httpx.get(f"{service.url}/healthz", timeout=60).json() == {"status": "ok"}
    assert httpx.get(f"{service.url}/readyz", timeout=60).status_code == 200
    (told,) = httpx.get(f"{service.url}/collections", timeout=60).json()["collections"]
    assert told["fusion"] == "rrf"
    assert httpx.get(f"{service.url}/status", timeout=60).json()["model"]["base"]["family"] == "clip"


def test_what_goes_is_not_found_and_all_indexes_agree(
    service: Service, run_app: RunApp, workspace: Path, pictures: Path
) -> None:
    (gone,) = post(service, text="red heart", fusion="sparse", top_k=1)[1]["results"]
    where = ("-w", workspace, "-d", pictures)
    assert run_app("-t", "delete", *where, "--ids", gone["id"]).returncode == 0
    for fusion in ("dense", "sparse", "bm25", "rrf"):
        found = post(service, text="red heart", fusion=fusion, top_k=N_PICTURES)[1]["results"]
        assert found
        assert gone["id"] not in [result["id"] for result in found]
    for task in ("verify", "compact", "rebuild", "verify"):
        done = run_app("-t", task, *where)
        assert done.returncode == 0, done.stdout + done.stderr
    assert f"sparse: {N_PICTURES - 1} vectors" in run_app("-t", "rebuild", *where).stdout
    assert post(service, text="red heart", fusion="rrf", top_k=3)[1]["n"] == 3


def test_the_command_line(run_app: RunApp, workspace: Path, pictures: Path, model: Path) -> None:
    where = ("-w", workspace, "-d", pictures, "-k", "3")
    done = run_app("-t", "query-t2i", *where, "--fusion", "sparse", "--json", "red heart -blue")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["fusion"], len(told["matches"])) == ("sparse", 3)
    for match in told["matches"]:
        assert sum(word["weight"] for word in match["why"]) == pytest.approx(match["score"], abs=1e-3)
    done = run_app("-t", "query", *where, "-m", "sparse", "--text", "red heart")
    assert "why" in done.stdout
    assert "heart 0." in done.stdout or "heart 1." in done.stdout
    done = run_app("-t", "query-t2i", *where, "--fusion", "sparse", "unicorn")
    assert done.returncode == 1
    assert "no word of the query is known: unicorn" in done.stderr


def test_the_environment_of_the_thesis(run_app: RunApp, workspace: Path, pictures: Path, model: Path) -> None:
    place = workspace / "pictures"
    names = {"DATASET_ROOT_PATH": str(pictures), "INDEX_FILE_PATH": str(place)}
    again = run_app("-t", "index", "-m", "sparse", IMAGE_EMBEDDING_MODEL_PATH=str(model), **names)
    assert again.returncode == 0, again.stderr
    assert f"collection: {place}" in again.stdout
    other = run_app(
        "-t", "index", "-m", "sparse", TEXT_EMBEDDING_VECTORIZER_PATH=str(other_words(pictures.parent)), **names
    )
    assert other.returncode == 1
    assert f"is not the vocabulary the model in {model} was trained with" in other.stderr


def other_words(folder: Path) -> Path:
    from crossmodal.lexical.terms import TermVocabulary

    TermVocabulary.fit(["a quick brown fox"]).save(folder / "other.json")
    return folder / "other.json"


def test_a_model_must_be_named_and_be_there(run_app: RunApp, tmp_path: Path) -> None:
    done = run_app("-t", "index", "-m", "sparse", "-w", tmp_path)
    assert done.returncode == 1
    assert "-m sparse needs a model" in done.stderr
    done = run_app("-t", "index", "-m", "sparse", "-w", tmp_path, "--weights", tmp_path)
    assert done.returncode == 1
    assert "is not a sparse model" in done.stderr


def test_a_dense_collection_has_no_words(query_service: Service) -> None:
    status, told = post(query_service, text="a heart", fusion="rrf")
    assert status == 422
    assert "fusion 'rrf': this collection has no words" in told["detail"]
    _, told = post(query_service, text="a heart", top_k=1)
    assert "fusion" not in told["query"]
    assert not {"why", "scores"} & told["results"][0].keys()
