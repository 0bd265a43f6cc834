"""Checks the YAML of a Flow before Jina reads it, because Jina starts a Flow with a misspelt `needs`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from crossmodal.core.errors import StateError
from serving.jina.router import GATEWAY, Condition, Node

_FLOW_KEYS = {"jtype", "version", "with", "gateway", "executors"}
_EXECUTOR_KEYS = {
    "name", "uses", "uses_with", "needs", "when", "replicas", "shards", "polling", "py_modules",
    "uses_dynamic_batching", "timeout_ready",
}  # fmt: skip
_CONTEXT = re.compile(r"\$\{\{\s*CONTEXT\.(\w+)\s*\}\}")
_OPERATORS = {"$eq": True, "$neq": False}


def read_topology(path: Path, context: dict[str, Any]) -> list[Node]:
    """The Executors of a Flow, each after the ones that it needs, with the endpoints of its class.

    Args:
        path: The Flow's YAML.
        context: The values of `${{ CONTEXT.x }}` in the YAML.

    Raises:
        StateError: An unknown key, an unknown or duplicate name, a missing file, or a `when:` that is not of the
            modality.
    """
    try:
        text = path.read_text("utf8")
        flow = yaml.load(text, Loader=yaml.SafeLoader)
    except (OSError, yaml.YAMLError) as error:
        raise StateError(f"{path}: {error}") from error
    if not isinstance(flow, dict) or not isinstance(flow.get("executors"), list):
        raise StateError(f"{path}: the list `executors` is missing")
    _check_keys(path, "the Flow", flow, _FLOW_KEYS)
    unknown = sorted({name for name in _CONTEXT.findall(text) if name not in context})
    if unknown:
        raise StateError(f"{path}: no value for CONTEXT.{', CONTEXT.'.join(unknown)}")
    nodes: list[Node] = []
    for executor in flow["executors"]:
        nodes.append(_node(path, executor, context, [GATEWAY, *(node.name for node in nodes)]))
    return nodes


def _node(path: Path, executor: dict[str, Any], context: dict[str, Any], before: Sequence[str]) -> Node:
    name = str(executor.get("name", "?"))
    _check_keys(path, name, executor, _EXECUTOR_KEYS)
    needs = executor.get("needs", [])
    needs = (needs,) if isinstance(needs, str) else tuple(needs)
    for needed in needs:
        if needed not in before:
            known = ", ".join(sorted(before))
            raise StateError(f"{path}: {name} needs {needed!r}, which is not an Executor before it ({known})")
    if name in before:
        raise StateError(f"{path}: two Executors have the name {name!r}")
    uses = _class(path, name, str(executor.get("uses", "")), context)
    methods = {endpoint: found.fn for endpoint, found in uses.requests_by_class[uses.__name__].items()}
    without_documents = frozenset(point for point, method in methods.items() if hasattr(method, "without_documents"))
    condition = _condition(path, name, executor.get("when"))
    return Node(name, needs or (before[-1],), condition, frozenset(methods), without_documents)


def _condition(path: Path, name: str, when: Any) -> Condition | None:
    if when is None:
        return None
    match when:
        case {"modality": dict(rule)} if len(when) == len(rule) == 1 and _OPERATORS.keys() >= rule.keys():
            ((operator, modality),) = rule.items()
            return Condition(str(modality), _OPERATORS[operator])
    raise StateError(f"{path}: {name} has when: {when}; only {{modality: {{$eq: ...}}}} and $neq are supported")


def _class(path: Path, name: str, uses: str, context: dict[str, Any]) -> Any:
    """The class of an Executor, which declares its endpoints with `@requests(on=...)`."""
    pod = path.parent / _CONTEXT.sub(lambda match: str(context[match[1]]), uses)
    if not pod.is_file():
        raise StateError(f"{path}: {name} uses {pod.resolve()}, which does not exist")
    settings = yaml.load(pod.read_text("utf8"), Loader=yaml.SafeLoader)
    if not isinstance(settings, dict) or "jtype" not in settings:
        raise StateError(f"{pod}: the key `jtype` with the class of the Executor is missing")
    for module in settings.get("py_modules", []):
        if find_spec(module) is None:
            raise StateError(f"{pod}: py_modules has {module}, which does not exist")
        executor = getattr(import_module(module), settings["jtype"], None)
        if executor is not None:
            return executor
    raise StateError(f"{pod}: no module of py_modules has a class {settings['jtype']}")


def _check_keys(path: Path, where: str, mapping: dict[str, Any], known: set[str]) -> None:
    unknown = sorted(set(mapping) - known)
    if unknown:
        raise StateError(f"{path}: {where} has unknown keys {', '.join(unknown)}; known are {', '.join(sorted(known))}")


def to_plain(nodes: Sequence[Node]) -> list[Any]:
    """The nodes as JSON values, for `from_plain`."""
    return [
        [
            node.name,
            node.needs,
            node.when and [node.when.modality, node.when.is_equal],
            sorted(node.endpoints),
            sorted(node.without_documents),
        ]
        for node in nodes
    ]


def from_plain(plain: list[Any]) -> list[Node]:
    """The nodes of the JSON values of `to_plain`."""
    return [
        Node(name, tuple(needs), when and Condition(*when), frozenset(endpoints), frozenset(without_documents))
        for name, needs, when, endpoints, without_documents in plain
    ]
