"""Compiled networks are kept in the cache, and compiled anew if they are damaged."""

from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from crossmodal.engines import processor
from crossmodal.engines.compiled_cache import compiled_file
from crossmodal.engines.openvino_cpu import SETTINGS, CompiledNetwork, _header
from crossmodal.engines.openvino_offline import openvino, ops

VALUES = np.array([[1, 2, 3]], np.float32)


def doubling() -> openvino.Model:
    x = ops.parameter([-1, 3], openvino.Type.f32)
    return openvino.Model([ops.multiply(x, ops.constant(np.float32(2)))], [x], "doubling")


def never() -> openvino.Model:
    raise AssertionError("the network is made although its compiled form is in the cache")


def doubled(network: CompiledNetwork) -> list[float]:
    values: list[float] = network(VALUES)[0].tolist()
    return values


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_long_inputs_are_split_and_joined_in_order(threads: int) -> None:
    network = CompiledNetwork(doubling, threads, at_most=8)
    for n in (1, 8, 9, 203):
        values = np.random.default_rng(n).random((n, 3), np.float32)
        np.testing.assert_array_equal(network(values), values * 2)


def test_inputs_of_another_layout_or_type_are_copied() -> None:
    network = CompiledNetwork(doubling, 1, at_most=2)
    values = np.arange(15, dtype=np.float32).reshape(3, 5)
    fixed = values.T.copy()
    fixed.flags.writeable = False
    for given in (values.T, fixed, fixed[:1], values.T.astype(np.int64)):
        np.testing.assert_array_equal(network(given), given * 2)


def test_threads_get_their_own_outputs() -> None:
    network = CompiledNetwork(doubling, 2, at_most=2)
    inputs = [np.full((n, 3), n, np.float32) for n in (1, 2, 7, 30)] * 10
    with ThreadPoolExecutor(4) as threads:
        outputs = list(threads.map(network, inputs))
    for output, values in zip(outputs, inputs, strict=True):
        np.testing.assert_array_equal(output, values * 2)


def test_a_network_that_is_no_longer_used_is_freed_with_its_threads() -> None:
    before = set(threading.enumerate())
    network = CompiledNetwork(doubling, 2, at_most=2)
    network(np.ones((9, 3), np.float32))
    started = set(threading.enumerate()) - before
    assert started
    reference = weakref.ref(network)
    del network
    gc.collect()
    assert reference() is None
    for thread in started:
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.parametrize("n", [2, 5])
def test_an_input_that_does_not_fit_is_an_error_and_the_next_one_is_computed(n: int) -> None:
    network = CompiledNetwork(doubling, 2, at_most=2)
    with pytest.raises(RuntimeError, match="shape"):
        network(np.zeros((n, 4), np.float32))
    assert doubled(network) == [2, 4, 6]


def test_a_network_is_made_once(tmp_path: Path) -> None:
    cache = tmp_path / "made" / "network.blob"
    assert doubled(CompiledNetwork(doubling, 1, "int8", cache)) == [2, 4, 6]
    assert doubled(CompiledNetwork(never, 1, "int8", cache)) == [2, 4, 6]


@pytest.mark.parametrize("damage", ["changed", "cut short", "empty", "another version", "other settings"])
def test_a_file_of_no_use_is_made_anew(tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "network.blob"
    CompiledNetwork(doubling, 1, "int8", cache)
    whole = cache.read_bytes()
    if damage == "other settings":
        monkeypatch.setitem(SETTINGS, "PERFORMANCE_HINT", "THROUGHPUT")
        with pytest.raises(AssertionError, match="although"):
            CompiledNetwork(never, 1, "int8", cache)
    elif damage == "another version":
        blob = whole[64:].replace(b"ov=20", b"ov=19", 1)
        assert blob != whole[64:]
        cache.write_bytes(_header(memoryview(blob)) + blob)
    else:
        changed = bytes([whole[-1] ^ 1])
        cache.write_bytes({"changed": whole[:-1] + changed, "cut short": whole[:-9], "empty": b""}[damage])
    assert doubled(CompiledNetwork(doubling, 1, "int8", cache)) == [2, 4, 6]
    assert doubled(CompiledNetwork(never, 1, "int8", cache)) == [2, 4, 6]


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_bytes(b"")
    with caplog.at_level("INFO"):
        network = CompiledNetwork(doubling, 1, "int8", tmp_path / "file" / "network.blob")
    assert doubled(network) == [2, 4, 6]
    assert "the next start takes longer" in caplog.text


def test_the_name_depends_on_the_network_and_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    one = compiled_file("hash", "image")
    assert compiled_file("hash", "image") == one != compiled_file("hash", "text")
    monkeypatch.setattr(processor, "flags", lambda: frozenset({"another"}))
    assert compiled_file("hash", "image") != one
