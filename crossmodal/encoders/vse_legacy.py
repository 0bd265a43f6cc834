"""Reads the checkpoints and vocabularies that the authors of VSE++ published in 2017.

Both are pickles, and an ordinary unpickler runs whatever code a pickle names. This module runs none: torch's restricted
reader, which additionally allows `argparse.Namespace`, reads the checkpoint, and an unpickler that allows a single
empty class reads the vocabulary.

A checkpoint is `{epoch, model: [image_state, text_state], best_rsum, opt: Namespace, Eiters}`.

Source: Faghri et al. 2017 (VSE++), arXiv 1707.05612; the format is that of the authors' `train.py`,
`model.py` and `vocab.py` (github.com/fartashf/vsepp, Apache-2.0).
"""

from __future__ import annotations

import argparse
import pickle
import re
import struct
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from crossmodal.core.errors import InputError
from crossmodal.encoders.vocabulary import SPECIAL_WORDS, Vocabulary
from crossmodal.encoders.vse_config import VseConfig
from crossmodal.encoders.vse_towers import VseModel, new_model
from crossmodal.encoders.weights import unfilled

State = dict[str, Tensor]

_IMAGE_KEYS = (
    (re.compile(r"cnn\.features\.(?:module\.)?(.+)"), r"backbone.features.\1"),
    (re.compile(r"cnn\.classifier\.[01]\.(.+)"), r"backbone.pre_logits.fc1.\1"),
    (re.compile(r"cnn\.classifier\.[34]\.(.+)"), r"backbone.pre_logits.fc2.\1"),
    (re.compile(r"cnn\.module\.(.+)"), r"backbone.\1"),
)
"""The authors' keys of the CNN, and their replacements. torchvision and timm use the same names for a ResNet."""

_DAMAGE = (pickle.UnpicklingError, struct.error, RuntimeError, EOFError, OSError, ValueError, TypeError, MemoryError,
           AttributeError, LookupError, AssertionError, OverflowError)  # fmt: skip
"""Errors of torch and pickle on damaged files."""


class _RefusedError(Exception):
    """A pickle names a class or function that a vocabulary does not need."""


def load_published(checkpoint: Path, vocabulary: Path) -> VseModel:
    """The model of a published checkpoint and its vocabulary, float32 on the CPU, in evaluation mode.

    Raises:
        InputError: A file is missing, damaged, tries to run code, or has another architecture, or the files don't
            belong together.
    """
    config, words, image_state, text_state = read_published(checkpoint, vocabulary)
    with unfilled():
        model = new_model(config, words)
    image_state = _to_timm_keys(image_state, model.image_tower.state_dict())
    for name, tower, state in (("image", model.image_tower, image_state), ("text", model.text_tower, text_state)):
        try:
            tower.load_state_dict(state)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:300]
            raise InputError(
                f"the {name} tower of {checkpoint} is not a {config.backbone} of VSE++: {reason}; "
                "use a model_best.pth.tar that the authors published"
            ) from error
        tower.eval()
    return model


def read_published(checkpoint: Path, vocabulary: Path) -> tuple[VseConfig, Vocabulary, State, State]:
    """The configuration, the words, and the weights of both towers under the authors' keys; builds no model.

    Raises:
        InputError: As `load_published`, except for another architecture.
    """
    config, image_state, text_state = _read_checkpoint(checkpoint)
    words = read_vocabulary(vocabulary)
    n_rows = len(text_state["embed.weight"])
    if n_rows != len(words):
        raise InputError(
            f"the vocabulary {vocabulary} has {len(words)} words, but the checkpoint {checkpoint} has {n_rows}: "
            "name the vocabulary it was trained with, as CHECKPOINT:VOCABULARY"
        )
    return config, words, image_state, text_state


