"""The features of a timm model: its pooled output, or the mean of an inner layer."""

from __future__ import annotations

from typing import Any

from crossmodal.core.errors import InputError


class _Reached(Exception):  # noqa: N818
    """Ends a forward pass at the requested layer, so that later layers are not computed."""


def features_of(model: Any, layer: str, batch: Any) -> Any:
    """The vectors (n, dim) of a batch (n, 3, size, size)."""
    if not layer:
        return pooled(model, model(batch))
    outputs: list[Any] = []

    def stop(_: Any, __: Any, output: Any) -> None:
        outputs.append(output)
        raise _Reached

    handle = model.get_submodule(layer).register_forward_hook(stop)
    try:
        model(batch)
    except _Reached:
        return pooled(model, outputs[0])
    finally:
        handle.remove()
    raise InputError(f"the layer {layer!r} is not used in the forward pass of an image: choose another layer")


def pooled(model: Any, features: Any) -> Any:
    """The mean (n, c) of a map (n, c, h, w), or (n, h, w, c) for channels-last models, or of tokens (n, t, c).

    Raises:
        InputError: The features are neither a map nor tokens nor vectors.
    """
    import torch

    if isinstance(features, torch.Tensor) and 2 <= features.dim() <= 4:
        if features.dim() == 4:
            return features.mean((1, 2) if getattr(model, "output_fmt", "") == "NHWC" else (2, 3))
        return features if features.dim() == 2 else features.mean(1)
    shape = tuple(features.shape) if isinstance(features, torch.Tensor) else type(features).__name__
    raise InputError(f"the layer returns {shape}, which is not a vector, map or token sequence: choose another layer")
