"""Chooses the engine of a model: the fastest on this machine that agrees with float32 in torch."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from crossmodal.core.engine import Engine, EngineRequest, MadeWith, Precision
from crossmodal.core.errors import InputError
from crossmodal.core.types import ModelSpec
from crossmodal.encoders import converted
from crossmodal.engines import devices, processor

Say = Callable[[str], None]
"""Called with messages about the progress, and about what this machine can't do as requested."""


def precision_of_new(spec: ModelSpec, request: EngineRequest, say: Say) -> MadeWith:
    """The precision of the vectors of a new collection; converts the model for it if necessary, which imports torch.

    Raises:
        InputError: The request contradicts itself, the machine lacks the device or the engine, or the model does not
            agree with float32 in the requested precision; the message has the figures.
    """
    device = _checked(request)
    if device != "cpu":
        return MadeWith(_on_device(request, device))
    precision = _on_cpu(request, say)
    if precision != "int8":
        return MadeWith(precision)
    refusal = _not_ready(spec, "int8", say)
    agreement = converted.agreement_of(spec.encoder)
    if refusal or agreement is None:
        if request.precision == "int8":
            raise InputError(refusal or f"{spec} can't run in int8 here: remove --precision")
        return MadeWith()
    return MadeWith("int8", agreement.mixes)


def new_is_prepared(spec: ModelSpec, request: EngineRequest) -> bool:
    """Whether `precision_of_new` has nothing to convert.

    Raises:
        InputError: As `precision_of_new`, if the request can't be fulfilled by any model.
    """
    if _checked(request) != "cpu" or _on_cpu(request, lambda _: None) != "int8":
        return True
    return converted.is_ready(spec.encoder, "int8")


def prepare(spec: ModelSpec, request: EngineRequest, made_with: MadeWith, say: Say) -> None:
    """Converts the model for the engine that `choose` will choose, unless it is ready; imports torch then.

    Raises:
        InputError: As `choose`.
    """
    precision = _of_openvino(spec, request, made_with, say)
    if precision is not None:
        _not_ready(spec, precision, say)


def is_prepared(spec: ModelSpec, request: EngineRequest, made_with: MadeWith) -> bool:
    """Whether `prepare` has nothing to do.

    Raises:
        InputError: As `choose`.
    """
    precision = _of_openvino(spec, request, made_with, lambda _: None)
    return precision is None or converted.is_ready(spec.encoder, precision)


def _of_openvino(spec: ModelSpec, request: EngineRequest, made_with: MadeWith, say: Say) -> Precision | None:
    """The precision for a collection in OpenVINO; None if it is not used."""
    if _checked(request) != "cpu" or request.backend == "torch" or find_spec("openvino") is None:
        return None
    return _for_collection(spec, request, made_with, say)


def choose(spec: ModelSpec, request: EngineRequest, made_with: MadeWith, say: Say) -> Engine:
    """The engine for a collection, from what is ready; imports torch only if the machine has a GPU.

    Args:
        spec: The model.
        request: What the user asked for.
        made_with: The precision of the collection's vectors.
        say: See `Say`.

    Raises:
        InputError: The request contradicts itself or the collection, or the machine lacks the device or the engine.
    """
    device = _checked(request)
    if device != "cpu":
        precision = _on_device(request, device)
        _check_mixing(spec, precision, made_with)
        return Engine("torch", device, precision)
    precision = _for_collection(spec, request, made_with, say)
    problem = "" if request.backend == "torch" else _problem(spec, precision, made_with)
    if request.backend != "torch" and not problem:
        return Engine("openvino", device, precision)
    if request.backend == "openvino" or request.precision == "int8":
        raise InputError(f"{problem}: remove --engine and --precision")
    if precision == "int8":
        _check_mixing(spec, "fp32", made_with)
        precision = "fp32"
    return Engine("torch", device, precision)


def engine_of_new(spec: ModelSpec, request: EngineRequest, say: Say) -> Engine:
    """The engine for a new collection; converts the model for it if necessary, which imports torch.

    Raises:
        InputError: As `precision_of_new`.
    """
    made_with = precision_of_new(spec, request, say)
    prepare(spec, request, made_with, say)
    return choose(spec, request, made_with, say)


def _problem(spec: ModelSpec, precision: Precision, made_with: MadeWith) -> str:
    """Why OpenVINO can't make vectors in a precision for a collection; empty if it can."""
    if problem := converted.why_not_ready(spec.encoder, precision):
        return problem
    if precision == "int8" != made_with.precision:
        agreement = converted.agreement_of(spec.encoder)
        if agreement is None or not agreement.mixes:
            return f"vectors of {spec} in int8 can't be compared with those of the collection in {made_with.precision}"
    return ""


def _for_collection(spec: ModelSpec, request: EngineRequest, made_with: MadeWith, say: Say) -> Precision:
    """The precision on the CPU for an existing collection."""
    if request.precision == "auto":
        is_fast = {"int8": processor.has_fast_int8, "bf16": processor.has_fast_bf16}.get(made_with.precision)
        return made_with.precision if not made_with.mixes or (is_fast is not None and is_fast()) else "fp32"
    precision = _on_cpu(request, say)
    _check_mixing(spec, precision, made_with)
    return precision


def _on_cpu(request: EngineRequest, say: Say) -> Precision:
    if request.precision == "bf16" and not processor.has_fast_bf16():
        say("this processor only emulates bf16, which is slower than fp32: using fp32")
        return "fp32"
    if request.precision != "auto":
        return request.precision
    is_possible = request.backend != "torch" and find_spec("openvino") is not None
    return "int8" if is_possible and processor.has_fast_int8() else "fp32"


def _on_device(request: EngineRequest, device: str) -> Precision:
    return devices.fastest_precision(device) if request.precision == "auto" else request.precision


def _checked(request: EngineRequest) -> str:
    """The device of a request that does not contradict itself."""
    device = devices.resolve(request.device)
    if request.backend == "openvino" and device != "cpu":
        raise InputError(f"--engine openvino runs on the CPU, not on {device}: use --engine torch, or --device cpu")
    if request.backend == "openvino" and find_spec("openvino") is None:
        raise InputError("--engine openvino: OpenVINO is not installed; run `pip install -r requirements.txt`")
    if request.precision == "int8" and (request.backend == "torch" or device != "cpu"):
        raise InputError("--precision int8 runs on the CPU with OpenVINO: remove --engine and --device")
    if request.precision == "fp16" and device == "cpu":
        raise InputError("--precision fp16 runs on GPUs: use fp32, bf16 or int8 on the CPU")
    return device


def _check_mixing(spec: ModelSpec, precision: Precision, made_with: MadeWith) -> None:
    if not made_with.accepts(precision):
        raise InputError(
            f"the collection has vectors in {made_with.precision}, which can't be compared with vectors in "
            f"{precision}: remove --engine, --precision and --device, or run "
            f"`crossmodal reindex -m {spec.family} --weights {spec.weights} --precision {precision}`"
        )


def _not_ready(spec: ModelSpec, precision: Precision, say: Say) -> str:
    """Converts a model unless it is ready; the reason if that failed."""
    precision = "fp32" if precision == "bf16" else precision
    if converted.photos_folder(spec.encoder) is not None or converted.is_ready(spec.encoder, precision):
        return ""
    from crossmodal.encoders import conversion

    manifest = conversion.ensure(spec.encoder, precision, say)
    return "the cache can't be written" if manifest is None else manifest.failure