def _read_checkpoint(path: Path) -> tuple[VseConfig, State, State]:
    """The configuration of a published checkpoint, and the weights of its towers under the authors' keys."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"the checkpoint {path} can't be read: {error.strerror}") from error
    try:
        with file, warnings.catch_warnings(), torch.serialization.safe_globals([argparse.Namespace]):
            warnings.simplefilter("ignore")  # about the pickle protocol; an unsupported one raises
            content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's message recommends disabling the safeguard, so it is not passed on.
        if match := re.search(r"GLOBAL (\S+)", str(error)):
            raise InputError(
                f"the checkpoint {path} is refused: it names {match[1]}, which does not belong in a checkpoint and "
                "might run code; get the file from its authors"
            ) from error
        raise InputError(f"{path} is not a torch checkpoint, or is damaged: fetch it again") from error
    except _DAMAGE as error:
        raise InputError(f"the checkpoint {path} is damaged ({error!r:.100}): fetch it again") from error
    return _checked(path, content)


def _checked(path: Path, content: Any) -> tuple[VseConfig, State, State]:
    """The configuration and the weights of both towers in the content of a checkpoint."""
    try:
        opt, (image_state, text_state) = vars(content["opt"]), content["model"]
        for state in (image_state, text_state):
            if not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()):
                raise TypeError("a state has entries that are not named tensors")
        backbone, (joint_dim, _) = opt["cnn_type"], image_state["fc.weight"].shape
        _, word_dim = text_state["embed.weight"].shape
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(
            f"{path} is not a checkpoint of VSE++ ({error!r}): it should have `opt` and `model`, with the states of "
            "an image tower (cnn.*, fc.*) and a text tower (embed.*, rnn.*)"
        ) from error
    unusable = {
        "data_name": str(opt.get("data_name")).endswith("_precomp"),
        "num_layers": opt.get("num_layers", 1) != 1,
        "measure": opt.get("measure", "cosine") != "cosine",
        "no_imgnorm": bool(opt.get("no_imgnorm", False)),
        "cnn_type": not str(backbone).startswith(("vgg", "resnet")),
    }
    if any(unusable.values()):
        options = ", ".join(f"{name} {opt.get(name)}" for name, is_unusable in unusable.items() if is_unusable)
        raise InputError(
            f"{path} was trained with {options}, which is not supported: use a model with a CNN (vgg* or resnet*), "
            "one GRU layer, and cosine similarity"
        )
    config = VseConfig(backbone, 224, joint_dim, word_dim, absolute=bool(opt.get("use_abs", False)))
    return config, dict(image_state), dict(text_state)


def _to_timm_keys(state: State, target: State) -> State:
    """The weights of an image tower under the keys of `target`; VGG's linear layers become timm's convolutions."""
    renamed = {}
    for key, value in state.items():
        for pattern, replacement in _IMAGE_KEYS:
            if match := pattern.fullmatch(key):
                key = match.expand(replacement)
                break
        if key in target and ".pre_logits." in key and value.numel() == target[key].numel():
            value = value.reshape(target[key].shape)
        renamed[key] = value
    return renamed


class _VocabularyUnpickler(pickle.Unpickler):
    """An unpickler that allows only the class of the vocabulary, under its two names.

    The stand-in for the class is created for each pickle, so that no pickle can affect another.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, encoding="utf-8")
        self.stand_in: type = type("Vocabulary", (), {})

        def reconstruct(cls: object, base: object, state: object) -> object:
            """Replaces `copyreg._reconstructor`, which older pickle protocols use, for the stand-in."""
            if cls is not self.stand_in or base is not object or state is not None:
                raise _RefusedError("it creates an object that is not a vocabulary")
            return self.stand_in()

        self._allowed: dict[tuple[str, str], object] = {
            ("vocab", "Vocabulary"): self.stand_in,
            ("__main__", "Vocabulary"): self.stand_in,
            ("copyreg", "_reconstructor"): reconstruct,
            ("copy_reg", "_reconstructor"): reconstruct,  # Python 2's names, also __builtin__
            ("builtins", "object"): object,
            ("__builtin__", "object"): object,
        }

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of an allowed name."""
        if (module, name) not in self._allowed:
            raise _RefusedError(f"it names {module}.{name}, which does not belong in a vocabulary")
        return self._allowed[module, name]


def read_vocabulary(path: Path) -> Vocabulary:
    """The vocabulary of a published `vocab.pkl` of Python 2 or 3; the words keep their ids.

    Raises:
        InputError: The file is missing, damaged, tries to run code, or is not a vocabulary of VSE++.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"the vocabulary {path} can't be read: {error.strerror}") from error
    try:
        with file:
            unpickler = _VocabularyUnpickler(file)
            content = unpickler.load()
    except _RefusedError as error:
        raise InputError(
            f"the vocabulary {path} is refused: {error}, and might run code; get the file from its authors"
        ) from error
    except _DAMAGE as error:
        raise InputError(f"the vocabulary {path} is damaged ({error!r:.100}): fetch it again") from error
    ids = vars(content).get("word2idx") if type(content) is unpickler.stand_in else None
    if not isinstance(ids, dict) or not all(type(word) is str and type(i) is int for word, i in ids.items()):
        raise InputError(f"{path} is not a vocabulary of VSE++: `word2idx`, words with their ids, is missing")
    words = sorted(ids, key=lambda word: ids[word])
    if [ids[word] for word in words] != list(range(len(words))) or tuple(words[:4]) != SPECIAL_WORDS:
        raise InputError(
            f"{path} is not a vocabulary of VSE++: its ids should run from 0 without a gap, starting with "
            f"{', '.join(SPECIAL_WORDS)}, but it starts with {words[:4]}"
        )
    return Vocabulary(words[4:])
