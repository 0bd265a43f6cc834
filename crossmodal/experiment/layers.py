"""The layers of an image tower, and the features of all of them from one forward pass.

A feature map becomes its mean over the positions (global average pooling). The tokens of a transformer become their
mean, the class token included. `output` is what the model itself returns: the pooled features before the classifier of
a backbone, the vector of a two-tower model, the weights of words of a sparse model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from crossmodal.core.engine import TORCH
from crossmodal.core.errors import InputError
from crossmodal.core.types import ModelSpec, Pixels, Vectors
from crossmodal.encoders import registry
from crossmodal.encoders.backbone_features import pooled
from crossmodal.encoders.torch_encoder import TorchEncoder

OUTPUT = "output"
DEFAULT_LAYERS = 8
_GROUP = 8
"""Most images per forward pass on the CPU."""

Finish = Callable[[Vectors], Vectors]
"""From what a model returns to its `OUTPUT`."""


class Tower:
    """The image tower of a model in torch, float32 on the CPU, with the names of its layers.

    Attributes:
        stages: The repeated blocks in the order in which they run, then `OUTPUT`; `--layers N` chooses from these.
        layers: All modules whose output can be pooled, then `OUTPUT`.
    """

    def __init__(self, spec: ModelSpec, threads: int | None = None) -> None:
        """Loads the image tower of a model; `threads` None keeps torch's default.

        Raises:
            InputError, StateError: As `registry.load`.
        """
        encoder = registry.load(spec.encoder, ("image",), threads, TORCH)
        assert isinstance(encoder, TorchEncoder), "every family has an encoder in torch"
        self._encoder, self._finish = encoder, _finish_of(spec)
        self._format = getattr(encoder.image_module, "trunk", encoder.image_module)
        self.layers = [*self._poolable(), OUTPUT]
        self.stages = stages_among(self.layers, dict(encoder.image_module.named_modules()))

    def features(self, pixels: Pixels, layers: Sequence[str]) -> dict[str, Vectors]:
        """The features (n, dim) of each of the layers, not normalised, from one pass of n >= 1 pictures.

        Args:
            pixels: (n, size_px, size_px, 3) uint8.
            layers: Names from `layers`.
        """
        import torch

        widths: dict[str, int] = {}

        def encode(images: Any) -> Any:
            outputs = self._outputs(images, [layer for layer in layers if layer != OUTPUT])
            ordered = [outputs[layer].float() for layer in layers]
            widths.update({layer: part.shape[1] for layer, part in zip(layers, ordered, strict=True)})
            return torch.cat(ordered, 1)

        joined = self._encoder.run_images(pixels, encode, min(self._encoder.image_group, _GROUP))
        ends = np.cumsum([widths[layer] for layer in layers])[:-1]
        parts = dict(zip(layers, np.split(joined, ends, axis=1), strict=True))
        return {layer: self._finish(part) if layer == OUTPUT else part for layer, part in parts.items()}

    def _outputs(self, images: Any, layers: list[str]) -> dict[str, Any]:
        """The pooled outputs (n, dim) of layers by name, and of `OUTPUT`."""
        outputs: dict[str, Any] = {}

        def keep(name: str) -> Callable[..., None]:
            def hook(_: Any, __: Any, output: Any) -> None:
                outputs[name] = pooled(self._format, output)  # at once: later layers may change a map in place

            return hook

        module = self._encoder.image_module
        handles = [module.get_submodule(name).register_forward_hook(keep(name)) for name in layers]
        try:
            outputs[OUTPUT] = self._encoder.image_vectors(images)
        finally:
            for handle in handles:
                handle.remove()
        return outputs

    def _poolable(self) -> list[str]:
        """The names of the modules that run once in a forward pass and return one row per picture, in their order."""
        calls: Counter[str] = Counter()
        names: list[str] = []

        def note(name: str) -> Callable[..., None]:
            def hook(_: Any, __: Any, output: Any) -> None:
                calls[name] += 1
                if 2 <= getattr(output, "ndim", 0) <= 4 and len(output) == 2:
                    names.append(name)

            return hook

        module, size_px = self._encoder.image_module, self._encoder.spec.preprocessing.size_px
        handles = [part.register_forward_hook(note(name)) for name, part in module.named_modules() if name]
        try:
            self._encoder.run_images(np.zeros((2, size_px, size_px, 3), np.uint8), self._encoder.image_vectors)
        finally:
            for handle in handles:
                handle.remove()
        return [name for name in names if calls[name] == 1]


def stages_among(layers: Sequence[str], modules: dict[str, Any]) -> list[str]:
    """The innermost numbered blocks among the layers, then `OUTPUT`; all layers if there are fewer than two blocks.

    A block has parts of its own and is an element of a list of modules, as `layer1.0` of a ResNet and `blocks.0` of a
    ViT are.
    """
    from torch import nn

    def is_block(name: str) -> bool:
        module = modules[name]
        is_element = isinstance(modules[name.rpartition(".")[0]], nn.Sequential | nn.ModuleList)
        return is_element and any(module.children()) and not isinstance(module, nn.Sequential)

    blocks = [name for name in layers if name != OUTPUT and is_block(name)]
    inner = [name for name in blocks if not any(other.startswith(f"{name}.") for other in blocks)]
    return [*inner, OUTPUT] if len(inner) >= 2 else list(layers)


def chosen(model: str, wanted: int | Sequence[str], stages: Sequence[str], layers: Sequence[str]) -> list[str]:
    """The layers of a model that an experiment measures.

    Args:
        model: The model's name, for messages.
        wanted: A number of evenly spaced stages, or names.
        stages: As `Tower.stages`.
        layers: As `Tower.layers`.

    Raises:
        InputError: A named layer does not exist; the message lists those that do.

    Example:
        >>> chosen("m", 2, ["a", "b", "c", "output"], [])
        ['a', 'output']
    """
    if isinstance(wanted, int):
        places = np.linspace(0, len(stages) - 1, wanted) if wanted > 1 else np.array([len(stages) - 1])
        return [stages[place] for place in dict.fromkeys(places.round().astype(int).tolist())]
    for name in wanted:
        if name not in layers:
            near = get_close_matches(name, layers, n=3)
            hint = f"did you mean {' or '.join(near)}? " if near else ""
            raise InputError(f"{model} has no layer {name!r}: {hint}its stages are {', '.join(stages)}")
    return list(dict.fromkeys(wanted))


def _finish_of(spec: ModelSpec) -> Finish:
    """For a sparse model its weights of words; for a two-tower model vectors of length 1; else the features."""
    from crossmodal.encoders.weights import unit_rows

    if spec.has_lexical:
        from crossmodal.lexical.model import SparseModel

        model = SparseModel.load(Path(spec.weights))
        return lambda vectors: np.asarray(model.image_weights(unit_rows(vectors)).toarray(), np.float32)
    return unit_rows if "text" in spec.modalities else lambda vectors: vectors
