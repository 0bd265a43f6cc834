"""Every option of the command lines is one that the command uses, or an error that names it."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from cli import main as program
from cli.commands import NAMES, load_command, serve
from cli.main import argument_instead
from cli.main import main as crossmodal
from cli.parameters import click_parameters, values_of
from cli.printing import prepare
from cli.shim import TASKS, command_of, task_parameters
from cli.shim import main as app
from cli.wording import in_commands
from crossmodal.core.errors import InputError

VALUES = {
    "columns": "image=a", "precision": "bf16", "engine": "torch", "metric": "euclidean", "through": "flow", "also": "a=http://b",
    "model": "sparse", "min_relevance": "0.5", "rate_per_s": "2", "trust_proxy": "10.0.0.1",
    "order": "newest",
    "threshold": "0.3", "part": "2/4", "slices": "http://a,http://b",
}  # fmt: skip
"""A valid value of each option that does not take 3."""
ENVIRONMENT = {
    "JINA_WORKSPACE": "w", "JINA_PORT": "many", "JINA_SHARDS": "many", "JINA_PARALLEL": "2", "JINA_MAX_DOCS": "7",
    "DATASET_ROOT_PATH": "pictures", "DATASET_SPLIT": "dev", "CROSSMODAL_HOST": "[::1]", "CROSSMODAL_KEYS": "keys",
    "TEXT_EMBEDDING_VECTORIZER_PATH": "words",
}  # fmt: skip


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The name and the options of the command that would have run."""
    found: dict[str, Any] = {}

    def run_command(name: str, command: Any, values: Any) -> None:
        found.update(name=name, options=command.options(**values))

    monkeypatch.setattr(program, "run_command", run_command)
    monkeypatch.setattr("cli.shim.run_command", run_command)
    return found


def run(main: click.Command, *arguments: str, **env: str) -> Result:
    return CliRunner().invoke(main, [*arguments], env=env)


def options_of(parameters: Sequence[click.Parameter]) -> dict[str, click.Option]:
    return {of.opts[-1]: of for of in parameters if isinstance(of, click.Option)}


EVERY_APP_OPTION = {flag: of for task in TASKS for flag, of in options_of(task_parameters(task)).items()}
EVERY_OPTION = {
    flag: of for name in NAMES for flag, of in options_of(click_parameters(load_command(name).options)).items()
}


def given(flag: str, option: click.Option) -> list[str]:
    return [flag] if option.is_flag else [flag, VALUES.get(option.name or "", "3")]


@pytest.mark.parametrize("task", TASKS)
def test_each_option_is_used_by_its_task_or_refused(task: str, started: dict[str, Any]) -> None:
    own = options_of(task_parameters(task))
    for flag, option in EVERY_APP_OPTION.items():
        started.clear()
        done = run(app, "-t", task, *given(flag, option))
        if flag in own:
            assert done.exit_code == 0, f"{flag}: {done.output}"
            assert started["name"] == TASKS[task], flag
            assert getattr(started["options"], str(option.name)) not in (None, ()), flag
        else:
            assert done.exit_code == 2, flag
            assert f"{flag} is not an option of -t {task}; it belongs to -t " in done.output
            assert started == {}, flag


@pytest.mark.parametrize(
    ("flag", "value", "told"),
    [
        ("--slice", "5/4", "slice '5/4': expected I/N, as in 2/4"),
        ("--slices", "http://a,b", "'b': give different URLs"),
        ("--slices", "http://a,http://a/", "'http://a': give different URLs"),
        ("--max_lag_s", "0.5", "0.5 is not in the range x>=1"),
    ],
)
def test_options_of_query_nodes(flag: str, value: str, told: str, started: dict[str, Any]) -> None:
    done = run(app, "-t", "query_restful", flag, value)
    assert done.exit_code == 2
    assert told in " ".join(done.output.split())
    assert started == {}


@pytest.mark.parametrize("name", ["writable", "no_gps", "private_location"])
def test_a_front_node_has_no_options_of_nodes_with_documents(name: str) -> None:
    with pytest.raises(InputError, match="to the other nodes"):
        serve.run(serve.ServeOptions(slices=("http://a", "http://b"), **{name: True}))


@pytest.mark.parametrize("name", NAMES)
def test_each_option_of_other_commands_is_refused(name: str, started: dict[str, Any]) -> None:
    own = options_of(click_parameters(load_command(name).options))
    for flag, option in EVERY_OPTION.items():
        done = run(crossmodal, name, *given(flag, option), "--collection", "c", "x")
        if flag not in own:
            assert done.exit_code == 2
            argument = argument_instead(flag, name)
            told = f": write crossmodal {name} {argument}" if argument else "; it belongs to "
            assert f"{flag} is not an option of {name}{told}" in done.output


