"""Quantizes networks to 8-bit integers.

Each convolution and each matrix product with constant weights gets weights in 8 bits, and a `FakeQuantize` operation on
its input; OpenVINO then computes it with integers. Activations have one range per operation, the smallest and largest
value for example inputs; weights have one range per output channel. Before a matrix product the channels of the
activation are divided by factors that the weights are multiplied by, so that channels with large values don't take the
precision of the others.

Sources: Jacob et al. 2018, arXiv 1712.05877, section 2 (ranges); Xiao et al. 2023, "SmoothQuant", arXiv 2211.10438,
equation 4 (factors).
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.errors import InputError
from crossmodal.core.files import write_atomically
from crossmodal.engines.openvino_cpu import CompiledNetwork
from crossmodal.engines.openvino_offline import openvino, ops

LEVELS = 256
ALPHA = 0.8
"""Share of the factors that the activations determine. With 0.8 the texts of the `photos` weights keep a cosine of
0.9988 to float32 on average; with SmoothQuant's 0.5 it is 0.992, and without factors 0.9955."""

ENOUGH, ENOUGH_ALONE = 0.997, 0.9997
N_COMPARED = 4
"""Batches on which the outputs of a quantized network are compared with those in float32."""


@dataclass(frozen=True)
class Range:
    """The smallest and largest values of each channel of an operation's input: both (channels,) float32."""

    low: NDArray[np.float32]
    high: NDArray[np.float32]

    def united(self, other: Range) -> Range:
        """The range that covers both."""
        return Range(np.minimum(self.low, other.low), np.maximum(self.high, other.high))


