"""Experiments: layers, measures, the set of pictures, the cache, and the folder that is written."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TOY
from PIL import Image

from crossmodal.core.errors import InputError, StateError
from crossmodal.encoders import registry
from crossmodal.experiment import features as features_module
from crossmodal.experiment.cache import NAME, Cache
from crossmodal.experiment.export import PAGE, export, page_files
from crossmodal.experiment.files import check_name, listing, read_experiment
from crossmodal.experiment.layers import OUTPUT, Tower, chosen
from crossmodal.experiment.live import Trials
from crossmodal.experiment.measures import neighbours, scores_of, summary
from crossmodal.experiment.metrics import Metric
from crossmodal.experiment.run import Plan, cache_folder, parse_model, run

RESNET, VIT = "test_resnet/random", "test_vit/random"
"""timm's own models for tests: 160 px, half a million parameters."""

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 40, 210)}


class Stage:
    def __init__(self, counted: dict[str, int], label: str) -> None:
        self._counted, self._label = counted, label

    def advance(self, n: int = 1) -> None:
        self._counted[self._label] = self._counted.get(self._label, 0) + n


class Progress:
    """Counts the items of each stage."""

    def __init__(self) -> None:
        self.counted: dict[str, int] = {}

    @contextmanager
    def __call__(self, label: str, total: int) -> Iterator[Stage]:
        yield Stage(self.counted, label)


def picture(path: Path, colour: tuple[int, int, int], seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(-25, 26, (64, 80, 3))
    Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)).save(path)


