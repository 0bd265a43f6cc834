"""Models that run in OpenVINO: the bundled ones, and converted ones in the cache.

A converted model is a folder with a description (`.xml`) and weights (`.bin`) of each tower, and `engine.json`. In the
cache there is a folder for each version of OpenVINO, whose folders are named by a hash of the model's spec and the
precision; `conversion` writes them. The `photos` weights need no conversion: their networks are built from the weights
(`photo_graph`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from crossmodal.core.engine import Precision
from crossmodal.core.errors import InputError, StateError
from crossmodal.core.types import Modality, ModelSpec
from crossmodal.encoders import photos, registry
from crossmodal.encoders.network_encoder import AT_MOST, NetworkEncoder
from crossmodal.encoders.weights import check_unchanged, sha256
from crossmodal.engines.agreement import Agreement
from crossmodal.engines.compiled_cache import compiled_file, openvino_folder

FORMAT = 1
MANIFEST, BUNDLED_NAME = "engine.json", "openvino-int8"


@dataclass(frozen=True)
class Converted:
    """The content of `engine.json`.

    Attributes:
        weights_hash: The hash of the weights that were converted.
        precision: `fp32` or `int8`; bf16 runs the network of fp32.
        files: The SHA-256 of each file by name.
        logit_scale: The inverse temperature of a CLIP model, else None.
        logit_bias: The bias of a CLIP model trained with a sigmoid loss, else None.
        agreement: The comparison with float32 in torch.
        failure: Why the model can't be converted to this precision; empty if it is.
    """

    weights_hash: str
    precision: Precision
    files: dict[str, str]
    logit_scale: float | None
    logit_bias: float | None
    agreement: Agreement | None
    failure: str = ""

    def to_bytes(self) -> bytes:
        """The file `engine.json`."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1).encode()


def folder_in_cache(spec: ModelSpec, precision: Precision) -> Path:
    """The folder of a converted model in the cache, which may not exist.

    Its name depends on the whole spec: the same weights with another layer or preprocessing are another network.
    """
    name = json.dumps([FORMAT, spec.to_dict(), precision], sort_keys=True)
    return openvino_folder() / hashlib.sha256(name.encode()).hexdigest()[:32]


def find(spec: ModelSpec, precision: Precision) -> tuple[Path, Converted] | None:
    """The folder and manifest of a converted model, or of a failed conversion; None if there is none, or it is damaged.

    `precision` bf16 finds fp32.
    """
    precision = "fp32" if precision == "bf16" else precision
    folders = [folder_in_cache(spec, precision)]
    bundled = registry.family_of(spec.family).bundled.get(spec.weights)
    if bundled and precision == "int8":
        folders.insert(0, registry.BUNDLED_FOLDER / bundled / BUNDLED_NAME)
    for folder in folders:
        found = _read(folder)
        if found is not None and (found.weights_hash, found.precision) == (spec.weights_hash, precision):
            return folder, found
    return None


def is_ready(spec: ModelSpec, precision: Precision) -> bool:
    """Whether `load` can load a model in a precision without converting it first."""
    return not why_not_ready(spec, precision)


def why_not_ready(spec: ModelSpec, precision: Precision) -> str:
    """Why `load` can't load a model in a precision; empty if it can."""
    if photos_folder(spec) is not None:
        has_it = precision != "int8" or agreement_of(spec) is not None
        return "" if has_it else f"{spec} has no ranges for int8: train it again"
    found = find(spec, precision)
    return f"{spec} is not converted to {precision} for OpenVINO" if found is None else found[1].failure


def agreement_of(spec: ModelSpec, precision: Precision = "int8") -> Agreement | None:
    """The agreement of a model with float32 in torch; None if it was not measured."""
    folder = photos_folder(spec)
    if folder is not None:
        return photos.int8_agreement(folder, spec) if precision == "int8" else None
    found = find(spec, precision)
    return found[1].agreement if found else None


def photos_folder(spec: ModelSpec) -> Path | None:
    """The folder of `photos` weights, whose networks are built from the weights; None for other models."""
    return photos.folder_of(spec.weights) if spec.family in ("clip", "timm") else None


def load(spec: ModelSpec, towers: tuple[Modality, ...], threads: int | None, precision: Precision) -> NetworkEncoder:
    """The encoder of a model that is ready.

    Raises:
        StateError: It is not ready, or its weights have changed.
        InputError: Its weights are damaged.
    """
    from crossmodal.engines.openvino_cpu import CompiledNetwork

    check_unchanged(spec, registry.resolve(spec.family, spec.weights).weights_hash)
    of_photos = photos_folder(spec)
    if of_photos is not None:
        return photos.load(spec, of_photos, towers, threads, precision)
    found = find(spec, precision)
    if found is None or found[1].failure:
        command = f"crossmodal download {spec.weights} -m {spec.family} --compile"
        raise StateError(f"{why_not_ready(spec, precision)}: run `{command}`")
    folder, manifest = found
    towers = tuple(tower for tower in towers if tower in spec.modalities)
    networks: dict[Modality, CompiledNetwork] = {}
    for tower in towers:
        cache = compiled_file(manifest.files, tower) if precision == "int8" else None
        description = partial(folder.joinpath, f"{tower}.xml")
        networks[tower] = CompiledNetwork(description, threads, precision, cache, AT_MOST[tower])
    tokens = registry.module_of(registry.family_of(spec.family)).tokens(spec) if "text" in towers else None
    return NetworkEncoder(spec, networks, tokens, manifest.logit_scale, manifest.logit_bias)


def _read(folder: Path) -> Converted | None:
    """The manifest of a folder; None if the folder does not exist, or a file is missing or damaged."""
    try:
        values: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
        if values.pop("format") != FORMAT:
            return None
        agreement = values.pop("agreement")
        manifest = Converted(**values, agreement=Agreement(**agreement) if agreement else None)
        if any(sha256(folder / name) != digest for name, digest in manifest.files.items()):
            return None
    except (OSError, InputError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return manifest
