"""CLIP through open_clip: any architecture and tag it knows, a local checkpoint, or our own small one.

What a name of weights means:

    scenes                      the bundled small CLIP (crossmodal/encoders/bundled/clip-scenes)
    ViT-B-32/laion2b_s34b_b79k  architecture and tag; downloaded on first use
    ViT-B-32/random             the architecture with untrained weights, always the same: to measure speed
    ViT-B-32/some/file.pt       architecture and a local checkpoint (.pt, .bin, .safetensors)
    some/folder                 a folder with open_clip_config.json and its weights
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from crossmodal.core.errors import InputError, StateError
from crossmodal.core.types import Modality, ModelSpec, Pixels, Preprocessing, Vectors

FAMILY = "clip"
BUNDLED_FOLDER = Path(__file__).parent / "bundled" / "clip-scenes"
CONFIG_NAME, WEIGHTS_NAME, MERGES_NAME = "open_clip_config.json", "open_clip_model.safetensors", "bpe.txt.gz"
FILE_ENDINGS = (".pt", ".bin", ".safetensors")
RANDOM, RANDOM_SEED = "random", 0


def resolve(weights: str) -> ModelSpec:
    """The spec of a name of weights; see the module for what names there are.

    Raises:
        InputError: An unknown architecture or tag, or no such file.
        StateError: The weights have to be downloaded and can't be.
    """
    folder = BUNDLED_FOLDER if weights == "scenes" else Path(weights)
    if folder.is_dir():
        if folder != BUNDLED_FOLDER:
            weights = str(folder.resolve())
        config = _read_config(folder)
        return _spec(weights, _sha256(folder / WEIGHTS_NAME), config["model_cfg"], config["preprocess_cfg"])
    architecture, _, tag = weights.partition("/")
    model_config = _architecture(architecture)
    if tag == RANDOM:
        return _spec(weights, f"random-{RANDOM_SEED}", model_config, {})
    if tag.endswith(FILE_ENDINGS):
        file = Path(tag).resolve()
        return _spec(f"{architecture}/{file}", _sha256(file), model_config, {})
    from crossmodal.encoders.hub import weights_file

    pretrained = _pretrained(architecture, tag)
    return _spec(weights, _sha256(weights_file(weights, pretrained)), model_config, pretrained)


def load(spec: ModelSpec, towers: tuple[Modality, ...] = ("image", "text"), threads: int | None = None) -> ClipEncoder:
    """The encoder of a spec made by `resolve`."""
    if resolve(spec.weights).weights_hash != spec.weights_hash:
        raise StateError(f"the weights {spec.weights} have changed since they were used ({spec}): index again")
    return ClipEncoder(spec, towers, threads)


class ClipEncoder:
    """A CLIP model on the CPU, in float32."""

    def __init__(self, spec: ModelSpec, towers: tuple[Modality, ...], threads: int | None) -> None:
        """Loads the weights of `spec` and keeps the towers named; `threads` is torch's, None for its own."""
        from crossmodal.encoders.torchvision_guard import prepare_torchvision

        prepare_torchvision()
        import torch

        if threads:
            torch.set_num_threads(threads)
        self.spec, self.towers = spec, towers
        self._torch = torch
        self._model = _build(spec.weights).eval()
        if "image" not in towers:
            self._model.visual = None
        if "text" in towers:
            self._tokenizer = _tokenizer(spec.weights)
        else:
            for name in ("transformer", "token_embedding", "text"):
                if hasattr(self._model, name):
                    delattr(self._model, name)
        wanted = spec.preprocessing
        self._mean = torch.tensor(wanted.mean).view(1, 3, 1, 1) * 255
        self._std = torch.tensor(wanted.std).view(1, 3, 1, 1) * 255

    def encode_images(self, pixels: Pixels) -> Vectors:
        """As `Encoder.encode_images`: (n, size_px, size_px, 3) uint8 to (n, dim) float32 of length 1."""
        size = self.spec.preprocessing.size_px
        if pixels.shape[1:] != (size, size, 3) or pixels.dtype != np.uint8:
            raise ValueError(f"expected (n, {size}, {size}, 3) uint8, found {pixels.shape} {pixels.dtype}")
        if len(pixels) == 0:
            return np.empty((0, self.spec.dim), np.float32)
        torch = self._torch
        with torch.inference_mode():
            batch = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)
            batch = (batch.float() - self._mean) / self._std
            return unit_rows(self._model.encode_image(batch).numpy())

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """As `Encoder.encode_texts`; a text longer than the context is cut at its end, as CLIP does."""
        if len(texts) == 0:
            return np.empty((0, self.spec.dim), np.float32)
        with self._torch.inference_mode():
            return unit_rows(_encode_text(self._model, self._tokenizer(list(texts))).float().numpy())


def unit_rows(vectors: Vectors) -> Vectors:
    """Rows scaled to length 1 (epsilon 1e-12), float32; the one place where CLIP vectors are normalised.

    Raises:
        ValueError: A row that is not finite: the weights are broken.
    """
    if not np.isfinite(vectors).all():
        raise ValueError("the model returned vectors that are not finite: its weights are damaged")
    vectors = vectors.astype(np.float32, copy=False)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)