def write_classes(folder: Path, n: int = 5) -> Path:
    for name, colour in COLOURS.items():
        for number in range(n):
            picture(folder / name / f"{number}.png", colour, number)
    return folder


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of five pictures: few enough for maps without UMAP."""
    return write_classes(tmp_path_factory.mktemp("classes"))


@pytest.fixture(scope="module")
def done(classes: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """The workspace, the folder and the experiment of two models."""
    workspace = tmp_path_factory.mktemp("workspace")
    plan = Plan(str(classes), "colours", (RESNET, VIT), ("cosine", "minkowski:3"), layers=3)
    return workspace, *run(plan, workspace, Progress())


# -- the search score, written by hand


def score_by_hand(features: np.ndarray, class_of: list[int]) -> tuple[float, float]:
    """The mean search score and mean average precision by cosine, in plain Python."""
    scores, precisions = [], []
    for query in range(len(features)):
        by_distance = []
        for other in range(len(features)):
            if other != query:
                a, b = features[query].astype(float), features[other].astype(float)
                distance = 1 - a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
                by_distance.append((np.float32(distance), other))
        by_distance.sort()
        hits = [class_of[other] == class_of[query] for _, other in by_distance]
        if not any(hits):
            continue
        weights = [(15 - rank) / 15 for rank in range(15)]
        scores.append(100 * sum(weight for weight, hit in zip(weights, hits, strict=False) if hit) / sum(weights))
        at_hits = [sum(hits[: rank + 1]) / (rank + 1) for rank, hit in enumerate(hits) if hit]
        precisions.append(sum(at_hits) / len(at_hits))
    return float(np.mean(scores)), float(np.mean(precisions))


@pytest.mark.parametrize("n", [5, 40])
def test_the_search_score_is_that_written_by_hand(n: int) -> None:
    rng = np.random.default_rng(n)
    class_of = rng.integers(0, 3, n)
    vectors = (rng.normal(size=(n, 6)) + np.eye(3, 6)[class_of]).astype(np.float32)
    found = summary(neighbours(vectors, Metric("cosine"), class_of), class_of, 3)
    score, mean_precision = score_by_hand(vectors, class_of.tolist())
    assert found["search_score"] == pytest.approx(score, abs=1e-3)
    assert found["map"] == pytest.approx(mean_precision, abs=1e-5)


def test_a_picture_alone_in_its_class_is_a_candidate_and_not_a_query() -> None:
    vectors = np.array([[0], [1], [5], [6]], np.float32)
    class_of = np.array([0, 0, 1, 2])
    found = neighbours(vectors, Metric("euclidean"), class_of)
    figures = summary(found, class_of, 3)
    assert found.nearest.tolist() == [[1, 2, 3], [0, 2, 3], [3, 1, 0], [2, 1, 0]]
    assert scores_of(found) == [12.5, 12.5, None, None]  # the first of fifteen ranks, 1 of 8
    assert figures["classes"][1:] == [None, None]
    assert (figures["map"], figures["precision"]["1"], figures["precision"]["10"]) == (1, 1, 0.1)


def test_duplicates_are_neighbours_and_ties_break_by_index() -> None:
    vectors = np.array([[2, 0], [1, 1], [1, 1], [1, 1]], np.float32)
    found = neighbours(vectors, Metric("euclidean"), None)
    assert found.nearest.tolist() == [[1, 2, 3], [2, 3, 0], [1, 3, 0], [1, 2, 0]]
    assert found.distances[1].tolist() == [0, 0, pytest.approx(2**0.5)]
    assert summary(found, None, 0)["search_score"] is None


@pytest.mark.parametrize(
    "name", ["manhattan", "cosine:3", "minkowski", "minkowski:0.5", "minkowski:11", "minkowski:nan", "minkowski:x"]
)
def test_an_unknown_metric(name: str) -> None:
    with pytest.raises(InputError, match=r"unknown metric|needs a P from 1 to 10"):
        Metric.parse(name)


def test_features_that_are_not_finite() -> None:
    with pytest.raises(InputError, match="not finite"):
        neighbours(np.array([[1], [np.nan]], np.float32), Metric("cosine"), None)


# -- layers


@pytest.mark.parametrize(
    ("family", "weights"), [("timm", RESNET), ("timm", VIT), ("timm", "photos"), ("clip", "scenes"), ("vse", "scenes")]
)
def test_one_pass_returns_what_each_layer_alone_does(family: str, weights: str) -> None:
    spec = registry.resolve(family, weights)
    tower = Tower(spec)
    size_px = spec.preprocessing.size_px
    pixels = np.random.default_rng(0).integers(0, 256, (3, size_px, size_px, 3), np.uint8)
    names = chosen(weights, 3, tower.stages, tower.layers)
    together = tower.features(pixels, names)
    assert names[-1] == OUTPUT
    for name in names:
        np.testing.assert_allclose(tower.features(pixels[1:2], [name])[name], together[name][1:2], rtol=1e-3, atol=1e-4)
    unit = together[OUTPUT] / np.linalg.norm(together[OUTPUT], axis=1, keepdims=True)
    np.testing.assert_allclose(unit, registry.load(spec).encode_images(pixels), atol=2e-3)


def test_a_layer_is_the_mean_of_its_map() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 160, 160, 3), np.uint8)
    together = Tower(registry.resolve("timm", RESNET)).features(pixels, ["layer2", "layer3.0"])
    alone = registry.load(registry.resolve("timm", "test_resnet:layer2/random")).encode_images(pixels)
    unit = together["layer2"] / np.linalg.norm(together["layer2"], axis=1, keepdims=True)
    np.testing.assert_allclose(unit, alone, atol=1e-5)


def test_a_layer_that_does_not_exist_is_answered_with_those_that_do() -> None:
    tower = Tower(registry.resolve("timm", RESNET))
    with pytest.raises(InputError, match=r"m has no layer 'layer9': did you mean .*its stages are layer1\.0, .*output"):
        chosen("m", ["layer1.0", "layer9"], tower.stages, tower.layers)


def test_a_number_chooses_evenly_and_not_more_than_there_are() -> None:
    stages = [f"blocks.{n}" for n in range(16)] + [OUTPUT]
    assert chosen("m", 8, stages, stages)[::7] == ["blocks.0", OUTPUT]
    assert len(chosen("m", 8, stages, stages)) == 8
    assert chosen("m", 50, stages, stages) == stages
    assert chosen("m", 1, stages, stages) == [OUTPUT]


@pytest.mark.parametrize(
    ("name", "family", "weights"),
    [("photos", "timm", "photos"), ("clip:photos", "clip", "photos"), ("clip", "clip", "photos"),
     ("timm:test_vit/random", "timm", VIT), ("test_resnet:layer2/random", "timm", "test_resnet:layer2/random")],
)  # fmt: skip
def test_names_of_models(name: str, family: str, weights: str) -> None:
    spec = parse_model(name).spec
    assert (spec.family, spec.weights) == (family, weights)


def test_an_unknown_model() -> None:
    with pytest.raises(InputError, match="unknown backbone 'resnet19'"):
        parse_model("resnet19")


# -- a run


def test_the_folder_has_what_the_page_reads(done: tuple[Path, Path, dict[str, Any]]) -> None:
    _, folder, experiment = done
    assert json.loads((folder / "experiment.json").read_text()) == experiment
    assert folder.name == "colours"
    assert experiment["set"]["classes"] == ["blue", "green", "red"]
    ids = [of_picture["id"] for of_picture in experiment["pictures"]]
    assert ids == sorted(ids)
    assert all(of_picture["path"].split("/")[0] in COLOURS for of_picture in experiment["pictures"])
    assert [model["trained"] for model in experiment["models"]] == [False, False]
    assert len(experiment["results"]) == 2 * 3 * 2
    for result in experiment["results"]:
        layer = experiment["models"][result["model"]]["layers"][result["layer"]]
        place = f"{result['model']}-{result['layer']}"
        found = json.loads((folder / f"neighbours/{place}-{result['metric']}.json").read_text())
        points = json.loads((folder / f"umap/{place}.json").read_text())
        assert layer["dim"] > 0
        assert np.mean(found["scores"]) == pytest.approx(result["search_score"], abs=0.01)
        assert all(len(row) == 14 and number not in row for number, row in enumerate(found["neighbours"]))
        assert all(distances == sorted(distances) for distances in found["distances"])
        assert len(points["x"]) == len(points["y"]) == len(ids)
        assert min(points["x"] + points["y"]) >= 0
        assert max(points["x"] + points["y"]) <= 1
    with Image.open(folder / "pictures/14.jpg") as small:
        assert small.size == (80, 64)


def test_a_second_run_loads_no_model(
    done: tuple[Path, Path, dict[str, Any]], classes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, folder, before = done
    (folder / "comparison.json").write_text("{}")
    monkeypatch.setattr(features_module, "Tower", None)
    plan = Plan(str(classes), "colours", (RESNET, VIT), ("cosine", "minkowski:3"), layers=3)
    _, after = run(plan, workspace, Progress())
    assert {**after, "created": 0, "seconds": 0} == {**before, "created": 0, "seconds": 0}
    assert (folder / "comparison.json").read_text() == "{}"
    (folder / "comparison.json").unlink()


def test_an_interrupted_run_continues(classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features_module, "BATCH", 8)
    encode, encoded = Tower.features, []

    def stop_at_the_second(self: Tower, pixels: Any, layers: Any) -> Any:
        if len(encoded) == 1:
            raise KeyboardInterrupt
        encoded.append(len(pixels))
        return encode(self, pixels, layers)

    monkeypatch.setattr(Tower, "features", stop_at_the_second)
    plan = Plan(str(classes), "colours", (RESNET,), ("cosine",), layers=2)
    with pytest.raises(KeyboardInterrupt):
        run(plan, tmp_path, Progress())
    assert listing(tmp_path / "experiments", live=True)["experiments"] == []
    encoded.clear()
    run(plan, tmp_path, Progress())
    assert encoded == [7]  # 15 pictures, of which 8 had been encoded


def test_damaged_weights_are_named(classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(_: Tower, pixels: Any, layers: list[str]) -> Any:
        return {layer: np.full((len(pixels), 2), np.nan, np.float32) for layer in layers}

    monkeypatch.setattr(Tower, "features", damaged)
    with pytest.raises(InputError, match=f"^{RESNET}, layer output: .* not finite: its weights are damaged"):
        run(Plan(str(classes), "e", (RESNET,), ("cosine",), layers=1), tmp_path, Progress())


def test_a_file_that_is_no_picture_is_named_and_the_rest_goes_on(classes: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(classes, tmp_path / "pictures")
    (folder / "red" / "broken.png").write_bytes(b"nothing")
    _, experiment = run(Plan(str(folder), "e", (RESNET,), ("cosine",), layers=1), tmp_path / "w", Progress())
    (skipped,) = experiment["set"]["skipped"]
    assert skipped["path"] == "red/broken.png"
    assert "not a picture" in skipped["reason"]
    assert experiment["set"]["n"] == 15


def test_duplicates_stay_and_few_pictures_have_fewer_neighbours(tmp_path: Path) -> None:
    folder = write_classes(tmp_path / "pictures", n=2)
    shutil.copy(folder / "red/0.png", folder / "blue/again.png")
    written, experiment = run(Plan(str(folder), "e", (RESNET,), ("euclidean",), layers=1), tmp_path / "w", Progress())
    paths = [of_picture["path"] for of_picture in experiment["pictures"]]
    found = json.loads((written / "neighbours/0-0-0.json").read_text())
    of_red = paths.index("red/0.png")
    assert found["neighbours"][of_red][0] == paths.index("blue/again.png")
    assert found["distances"][of_red][0] == 0
    assert {len(row) for row in found["neighbours"]} == {6}


@pytest.mark.parametrize("subfolder", ["", "red"])
def test_pictures_in_one_folder_have_no_scores(subfolder: str, classes: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures" / subfolder
    shutil.copytree(classes / "red", folder)
    written, experiment = run(
        Plan(str(tmp_path / "pictures"), "e", (RESNET,), ("cosine",), layers=1), tmp_path / "w", Progress()
    )
    (result,) = experiment["results"]
    assert (experiment["set"]["classes"], result["search_score"], result["classes"]) == ([], None, [])
    assert json.loads((written / "neighbours/0-0-0.json").read_text())["scores"] == [None] * 5
    assert {of_picture["path"] for of_picture in experiment["pictures"]} == {f"{number}.png" for number in range(5)}


def test_captions_are_recalled_both_ways(tmp_path: Path) -> None:
    (tmp_path / "set" / "images").mkdir(parents=True)
    names = [f"test-{number:05d}.jpg" for number in range(6)]
    for name in names:
        shutil.copy(TOY / "images" / name, tmp_path / "set" / "images")
    lines = (TOY / "captions.txt").read_text().splitlines()
    kept = [line for line in lines if line.split(",")[0] in ("image", *names)]
    (tmp_path / "set" / "captions.txt").write_text("\n".join(kept) + "\n")
    plan = Plan(str(tmp_path / "set"), "e", ("clip:scenes", RESNET), ("cosine", "minkowski:3"), layers=2)
    _, experiment = run(plan, tmp_path / "w", Progress())
    with_recall = [result for result in experiment["results"] if "recall" in result]
    assert [(result["model"], result["layer"], result["metric"]) for result in with_recall] == [(0, 1, 0)]
    assert with_recall[0]["recall"]["t2i"]["5"] > 0.8
    assert with_recall[0]["recall"]["i2t"]["10"] == 1


def test_too_few_pictures(tmp_path: Path) -> None:
    picture(tmp_path / "set" / "only.png", (1, 2, 3), 0)
    with pytest.raises(InputError, match="1 readable pictures, and an experiment needs two"):
        run(Plan(str(tmp_path / "set"), "e", (RESNET,)), tmp_path / "w", Progress())


@pytest.mark.parametrize("name", ["", "../up", ".hidden", "a/b", "a" * 101])
def test_names_that_are_no_folders(name: str) -> None:
    with pytest.raises(InputError, match="letters, digits"):
        check_name(name)


# -- the cache


def test_a_damaged_entry_and_a_damaged_file_are_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Cache(tmp_path) as cache:
        cache.put({"s": {"a": b"1", "b": b"2"}})
    with sqlite3.connect(tmp_path / NAME) as database:
        database.execute("UPDATE entries SET content = x'00' WHERE item = 'a'")
    database.close()
    with Cache(tmp_path) as cache:
        assert cache.get("s", ["a", "b", "c"]) == {"b": b"2"}
    (tmp_path / NAME).write_bytes(b"no database, but text that is longer than the header of one" * 20)
    with Cache(tmp_path) as cache:
        assert cache.get("s", ["b"]) == {}
        cache.put({"s": {"b": b"3"}})
        assert cache.get("s", ["b"]) == {"b": b"3"}
    assert "is damaged" in caplog.text


def test_a_file_that_is_damaged_inside(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        cache.put({"s": {str(n): bytes(5000) for n in range(50)}})
    content = bytearray((tmp_path / NAME).read_bytes())
    content[4096 : len(content) // 2] = bytes(len(content) // 2 - 4096)
    (tmp_path / NAME).write_bytes(content)
    with Cache(tmp_path) as cache:
        assert cache.get("s", [str(n) for n in range(50)]) == {}
        cache.put({"s": {"1": b"new"}})
        assert cache.get("s", ["1"]) == {"1": b"new"}


def test_the_least_recently_used_spaces_are_removed(tmp_path: Path) -> None:
    for name in ("first", "second", "third"):
        with Cache(tmp_path, limit_bytes=2500) as cache:
            cache.get("first", ["a"])
            cache.put({name: {"a": bytes(1000)}})
    with Cache(tmp_path, limit_bytes=2500) as cache:
        assert [len(cache.get(name, ["a"])) for name in ("first", "second", "third")] == [1, 0, 1]


def test_a_changed_picture_is_encoded_and_the_others_are_not(classes: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(classes, tmp_path / "pictures")
    plan = Plan(str(folder), "e", (RESNET,), ("cosine",), layers=1)
    run(plan, tmp_path / "w", Progress())
    picture(folder / "red/0.png", (200, 60, 20), 99)
    encoded: list[int] = []
    encode = Tower.features

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tower, "features", lambda s, p, n: (encoded.append(len(p)), encode(s, p, n))[1])
        run(plan, tmp_path / "w", Progress())
    assert encoded == [1]


# -- another picture


def test_a_picture_of_the_set_finds_itself(done: tuple[Path, Path, dict[str, Any]], classes: Path) -> None:
    workspace, folder, experiment = done
    trials = Trials(workspace)
    first = experiment["pictures"][0]
    for layer, metric in ((2, 0), (1, 1)):
        found = trials.nearest("colours", 0, layer, metric, (classes / first["path"]).read_bytes())
        stored = json.loads((folder / f"neighbours/0-{layer}-{metric}.json").read_text())
        assert found.neighbours == [0, *stored["neighbours"][0][:14]]
        assert found.distances[0] == pytest.approx(0, abs=1e-4)
        assert found.distances[1:] == pytest.approx(stored["distances"][0][:14], abs=1e-4)


def test_the_model_of_further_pictures_is_not_resolved_again(
    done: tuple[Path, Path, dict[str, Any]], classes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, trials = (classes / "red/0.png").read_bytes(), Trials(done[0])
    first = trials.nearest("colours", 0, 2, 0, content)
    monkeypatch.delattr("crossmodal.encoders.registry.resolve")
    assert trials.nearest("colours", 0, 2, 0, content) == first


def test_what_can_not_be_tried(done: tuple[Path, Path, dict[str, Any]], classes: Path, tmp_path: Path) -> None:
    workspace, folder, _ = done
    trials, content = Trials(workspace), (classes / "red/0.png").read_bytes()
    with pytest.raises(InputError, match="model 2: the experiment has 2"):
        trials.nearest("colours", 2, 0, 0, content)
    with pytest.raises(InputError, match="not a picture"):
        trials.nearest("colours", 0, 0, 0, b"nothing")
    with pytest.raises(StateError, match="no experiment none"):
        trials.nearest("none", 0, 0, 0, content)
    copy = shutil.copytree(folder, tmp_path / "experiments" / "colours")
    with pytest.raises(StateError, match=r"can't be opened"):
        Trials(tmp_path).nearest("colours", 0, 0, 0, content)
    Cache(cache_folder(tmp_path)).__exit__(None, None, None)
    with pytest.raises(StateError, match="no longer in the cache"):
        Trials(tmp_path).nearest("colours", 0, 0, 0, content)
    for weights, told in (("test_resnet/gone.pth", "are gone"), ("test_vit/random", "have changed")):
        experiment = read_experiment(copy)
        experiment["models"][0] |= {"weights": weights, "weights_hash": "0"}
        (copy / "experiment.json").write_text(json.dumps(experiment))
        with pytest.raises(StateError, match=told):
            Trials(tmp_path).nearest("colours", 0, 0, 0, content)


# -- the export


@pytest.fixture
def web(tmp_path: Path) -> Path:
    """A page with modules and styles, some of them reached only through others."""
    files = {
        PAGE: '<link href="web/a.css"><script src="/web/main.js"></script><a href="./">up</a>',
        "a.css": '@import "b.css"; x { background: url(data:image/png;base64,AA) url("dot.svg") }',
        "b.css": "",
        "dot.svg": "<svg/>",
        "main.js": 'import { a } from "./one.js";\nimport "./two.js";\nconst b = await import("./three.js");',
        "one.js": 'import * as main from "./main.js"; import {\n  c,\n} from "./four.js";\n'
        'new URL("./later.css", import.meta.url)',
        "later.css": "",
        "two.js": "", "three.js": "", "four.js": "", "other.js": "",
    }  # fmt: skip
    folder = tmp_path / "web"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def test_an_export_has_all_that_the_page_needs(
    done: tuple[Path, Path, dict[str, Any]], web: Path, tmp_path: Path
) -> None:
    _, folder, experiment = done
    target = tmp_path / "site"
    export(folder, target, web)
    names = {path.name for path in (target / "web").iterdir()}
    assert names == {"a.css", "b.css", "dot.svg", "later.css", "main.js", "one.js", "two.js", "three.js", "four.js"}
    assert (target / PAGE).is_file()
    data = target / "playground" / "data"
    assert json.loads((data / "index.json").read_text()) == {
        "format": 1,
        "live": False,
        "experiments": [{"name": "colours", "title": "colours: 15 pictures, 2 models", "n": 15, "comparison": False}],
    }
    assert json.loads((data / "colours" / "experiment.json").read_text())["results"] == experiment["results"]
    assert len(list((data / "colours" / "pictures").iterdir())) == 15
    export(folder, target, web)  # again, into the same folder


def test_an_export_does_not_mix_with_other_files(
    done: tuple[Path, Path, dict[str, Any]], web: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="has other files"):
        export(done[1], tmp_path / "mine", web)
    with pytest.raises(InputError, match="is a file"):
        export(done[1], tmp_path / "mine" / "notes.txt", web)


def test_the_files_of_a_page_of_the_program() -> None:
    web = Path(__file__).resolve().parents[2] / "web"
    found = {str(path) for path in page_files(web, PAGE)}
    assert {
        PAGE,
        "style.css",
        "playground.js",
        "plane.js",
        "service.js",
        "icon.svg",
        "choosing.js",
        "choosing.css",
    } <= found
    assert "facets.js" not in found
