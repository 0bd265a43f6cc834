"""Converts models for OpenVINO, once per model and precision, and compares them with float32 in torch.

The result is a folder in the cache, which `converted` loads without torch.
"""

from __future__ import annotations

import csv
import fcntl
import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crossmodal.core.engine import TORCH, Precision
from crossmodal.core.files import write_atomically
from crossmodal.core.os_errors import reason
from crossmodal.core.resources import data_folder
from crossmodal.core.types import MODALITIES, Modality, ModelSpec, Pixels, Preprocessing
from crossmodal.encoders import converted, registry
from crossmodal.encoders.converted import Converted
from crossmodal.encoders.network_encoder import AT_MOST, IMAGE_GROUP, NetworkEncoder, Tokens, token_groups
from crossmodal.encoders.weights import sha256
from crossmodal.engines.agreement import Agreement, agreement

if TYPE_CHECKING:
    from crossmodal.core.protocols import Encoder
    from crossmodal.engines.openvino_offline import openvino
    from crossmodal.engines.quantization import Range

log = logging.getLogger(__name__)

N_IMAGES, N_TEXTS = 64, 256
"""Pictures and texts of the toy data that are compared; the activations of the others give the ranges for int8."""


def ensure(spec: ModelSpec, precision: Precision, say: Callable[[str], None]) -> Converted | None:
    """The manifest of a converted model, which is converted first if it is not in the cache.

    A model that can't be converted gets a manifest with the reason, so that it is tried only once.

    Args:
        spec: The model; not the `photos` weights, which need no conversion.
        precision: fp32 or int8.
        say: Called with messages about the progress.

    Returns:
        The manifest, or None if the cache can't be written to.

    Raises:
        InputError, StateError: The weights are damaged, missing or have changed.
    """
    found = converted.find(spec, precision)
    if found is not None:
        return found[1]
    folder = converted.folder_in_cache(spec, precision)
    try:
        with _locked(folder):
            found = converted.find(spec, precision)  # another process may have converted it in the meantime
            if found is not None:
                return found[1]
            say(f"converting {spec} to {precision} for OpenVINO, once")
            manifest = _made(spec, precision, folder)
    except OSError as error:
        say(f"{spec} is not converted for OpenVINO, since its cache can't be written: {reason(error, folder.parent)}")
        return None
    say(manifest.failure or f"converted: {manifest.agreement}")
    return manifest


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Waits until no other process converts into a folder, and keeps others from it for the block."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _made(spec: ModelSpec, precision: Precision, folder: Path) -> Converted:
    """Converts into a folder beside `folder`, which then takes its place; the caller holds the lock."""
    scratch = folder.with_suffix(".part")
    shutil.rmtree(scratch, ignore_errors=True)  # of a process that was killed
    scratch.mkdir()
    try:
        manifest = write(spec, precision, scratch)
        if folder.exists():  # damaged, else it would have been found
            shutil.rmtree(folder)
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return manifest


def write(
    spec: ModelSpec, precision: Precision, folder: Path, quantized: tuple[Modality, ...] = MODALITIES
) -> Converted:
    """Converts a model into an existing folder, in which an earlier conversion is replaced.

    With int8, only the `quantized` towers are quantized.

    Raises:
        OSError: A file can't be written.
        InputError, StateError: The weights are damaged, missing or have changed.
    """
    from crossmodal.engines.converter import from_torch
    from crossmodal.engines.openvino_cpu import CompiledNetwork
    from crossmodal.engines.quantization import quantize

    module = registry.module_of(registry.family_of(spec.family))
    reference = registry.load(spec, spec.modalities, None, TORCH)
    try:
        tokens = module.tokens(spec) if "text" in spec.modalities else None
        networks = {tower: from_torch(*found) for tower, found in module.networks(spec).items()}
        if precision == "int8":
            chosen = {tower: network for tower, network in networks.items() if tower in quantized}
            for tower, ranges in quantizable(chosen, spec.preprocessing, tokens).items():
                quantize(networks[tower], ranges)
        for tower, network in networks.items():
            _save(network, folder / f"{tower}.xml", precision)
        compiled = {
            tower: CompiledNetwork(partial(folder.joinpath, f"{tower}.xml"), None, at_most=AT_MOST[tower])
            for tower in networks
        }
        found = compared(NetworkEncoder(spec, compiled, tokens), reference)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # OpenVINO raises exceptions of many types
        log.debug("conversion failed", exc_info=True)
        failure = f"{spec} can't be converted for OpenVINO and runs in torch: {' '.join(str(error).split())[:200]}"
        return _finished(spec, precision, folder, reference, None, failure)
    failure = "" if found.is_close else f"{spec} is not used in {precision}: {found}"
    return _finished(spec, precision, folder, reference, found, failure)


def compared(encoder: Encoder, reference: Encoder) -> Agreement:
    """The agreement of an encoder with the reference on the probe set: pictures and texts of the toy data."""
    images, _ = _pictures(encoder.spec.preprocessing)
    pictures = (encoder.encode_images(images), reference.encode_images(images))
    if "text" not in encoder.spec.modalities:
        return agreement(pictures, None)
    texts, _ = _texts()
    return agreement(pictures, (encoder.encode_texts(texts), reference.encode_texts(texts)))


def quantizable(
    networks: Mapping[Modality, openvino.Model], preprocessing: Preprocessing, tokens: Tokens | None
) -> dict[Modality, dict[str, Range]]:
    """The ranges of the operations of each network to quantize, from pictures and texts of the toy data."""
    from crossmodal.engines.quantization import chosen

    batches: dict[Modality, Iterator[list[Any]]] = {"image": _image_batches(_pictures(preprocessing)[1])}
    if tokens is not None:
        batches["text"] = _text_batches(tokens, _texts()[1])
    return {tower: chosen(network, batches[tower]) for tower, network in networks.items()}


