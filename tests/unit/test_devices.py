"""Values of --device, and requests that contradict themselves or the machine."""

import sys
from pathlib import Path

import pytest

from crossmodal.core.engine import Backend, Engine, EngineRequest, MadeWith, Precision
from crossmodal.core.errors import InputError
from crossmodal.encoders import engine_choice, registry
from crossmodal.encoders.torchvision_guard import prepare_torchvision
from crossmodal.engines import devices

prepare_torchvision()

import torch  # noqa: E402

SPEC = registry.resolve("clip", "photos")


def cards(monkeypatch: pytest.MonkeyPatch, n_devices: int, generation: int = 8) -> None:
    """Lets torch report CUDA devices."""
    monkeypatch.setattr(devices, "NVIDIA", Path("/" if n_devices else "/missing"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n_devices)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (generation, 0))


# -- names


@pytest.mark.parametrize(
    ("name", "expected"),
    [("auto", "cuda:0"), ("cuda", "cuda:0"), ("cuda:0", "cuda:0"), ("cuda:1", "cuda:1"), ("cpu", "cpu")],
)
def test_devices_of_a_machine_with_two_cards(monkeypatch: pytest.MonkeyPatch, name: str, expected: str) -> None:
    cards(monkeypatch, 2)
    assert devices.resolve(name) == expected


def test_auto_is_the_cpu_without_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    cards(monkeypatch, 0)
    assert devices.resolve("auto") == "cpu"


def test_auto_is_the_cpu_if_torch_has_no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    cards(monkeypatch, 0)
    monkeypatch.setattr(devices, "NVIDIA", Path("/"))
    assert devices.resolve("auto") == "cpu"


def test_a_card_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    cards(monkeypatch, 2)
    with pytest.raises(InputError, match=r"^--device cuda:7: this machine has no such device, only cuda:0, cuda:1$"):
        devices.resolve("cuda:7")


@pytest.mark.parametrize(
    ("version", "reason"), [(None, "torch is installed without CUDA"), ("12.8", "no CUDA device was found")]
)
def test_no_card(monkeypatch: pytest.MonkeyPatch, version: str | None, reason: str) -> None:
    cards(monkeypatch, 0)
    monkeypatch.setattr(torch.version, "cuda", version)
    with pytest.raises(InputError, match=f"^--device cuda:0: {reason}: use --device cpu, or install a build of torch"):
        devices.resolve("cuda:0")


@pytest.mark.parametrize("name", ["", "gpu", "CUDA", "cuda:", "cuda:-1", "cuda:1x", "cpu:0", "mps:0", "cuda\n"])
def test_an_unknown_name(name: str) -> None:
    with pytest.raises(InputError, match="expected auto, cpu, cuda, cuda:N or mps"):
        devices.resolve(name)


def test_mps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError, match="--device mps: this machine has no Apple GPU that torch can use"):
        devices.resolve("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert devices.resolve("mps") == "mps"
    assert devices.fastest_precision("mps") == "fp32"


@pytest.mark.parametrize(("generation", "precision"), [(7, "fp16"), (8, "bf16"), (9, "bf16")])
def test_the_fastest_precision_of_a_card(monkeypatch: pytest.MonkeyPatch, generation: int, precision: str) -> None:
    cards(monkeypatch, 1, generation)
    assert devices.fastest_precision("cuda:0") == precision


# -- requests


def ignore(message: str) -> None:
    """Takes the place of `Say`."""


@pytest.mark.parametrize(
    ("backend", "device", "precision", "message"),
    [
        ("auto", "cuda", "int8", "--precision int8 runs on the CPU with OpenVINO: remove --engine and --device"),
        ("torch", "cpu", "int8", "--precision int8 runs on the CPU with OpenVINO: remove --engine and --device"),
        ("openvino", "cuda", "auto", "--engine openvino runs on the CPU, not on cuda:0"),
        ("auto", "cpu", "fp16", "--precision fp16 runs on GPUs: use fp32, bf16 or int8 on the CPU"),
        ("openvino", "cpu", "fp16", "--precision fp16 runs on GPUs"),
        ("torch", "cuda:7", "auto", "this machine has no such device"),
    ],
)
def test_contradictions(
    monkeypatch: pytest.MonkeyPatch, backend: Backend, device: str, precision: Precision, message: str
) -> None:
    cards(monkeypatch, 2)
    request = EngineRequest(backend, device, precision)
    with pytest.raises(InputError, match=message):
        engine_choice.precision_of_new(SPEC, request, ignore)
    with pytest.raises(InputError, match=message):
        engine_choice.choose(SPEC, request, MadeWith(), ignore)


def test_fp16_without_a_card_names_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    cards(monkeypatch, 0)
    with pytest.raises(InputError, match="--precision fp16 runs on GPUs"):
        engine_choice.choose(SPEC, EngineRequest(precision="fp16"), MadeWith(), ignore)


def test_openvino_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr(engine_choice, "find_spec", lambda _: None)
    with pytest.raises(InputError, match="--engine openvino: OpenVINO is not installed"):
        engine_choice.choose(SPEC, EngineRequest("openvino"), MadeWith(), ignore)


@pytest.mark.parametrize(
    ("request_", "engine"),
    [
        (EngineRequest(), Engine("torch", "cuda:0", "bf16")),
        (EngineRequest(device="cuda:1"), Engine("torch", "cuda:1", "bf16")),
        (EngineRequest(precision="fp32"), Engine("torch", "cuda:0", "fp32")),
        (EngineRequest("torch", "cuda", "fp16"), Engine("torch", "cuda:0", "fp16")),
    ],
)
def test_the_engine_on_a_card(monkeypatch: pytest.MonkeyPatch, request_: EngineRequest, engine: Engine) -> None:
    cards(monkeypatch, 2)
    assert engine_choice.choose(SPEC, request_, MadeWith(), ignore) == engine
    assert engine_choice.precision_of_new(SPEC, request_, ignore) == MadeWith(engine.precision)


def test_a_card_can_not_read_a_collection_in_int8_that_does_not_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    cards(monkeypatch, 1)
    with pytest.raises(InputError, match=r"vectors in int8, which can't be compared with vectors in bf16"):
        engine_choice.choose(SPEC, EngineRequest(device="cuda"), MadeWith("int8", mixes=False), ignore)
    assert engine_choice.choose(SPEC, EngineRequest(device="cuda"), MadeWith("int8"), ignore).precision == "bf16"
