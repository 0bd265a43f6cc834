"""Kubernetes manifests from the templates in `manifests/`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from crossmodal.core.errors import InputError, StateError
from crossmodal.core.os_errors import reason
from crossmodal.core.resources import resource_folder

TEMPLATES = resource_folder("manifests")
MOST_REPLICAS = 4
"""The autoscaler may start this many times the least number of nodes."""


def write_manifests(
    out: Path, *, image: str, store: str, collection: str, replicas: int, pictures: str, secret: str
) -> list[Path]:
    """Writes the manifests of a collection's query nodes and indexing job, and returns their paths.

    Args:
        out: The folder, which is created if it does not exist.
        image: The container image.
        store: postgresql://USER@HOST/DATABASE, without a password.
        collection: The name of the collection.
        replicas: The least number of query nodes.
        pictures: The name of the PersistentVolumeClaim with the pictures.
        secret: The name of the Secret whose key `password` is the database user's password.

    Raises:
        InputError: The URL or the name of the collection is invalid, or a file exists already.
        StateError: The folder can't be written to, or psycopg is not installed.
    """
    from crossmodal.collection.collection import collection_folder
    from crossmodal.collection.postgresql_state import PostgresqlState, checked_url

    PostgresqlState(collection_folder(out, collection), checked_url(store))  # checks the name
    from psycopg.conninfo import conninfo_to_dict  # after the module above, which says what to install

    ports = {int(port or 5432) for port in str(conninfo_to_dict(store).get("port", "")).split(",")}
    values = {
        "image": image,
        "store": store,
        "collection": collection,
        "replicas": replicas,
        "most_replicas": MOST_REPLICAS * replicas,
        "pictures": pictures,
        "secret": secret,
        "database_ports": [{"port": port, "protocol": "TCP"} for port in sorted(ports)],
    }
    return _write(out, {path.name: _filled(path, values) for path in sorted(TEMPLATES.glob("*.yaml"))})


def _filled(template: Path, values: Mapping[str, Any]) -> str:
    """The text with values as JSON, which is YAML whatever characters they have."""
    return Template(template.read_text("utf8")).substitute({name: json.dumps(value) for name, value in values.items()})


def _write(out: Path, texts: Mapping[str, str]) -> list[Path]:
    paths = [out / name for name in texts]
    if existing := [str(path) for path in paths if path.exists()]:
        raise InputError(
            f"{existing[0]} exists and may have been edited: remove it, or choose another folder with --out"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        for path, text in zip(paths, texts.values(), strict=True):
            path.write_text(text, "utf8")
    except OSError as error:
        raise StateError(f"{out} can't be written to: {reason(error, out)}") from error
    return paths
