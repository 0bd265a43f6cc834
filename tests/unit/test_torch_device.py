"""The runner of torch towers: batches, memory, precision; and all families on a GPU if the machine has one."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from crossmodal.core.engine import Engine, Precision
from crossmodal.core.errors import InputError, StateError
from crossmodal.core.types import Pixels
from crossmodal.encoders import clip, registry
from crossmodal.encoders.torchvision_guard import prepare_torchvision
from crossmodal.engines.devices import GPU_BATCH

prepare_torchvision()

import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from crossmodal.engines.torch_device import BYTES_PER_ITEM, TowerRunner, batch_for  # noqa: E402

MODELS = [
    ("clip", "scenes"),
    ("clip", "photos"),
    ("vse", "scenes"),
    ("timm", "photos"),
    ("timm", "test_resnet/random"),
]
TEXTS = ["a red square", "a dog", "two large blue circles above a small green triangle", "a star", "many words " * 60]
LEAST_COSINE: dict[Precision, float] = {"fp32": 0.9999, "bf16": 0.98, "fp16": 0.995}


def pixels(n: int, size_px: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (n, size_px, size_px, 3), np.uint8)


class Card:
    """A forward pass on a device with room for a number of items; stores the size of each call."""

    def __init__(self, room: int, error: RuntimeError | None = None) -> None:
        self.room, self.sizes = room, list[int]()
        self.error = error or torch.OutOfMemoryError("CUDA out of memory")

    def __call__(self, items: Tensor) -> Tensor:
        self.sizes.append(len(items))
        if len(items) > self.room:
            raise self.error
        return items.to(torch.bfloat16) * 2


def run(card: Callable[..., Tensor], n: int, batch_size: int | None = None, runner: TowerRunner | None = None) -> Any:
    runner = runner or TowerRunner(Engine(), "clip scenes")
    runner.batch_size = runner.batch_size or batch_size
    items = np.arange(n, dtype=np.int64)[:, None]
    found = runner.run(card, n, lambda part: (items[part],))
    assert np.array_equal(found, items * 2)
    assert found.dtype == np.float32
    return found


# -- batches


def test_items_keep_their_order_over_batches() -> None:
    card = Card(8)
    run(card, 20, 8)
    assert card.sizes == [8, 8, 4]


def test_all_items_are_one_batch_on_the_cpu() -> None:
    card = Card(100)
    run(card, 70)
    assert card.sizes == [70]


def test_the_batch_is_a_power_of_two_that_the_free_memory_has_room_for() -> None:
    for n_items, expected in ((0, 1), (1, 1), (3, 2), (64, 64), (100, 64), (10_000, GPU_BATCH)):
        assert batch_for(n_items * BYTES_PER_ITEM) == expected
    assert batch_for(-1) == 1


# -- memory


def test_a_batch_that_does_not_fit_is_halved_and_stays_small(caplog: pytest.LogCaptureFixture) -> None:
    card, runner = Card(3), TowerRunner(Engine(), "clip scenes")
    with caplog.at_level(logging.WARNING):
        run(card, 9, 8, runner)
        run(card, 4, 8, runner)
    assert card.sizes == [8, 4, 2, 2, 2, 2, 1, 2, 2]
    assert caplog.messages == ["clip scenes: batches of 8 do not fit in the memory of cpu: using smaller"]


def test_memory_that_runs_out_later_halves_the_rest() -> None:
    card = Card(8)

    def busy(items: Tensor) -> Tensor:
        card.room = 8 if not card.sizes else 2
        return card(items)

    run(busy, 12, 8)
    assert card.sizes == [8, 4, 2, 2]


def test_the_error_of_mps_and_of_pinned_memory_is_known_by_its_message() -> None:
    card = Card(4, RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"))
    run(card, 8)
    assert card.sizes == [8, 4, 4]


def test_one_item_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(
        StateError, match=r"clip scenes: a single image or text does not fit in the memory of cpu: stop"
    ):
        run(Card(0), 4)


def test_another_error_is_not_taken_for_lack_of_memory() -> None:
    card = Card(2, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes"):
        run(card, 4)
    assert card.sizes == [4]


def test_weights_that_do_not_fit_are_an_error() -> None:
    class Large(torch.nn.Module):
        def to(self, *_: Any, **__: Any) -> Any:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(StateError, match="clip scenes: its weights do not fit in the memory of cpu: stop"):
        TowerRunner(Engine(), "clip scenes").place(Large())


@pytest.mark.parametrize(("family", "weights"), [("clip", "scenes"), ("clip", "photos"), ("vse", "scenes")])
def test_small_batches_give_the_same_vectors(family: str, weights: str) -> None:
    encoder: Any = registry.load(registry.resolve(family, weights), engine=Engine())
    images = pixels(5, encoder.spec.preprocessing.size_px)
    whole = encoder.encode_images(images), encoder.encode_texts(TEXTS)
    encoder._runner.batch_size = 2
    for expected, found in zip(whole, (encoder.encode_images(images), encoder.encode_texts(TEXTS)), strict=True):
        assert np.allclose(found, expected, atol=1e-5)


# -- precision


def test_pixels_and_ids_keep_their_type() -> None:
    runner = TowerRunner(Engine(), "clip scenes")
    for dtype, expected in ((np.uint8, torch.uint8), (np.int64, torch.int64)):
        values = np.arange(6).reshape(2, 3).astype(dtype)
        values.flags.writeable = False
        found = runner._on_device(values)
        assert (found.dtype, found.device.type, found.is_pinned()) == (expected, "cpu", False)
        assert np.array_equal(found.numpy(), values)


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_weights_are_moved_to_the_precision(precision: Precision, dtype: torch.dtype) -> None:
    placed = TowerRunner(Engine("torch", "cpu", precision), "clip scenes").place(torch.nn.Linear(2, 2))
    assert {parameter.dtype for parameter in placed.parameters()} == {dtype}


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize(("family", "weights"), MODELS)
def test_every_family_computes_in_16_bits(family: str, weights: str, precision: Precision) -> None:
    """On the CPU, where `registry.load` refuses it, because it is slow."""
    spec = registry.resolve(family, weights)
    module = registry.module_of(registry.family_of(family))
    exact, rough = (module.load(spec, spec.modalities, None, Engine("torch", "cpu", p)) for p in ("fp32", precision))
    images = pixels(2, spec.preprocessing.size_px)
    pairs = [(exact.encode_images(images), rough.encode_images(images))]
    if "text" in spec.modalities:
        pairs.append((exact.encode_texts(TEXTS), rough.encode_texts(TEXTS)))
    for expected, found in pairs:
        assert found.dtype == np.float32
        assert (expected * found).sum(axis=1).min() > LEAST_COSINE[precision]


def test_an_overflow_in_fp16_is_not_blamed_on_the_weights() -> None:
    spec = registry.resolve("clip", "scenes")
    encoder: Any = clip.load(spec, ("image",), None, Engine("torch", "cpu", "fp16"))
    encoder._model.visual.register_forward_hook(lambda *values: values[2] * 1e6)
    with pytest.raises(InputError, match="overflows in fp16: use --precision bf16 or fp32"):
        encoder.encode_images(pixels(1, spec.preprocessing.size_px))


# -- a GPU


def devices_here() -> list[str]:
    return [name for name, has in (("cuda:0", torch.cuda.is_available()), ("mps", torch.mps.is_available())) if has]


@pytest.mark.skipif(not devices_here(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize(("family", "weights"), MODELS)
def test_a_gpu_gives_the_vectors_of_the_cpu(family: str, weights: str, precision: Precision) -> None:
    spec = registry.resolve(family, weights)
    exact = registry.load(spec, engine=Engine())
    images = pixels(5, spec.preprocessing.size_px)
    for device in devices_here():
        encoder: Any = registry.load(spec, engine=Engine("torch", device, precision))
        for batch_size in (encoder._runner.batch_size, 2):
            encoder._runner.batch_size = batch_size
            pairs = [(exact.encode_images(images), encoder.encode_images(images))]
            if "text" in spec.modalities:
                pairs.append((exact.encode_texts(TEXTS), encoder.encode_texts(TEXTS)))
            for expected, found in pairs:
                assert (expected * found).sum(axis=1).min() > LEAST_COSINE[precision], (device, batch_size)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_halves_batches_when_its_memory_runs_out() -> None:
    runner = TowerRunner(Engine("torch", "cuda:0"), "clip scenes")
    runner.batch_size = 64
    each = torch.cuda.mem_get_info()[1] // 16
    sizes: list[int] = []

    def hungry(items: Tensor) -> Tensor:
        sizes.append(len(items))
        torch.empty(len(items) * each, dtype=torch.uint8, device=items.device)
        return items.float()

    items = np.arange(64, dtype=np.int64)[:, None]
    assert np.array_equal(runner.run(hungry, 64, lambda part: (items[part],)), items)
    assert sizes[:2] == [64, 32]
    assert sizes[-1] < 32