def test_the_data_set_is_an_argument(started: dict[str, Any]) -> None:
    done = run(crossmodal, "train", "-d", "scenes")
    assert done.exit_code == 2
    assert "-d is not an option of train: write crossmodal train DATA_SET" in done.output
    assert started == {}


def test_a_data_set_that_is_no_argument(started: dict[str, Any], tmp_path: Path) -> None:
    for name in (str(tmp_path), "toy-data"):
        done = run(crossmodal, "duplicates", name)
        assert done.exit_code == 2
        assert f"Got unexpected extra argument ({name}): name a data set with -d" in done.output
    assert "name a data set" not in run(crossmodal, "query", "a dog").output
    assert started == {}


def test_an_option_of_no_command_is_refused_with_a_suggestion() -> None:
    for main, arguments in ((app, ("-t", "delete")), (crossmodal, ("delete",))):
        done = run(main, *arguments, "--whre", "x")
        assert done.exit_code == 2
        assert "No such option '--whre'" in done.output
        assert "--where" in done.output


def test_the_environment_is_used_where_it_applies_and_else_is_not_looked_at(started: dict[str, Any]) -> None:
    done = run(app, "-t", "index", **ENVIRONMENT)
    assert done.exit_code == 0, done.output
    settings = started["options"].settings()
    assert (settings.workspace, settings.data_set, settings.split) == (Path("w"), "pictures", "dev")
    assert (settings.num_docs, settings.parallel, settings.vocabulary) == (7, 2, Path("words"))
    assert settings.keys is None
    done = run(app, "-t", "query_restful", **ENVIRONMENT)
    assert done.exit_code == 2
    assert "'--port': 'many'" in done.output
    for task in ("models", "verify", "keys"):
        assert run(app, "-t", task, **ENVIRONMENT).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "env", "expected"),
    [
        (("-t", "index", "-m", "sparse"), {}, ("a/model", "c", "a/b")),
        (("-t", "verify", "-m", "sparse"), {}, (None, "c", "a/b")),
        (("-t", "train", "-m", "sparse"), {}, (None, None, "workspace")),
        (("-t", "index"), {}, (None, None, "workspace")),
        (("-t", "index", "-m", "sparse", "-w", "w"), {}, ("a/model", None, "w")),
        (("-t", "index", "-m", "sparse"), {"JINA_WORKSPACE": "w"}, ("a/model", None, "w")),
        (("-t", "index", "-m", "sparse", "--collection", "d"), {}, ("a/model", "d", "workspace")),
    ],
)
def test_the_environment_of_sparse_models(
    arguments: tuple[str, ...], env: dict[str, str], expected: tuple[str, ...], started: dict[str, Any]
) -> None:
    run(app, *arguments, IMAGE_EMBEDDING_MODEL_PATH="a/model", INDEX_FILE_PATH="a/b/c", **env)
    settings = started["options"].settings()
    assert (settings.weights, settings.collection, str(settings.workspace)) == expected


def test_both_spellings_and_short_options(started: dict[str, Any]) -> None:
    for arguments in (
        ("--top_k", "3", "-t", "query_t2i"),
        ("--top-k=3", "-tquery-t2i"),
        ("-k3", "--task", "query-t2i"),
    ):
        started.clear()
        assert run(app, *arguments, "a dog").exit_code == 0
        assert (started["name"], started["options"].query, started["options"].settings().top_k) == (
            "search",
            "a dog",
            3,
        )


def test_paths_are_arguments(started: dict[str, Any]) -> None:
    for arguments, field, value in (
        (("index", "pictures"), "data_set", "pictures"),
        (("similar", "a.jpg"), "pictures", ("a.jpg",)),
        (("export", "c.parquet"), "out", Path("c.parquet")),
        (("data", "folder"), "out", Path("folder")),
        (("keys", "keys.json", "write"), "query", "write"),
    ):
        assert run(crossmodal, *arguments).exit_code == 0
        assert (started["name"], getattr(started["options"], field)) == (arguments[0], value)


def test_a_model_is_named_only_where_it_was_given(started: dict[str, Any]) -> None:
    for arguments, expected in ((("-m", "clip"), ("clip", True)), ((), ("clip", False))):
        run(app, "-t", "index", *arguments)
        settings = started["options"].settings()
        assert (settings.model, settings.model_named) == expected


def test_the_only_collection_is_the_default(tmp_path: Path, started: dict[str, Any]) -> None:
    def searched(*arguments: str) -> Any:
        assert run(crossmodal, "search", "x", "-w", str(tmp_path), *arguments).exit_code == 0
        return started["options"].settings().collection

    with pytest.raises(program.CrossModalError, match="no collection in"):
        searched()
    make_collection(tmp_path / "one")
    assert searched() == "one"
    make_collection(tmp_path / "two")
    assert searched("--collection", "two") == "two"
    assert searched("-d", "toy-data") is None
    with pytest.raises(
        program.CrossModalError, match=r"several collections \(one, two\): choose one with --collection"
    ):
        searched()


