"""VSE++ encoders: a CNN for images and a GRU for captions, with a shared space.

Names of weights:

    scenes                              the bundled small model (crossmodal/encoders/bundled/vse-scenes)
    some/folder                         a folder with vse_config.json, vocab.json and model.safetensors
    some/model_best.pth.tar             a checkpoint that the authors published, with vocab.pkl in the same folder
    model_best.pth.tar:f30k_vocab.pkl   the same with the path of the vocabulary

Source: Faghri, Fleet, Kiros, Fidler 2017, arXiv 1707.05612.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossmodal.core.engine import TORCH, Engine
from crossmodal.core.errors import InputError
from crossmodal.core.types import MODALITIES, Modality, ModelSpec, Vectors
from crossmodal.encoders import registry
from crossmodal.encoders.hash_cache import file_sha256
from crossmodal.encoders.pixels import channels_last
from crossmodal.encoders.reading import unread_part
from crossmodal.encoders.torch_encoder import TorchEncoder
from crossmodal.encoders.vocabulary import Vocabulary
from crossmodal.encoders.vse_config import CONFIG_NAME, VOCABULARY_NAME, WEIGHTS_NAME, read_config
from crossmodal.encoders.weights import check_unchanged

if TYPE_CHECKING:
    from crossmodal.encoders.exportable import TorchTower
    from crossmodal.encoders.vse_towers import VseModel

FAMILY = "vse"
BUNDLED_FOLDER = registry.bundled_folder(FAMILY, registry.SCENES)
FOLDER_FILES = (CONFIG_NAME, VOCABULARY_NAME, WEIGHTS_NAME)
CHECKPOINT_ENDING, PUBLISHED_VOCABULARY = ".pth.tar", "vocab.pkl"


def resolve(weights: str) -> ModelSpec:
    """The spec of a name of weights; the module docstring lists the names.

    Raises:
        InputError: The folder or file doesn't exist, or is not a VSE++ model.
    """
    files = _files(weights)
    weights_hash = _sha256(files)
    if _is_published(weights):
        from crossmodal.encoders.vse_legacy import read_published

        config, *_ = read_published(*files)
        weights = f"{files[0]}:{files[1]}"
    else:
        config = read_config(files[0].parent)
        weights = weights if weights == "scenes" else str(files[0].parent)
    return ModelSpec(FAMILY, weights, weights_hash, config.joint_dim, config.preprocessing)


def load(
    spec: ModelSpec,
    towers: tuple[Modality, ...] = MODALITIES,
    threads: int | None = None,
    engine: Engine = TORCH,
) -> VseEncoder:
    """The encoder of a spec made by `resolve`; see `FamilyModule.load`.

    Raises:
        InputError: The weights are damaged.
        StateError: The weights have changed since the spec was made.
    """
    check_unchanged(spec, _sha256(_files(spec.weights)))
    return VseEncoder(spec, towers, threads, engine)


def networks(spec: ModelSpec) -> dict[Modality, TorchTower]:
    """As `FamilyModule.networks`."""
    import torch

    from crossmodal.encoders.exportable import RecurrentText, TorchTower, image_tower

    check_unchanged(spec, _sha256(_files(spec.weights)))
    model = _build(spec.weights)
    ids = torch.from_numpy(model.vocabulary.padded([model.vocabulary.encode("a dog"), model.vocabulary.encode("a")]))
    return {
        "image": image_tower(model.image_tower, model.image_tower, spec.preprocessing),
        "text": TorchTower(RecurrentText(model.text_tower), ids),
    }


def tokens(spec: ModelSpec) -> Vocabulary:
    """As `FamilyModule.tokens`."""
    files = _files(spec.weights)
    if _is_published(spec.weights):
        return _build(spec.weights).vocabulary
    return Vocabulary.load(files[1])


class VseEncoder(TorchEncoder):
    """A VSE++ model in torch."""

    def __init__(self, spec: ModelSpec, towers: tuple[Modality, ...], threads: int | None, engine: Engine) -> None:
        """Loads `towers` of the weights of `spec`; `threads` None keeps torch's default."""
        super().__init__(spec, towers, threads, engine)
        model = _build(spec.weights)
        self._image_tower = self._place(channels_last(model.image_tower)) if "image" in towers else None
        self._text_tower = self._place(model.text_tower) if "text" in towers else None
        self._vocabulary = model.vocabulary

    @property
    def image_module(self) -> Any:
        """As `TorchEncoder.image_module`."""
        return self._image_tower

    def image_vectors(self, images: Any) -> Any:
        """As `TorchEncoder.image_vectors`."""
        assert self._image_tower is not None
        return self._image_tower(images)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """As `Encoder.encode_texts`; unknown words become `<unk>`, and words after the 200th are ignored."""
        self._check_has("text")
        assert self._text_tower is not None
        encode_batch = self._vocabulary.encode_batch
        return self._unit_vectors(self._text_tower, len(texts), lambda part: encode_batch(texts[part]))

    def unread(self, text: str) -> str:
        """As `Encoder.unread`."""
        return unread_part(lambda part: self._vocabulary.encode_batch([part])[0][0].tolist(), text)


def _build(weights: str) -> VseModel:
    """The model of a name of weights, in evaluation mode."""
    files = _files(weights)
    if _is_published(weights):
        from crossmodal.encoders.vse_legacy import load_published

        return load_published(*files)
    from crossmodal.encoders.vse_towers import load_folder

    return load_folder(files[0].parent)


def _is_published(weights: str) -> bool:
    """Whether a name is that of a checkpoint in the authors' format."""
    return weights.endswith(CHECKPOINT_ENDING) or f"{CHECKPOINT_ENDING}:" in weights


def _files(weights: str) -> tuple[Path, ...]:
    """The absolute paths of a name's files: checkpoint and vocabulary, or the three files of a folder."""
    if _is_published(weights):
        name, _, vocabulary = weights.partition(f"{CHECKPOINT_ENDING}:")
        checkpoint = Path(name.removesuffix(CHECKPOINT_ENDING) + CHECKPOINT_ENDING)
        beside = checkpoint.with_name(PUBLISHED_VOCABULARY)
        return checkpoint.resolve(), (Path(vocabulary) if vocabulary else beside).resolve()
    folder = BUNDLED_FOLDER if weights == "scenes" else Path(weights).resolve()
    if not weights or not folder.is_dir():
        raise InputError(
            f"unknown VSE++ weights {weights!r}: use `scenes`, a folder with {FOLDER_FILES[0]}, or a published "
            f"checkpoint, FILE{CHECKPOINT_ENDING}, with {PUBLISHED_VOCABULARY} beside it or as "
            f"FILE{CHECKPOINT_ENDING}:VOCABULARY"
        )
    return tuple(folder / name for name in FOLDER_FILES)


def _sha256(paths: tuple[Path, ...]) -> str:
    """The hash of the hashes of several files, in their order."""
    total = hashlib.sha256()
    for path in paths:
        try:
            total.update(bytes.fromhex(file_sha256(path)))
        except OSError as error:
            raise InputError(_unreadable(path, error)) from error
    return total.hexdigest()


def _unreadable(path: Path, error: OSError) -> str:
    """The message for a file that can't be read."""
    if path.name in FOLDER_FILES:
        hint = f"a folder of a VSE++ model has {', '.join(FOLDER_FILES)}"
    elif path.name.endswith(CHECKPOINT_ENDING):
        hint = "name another checkpoint or a folder"
    else:
        hint = f"put the vocabulary beside the checkpoint or name it, as FILE{CHECKPOINT_ENDING}:VOCABULARY"
    return f"{path} can't be read ({error.strerror}): {hint}"
