"""The YAML is checked before Jina gets it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crossmodal.collection.collection import Collection
from crossmodal.core.errors import StateError
from crossmodal.core.settings import Settings
from crossmodal.core.types import ModelSpec, Preprocessing
from serving.jina.supervisor import FLOWS, flow_context
from serving.jina.topology import check_topology


@pytest.fixture
def context(tmp_path: Path) -> dict[str, Any]:
    collection = Collection.create(tmp_path, ModelSpec("clip", "scenes", "a" * 64, 256, Preprocessing(96)))
    return flow_context(collection, Settings(), read_paths=False)


@pytest.mark.parametrize("name", ["flow-index.yml", "flow-query.yml"])
def test_our_own_flows_are_sound(name: str, context: dict[str, Any]) -> None:
    check_topology(FLOWS / name, context)
    text = (FLOWS / name).read_text("utf8")
    assert "when: {modality: {$neq: text}}" in text
    assert "when: {modality: {$eq: text}}" in text


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("needs: image_loader", "needs: image_lodaer", "'image_lodaer', which is no Executor before it"),
        ("    replicas:", "    replcas:", "unknown keys replcas"),
        ("../pods/kv_indexer.yml", "../pods/kv_index.yml", "no such file"),
        ("CONTEXT.threads", "CONTEXT.treads", "CONTEXT.treads"),
        ("name: image_encoder", "name: image_loader", "two Executors are called 'image_loader'"),
        ("executors:", "executers:", "no list of executors"),
        ("jtype: Flow", "jtype: [Flow", "flow-index.yml"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, context: dict[str, Any], old: str, new: str, told: str) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "pods").symlink_to(FLOWS.parent / "pods")
    (tmp_path / "executors").symlink_to(FLOWS.parent / "executors")
    wrong = tmp_path / "flows" / "flow-index.yml"
    wrong.write_text((FLOWS / "flow-index.yml").read_text("utf8").replace(old, new), "utf8")
    with pytest.raises(StateError) as raised:
        check_topology(wrong, context)
    assert told in str(raised.value)


def test_an_unknown_model_has_no_pods(context: dict[str, Any]) -> None:
    with pytest.raises(StateError, match="no such file"):
        check_topology(FLOWS / "flow-query.yml", {**context, "model": "clap"})
