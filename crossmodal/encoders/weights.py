"""Functions for the weights and vectors of all families: hash and check weights, normalise vectors."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from crossmodal.core.errors import InputError, StateError
from crossmodal.core.types import ModelSpec, Vectors
from crossmodal.encoders.hash_cache import file_sha256


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal; of an unchanged large file, from the user's cache folder.

    Raises:
        InputError: The file can't be read.
    """
    try:
        return file_sha256(path)
    except OSError as error:
        raise InputError(f"weights {path} can't be read: {error.strerror}") from error


def check_unchanged(spec: ModelSpec, weights_hash: str) -> None:
    """Checks that the weights on this machine, with the hash `weights_hash`, are still those of the spec.

    Raises:
        StateError: The hash differs.
    """
    if weights_hash != spec.weights_hash:
        raise StateError(f"the weights {spec.weights} have changed since they were used ({spec}): index again")


def save_tensors(tensors: Mapping[str, Any], path: Path) -> None:
    """Writes tensors of torch as a safetensors file that other users may read, which `save_file` does not let them."""
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    path.chmod(0o644)


NESTED = ("state_dict_ema", "model_ema", "state_dict", "model")
"""Keys under which a checkpoint may nest its tensors."""


def check_tensors(file: Path) -> None:
    """Checks that a checkpoint consists of named tensors; memory-maps them if the format allows it.

    Raises:
        ValueError: The checkpoint has other content.
        RuntimeError, EOFError, OSError, pickle.UnpicklingError, safetensors.SafetensorError: The file is damaged.
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
        raise ValueError(f"it has {str(state)[:40]!r} instead of named tensors")
    others = [name for name, value in state.items() if not isinstance(value, torch.Tensor)]
    if others:
        raise ValueError(f"{str(others[0])[:80]!r} is not a tensor")


def unfilled() -> AbstractContextManager[Any]:
    """A context in which torch modules are created without initialising their weights.

    For modules whose weights are all loaded afterwards; the random initialisation of ViT-B-32 takes four seconds.
    """
    from torch import Tensor
    from torch.nn import init
    from torch.overrides import TorchFunctionMode

    initialisers = {Tensor.normal_, Tensor.uniform_, init.normal_, init.uniform_, init.kaiming_uniform_}

    class Unfilled(TorchFunctionMode):
        def __torch_function__(
            self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
        ) -> Any:
            keywords = kwargs or {}
            if function in initialisers:
                return args[0] if args else keywords["tensor"]
            return function(*args, **keywords)

    return Unfilled()


def unit_rows(vectors: Vectors) -> Vectors:
    """The rows scaled to length 1 (epsilon 1e-12), float32. Encoders normalise vectors only here.

    Raises:
        ValueError: A row is not finite, so the weights are damaged.
    """
    if not np.isfinite(vectors).all():
        raise ValueError("the model returned vectors that are not finite: its weights are damaged")
    vectors = vectors.astype(np.float32, copy=False)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)
