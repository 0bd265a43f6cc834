"""Quantization of small networks: ranges, outputs, stored weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from crossmodal.core.errors import InputError
from crossmodal.engines import quantization
from crossmodal.engines.openvino_cpu import CompiledNetwork
from crossmodal.engines.openvino_offline import openvino, ops
from crossmodal.engines.quantization import Range, chosen, measured, quantize, read_ranges, write_ranges

RNG = np.random.default_rng(0)
DIM = 16


def constant(*shape: int) -> Any:
    return ops.constant(RNG.standard_normal(shape).astype(np.float32))


def named(node: Any, name: str) -> Any:
    node.set_friendly_name(name)
    return node


@pytest.fixture
def convolutions() -> openvino.Model:
    """(n, 4, 6, 6) to (n, 8): a convolution, and one with two groups."""
    x = ops.parameter([-1, 4, 6, 6], openvino.Type.f32, name="x")
    pads = ([1, 1], [1, 1], [1, 1], [1, 1])
    y = named(ops.convolution(x, constant(8, 4, 3, 3), *pads), "plain")
    y = named(ops.group_convolution(ops.relu(y), constant(2, 4, 4, 3, 3), *pads), "grouped")
    return openvino.Model([ops.reduce_mean(y, ops.constant([2, 3]), False)], [x], "convolutions")


@pytest.fixture
def products() -> openvino.Model:
    """(n, 16) to (n, 16): products with both orders of weights, one behind Softmax, one of two activations."""
    x = ops.parameter([-1, DIM], openvino.Type.f32, name="x")
    y = named(ops.matmul(x, constant(DIM, 32), False, False), "inputs first")
    y = named(ops.matmul(ops.relu(y), constant(DIM, 32), False, True), "outputs first")
    mixed = named(ops.matmul(ops.softmax(y, 1), constant(DIM, DIM), False, False), "behind softmax")
    gram = named(ops.matmul(y, y, True, False), "of activations")
    return openvino.Model([ops.add(ops.matmul(y, gram, False, False), mixed)], [x], "products")


def batches(*shape: int, n: int = 4) -> list[list[Any]]:
    return [[RNG.standard_normal((8, *shape)).astype(np.float32)] for _ in range(n)]


def outputs(network: openvino.Model, inputs: list[list[Any]]) -> NDArray[np.float32]:
    found = np.concatenate([CompiledNetwork(lambda: network, 1)(*values).copy() for values in inputs])
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)


def cosine(network: openvino.Model, other: openvino.Model, inputs: list[list[Any]]) -> float:
    return float((outputs(network, inputs) * outputs(other, inputs)).sum(axis=1).mean())


def quantized(network: openvino.Model, ranges: dict[str, Range]) -> openvino.Model:
    changed = network.clone()
    quantize(changed, ranges)
    return changed


def types(network: openvino.Model) -> list[str]:
    return [operation.get_type_name() for operation in network.get_ops()]


def int8_constants(network: openvino.Model) -> list[tuple[int, ...]]:
    return [
        tuple(operation.output(0).get_shape())
        for operation in network.get_ordered_ops()
        if operation.get_type_name() == "Constant" and operation.get_element_type() == openvino.Type.i8
    ]


def assert_mean(found: Range, expected: NDArray[np.float32]) -> None:
    assert found.mean is not None
    np.testing.assert_allclose(found.mean, expected, atol=1e-5)


def test_ranges_are_those_of_the_inputs(convolutions: openvino.Model, products: openvino.Model) -> None:
    pictures, rows = batches(4, 6, 6), batches(DIM)
    together = np.concatenate([values for (values,) in pictures])
    found = measured(convolutions, pictures)
    assert set(found) == {"plain", "grouped"}
    np.testing.assert_allclose(found["plain"].low, together.min(axis=(0, 2, 3)))
    np.testing.assert_allclose(found["plain"].high, together.max(axis=(0, 2, 3)))
    assert_mean(found["plain"], together.mean(axis=(0, 2, 3)))
    assert (found["grouped"].low >= 0).all()  # behind a relu
    found = measured(products, rows)
    assert set(found) == {"inputs first", "outputs first"}
    together = np.concatenate([values for (values,) in rows])
    np.testing.assert_allclose(found["inputs first"].low, together.min(axis=0))
    np.testing.assert_allclose(found["inputs first"].high, together.max(axis=0))
    assert_mean(found["inputs first"], together.mean(axis=0))
    assert found["outputs first"].high.shape == (32,)


def test_quantized_networks_compute_almost_the_same(convolutions: openvino.Model, products: openvino.Model) -> None:
    for network, inputs in ((convolutions, batches(4, 6, 6)), (products, batches(DIM))):
        ranges = measured(network, inputs)
        assert "FakeQuantize" not in types(network)
        changed = quantized(network, ranges)
        assert types(changed).count("FakeQuantize") == len(ranges) == 2
        assert 0.99 < cosine(changed, network, inputs) < 1


def test_weights_are_stored_in_8_bits(convolutions: openvino.Model, products: openvino.Model) -> None:
    assert int8_constants(convolutions) == []
    changed = quantized(convolutions, measured(convolutions, batches(4, 6, 6)))
    assert sorted(int8_constants(changed)) == [(2, 4, 4, 3, 3), (8, 4, 3, 3)]
    changed = quantized(products, measured(products, batches(DIM)))
    assert sorted(int8_constants(changed)) == [(16, 32), (16, 32)]


@pytest.mark.parametrize("name", ["plain", "grouped"])
def test_the_mean_of_an_output_of_a_convolution_stays(convolutions: openvino.Model, name: str) -> None:
    assert_mean_stays(convolutions, name, [[values + 2] for (values,) in batches(4, 6, 6)])


@pytest.mark.parametrize("name", ["inputs first", "outputs first"])
def test_the_mean_of_an_output_of_a_product_stays(products: openvino.Model, name: str) -> None:
    assert_mean_stays(products, name, [[values + 2] for (values,) in batches(DIM)])


def assert_mean_stays(network: openvino.Model, name: str, inputs: list[list[Any]]) -> None:
    """Asserts that quantization with the mean changes the mean of an operation's output less than without it."""
    found = measured(network, inputs)[name]
    expected = mean_output(network, name, inputs)
    kept, lost = (
        np.abs(mean_output(quantized(network, {name: range_}), name, inputs) - expected).mean()
        for range_ in (found, replace(found, mean=None))
    )
    assert kept < lost / 2