def make_collection(folder: Path) -> None:
    from crossmodal.collection.collection import Collection
    from crossmodal.encoders.registry import resolve

    Collection.create(folder, resolve("clip", "scenes"))


def test_help_lists_every_command_once_with_examples() -> None:
    listed = run(crossmodal, "--help").output.partition("Options:")[2]
    for name in NAMES:
        assert listed.count(f"\n  {name} ") == 1
        shown = run(crossmodal, name, "--help").output
        assert load_command(name).help.partition("\n")[0].split()[0] in shown
        assert f"crossmodal {name}" in shown.partition("Examples:")[2]


def test_help_begins_with_examples_a_line_each() -> None:
    lines = run(crossmodal, "--help").output.splitlines()
    assert "    crossmodal index ~/Pictures             index a folder" in lines


def test_help_of_a_task_lists_its_own_options() -> None:
    assert "  --where" in run(app, "-h").output
    assert "  --where" not in run(app, "-t", "index", "-h").output


def test_log_messages_name_commands_of_the_program_that_was_called() -> None:
    @click.group()
    def group() -> None: ...

    @group.command()
    def one() -> None:  # as a command of `crossmodal`, which is a group
        prepare()
        assert logging.lastResort is not None
        record = logging.makeLogRecord({"msg": "damaged: run `python app.py -t calibrate`", "levelno": logging.WARNING})
        click.echo(logging.lastResort.format(record))

    assert run(group, "one").output == "damaged: run `crossmodal calibrate`\n"


def test_messages_of_the_library_name_tasks_so_that_they_become_commands() -> None:
    """A user of `crossmodal` knows no `query_restful`; `-t query_restful` becomes `crossmodal serve`."""
    task = re.compile(r"(?<!-t )\b(?:(?:index|query)[-_]restful|query[-_](?:t2i|i2i|i2t))")
    library = Path(sys.modules["crossmodal"].__path__[0])
    assert [path.name for path in library.rglob("*.py") if task.search(path.read_text("utf8"))] == []


def test_messages_name_commands_of_the_program_that_was_called() -> None:
    for message, expected in (
        ("run `python app.py -t query_restful --writable`", "run `crossmodal serve --writable`"),
        ("-t delete takes one of --ids", "crossmodal delete takes one of --ids"),
        ("make one with `-t train -m sparse`", "make one with `crossmodal train -m sparse`"),
        ("report: -t unknown, x-t index", "report: -t unknown, x-t index"),
    ):
        assert in_commands(message) == expected


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("crossmodal ver", "verify"),
        ("crossmodal verify --col", "--collection"),
        ("crossmodal verify -w {} --collection o", "one"),
        ("crossmodal index --weights ViT-B-32/laion2b_s", "ViT-B-32/laion2b_s34b_b79k"),
        ("crossmodal index -m timm --weights aimv2_1b_patch14_2", "aimv2_1b_patch14_224"),
    ],
)
def test_completion(typed: str, expected: str, tmp_path: Path) -> None:
    make_collection(tmp_path / "one")
    words = typed.format(tmp_path)
    env = {"_CROSSMODAL_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    done = CliRunner().invoke(crossmodal, [], env=env, prog_name="crossmodal")
    assert done.output.split() == [f"plain,{expected}"]


def test_values_are_those_of_the_fields() -> None:
    for task in TASKS:
        context = app.make_context("app.py", ["-t", task])
        options = command_of(task).options
        assert set(values_of(context, options)) - {"task"} == {field.name for field in fields(options)}


def test_only_the_task_of_app_indexes_through_a_flow(started: dict[str, Any]) -> None:
    for main, arguments, by_flow in ((app, ["-t", "index"], True), (crossmodal, ["index"], False)):
        run(main, *arguments)
        assert started["options"].by_flow is by_flow


@pytest.mark.parametrize(("text", "km"), [("20km", 20), ("0.5", 0.5), (" 500 m ", 0.5)])
def test_a_distance(started: dict[str, Any], text: str, km: float) -> None:
    assert run(crossmodal, "search", "dog", "--near", "Lisbon", "--within", text).exit_code == 0
    assert started["options"].within_km == km


@pytest.mark.parametrize("text", ["20 miles", "-1km", "far", ""])
def test_no_distance(text: str) -> None:
    result = run(crossmodal, "search", "dog", "--within", text)
    assert result.exit_code == 2
    assert "is not a distance; give 20km or 500m" in result.output
