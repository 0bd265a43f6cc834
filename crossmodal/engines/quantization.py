"""Quantizes networks to 8-bit integers.

Each convolution and each matrix product with constant weights gets weights in 8 bits, and a `FakeQuantize` operation on
its input; OpenVINO then computes it with integers. Activations have one range per operation, the smallest and largest
value for example inputs; weights have one range per output channel. Before a matrix product the channels of the
activation are divided by factors that the weights are multiplied by, so that channels with large values don't take the
precision of the others. Rounding the weights changes the mean of each output; the change for the mean input is
subtracted.

Sources: Jacob et al. 2018, arXiv 1712.05877, section 2 (ranges); Xiao et al. 2023, "SmoothQuant", arXiv 2211.10438,
equation 4 (factors); Nagel et al. 2019, "Data-free quantization through weight equalization and bias correction", arXiv
1906.04721, section 4.2 (means).
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.arrays import arrays_in
from crossmodal.core.errors import InputError
from crossmodal.core.files import write_atomically
from crossmodal.engines.openvino_cpu import CompiledNetwork
from crossmodal.engines.openvino_offline import openvino, ops

LEVELS = 256
ALPHAS = (0.5, 0.65, 0.8)
"""Shares of the factors that the activations determine, of which `chosen` takes the best for a network. SmoothQuant's
default is 0.5."""

ENOUGH, ENOUGH_ALONE = 0.997, 0.9997
N_COMPARED = 4
"""Batches on which the outputs of a quantized network are compared with those in float32."""


@dataclass(frozen=True)
class Range:
    """What is known of an operation's input, for each channel.

    Attributes:
        low: The smallest value, (channels,) float32.
        high: The largest value, (channels,) float32.
        mean: The mean, (channels,) float32; None leaves the means of the outputs as rounding changes them.
        alpha: The share of the factors before a matrix product that the activations determine.
    """

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    mean: NDArray[np.float32] | None = None
    alpha: float = 0.8


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
        outputs += [reduce(x, axes, False) for reduce in (ops.reduce_min, ops.reduce_max, ops.reduce_mean)]
    request = (
        openvino.Core()
        .compile_model(
            openvino.Model(outputs, probe.get_parameters(), "ranges"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
        )
        .create_infer_request()
    )
    found = [[tensor.copy() for tensor in request.infer(batch).values()] for batch in batches]
    columns = [np.stack(column) for column in zip(*found, strict=True)]
    lows, highs, means = columns[::3], columns[1::3], columns[2::3]
    return {
        name: Range(low.min(axis=0), high.max(axis=0), mean.mean(axis=0))
        for name, low, high, mean in zip(names, lows, highs, means, strict=True)
    }


def chosen(network: openvino.Model, batches: Iterable[list[Any]]) -> dict[str, Range]:
    """The ranges of the operations to quantize: all of them, or all but those that change the output too much.

    The whole network is quantized with each of `ALPHAS`, or once if it has no matrix products. If its outputs have a
    mean cosine to those of float32 below `ENOUGH` with the best, each operation is quantized alone, and those with a
    mean cosine below `ENOUGH_ALONE` are left out.

    Args:
        network: The network in float32, with one output (n, dim); it is not changed.
        batches: Inputs of the network.
    """
    inputs = list(batches)
    found, compared = measured(network, inputs), inputs[:N_COMPARED]
    expected = _outputs(network, compared)

    def cosine(ranges: Mapping[str, Range]) -> float:
        changed = network.clone()
        quantize(changed, ranges)
        return float(np.mean(np.sum(_outputs(changed, compared) * expected, axis=1)))

    has_products = any(operation.get_type_name() == "MatMul" for operation in _quantizable(network))
    alphas = ALPHAS if has_products else ALPHAS[:1]  # without products, alpha has no effect
    candidates = [{name: replace(of, alpha=alpha) for name, of in found.items()} for alpha in alphas]
    cosines = [cosine(ranges) for ranges in candidates]
    ranges = candidates[int(np.argmax(cosines))]
    if max(cosines) >= ENOUGH:
        return ranges
    return {name: of for name, of in ranges.items() if cosine({name: of}) >= ENOUGH_ALONE}


def _outputs(network: openvino.Model, inputs: list[list[Any]]) -> NDArray[np.float32]:
    run = CompiledNetwork(lambda: network, None)
    vectors = np.concatenate([run(*values).copy() for values in inputs])
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def write_ranges(path: Path, ranges: Mapping[str, Range]) -> None:
    """Writes ranges to an `.npz` file, in 16 bits.

    Raises:
        OSError: The file can't be written.
    """
    arrays: dict[str, Any] = {
        f"{name}/{part}": np.asarray(values, np.float16)
        for name, found in ranges.items()
        for part, values in vars(found).items()
        if values is not None
    }
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_atomically(path, content.getvalue())


def read_ranges(path: Path) -> dict[str, Range]:
    """The ranges that `write_ranges` wrote. Files from earlier versions have no `mean` and no `alpha`.

    Raises:
        InputError: The file is missing or damaged.
    """
    try:
        parts: dict[str, dict[str, Any]] = {}
        for key, values in arrays_in(path.read_bytes()).items():
            name, _, part = key.rpartition("/")
            parts.setdefault(name, {})[part] = values.astype(np.float32)
        return {name: Range(**of) for name, of in parts.items()}
    except (OSError, ValueError, TypeError) as error:
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
        factors = (largest_x**found.alpha / largest_w ** (1 - found.alpha)).astype(np.float32)
        low, high = low / factors, high / factors
        weights = weights * _for_weights(operation, factors)
    else:
        along = tuple(range(2 if operation.get_type_name() == "GroupConvolution" else 1, weights.ndim))
    scales = np.maximum(np.abs(weights).max(axis=along, keepdims=True), 1e-8).astype(np.float32) / 127
    whole = np.rint(weights / scales).astype(np.int8)
    if found.mean is not None:
        change = (whole * scales - weights) * _for_weights(operation, found.mean / factors)
        _subtract(operation, change.sum(axis=along).ravel())
    x = _activation(operation.input_value(0), low.min(), high.max(), factors, _channel_axis(operation))
    _replace(operation, 0, x)
    _replace(operation, 1, ops.multiply(ops.convert(ops.constant(whole), "f32"), ops.constant(scales)))


def _for_weights(operation: Any, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """A value for each channel of the input, in a shape that multiplies the weights of that channel."""
    kind, shape = operation.get_type_name(), operation.input_value(1).get_shape()
    if kind == "MatMul":
        return values if operation.get_attributes()["transpose_b"] else values[:, None]
    if kind == "GroupConvolution":
        return values.reshape(shape[0], 1, shape[2], *[1] * (len(shape) - 3))
    return values.reshape(shape[1], *[1] * (len(shape) - 2))


def _subtract(operation: Any, values: NDArray[np.float32]) -> None:
    """Subtracts a value from each channel of the output, (channels,)."""
    output = operation.output(0)
    readers = output.get_target_inputs()
    shape = [1] * len(output.get_partial_shape())
    shape[_channel_axis(operation)] = len(values)
    difference = ops.subtract(output, ops.constant(values.reshape(shape).astype(np.float32)))
    for reader in readers:
        reader.replace_source_output(difference.output(0))


def _activation(x: Any, low: float, high: float, factors: NDArray[np.float32], channel: int) -> Any:
    if (factors != 1).any():
        shape = [1] * len(x.get_partial_shape())
        shape[channel] = len(factors)
        x = ops.multiply(x, ops.constant((1 / factors).reshape(shape)))
    step = max(float(high - low), 1e-8) / (LEVELS - 1)
    low = -round(-float(low) / step) * step  # so that 0 has a level of its own
    limits = [ops.constant(np.float32(limit)) for limit in (low, low + step * (LEVELS - 1))]
    return ops.fake_quantize(x, *limits, *limits, LEVELS)


def _replace(operation: Any, number: int, node: Any) -> None:
    operation.input(number).replace_source_output(node.output(0))
