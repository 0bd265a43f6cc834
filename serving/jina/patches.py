"""What is changed in the installed Jina: one row a change, with the reason, and checked before a Flow starts.

docs/adr/0014-jina-contained.md has the history of the list. Everything that can be done without changing Jina is done
elsewhere: `router.py` calls the Executors, `gateway.py` serves, `executors/codec.py` reads and writes documents.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jina
from jina import Flow
from jina.orchestrate.flow import base as flow_base
from jina.proto.serializer import DataRequestProto
from jina.serve.executors import decorators
from jina.serve.runtimes import asyncio as asyncio_runtime
from jina.serve.runtimes.worker.request_handling import WorkerRequestHandler
from jina.types.request.data import DataRequest

from crossmodal.core.errors import StateError

REMOVED = None
"""The `replacement` of an attribute that is taken away."""
TESTED_VERSION = "3.34.0"


@dataclass(frozen=True)
class Patch:
    """One change: an attribute of an object of Jina, the signature that it must have, and what takes its place."""

    target: Any
    attribute: str
    signature: str
    replacement: Callable[..., Any] | None
    why: str
    without: str

    @property
    def name(self) -> str:
        """The attribute by its full name."""
        return f"{getattr(self.target, '__module__', '')}.{self.target.__name__}.{self.attribute}".lstrip(".")


def patches(locks: Path) -> list[Patch]:
    """All changes.

    Args:
        locks: A folder for the locks of this Flow's Executors.
    """
    leak = "it adds the size of each message up in a variable of the environment, which the C library never frees"
    leaking = "every process grows by 80 bytes a message"
    held = "our ports are held for us (`ports.py`), and Jina looks at 127.0.0.1 whatever address we listen on"
    refused = "a service on ::1 does not start where another program has its port on 127.0.0.1"
    snapshots = "keeps the state of replicas alike, which ours don't need; it takes file names out of messages"
    rows = [
        Patch(DataRequestProto, "SerializeToString", "(x: 'DataRequest')", staticmethod(_written), leak, leaking),
        Patch(DataRequestProto, "FromString", "(x: bytes)", staticmethod(_read), leak, leaking),
        Patch(
            Flow, "_get_summary_table", "(self, all_panels: List[rich.panel.Panel])", lambda self, panels: None,
            "it asks three services of the internet for this machine's address, for a banner that is not shown",
            "each start tells strangers that it has happened",
        ),
        Patch(
            decorators, "_get_locks_root", "() -> pathlib.Path", lambda: locks,
            "Jina lets one Executor of a class load at a time, by a lock in the home folder",
            "a Flow waits for every other that the machine's users start, and needs a home folder to write to",
        ),
        Patch(flow_base, "is_port_free", _IS_PORT_FREE, _always, held, refused),
        Patch(asyncio_runtime, "is_port_free", _IS_PORT_FREE, _always, held, refused),
    ]  # fmt: skip
    for service, signature in _SNAPSHOT_SERVICES.items():
        without = f"any program on this machine may call {service} at an Executor's port"
        rows.append(Patch(WorkerRequestHandler, service, signature, REMOVED, snapshots, without))
    return rows


_IS_PORT_FREE = "(host: Union[str, List[str]], port: Union[int, List[int]]) -> bool"
_SNAPSHOT_SERVICES = {
    "snapshot": "(self, request, context) -> 'jina_pb2.SnapshotStatusProto'",
    "snapshot_status": "(self, request: 'jina_pb2.SnapshotId', context) -> 'jina_pb2.SnapshotStatusProto'",
    "restore": "(self, request: 'jina_pb2.RestoreSnapshotCommand', context)",
    "restore_status": "(self, request, context) -> 'jina_pb2.RestoreSnapshotStatusProto'",
}
_originals: dict[str, Any] = {}
"""The attributes that have been changed in this process, as they were, by the patch's name."""


def apply_patches(locks: Path) -> None:
    """Makes all changes, for this process and those that it forks; again for another Flow.

    Raises:
        StateError: An attribute is not there, or has another signature than the change was written for.
    """
    rows = patches(locks)
    for patch in rows:
        check(patch)
    for patch in rows:
        is_first = patch.name not in _originals
        _originals.setdefault(patch.name, inspect.getattr_static(patch.target, patch.attribute, None))
        if patch.replacement is not REMOVED:
            setattr(patch.target, patch.attribute, patch.replacement)
        elif is_first:
            delattr(patch.target, patch.attribute)


def check(patch: Patch) -> None:
    """Raises StateError where the installed Jina is not as a patch expects it."""
    found = _originals.get(patch.name) or inspect.getattr_static(patch.target, patch.attribute, None)
    signature = str(inspect.signature(found)) if callable(found) else f"{found!r}, which can't be called"
    if signature != patch.signature:
        raise StateError(
            f"Jina {jina.__version__} does not fit this program, which was written for {TESTED_VERSION}: "
            f"{patch.name} has the signature {signature}, expected {patch.signature}. "
            f"Install jina=={TESTED_VERSION}. (It is changed since {patch.why}.)"
        )


def _written(request: Any) -> bytes:
    return bytes(request.proto.SerializePartialToString() if request.is_decompressed else request.buffer)


def _read(message: bytes) -> Any:
    return DataRequest(message)


def _always(host: Any, port: Any) -> bool:
    return True
