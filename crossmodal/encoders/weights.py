"""What all families do with their weights and vectors: hash the one, normalise the other."""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from crossmodal.core.errors import InputError, StateError
from crossmodal.core.types import ModelSpec, Vectors


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal.

    Raises:
        InputError: It can't be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"weights {path} can't be read: {error.strerror}") from error


def check_unchanged(spec: ModelSpec, weights_hash: str) -> None:
    """Refuses weights that are not the ones of the spec any more.

    Raises:
        StateError: `weights_hash`, what they are now, is another.
    """
    if weights_hash != spec.weights_hash:
        raise StateError(f"the weights {spec.weights} have changed since they were used ({spec}): index again")


NESTED = ("state_dict_ema", "model_ema", "state_dict", "model")
"""Keys under which checkpoints have their tensors, if not at the top."""


def check_tensors(file: Path) -> None:
    """Refuses a checkpoint that does not have named tensors; their values are not read if they can be mapped.

    Raises:
        ValueError: It has something else.
        RuntimeError, EOFError, OSError, pickle.UnpicklingError, safetensors.SafetensorError: It is damaged.
    """
    import torch
    from safetensors import safe_open

    if file.suffix == ".safetensors":
        with safe_open(str(file), "pt") as tensors:
            if not tensors.keys():
                raise ValueError("it has no tensors")
        return
    try:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, ValueError):  # the format before torch 1.6 can't be mapped
        content = torch.load(file, map_location="cpu", weights_only=True)
    state = content
    if isinstance(content, dict):
        state = next((content[key] for key in NESTED if key in content), content)
    if not isinstance(state, dict) or not state:
        raise ValueError(f"it has {str(state)[:40]!r} and no tensors by name")
    others = [name for name, value in state.items() if not isinstance(value, torch.Tensor)]
    if others:
        raise ValueError(f"{str(others[0])[:80]!r} is not a tensor")


def unfilled() -> AbstractContextManager[Any]:
    """Modules of torch that are made in here have no random numbers in their weights, but what lies in the memory.

    For one whose weights are then all loaded. To draw those of ViT-B-32 first takes four seconds.
    """
    from torch import Tensor
    from torch.nn import init
    from torch.overrides import TorchFunctionMode

    drawing = {Tensor.normal_, Tensor.uniform_, init.normal_, init.uniform_, init.kaiming_uniform_}

    class Unfilled(TorchFunctionMode):
        def __torch_function__(
            self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
        ) -> Any:
            named = kwargs or {}
            if function in drawing:
                return args[0] if args else named["tensor"]
            return function(*args, **named)

    return Unfilled()


def unit_rows(vectors: Vectors) -> Vectors:
    """Rows scaled to length 1 (epsilon 1e-12), float32; the one place where vectors are normalised.

    Raises:
        ValueError: A row that is not finite: the weights are broken.
    """
    if not np.isfinite(vectors).all():
        raise ValueError("the model returned vectors that are not finite: its weights are damaged")
    vectors = vectors.astype(np.float32, copy=False)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)
