"""The containers of Kubernetes manifests and of Compose files, in one form, and as processes of this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

OF_IMAGE = {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", "OMP_WAIT_POLICY": "PASSIVE"}
"""The environment that Dockerfile sets."""


@dataclass(frozen=True)
class Container:
    """What a container runs; `mounts` are the paths of its volumes, and those of `secrets` are read from a Secret."""

    command: list[str]
    environment: dict[str, str]
    secrets: dict[str, tuple[str, str]]
    mounts: set[str]

    def here(self, folders: Mapping[str, Path], secrets: Mapping[tuple[str, str], str]) -> tuple[list[str], Any]:
        """The command and the whole environment, with folders of this machine in place of the mounted paths."""

        def moved(value: str) -> str:
            assert value[0] != "/" or value in self.mounts, f"{value} is not mounted"
            return str(folders.get(value, value))

        assert self.command[0] == "python"
        environment = {name: moved(value) for name, value in self.environment.items()}
        environment |= {name: secrets[reference] for name, reference in self.secrets.items()}
        return [sys.executable, *map(moved, self.command[1:])], {**OF_IMAGE, **environment}


def documents(folder: Path) -> Iterator[dict[str, Any]]:
    """The Kubernetes objects of a folder."""
    for path in sorted(folder.glob("*.yaml")):
        yield from yaml.safe_load_all(path.read_text("utf8"))


def pods(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The pod template of each Deployment and Job, by its component."""
    templates = [found["spec"]["template"] for found in objects if found["kind"] in ("Deployment", "Job")]
    return {template["metadata"]["labels"]["app.kubernetes.io/component"]: template for template in templates}


def described(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """The containers of a pod template as they stand there, in the order of their start."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def containers(objects: list[dict[str, Any]]) -> dict[str, Container]:
    """The containers of all pod templates by name."""
    return {given["name"]: _of_kubernetes(given) for pod in pods(objects).values() for given in described(pod)}


def _of_kubernetes(given: dict[str, Any]) -> Container:
    plain = {entry["name"]: entry["value"] for entry in given["env"] if "value" in entry}
    references = {entry["name"]: entry["valueFrom"]["secretKeyRef"] for entry in given["env"] if "valueFrom" in entry}
    return Container(
        [*given["command"], *given["args"]],
        plain,
        {name: (reference["name"], reference["key"]) for name, reference in references.items()},
        {mount["mountPath"] for mount in given["volumeMounts"]},
    )


def of_compose(service: dict[str, Any]) -> Container:
    """A service of a Compose file."""
    paths = [entry.split(":")[1] for entry in service["volumes"]]
    paths += [entry.partition(":")[0] for entry in service["tmpfs"]]
    return Container([*service["entrypoint"], *service["command"]], service["environment"], {}, set(paths))
