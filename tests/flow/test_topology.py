"""The YAML is checked before Jina gets it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crossmodal.collection.collection import Collection
from crossmodal.core.errors import StateError
from crossmodal.core.settings import Settings
from crossmodal.core.types import ModelSpec, Preprocessing
from serving.jina.router import Condition
from serving.jina.supervisor import FLOWS, OF_FAMILY, flow_context
from serving.jina.topology import read_topology


@pytest.fixture
def context(tmp_path: Path) -> dict[str, Any]:
    collection = Collection.create(tmp_path, ModelSpec("clip", "scenes", "a" * 64, 256, Preprocessing(96)))
    return flow_context(collection, Settings(), "index", read_paths=False)


@pytest.mark.parametrize("name", ["flow-index.yml", "flow-query.yml", "flow-query-writable.yml"])
def test_our_own_flows_are_sound(name: str, context: dict[str, Any]) -> None:
    nodes = read_topology(FLOWS / name, context)
    conditions = {node.name: node.when for node in nodes if node.when}
    assert conditions == {"text_encoder": Condition("text", True), "image_loader": Condition("text", False)}


def test_the_writable_flow_is_the_query_flow_with_a_writer_behind_it(context: dict[str, Any]) -> None:
    reading = read_topology(FLOWS / "flow-query.yml", context)
    *others, writer = read_topology(FLOWS / "flow-query-writable.yml", context)
    assert others == reading
    assert (writer.name, writer.needs) == ("kv_indexer", ("ranker",))
    assert "/search" not in writer.endpoints


def test_the_endpoints_of_an_executor_are_those_its_class_declares(context: dict[str, Any]) -> None:
    endpoints = {node.name: node.endpoints for node in read_topology(FLOWS / "flow-query.yml", context)}
    assert endpoints["ranker"] == {"/search", "/health", "/follow"}
    assert endpoints["text_encoder"] == {"/index", "/search", "/encode", "/health"}
    assert not any(name.startswith("/default") for declared in endpoints.values() for name in declared)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("needs: image_loader", "needs: image_lodaer", "'image_lodaer', which is not an Executor before it"),
        ("    replicas:", "    replcas:", "unknown keys replcas"),
        ("../pods/kv_indexer.yml", "../pods/kv_index.yml", "which does not exist"),
        ("CONTEXT.threads", "CONTEXT.treads", "CONTEXT.treads"),
        ("name: image_encoder", "name: image_loader", "two Executors have the name 'image_loader'"),
        ("executors:", "executers:", "the list `executors` is missing"),
        ("jtype: Flow", "jtype: [Flow", "flow-index.yml"),
        ("{$eq: text}", "{$gt: text}", "text_encoder has when: {'modality': {'$gt': 'text'}}"),
        ("{modality: {$eq: text}}", "{mime_type: {$eq: text}}", "text_encoder has when:"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, context: dict[str, Any], old: str, new: str, told: str) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "pods").symlink_to(FLOWS.parent / "pods")
    (tmp_path / "executors").symlink_to(FLOWS.parent / "executors")
    wrong = tmp_path / "flows" / "flow-index.yml"
    wrong.write_text((FLOWS / "flow-index.yml").read_text("utf8").replace(old, new), "utf8")
    with pytest.raises(StateError) as raised:
        read_topology(wrong, context)
    assert told in str(raised.value)


@pytest.mark.parametrize(
    ("family", "own"),
    [
        ("clip", {}),
        ("timm", {"text_encoder": "text_refuser"}),
        ("sparse", {name: f"sparse/{name}" for name in ("text_encoder", "vector_indexer", "ranker")}),
        ("clap", {}),
    ],
)
def test_a_family_replaces_pods(tmp_path: Path, family: str, own: dict[str, str]) -> None:
    spec = ModelSpec(family, "scenes", "a" * 64, 256, Preprocessing(96))
    found = flow_context(Collection(tmp_path, spec, root=tmp_path), Settings(), "index", read_paths=False)
    assert {name: found[name] for name in OF_FAMILY} == {**{name: name for name in OF_FAMILY}, **own}
