"""Which engine a model gets, by processor, request and collection."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossmodal.core.engine import AUTOMATIC, FLOAT32, Engine, EngineRequest, MadeWith, Precision
from crossmodal.core.errors import InputError
from crossmodal.core.resources import DISTRIBUTION
from crossmodal.core.types import ModelSpec
from crossmodal.encoders import conversion, photos, registry
from crossmodal.encoders.engine_choice import choose, new_is_prepared, precision_of_new, prepare
from crossmodal.engines import agreement, devices, processor
from crossmodal.engines.agreement import Agreement

VNNI, BF16 = "avx2 avx512_vnni", "avx2 avx512_vnni avx512_bf16"
INT8, UNMIXED, OWN_BF16 = MadeWith("int8"), MadeWith("int8", mixes=False), MadeWith("bf16")
OPENVINO, TORCH = "openvino", "torch"


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with VNNI, without bf16 and GPUs, and with an empty cache."""
    monkeypatch.setattr(devices, "NVIDIA", tmp_path / "none")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    has(monkeypatch, VNNI)


def has(monkeypatch: pytest.MonkeyPatch, flags: str) -> None:
    monkeypatch.setattr(processor, "flags", lambda: frozenset(flags.split()))


def agreeing(monkeypatch: pytest.MonkeyPatch, mixed_overlap: float) -> None:
    """Makes the check of the photos weights in int8 have this result."""
    found = Agreement(0.99, 0.999, 0.95, mixed_overlap)
    monkeypatch.setattr(photos, "int8_agreement", lambda *_: found)


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    return registry.resolve("clip", "photos")


@pytest.mark.parametrize(
    ("text", "int8", "bf16"),
    [
        ("flags\t\t: fpu avx2 avx512_vnni", True, False),
        ("flags : avx_vnni", True, False),
        ("flags\t: fpu amx_int8 amx_bf16", True, True),
        ("Features\t: fp asimd asimddp bf16", True, True),
        ("flags\t: fpu avx2 avx512f\nbugs : vnni", False, False),
        ("", False, False),
        (None, False, False),
    ],
)
def test_the_processor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None, int8: bool, bf16: bool
) -> None:
    monkeypatch.undo()
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(processor, "CPU_INFO", tmp_path / "cpuinfo")
    processor.flags.cache_clear()
    try:
        assert (processor.has_fast_int8(), processor.has_fast_bf16()) == (int8, bf16)
    finally:
        processor.flags.cache_clear()


@pytest.mark.parametrize(
    ("flags", "request_text", "expected"),
    [
        (VNNI, "auto auto auto", "int8"),
        ("avx2", "auto auto auto", "fp32"),
        ("avx2", "auto cpu int8", "int8"),  # slow, but asked for
        (VNNI, "auto auto fp32", "fp32"),
        (VNNI, "torch auto auto", "fp32"),
        (VNNI, "openvino cpu auto", "int8"),
        (VNNI, "auto auto bf16", "fp32"),
        (BF16, "auto auto bf16", "bf16"),
        (BF16, "auto auto auto", "int8"),
    ],
)
def test_the_precision_of_a_new_collection(
    monkeypatch: pytest.MonkeyPatch, spec: ModelSpec, flags: str, request_text: str, expected: str
) -> None:
    has(monkeypatch, flags)
    said: list[str] = []
    found = precision_of_new(spec, EngineRequest.parse(request_text), said.append)
    assert (found.precision, found.mixes) == (expected, True)
    emulated = ["this processor only emulates bf16, which is slower than fp32: using fp32"]
    assert said == (emulated if "bf16" in request_text and expected == "fp32" else [])