def measured(network: openvino.Model, batches: Iterable[list[Any]]) -> dict[str, Range]:
    """The range of the input of each operation that can be quantized, by the name of the operation.

    Args:
        network: The network in float32; it is not changed.
        batches: Inputs of the network.
    """
    probe = network.clone()
    names, outputs = [], []
    for operation in _quantizable(probe):
        x = operation.input_value(0)
        rank, channel = len(x.get_partial_shape()), _channel_axis(operation)
        axes = ops.constant([axis for axis in range(rank) if axis != channel % rank])
        names.append(operation.get_friendly_name())
        outputs += [ops.reduce_min(x, axes, False), ops.reduce_max(x, axes, False)]
    request = (
        openvino.Core()
        .compile_model(
            openvino.Model(outputs, probe.get_parameters(), "ranges"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
        )
        .create_infer_request()
    )
    ranges: dict[str, Range] = {}
    for batch in batches:
        values = [tensor.copy() for tensor in request.infer(batch).values()]
        for number, name in enumerate(names):
            found = Range(values[2 * number], values[2 * number + 1])
            ranges[name] = ranges[name].united(found) if name in ranges else found
    return ranges


def chosen(network: openvino.Model, batches: Iterable[list[Any]]) -> dict[str, Range]:
    """The ranges of the operations to quantize: all of them, or all but those that change the output too much.

    If the outputs of the whole quantized network have a mean cosine to those of float32 below `ENOUGH`, each operation
    is quantized alone, and those with a mean cosine below `ENOUGH_ALONE` are left out.

    Args:
        network: The network in float32, with one output (n, dim); it is not changed.
        batches: Inputs of the network.
    """
    inputs = list(batches)
    ranges, compared = measured(network, inputs), inputs[:N_COMPARED]
    expected = _outputs(network, compared)

    def cosine(names: Iterable[str]) -> float:
        changed = network.clone()
        quantize(changed, {name: ranges[name] for name in names})
        found = _outputs(changed, compared)
        return float(np.mean(np.sum(found * expected, axis=1)))

    if cosine(ranges) >= ENOUGH:
        return ranges
    return {name: found for name, found in ranges.items() if cosine([name]) >= ENOUGH_ALONE}


def _outputs(network: openvino.Model, inputs: list[list[Any]]) -> NDArray[np.float32]:
    run = CompiledNetwork(lambda: network, None)
    vectors = np.concatenate([run(*values).copy() for values in inputs])
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def write_ranges(path: Path, ranges: Mapping[str, Range]) -> None:
    """Writes ranges to an `.npz` file.

    Raises:
        OSError: The file can't be written.
    """
    arrays = {f"{name}/{end}": getattr(found, end) for name, found in ranges.items() for end in ("low", "high")}
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_atomically(path, content.getvalue())


def read_ranges(path: Path) -> dict[str, Range]:
    """The ranges that `write_ranges` wrote.

    Raises:
        InputError: The file is missing or damaged.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes())) as arrays:
            values = {name: arrays[name].astype(np.float32) for name in arrays.files}
        names = {name.removesuffix("/low") for name in values if name.endswith("/low")}
        return {name: Range(values[f"{name}/low"], values[f"{name}/high"]) for name in names}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"the ranges for int8 in {path} are missing or damaged: {error}") from error


def quantize(network: openvino.Model, ranges: Mapping[str, Range]) -> None:
    """Quantizes the operations of a network that `ranges` names; the others stay in float32."""
    for operation in _quantizable(network):
        found = ranges.get(operation.get_friendly_name())
        if found is not None:
            _quantize(operation, found)


def _quantizable(network: openvino.Model) -> Iterator[Any]:
    for operation in network.get_ordered_ops():
        is_linear = operation.get_type_name() in ("Convolution", "GroupConvolution", "MatMul")
        if not is_linear or operation.input_value(1).get_node().get_type_name() != "Constant":
            continue
        if operation.input_value(0).get_node().get_type_name() != "Softmax":  # its small values matter
            yield operation


def _channel_axis(operation: Any) -> int:
    return -1 if operation.get_type_name() == "MatMul" else 1


def _quantize(operation: Any, found: Range) -> None:
    weights = operation.input_value(1).get_node().get_data().astype(np.float32)
    low, high = np.minimum(found.low, 0), np.maximum(found.high, 0)
    factors = np.ones(len(low), np.float32)
    if operation.get_type_name() == "MatMul":
        along: tuple[int, ...] = (-1,) if operation.get_attributes()["transpose_b"] else (-2,)
        by_input = weights if along == (-1,) else weights.T
        largest_x = np.maximum(np.maximum(high, -low), 1e-5)
        largest_w = np.maximum(np.abs(by_input).max(axis=0), 1e-5)
        factors = (largest_x**ALPHA / largest_w ** (1 - ALPHA)).astype(np.float32)
        low, high = low / factors, high / factors
        weights = weights * (factors if along == (-1,) else factors[:, None])
    else:
        along = tuple(range(2 if operation.get_type_name() == "GroupConvolution" else 1, weights.ndim))
    x = _activation(operation.input_value(0), low.min(), high.max(), factors, _channel_axis(operation))
    _replace(operation, 0, x)
    _replace(operation, 1, _weights(weights, along))


def _activation(x: Any, low: float, high: float, factors: NDArray[np.float32], channel: int) -> Any:
    if (factors != 1).any():
        shape = [1] * len(x.get_partial_shape())
        shape[channel] = len(factors)
        x = ops.multiply(x, ops.constant((1 / factors).reshape(shape)))
    step = max(float(high - low), 1e-8) / (LEVELS - 1)
    low = -round(-float(low) / step) * step  # so that 0 has a level of its own
    limits = [ops.constant(np.float32(limit)) for limit in (low, low + step * (LEVELS - 1))]
    return ops.fake_quantize(x, *limits, *limits, LEVELS)


def _weights(weights: NDArray[np.float32], along: tuple[int, ...]) -> Any:
    scale = np.maximum(np.abs(weights).max(axis=along, keepdims=True), 1e-8).astype(np.float32) / 127
    return ops.multiply(ops.convert(ops.constant(np.rint(weights / scale).astype(np.int8)), "f32"), ops.constant(scale))


def _replace(operation: Any, number: int, node: Any) -> None:
    operation.input(number).replace_source_output(node.output(0))
