"""Encoder of the bundled `photos` weights for photographs and English texts, `-m clip --weights photos`.

Also loads a folder in the same format, which `-t train -m clip --weights photos` writes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.engine import Precision
from crossmodal.core.errors import InputError
from crossmodal.core.types import Modality, ModelSpec, Preprocessing
from crossmodal.encoders import registry
from crossmodal.encoders.network_encoder import AT_MOST, NetworkEncoder
from crossmodal.encoders.weights import sha256
from crossmodal.encoders.wordpiece import WordPiece
from crossmodal.engines.agreement import Agreement

if TYPE_CHECKING:
    from crossmodal.engines.openvino_offline import openvino

FAMILY, NAME = "clip", registry.PHOTOS
BUNDLED_FOLDER = registry.bundled_folder(FAMILY, NAME)
CONFIG_NAME, WEIGHTS_NAME, VOCABULARY_NAME = "photos_config.json", "model.safetensors", "vocab.txt"
INT8_NAME, INT8_MANIFEST = "int8.npz", "int8.json"
"""The ranges of activations (`crossmodal.engines.quantization`), and the agreement of the quantized model."""
SCALE_SUFFIX = ".row_scale"
"""Suffix of the row scales of a matrix that is stored in 8 bits."""

CODE = Path(__file__).parents[1]
CONTEXT_LENGTH = 128
MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3

GATE_GAIN, CAPTION_GAIN, LEAST_SHARE = 4.0, 20.0, 1e-4
"""Of a text's vector: gains of the inputs of gate and caption head, and the least share of the class part."""


@dataclass(frozen=True)
class TextShape:
    """The sizes of a BERT encoder; the defaults are MiniLM-L6's."""

    vocab_size: int = 30522
    context_length: int = 128
    width: int = 384
    layers: int = 6
    heads: int = 12
    inner: int = 1536


@dataclass(frozen=True)
class PhotoShape:
    """The configuration of the model.

    `trained_dim`, `class_dim` and `feature_dim` are the dimensions of the three parts of the space, `image_parts` their
    shares of an image vector's squared length. The text tower's layers from `branch_from` on exist twice: as published
    for the class part, and trained for the caption part.
    """

    variant: str = "lite0"
    size_px: int = 224
    resize: Literal["squash", "shortest"] = "shortest"
    trained_dim: int = 256
    class_dim: int = 160
    feature_dim: int = 224
    hidden: int = 1024
    branch_from: int = 3
    image_parts: tuple[float, float, float] = (0.29, 0.26, 0.45)
    class_temperature: float = 2.0
    vocab_size: int = 30522

    @property
    def dim(self) -> int:
        """The dimension of the space."""
        return self.trained_dim + self.class_dim + self.feature_dim

    @property
    def preprocessing(self) -> Preprocessing:
        """The preprocessing of the image tower: values are scaled as (x - 127) / 128."""
        return Preprocessing(self.size_px, self.resize, "bicubic", MEAN, STD)