@pytest.mark.parametrize(
    ("flags", "request_text", "made_with", "backend", "precision"),
    [
        (VNNI, "auto auto auto", FLOAT32, OPENVINO, "fp32"),
        (VNNI, "auto auto auto", INT8, OPENVINO, "int8"),
        (VNNI, "auto auto auto", UNMIXED, OPENVINO, "int8"),
        ("avx2", "auto auto auto", INT8, OPENVINO, "fp32"),
        ("avx2", "auto auto auto", UNMIXED, OPENVINO, "int8"),
        ("avx2", "auto auto int8", INT8, OPENVINO, "int8"),
        (VNNI, "auto auto auto", OWN_BF16, OPENVINO, "fp32"),
        (BF16, "auto auto auto", OWN_BF16, OPENVINO, "bf16"),
        (VNNI, "auto auto auto", MadeWith("fp16"), OPENVINO, "fp32"),
        (VNNI, "auto auto fp32", INT8, OPENVINO, "fp32"),
        (VNNI, "auto auto int8", FLOAT32, OPENVINO, "int8"),
        (VNNI, "auto auto bf16", FLOAT32, OPENVINO, "fp32"),
        (BF16, "auto auto bf16", INT8, OPENVINO, "bf16"),
        (VNNI, "torch auto auto", FLOAT32, TORCH, "fp32"),
        (VNNI, "torch auto auto", INT8, TORCH, "fp32"),
        (BF16, "torch cpu bf16", FLOAT32, TORCH, "bf16"),
    ],
)
def test_the_engine_of_a_collection(
    monkeypatch: pytest.MonkeyPatch,
    spec: ModelSpec,
    flags: str,
    request_text: str,
    made_with: MadeWith,
    backend: str,
    precision: str,
) -> None:
    has(monkeypatch, flags)
    agreeing(monkeypatch, mixed_overlap=0.9)
    request = EngineRequest.parse(request_text)
    prepare(spec, request, made_with, lambda _: None)
    found = choose(spec, request, made_with, lambda _: None)
    assert (found.backend, found.device, found.precision) == (backend, "cpu", precision)


@pytest.mark.parametrize(
    ("request_text", "made_with", "told"),
    [
        (
            "auto auto fp32",
            UNMIXED,
            r"in int8, which can't .* fp32: .*`crossmodal reindex -m clip --weights photos --pr",
        ),
        ("auto auto bf16", UNMIXED, r"reindex -m clip --weights photos --precision fp32`"),  # without bf16
        ("torch auto auto", UNMIXED, r"in int8, which can't be compared with vectors in fp32: remove --engine"),
        ("torch auto int8", FLOAT32, "--precision int8 runs on the CPU with OpenVINO: remove --engine"),
        ("auto auto fp16", FLOAT32, "--precision fp16 runs on GPUs"),
        ("auto cuda auto", FLOAT32, "--device cuda: .*use --device cpu"),
        ("auto mps auto", FLOAT32, "--device mps: .*use --device cpu"),
        ("auto gpu auto", FLOAT32, "--device gpu: expected auto, cpu"),
    ],
)
def test_what_can_not_be_done_is_refused(spec: ModelSpec, request_text: str, made_with: MadeWith, told: str) -> None:
    request = EngineRequest.parse(request_text)
    with pytest.raises(InputError, match=told):
        choose(spec, request, made_with, lambda _: None)
    if made_with == FLOAT32:
        with pytest.raises(InputError, match=told):
            precision_of_new(spec, request, lambda _: None)
    if request.backend != "torch":
        with pytest.raises(InputError, match=told):
            prepare(spec, request, made_with, lambda _: None)


def test_vectors_in_int8_that_do_not_mix(monkeypatch: pytest.MonkeyPatch, spec: ModelSpec) -> None:
    agreeing(monkeypatch, mixed_overlap=0.5)
    assert precision_of_new(spec, AUTOMATIC, pytest.fail) == UNMIXED
    assert choose(spec, AUTOMATIC, UNMIXED, pytest.fail).precision == "int8"
    with pytest.raises(InputError, match="in int8 can't be compared with those of the collection in fp32"):
        choose(spec, EngineRequest(precision="int8"), FLOAT32, pytest.fail)


# -- models that are converted


@pytest.fixture
def layer() -> ModelSpec:
    return registry.resolve("timm", "test_resnet:layer2/random")


