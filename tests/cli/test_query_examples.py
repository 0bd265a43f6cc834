"""Liked and unliked examples on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import TOY, RunApp

from crossmodal.core.types import image_id

A, B, C = (TOY / "images" / f"test-{n:05}.jpg" for n in range(3))


def names(run_app: RunApp, workspace: Path, *arguments: Any) -> list[str]:
    done = run_app("-w", workspace, "-k", "5", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return [hit["filename"] for hit in json.loads(done.stdout)["matches"]]


def test_words_with_examples_by_file_and_by_id(run_app: RunApp, toy_workspace: Path) -> None:
    by_file = names(run_app, toy_workspace, "-t", "query-t2i", "a heart", "--like", A, "--like", B, "--unlike", C)
    ids = [image_id(path.read_bytes()) for path in (A, B, C)]
    by_id = names(
        run_app, toy_workspace, "-t", "query-t2i", "a heart", "--like", ids[0], "--like", ids[1], "--unlike", ids[2]
    )
    assert by_file == by_id
    assert A.name in by_file
    assert C.name not in by_file
    assert by_file != names(run_app, toy_workspace, "-t", "query-t2i", "a heart")


def test_similar_to_several_pictures(run_app: RunApp, toy_workspace: Path) -> None:
    both = names(run_app, toy_workspace, "-t", "query-i2i", A, B)
    assert {A.name, B.name} <= set(both)
    assert both == names(run_app, toy_workspace, "-t", "query-i2i", B, A)
    assert A.name not in names(run_app, toy_workspace, "-t", "query-i2i", B, "--unlike", A)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["a heart", "--like", "nobody.jpg"], "nobody.jpg: there is no such file, and no document with this id"),
        (["a heart", "--unlike", __file__], "not a picture"),
    ],
)
def test_an_example_that_is_none(run_app: RunApp, toy_workspace: Path, arguments: list[str], told: str) -> None:
    done = run_app("-t", "query-t2i", "-w", toy_workspace, *arguments)
    assert done.returncode != 0
    assert told in done.stderr