def read_shape(folder: Path) -> PhotoShape:
    """The configuration in a folder of weights.

    Raises:
        InputError: The configuration is missing or damaged.
    """
    try:
        values: dict[str, Any] = json.loads((folder / CONFIG_NAME).read_text("utf8"))
        return PhotoShape(**{**values, "image_parts": tuple(values["image_parts"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / CONFIG_NAME} is missing or damaged: {error!r}") from error


def folder_of(weights: str) -> Path | None:
    """The folder of `photos`, or of a path to weights in the same format; None for other names."""
    folder = BUNDLED_FOLDER if weights == NAME else Path(weights)
    return folder if weights == NAME or (folder / CONFIG_NAME).is_file() else None


def resolve(weights: str, folder: Path) -> ModelSpec:
    """The spec of a folder that `folder_of` returned; doesn't import torch.

    Raises:
        InputError: A file is missing or damaged.
    """
    shape = read_shape(folder)
    name = weights if weights == NAME else str(folder.resolve())
    return ModelSpec(FAMILY, name, sha256(folder / WEIGHTS_NAME), shape.dim, shape.preprocessing)


def files(folder: Path) -> list[Path]:
    """The files that the encoder reads, in `folder`."""
    return [folder / name for name in (CONFIG_NAME, WEIGHTS_NAME, VOCABULARY_NAME)]


def int8_agreement(folder: Path, spec: ModelSpec) -> Agreement | None:
    """The agreement of the quantized model with float32, None if the folder has no ranges for these weights."""
    try:
        values = json.loads((folder / INT8_MANIFEST).read_bytes())
        return Agreement(**values["agreement"][spec.family]) if values["weights_hash"] == spec.weights_hash else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / INT8_MANIFEST} is damaged: remove it, or train again: {error!r}") from error


LEAST_KNOWN, LEAST_WORDS = 0.8, 8
"""The vocabulary covers a greater share of the words of English captions, and less of German, Spanish and French. Fewer
words than these may all be names."""


def foreign_note(weights: str, captions: Sequence[str]) -> str:
    """A warning about captions that are not English; empty if they are, or if `weights` are not the photos weights."""
    folder = folder_of(weights)
    if folder is None or not captions:
        return ""
    n_words, share = tokens_in(folder).known_share(captions)
    if share >= LEAST_KNOWN or n_words < LEAST_WORDS:
        return ""
    return (
        f"the captions don't seem to be English, the only language of the weights {weights}: the vocabulary has only "
        f"{share:.0%} of their words, so searches in this language will be poor"
    )


class StoredWeights(Mapping[str, NDArray[np.float32]]):
    """The tensors in a folder of weights by the names of `photo_model.PhotoModel`, converted to float32 on access."""

    def __init__(self, folder: Path) -> None:
        """Opens the file; each access reads a tensor.

        Raises:
            InputError: The file is missing or damaged.
        """
        from safetensors import SafetensorError, safe_open

        try:
            self._file = cast(Any, safe_open(str(folder / WEIGHTS_NAME), "np"))
            self._names: tuple[str, ...] = tuple(self._file.keys())
        except (OSError, ValueError, SafetensorError) as error:
            raise InputError(
                f"the weights in {folder} could not be loaded: {WEIGHTS_NAME} can't be read: {error}"
            ) from error

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        tensor: NDArray[np.float32] = self._read(name).astype(np.float32)
        if name + SCALE_SUFFIX in self._names:
            tensor *= self._read(name + SCALE_SUFFIX).astype(np.float32)
        return tensor

    def _read(self, name: str) -> NDArray[Any]:
        if name not in self._names:
            raise KeyError(name)
        tensor: NDArray[Any] = self._file.get_tensor(name)
        return tensor

    def in_8_bits(self, name: str) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """A matrix (n, width) as it is stored, and the scales (n, 1) of its rows; their product is `self[name]`.

        Raises:
            KeyError: The matrix is missing, or not stored in 8 bits.
        """
        return self._read(name), self._read(name + SCALE_SUFFIX).astype(np.float32)

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._names if not name.endswith(SCALE_SUFFIX))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def load(
    spec: ModelSpec, folder: Path, towers: tuple[Modality, ...], threads: int | None, precision: Precision
) -> NetworkEncoder:
    """The encoder in OpenVINO on the CPU, in float32 or int8; doesn't import torch.

    Args:
        spec: The spec that `resolve` returned; or one of the family timm, whose vectors are the features of the image
            tower.
        folder: The folder of the weights.
        towers: The towers to load.
        threads: Number of threads of an encoding; None for all cores.
        precision: The arithmetic; int8 needs `int8.npz` in the folder.

    Raises:
        InputError: The weights are damaged, don't match the configuration, or have no ranges for int8.
    """
    from crossmodal.encoders.photo_graph import features_network, image_network, text_network
    from crossmodal.engines.openvino_cpu import CompiledNetwork

    weights, shape = StoredWeights(folder), read_shape(folder)
    makers = {"image": image_network if spec.family == FAMILY else features_network, "text": text_network}
    networks: dict[Modality, CompiledNetwork] = {}
    try:
        for tower in towers:
            make = partial(makers[tower], weights, shape)
            if precision == "int8":
                make = partial(_quantized, make, folder)
            cache = _cache(spec, folder, tower, precision)
            networks[tower] = CompiledNetwork(make, threads, precision, cache, AT_MOST[tower])
        scale = float(np.exp(weights["logit_scale"]))
    except (KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"the weights in {folder} don't match their configuration: {reason}") from error
    return NetworkEncoder(spec, networks, tokens_in(folder) if "text" in towers else None, scale)


def _quantized(make: Callable[[], openvino.Model], folder: Path) -> openvino.Model:
    from crossmodal.engines.quantization import quantize, read_ranges

    network = make()
    quantize(network, read_ranges(folder / INT8_NAME))
    return network


def _cache(spec: ModelSpec, folder: Path, tower: Modality, precision: Precision) -> Path | None:
    """The file of a compiled network in int8; its name depends on the code that makes the network, too."""
    if precision != "int8":
        return None
    from crossmodal.engines.compiled_cache import compiled_file

    makers = [sha256(CODE / name) for name in ("encoders/photo_graph.py", "engines/quantization.py")]
    return compiled_file(spec.family, spec.weights_hash, sha256(folder / INT8_NAME), tower, makers)


def tokens_in(folder: Path) -> WordPiece:
    """The tokenizer in a folder of weights."""
    return WordPiece.read(folder / VOCABULARY_NAME, CONTEXT_LENGTH)
