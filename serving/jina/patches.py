"""Patches of the installed Jina: one row per patch, with the reason; all are checked before a Flow starts.

docs/adr/0014-jina-contained.md has the history of the list. Whatever needs no patch is done elsewhere: `router.py`
calls the Executors, `gateway.py` serves, `executors/codec.py` reads and writes documents.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jina
from jina import Flow, helper
from jina.orchestrate.flow import base as flow_base
from jina.proto.serializer import DataRequestProto
from jina.serve.executors import decorators
from jina.serve.runtimes import asyncio as asyncio_runtime
from jina.serve.runtimes.worker.request_handling import WorkerRequestHandler
from jina.types.request.data import DataRequest

from crossmodal.core.errors import StateError

REMOVED = None
"""The `replacement` of an attribute that is deleted."""
TESTED_VERSION = "3.34.0"


@dataclass(frozen=True)
class Patch:
    """A patch: an attribute of an object of Jina, the signature that it must have, and its replacement."""

    target: Any
    attribute: str
    signature: str
    replacement: Callable[..., Any] | None
    why: str
    without: str

    @property
    def name(self) -> str:
        """The full name of the attribute."""
        return f"{getattr(self.target, '__module__', '')}.{self.target.__name__}.{self.attribute}".lstrip(".")


def patches(locks: Path) -> list[Patch]:
    """All patches.

    Args:
        locks: A folder for the locks of this Flow's Executors.
    """
    leak = "it sums the sizes of messages in an environment variable, and the C library never frees the old values"
    leaking = "every process grows by 80 bytes per message"
    held = "the ports are already reserved (`ports.py`), and Jina checks 127.0.0.1 whatever the listening address"
    refused = "a service on ::1 does not start if another program uses its port on 127.0.0.1"
    snapshots = "it synchronizes the state of replicas, which these do not need, and takes file names from messages"
    rows = [
        Patch(DataRequestProto, "SerializeToString", "(x: 'DataRequest')", staticmethod(_written), leak, leaking),
        Patch(DataRequestProto, "FromString", "(x: bytes)", staticmethod(_read), leak, leaking),
        Patch(
            Flow, "_get_summary_table", "(self, all_panels: List[rich.panel.Panel])", lambda self, panels: None,
            "it queries three internet services for this machine's address, for a banner that is not shown",
            "each start is visible to third parties",
        ),
        Patch(
            decorators, "_get_locks_root", "() -> pathlib.Path", lambda: locks,
            "it locks a file in the home folder, so that only one Executor of a class loads at a time",
            "a Flow waits for all others on the machine that are starting, and needs a writable home folder",
        ),
        Patch(
            helper, "warn_unknown_args", "(unknown_args: List[str])", _warn_of_unknown,
            "it lists all options of Jina's command line to look up the unknown ones, even if there are none",
            "every Flow starts half a second later",
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
"""The original attributes that this process has patched, by the patch's name."""


def apply_patches(locks: Path) -> None:
    """Applies all patches to this process and those that it forks; may be called again for another Flow.

    Raises:
        StateError: An attribute is missing, or does not have the signature that its patch was written for.
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
    """Checks that the attribute has the expected signature; raises StateError otherwise."""
    original = _originals.get(patch.name) or inspect.getattr_static(patch.target, patch.attribute, None)
    signature = str(inspect.signature(original)) if callable(original) else f"{original!r}, which can't be called"
    if signature != patch.signature:
        raise StateError(
            f"Jina {jina.__version__} is not supported, only {TESTED_VERSION}: "
            f"{patch.name} has the signature {signature}, expected {patch.signature}. "
            f"Install jina=={TESTED_VERSION}. (It is patched because {patch.why}.)"
        )


def _written(request: Any) -> bytes:
    return bytes(request.proto.SerializePartialToString() if request.is_decompressed else request.buffer)


def _read(message: bytes) -> Any:
    return DataRequest(message)


def _warn_of_unknown(names: Collection[str]) -> None:
    if names:
        _originals["jina.helper.warn_unknown_args"](names)


def _always(host: Any, port: Any) -> bool:
    return True