def mean_output(network: openvino.Model, name: str, inputs: list[list[Any]]) -> NDArray[np.float32]:
    """The mean of each channel of what an operation hands to the next, after what quantization adds."""
    (output,) = (of.output(0) for of in network.get_ordered_ops() if of.get_friendly_name() == name)
    (reader,) = (port.get_node() for port in list(output.get_target_inputs())[:1])
    output = reader.output(0) if reader.get_type_name() == "Subtract" else output
    request = openvino.Core().compile_model(openvino.Model([output], network.get_parameters(), "part"), "CPU")
    values = np.concatenate([request(batch)[0] for batch in inputs])
    mean: NDArray[np.float32] = values.mean(axis=tuple(axis for axis in range(values.ndim) if axis != 1))
    return mean


def test_operations_that_are_not_named_stay(products: openvino.Model) -> None:
    ranges = measured(products, batches(DIM))
    changed = quantized(products, {"inputs first": ranges["inputs first"], "unknown": ranges["inputs first"]})
    assert types(changed).count("FakeQuantize") == len(int8_constants(changed)) == 1
    assert types(quantized(products, {})) == types(products)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 3.0), (0.0, 6.0), (-0.3, 0.001), (2.0, 5.0), (0.0, 0.0)])
def test_zero_has_a_level_of_its_own(low: float, high: float) -> None:
    x = ops.parameter([-1, 1, 1, 1], openvino.Type.f32, name="x")
    weights = ops.constant(np.ones((1, 1, 1, 1), np.float32))
    network = openvino.Model([named(ops.convolution(x, weights, [1, 1], [0, 0], [0, 0], [1, 1]), "c")], [x], "one")
    quantize(network, {"c": Range(np.float32([low]), np.float32([high]))})  # type: ignore[arg-type]
    values = np.float32([0, low, high]).reshape(3, 1, 1, 1)  # type: ignore[arg-type]
    found = CompiledNetwork(lambda: network, 1)(values).ravel()
    assert found[0] == 0
    np.testing.assert_allclose(found, values.ravel(), atol=(max(high, 0) - min(low, 0)) / 255 + 1e-6)