def _image_batches(images: Pixels) -> Iterator[list[Any]]:
    for start in range(0, len(images), IMAGE_GROUP):
        yield [images[start : start + IMAGE_GROUP]]


def _text_batches(tokens: Tokens, texts: list[str]) -> Iterator[list[Any]]:
    for _, ids in token_groups(tokens, texts):
        yield [ids.astype(np.int32)]


def _save(network: openvino.Model, path: Path, precision: Precision) -> None:
    from crossmodal.engines.openvino_offline import openvino

    try:
        openvino.save_model(network, path, compress_to_fp16=precision == "int8")
    except RuntimeError as error:
        raise OSError(f"{path} can't be written: {' '.join(str(error).split())[:200]}") from error


def quantize_photos(folder: Path, weights: str) -> Agreement:
    """Writes the ranges for int8, and the agreement of the quantized model, into a folder of `photos` weights.

    Args:
        folder: The folder, with its weights.
        weights: The name of the weights, or the path of the folder.

    Returns:
        The agreement of the whole model; that of its features is written, too.

    Raises:
        OSError: A file can't be written.
        InputError: The weights are damaged.
    """
    from crossmodal.encoders import photos
    from crossmodal.encoders.photo_graph import image_network, text_network
    from crossmodal.engines.quantization import write_ranges

    stored, shape = photos.StoredWeights(folder), photos.read_shape(folder)
    networks: dict[Modality, openvino.Model] = {
        "image": image_network(stored, shape),
        "text": text_network(stored, shape),
    }
    ranges = quantizable(networks, shape.preprocessing, photos.tokens_in(folder))
    write_ranges(folder / photos.INT8_NAME, {**ranges["image"], **ranges["text"]})
    specs = [registry.resolve(family, weights) for family in ("clip", "timm")]
    found = {spec.family: _photos_agreement(spec, folder) for spec in specs}
    manifest = {"weights_hash": specs[0].weights_hash, "agreement": {name: asdict(of) for name, of in found.items()}}
    write_atomically(folder / photos.INT8_MANIFEST, json.dumps(manifest, indent=1).encode())
    return found["clip"]


def _photos_agreement(spec: ModelSpec, folder: Path) -> Agreement:
    from crossmodal.encoders import photos

    int8, fp32 = (photos.load(spec, folder, spec.modalities, None, precision) for precision in ("int8", "fp32"))
    return compared(int8, fp32)


def _finished(
    spec: ModelSpec, precision: Precision, folder: Path, reference: Encoder, found: Agreement | None, failure: str
) -> Converted:
    (folder / converted.MANIFEST).unlink(missing_ok=True)
    manifest = Converted(
        spec.weights_hash,
        precision,
        {} if failure else {path.name: sha256(path) for path in sorted(folder.iterdir())},
        getattr(reference, "logit_scale", None),
        getattr(reference, "logit_bias", None),
        found,
        failure,
    )
    if failure:
        for path in folder.iterdir():
            path.unlink()
    (folder / converted.MANIFEST).write_bytes(manifest.to_bytes())
    return manifest


def _pictures(preprocessing: Preprocessing) -> tuple[Pixels, Pixels]:
    """The pictures of the toy data at the model's input size: `N_IMAGES`, and the others with their mirror images."""
    from crossmodal.images.prepare import prepare

    files = sorted((data_folder("toy-data") / "images").iterdir())
    pixels = np.stack([prepare(file.read_bytes(), preprocessing, with_thumbnail=False).pixels for file in files])
    # Names sort pictures of one source together.
    is_probe = _spread(len(files), N_IMAGES)
    others = pixels[~is_probe]
    return pixels[is_probe], np.concatenate([others, others[:, :, ::-1]])


def _texts() -> tuple[list[str], list[str]]:
    """The captions of the toy data: `N_TEXTS` of them, spread over all, and the others."""
    with (data_folder("toy-data") / "captions.txt").open(encoding="utf8", newline="") as file:
        captions = [row["caption"] for row in csv.DictReader(file)]
    is_probe = _spread(len(captions), N_TEXTS)
    chosen, others = ([c for c, yes in zip(captions, is_probe, strict=True) if yes == which] for which in (True, False))
    return chosen, others


def _spread(n: int, n_chosen: int) -> NDArray[np.bool_]:
    """A mask (n,) that chooses items spread evenly over all."""
    return np.diff(np.arange(n) * n_chosen // n, prepend=-1) > 0


def write_bundled() -> None:
    """Writes the files for int8 of all bundled weights: `python -m crossmodal.encoders.conversion`."""
    from crossmodal.encoders import photos

    print(f"photos: {quantize_photos(photos.BUNDLED_FOLDER, photos.NAME)}")
    towers: dict[str, tuple[Modality, ...]] = {
        "clip": ("image",),  # with both in int8, short queries miss their gate (docs/adr/0017-own-quantization.md)
        "vse": MODALITIES,
    }
    for family, quantized in towers.items():
        folder = registry.bundled_folder(family, registry.SCENES) / converted.BUNDLED_NAME
        folder.mkdir(exist_ok=True)
        made = write(registry.resolve(family, registry.SCENES), "int8", folder, quantized)
        print(f"{family} {registry.SCENES}: {made.agreement}")


if __name__ == "__main__":
    write_bundled()