def test_a_model_that_can_not_be_converted_runs_in_torch_and_says_so(layer: ModelSpec) -> None:
    said: list[str] = []
    assert precision_of_new(layer, AUTOMATIC, said.append) == FLOAT32
    prepare(layer, AUTOMATIC, FLOAT32, said.append)
    told = [message for message in said if "can't be converted for OpenVINO and runs in torch" in message]
    assert len(told) == 2  # int8, and fp32
    assert choose(layer, AUTOMATIC, FLOAT32, pytest.fail) == Engine("torch", "cpu", "fp32")
    prepare(layer, AUTOMATIC, FLOAT32, pytest.fail)  # not tried again
    for request in (EngineRequest("openvino"), EngineRequest(precision="int8")):
        with pytest.raises(InputError, match=r"can't be converted for OpenVINO.*remove --engine and --precision"):
            choose(layer, request, FLOAT32, pytest.fail)


def test_int8_that_agrees_too_little_is_refused_with_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "LEAST_COSINE", 1.1)
    monkeypatch.setattr(conversion, "N_IMAGES", 20)
    spec = registry.resolve("timm", "test_resnet/random")
    figures = r"is not used in int8: cosine to float32 [01]\.\d+ on average.*\d+% of the"
    for _ in range(2):  # the second time from the manifest
        with pytest.raises(InputError, match=figures):
            precision_of_new(spec, EngineRequest(precision="int8"), lambda _: None)
        with pytest.raises(InputError, match=r"is not used in int8: cosine to float32"):
            choose(spec, EngineRequest(precision="int8"), FLOAT32, lambda _: None)
    assert precision_of_new(spec, AUTOMATIC, lambda _: None) == FLOAT32


def test_without_a_usable_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / DISTRIBUTION).write_text("not a folder")
    spec = registry.resolve("timm", "test_resnet/random")
    said: list[str] = []
    assert precision_of_new(spec, AUTOMATIC, said.append) == FLOAT32
    prepare(spec, AUTOMATIC, FLOAT32, said.append)
    assert len(said) == 2
    assert choose(spec, AUTOMATIC, FLOAT32, pytest.fail) == Engine("torch", "cpu", "fp32")
    for made_with, told in ((INT8, "is not converted to int8"), (FLOAT32, "is not converted to fp32")):
        with pytest.raises(InputError, match=told):
            choose(spec, EngineRequest("openvino"), made_with, pytest.fail)
    with pytest.raises(InputError, match="the cache can't be written"):
        precision_of_new(spec, EngineRequest(precision="int8"), said.append)
    with pytest.raises(InputError, match="reindex -m timm"):
        choose(spec, AUTOMATIC, UNMIXED, pytest.fail)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_preparing_converts_what_will_be_chosen(monkeypatch: pytest.MonkeyPatch, precision: Precision) -> None:
    has(monkeypatch, BF16)
    monkeypatch.setattr(conversion, "N_IMAGES", 20)
    spec = registry.resolve("timm", "test_resnet/random")
    prepare(spec, AUTOMATIC, MadeWith(precision), lambda _: None)
    assert choose(spec, AUTOMATIC, MadeWith(precision), pytest.fail) == Engine("openvino", "cpu", precision)


def test_torch_needs_no_conversion() -> None:
    spec = registry.resolve("timm", "test_resnet/random")
    prepare(spec, EngineRequest("torch"), FLOAT32, pytest.fail)
    assert choose(spec, EngineRequest("torch"), FLOAT32, pytest.fail) == Engine()


def test_requests_are_read_as_they_are_written() -> None:
    request = EngineRequest("openvino", "cuda:1", "bf16")
    assert EngineRequest.parse(str(request)) == request
    assert str(Engine("openvino", "cpu", "int8")) == "openvino on cpu in int8"


@pytest.mark.parametrize("precision", ["auto", "fp32", "int8"])
def test_a_new_collection_of_photos_needs_no_conversion(spec: ModelSpec, precision: Precision) -> None:
    assert new_is_prepared(spec, EngineRequest(precision=precision))


def test_only_int8_converts_for_a_new_collection() -> None:
    resnet = registry.resolve("timm", "test_resnet/random")
    assert not new_is_prepared(resnet, AUTOMATIC)
    assert new_is_prepared(resnet, EngineRequest(precision="fp32"))
    assert new_is_prepared(resnet, EngineRequest(backend="torch"))