def test_large_channels_do_not_take_the_precision_of_others() -> None:
    x = ops.parameter([-1, DIM], openvino.Type.f32, name="x")
    weights, inputs = RNG.standard_normal((DIM, DIM)).astype(np.float32), batches(DIM)
    weights[:, 5] /= 1000
    for (values,) in inputs:
        values[:, 3] = 0
        values[:, 5] *= 1000
    product = named(ops.matmul(x, ops.constant(weights), False, True), "product")
    network = openvino.Model([product], [x], "outliers")
    assert cosine(quantized(network, measured(network, inputs)), network, inputs) > 0.99


def test_the_best_share_of_the_factors_is_chosen(products: openvino.Model) -> None:
    inputs = batches(DIM)
    shares = {found.alpha for found in chosen(products, inputs).values()}
    cosines = {
        alpha: cosine(quantized(products, with_alpha(measured(products, inputs), alpha)), products, inputs)
        for alpha in quantization.ALPHAS
    }
    assert shares == {max(cosines, key=lambda alpha: cosines[alpha])}


def with_alpha(ranges: dict[str, Range], alpha: float) -> dict[str, Range]:
    return {name: replace(found, alpha=alpha) for name, found in ranges.items()}


def test_an_operation_that_ruins_the_output_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    # The second product takes small differences of large values.
    x = ops.parameter([-1, DIM], openvino.Type.f32, name="x")
    harmless = named(ops.matmul(x, constant(DIM, DIM), False, True), "harmless")
    large = ops.add(harmless, ops.constant(np.float32(1e4)))
    eye = np.eye(DIM, dtype=np.float32)
    centred = named(ops.matmul(large, ops.constant(eye - 1 / DIM), False, True), "ruinous")
    network = openvino.Model([centred], [x], "cancelling")
    inputs = batches(DIM)
    assert set(chosen(network, inputs)) == {"harmless"}
    monkeypatch.setattr(quantization, "ENOUGH", -1.0)
    assert set(chosen(network, inputs)) == {"harmless", "ruinous"}


def test_ranges_are_read_as_they_were_written(tmp_path: Path, products: openvino.Model) -> None:
    ranges = measured(products, batches(DIM))
    write_ranges(tmp_path / "int8.npz", ranges)
    found = read_ranges(tmp_path / "int8.npz")
    assert set(found) == set(ranges)
    for name, expected in ranges.items():
        np.testing.assert_allclose(found[name].low, expected.low, rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(found[name].high, expected.high, rtol=1e-3, atol=1e-6)
        assert expected.mean is not None
        np.testing.assert_allclose(found[name].mean, expected.mean, rtol=1e-3, atol=1e-6)  # type: ignore[arg-type]
        assert found[name].alpha == pytest.approx(expected.alpha, rel=1e-3)
        assert found[name].low.dtype == np.float32


def test_ranges_of_earlier_versions_are_read(tmp_path: Path) -> None:
    names = ["inputs first", "layers/outputs first"]
    arrays: dict[str, Any] = {f"{name}/{end}": np.ones(3) for name in names for end in ("low", "high")}
    np.savez(tmp_path / "int8.npz", **arrays)
    found = read_ranges(tmp_path / "int8.npz")
    assert set(found) == set(names)
    assert {(of.mean, of.alpha) for of in found.values()} == {(None, 0.8)}


def test_damaged_ranges_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "int8.npz"
    with pytest.raises(InputError, match="missing or damaged"):
        read_ranges(path)
    write_ranges(path, {"a": Range(np.zeros(300, np.float32), np.arange(300, dtype=np.float32))})
    whole = path.read_bytes()
    for damaged in (b"", b"words", whole[: len(whole) // 2], whole[:80] + bytes(40) + whole[120:]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="missing or damaged"):
            read_ranges(path)
    np.savez(path, **{"a/low": np.zeros(3)})
    with pytest.raises(InputError, match="missing or damaged"):
        read_ranges(path)
