"""Takes out of Jina and docarray what nobody needs here and strangers could use; docs/security.md says what for.

Done once, before the Executors are forked.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from docarray.typing import NdArray
from docarray.typing.proto_register import _PROTO_TYPE_NAME_TO_CLASS
from jina.serve.runtimes.worker.request_handling import WorkerRequestHandler

SERVICES = ("snapshot", "snapshot_status", "restore", "restore_status")
"""Of every Executor, for replicas that keep each other's state. We have none; `restore` removes the folder that a
message names, whoever sends it."""


def harden() -> None:
    """Does it; a second time does nothing."""
    for service in SERVICES:
        if hasattr(WorkerRequestHandler, service):
            delattr(WorkerRequestHandler, service)
    for kind in (NdArray, _PROTO_TYPE_NAME_TO_CLASS.get("torch_tensor")):
        if kind is not None and kind.from_protobuf.__func__ is not _sound:
            _readers[kind] = kind.from_protobuf.__func__
            kind.from_protobuf = classmethod(_sound)


_readers: dict[Any, Any] = {}


def _sound(cls: Any, message: Any) -> Any:
    """The array of a message that holds as many bytes as its shape says: docarray makes zeros of those that lack."""
    dense = message.dense
    n_bytes = math.prod(dense.shape) * np.dtype(dense.dtype).itemsize
    if n_bytes != len(dense.buffer):
        raise ValueError(f"an array of {len(dense.buffer)} bytes: expected {n_bytes}, by its shape")
    read = next(_readers[base] for base in cls.__mro__ if base in _readers)
    return read(cls, message)