def _encode_text(model: Any, ids: Any) -> Any:
    """`model.encode_text(ids)`, with the columns after the last end token cut off where that is exact.

    A causal tower that pools at the end token never looks past it, so padding only costs time: 24 to 111
    texts a second at length 18 of 77 for ViT-B-32.
    """
    import torch
    from open_clip.model import CLIP

    causal = type(model) is CLIP and model.attn_mask is not None and model.text_pool_type == "argmax"
    if not causal:
        return model.encode_text(ids)
    length = int(ids.argmax(dim=-1).max()) + 1
    ids = ids[:, :length]
    dtype = model.transformer.get_cast_dtype()
    x = model.token_embedding(ids).to(dtype) + model.positional_embedding[:length].to(dtype)
    x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
    x = model.ln_final(x)[torch.arange(len(ids)), ids.argmax(dim=-1)]
    projection = model.text_projection
    if projection is None:
        return x
    return projection(x) if isinstance(projection, torch.nn.Linear) else x @ projection


def _build(weights: str) -> Any:
    """The open_clip model with its weights, float32 on the CPU."""
    import open_clip
    import torch
    from safetensors import SafetensorError

    folder = BUNDLED_FOLDER if weights == "scenes" else Path(weights)
    architecture, _, tag = weights.partition("/")
    try:
        if folder.is_dir():
            return open_clip.create_model(f"local-dir:{folder}", precision="fp32", device="cpu")
        if tag == RANDOM:
            with torch.random.fork_rng():
                torch.manual_seed(RANDOM_SEED)
                return open_clip.create_model(architecture, load_weights=False, precision="fp32", device="cpu")
        quick_gelu = False
        if tag.endswith(FILE_ENDINGS):
            file = Path(tag)
        else:
            from crossmodal.encoders.hub import weights_file

            pretrained = _pretrained(architecture, tag)
            file, quick_gelu = weights_file(weights, pretrained), bool(pretrained.get("quick_gelu"))
        return open_clip.create_model(
            architecture, pretrained=str(file), precision="fp32", device="cpu", force_quick_gelu=quick_gelu
        )
    except (RuntimeError, KeyError, EOFError, OSError, ValueError, TypeError, AttributeError, AssertionError,
            StopIteration, pickle.UnpicklingError, SafetensorError) as error:  # fmt: skip
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"the weights {weights} could not be loaded into their architecture: {reason}") from error


def _tokenizer(weights: str) -> Any:
    import open_clip
    from open_clip.tokenizer import SimpleTokenizer

    folder = BUNDLED_FOLDER if weights == "scenes" else Path(weights)
    if not folder.is_dir():
        return open_clip.get_tokenizer(weights.partition("/")[0])
    merges = folder / MERGES_NAME
    if merges.exists():
        context_length = _read_config(folder)["model_cfg"]["text_cfg"]["context_length"]
        return SimpleTokenizer(bpe_path=str(merges), context_length=context_length)
    return open_clip.get_tokenizer(f"local-dir:{folder}")


def _read_config(folder: Path) -> dict[str, Any]:
    missing = [name for name in (CONFIG_NAME, WEIGHTS_NAME) if not (folder / name).exists()]
    if missing:
        raise InputError(f"{folder} is no folder of weights: {' and '.join(missing)} missing")
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG_NAME).read_text("utf8"))
        config["model_cfg"]["vision_cfg"], config["model_cfg"]["embed_dim"], config["preprocess_cfg"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / CONFIG_NAME} is damaged: {error!r}") from error
    return config


def _architecture(name: str) -> dict[str, Any]:
    from crossmodal.encoders.torchvision_guard import prepare_torchvision

    prepare_torchvision()
    import open_clip

    config = open_clip.get_model_config(name)
    if config is None:
        near = get_close_matches(name, open_clip.list_models(), n=3, cutoff=0.4)
        hint = f"did you mean {', '.join(near)}?" if near else "open_clip.list_models() lists them"
        raise InputError(f"unknown weights or architecture {name!r}: {hint}")
    return dict(config)


def _pretrained(architecture: str, tag: str) -> dict[str, Any]:
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    config = get_pretrained_cfg(architecture, tag)
    if not config:
        tags = ", ".join(list_pretrained_tags_by_model(architecture)) or "none"
        raise InputError(
            f"{architecture} has no weights {tag!r}: use --weights {architecture}/TAG with one of {tags}; "
            f"or {architecture}/random, or {architecture}/FILE with a file that ends in {', '.join(FILE_ENDINGS)}"
        )
    return dict(config)


def _spec(weights: str, weights_hash: str, model: dict[str, Any], preprocess: dict[str, Any]) -> ModelSpec:
    size = model["vision_cfg"].get("image_size", 224)
    wanted = Preprocessing(size_px=size if isinstance(size, int) else int(size[0]))
    preprocessing = Preprocessing(
        size_px=wanted.size_px,
        resize=preprocess.get("resize_mode", wanted.resize),
        interpolation=preprocess.get("interpolation", wanted.interpolation),
        mean=tuple(preprocess.get("mean", wanted.mean)),
        std=tuple(preprocess.get("std", wanted.std)),
        fill=preprocess.get("fill_color", wanted.fill),
    )
    return ModelSpec(FAMILY, weights, weights_hash, int(model["embed_dim"]), preprocessing)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"weights {path} can't be read: {error.strerror}") from error
