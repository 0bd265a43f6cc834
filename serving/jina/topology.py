"""Checks a Flow's YAML before Jina gets it: Jina starts a Flow with a misspelt `needs` and serves wrongly."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from crossmodal.core.errors import StateError

_FLOW_KEYS = {"jtype", "version", "with", "gateway", "executors"}
_EXECUTOR_KEYS = {
    "name", "uses", "uses_with", "needs", "when", "replicas", "shards", "polling", "py_modules",
    "uses_dynamic_batching", "timeout_ready",
}  # fmt: skip
_CONTEXT = re.compile(r"\$\{\{\s*CONTEXT\.(\w+)\s*\}\}")


def check_topology(path: Path, context: dict[str, Any]) -> None:
    """Checks keys, names, `needs` and files of a Flow.

    Args:
        path: The Flow's YAML.
        context: The values its `${{ CONTEXT.x }}` stand for.

    Raises:
        StateError: What is wrong, and where.
    """
    try:
        flow = yaml.load(path.read_text("utf8"), Loader=yaml.SafeLoader)
    except (OSError, yaml.YAMLError) as error:
        raise StateError(f"{path}: {error}") from error
    if not isinstance(flow, dict) or not isinstance(flow.get("executors"), list):
        raise StateError(f"{path}: no list of executors in it")
    _check_keys(path, "the Flow", flow, _FLOW_KEYS)
    unknown = sorted({name for name in _CONTEXT.findall(path.read_text("utf8")) if name not in context})
    if unknown:
        raise StateError(f"{path}: nothing stands for CONTEXT.{', CONTEXT.'.join(unknown)}")
    seen = {"gateway"}
    for executor in flow["executors"]:
        name = str(executor.get("name", "?"))
        _check_keys(path, name, executor, _EXECUTOR_KEYS)
        needs = executor.get("needs", [])
        for needed in [needs] if isinstance(needs, str) else needs:
            if needed not in seen:
                raise StateError(
                    f"{path}: {name} needs {needed!r}, which is no Executor before it ({', '.join(sorted(seen))})"
                )
        if name in seen:
            raise StateError(f"{path}: two Executors are called {name!r}")
        seen.add(name)
        _check_pod(path, name, str(executor.get("uses", "")), context)


def _check_pod(path: Path, name: str, uses: str, context: dict[str, Any]) -> None:
    pod = path.parent / _CONTEXT.sub(lambda match: str(context[match[1]]), uses)
    if not pod.is_file():
        raise StateError(f"{path}: {name} uses {pod.resolve()}, and there is no such file")
    settings = yaml.load(pod.read_text("utf8"), Loader=yaml.SafeLoader)
    if not isinstance(settings, dict) or "jtype" not in settings:
        raise StateError(f"{pod}: no jtype, so it names no Executor")
    for module in settings.get("py_modules", []):
        if not (pod.parent / module).is_file():
            raise StateError(f"{pod}: py_modules names {module}, and there is no such file")


def _check_keys(path: Path, where: str, found: dict[str, Any], known: set[str]) -> None:
    unknown = sorted(set(found) - known)
    if unknown:
        raise StateError(f"{path}: {where} has unknown keys {', '.join(unknown)}; known are {', '.join(sorted(known))}")
