"""Reads the checkpoints and vocabularies that the authors of VSE++ published in 2017.

Both are pickles, and an ordinary unpickler runs whatever code a pickle names. Here none is run: the
checkpoint goes through torch's own restricted reader, to which only `argparse.Namespace` is added, and the
vocabulary through an unpickler that knows one class, an empty one of ours.

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
from crossmodal.encoders.vse_towers import VseConfig, VseModel, new_model
from crossmodal.encoders.weights import unfilled

State = dict[str, Tensor]

_IMAGE_KEYS = (
    (re.compile(r"cnn\.features\.(?:module\.)?(.+)"), r"backbone.features.\1"),
    (re.compile(r"cnn\.classifier\.[01]\.(.+)"), r"backbone.pre_logits.fc1.\1"),
    (re.compile(r"cnn\.classifier\.[34]\.(.+)"), r"backbone.pre_logits.fc2.\1"),
    (re.compile(r"cnn\.module\.(.+)"), r"backbone.\1"),
)
"""The authors' keys of the CNN and ours. torchvision's names of a ResNet are timm's; `fc.*` is the same in both."""

_DAMAGE = (pickle.UnpicklingError, struct.error, RuntimeError, EOFError, OSError, ValueError, TypeError, MemoryError,
           AttributeError, LookupError, AssertionError, OverflowError)  # fmt: skip
"""What torch and pickle raise over damaged files."""


class _RefusedError(Exception):
    """A pickle names something that is no part of a vocabulary."""


def load_published(checkpoint: Path, vocabulary: Path) -> VseModel:
    """The model of a published checkpoint and its vocabulary, float32 on the CPU, in evaluation mode.

    Raises:
        InputError: A file is missing, damaged, tries to run code, is of another architecture, or the two
            don't belong together.
    """
    config, words, image_state, text_state = read_published(checkpoint, vocabulary)
    with unfilled():
        model = new_model(config, words)
    image_state = _to_our_keys(image_state, model.image_tower.state_dict())
    for name, tower, state in (("image", model.image_tower, image_state), ("text", model.text_tower, text_state)):
        try:
            tower.load_state_dict(state)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:300]
            raise InputError(
                f"the {name} tower of {checkpoint} is no {config.backbone} of VSE++: {reason}; "
                "use a model_best.pth.tar as the authors published it"
            ) from error
        tower.eval()
    return model


def read_published(checkpoint: Path, vocabulary: Path) -> tuple[VseConfig, Vocabulary, State, State]:
    """Configuration, words, and the weights of both towers under their old keys; no model is made.

    Raises:
        InputError: As `load_published`, except for another architecture.
    """
    config, image_state, text_state = _read_checkpoint(checkpoint)
    words = read_vocabulary(vocabulary)
    n_rows = len(text_state["embed.weight"])
    if n_rows != len(words):
        raise InputError(
            f"the vocabulary {vocabulary} has {len(words)} words, the checkpoint {checkpoint} knows {n_rows}: "
            "name the vocabulary it was trained with, as CHECKPOINT:VOCABULARY"
        )
    return config, words, image_state, text_state


def _read_checkpoint(path: Path) -> tuple[VseConfig, State, State]:
    """The configuration of a published checkpoint, and the weights of its towers under their old keys."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"the checkpoint {path} can't be read: {error.strerror}") from error
    try:
        with file, warnings.catch_warnings(), torch.serialization.safe_globals([argparse.Namespace]):
            warnings.simplefilter("ignore")  # about pickles of another protocol, which fail or don't
            found = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's message advises to read the file without its safeguard; ours doesn't.
        if match := re.search(r"GLOBAL (\S+)", str(error)):
            raise InputError(
                f"the checkpoint {path} is refused: it names {match[1]}, which is no part of a checkpoint and might "
                "run code; get the file from its authors"
            ) from error
        raise InputError(f"{path} is no checkpoint of torch, or damaged: fetch it again") from error
    except _DAMAGE as error:
        raise InputError(f"the checkpoint {path} is damaged ({error!r:.100}): fetch it again") from error
    return _checked(path, found)


def _checked(path: Path, found: Any) -> tuple[VseConfig, State, State]:
    """What `_read_checkpoint` returns, of what was in the file."""
    try:
        opt, (image_state, text_state) = vars(found["opt"]), found["model"]
        for state in (image_state, text_state):
            if not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()):
                raise TypeError("a state is more than names and tensors")
        backbone, (joint_dim, _) = opt["cnn_type"], image_state["fc.weight"].shape
        _, word_dim = text_state["embed.weight"].shape
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(
            f"{path} is no checkpoint of VSE++ ({error!r}): it should have `opt` and `model`, with the states of "
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
        options = ", ".join(f"{name} {opt.get(name)}" for name, is_so in unusable.items() if is_so)
        raise InputError(
            f"{path} was trained with {options}, which this program can't use: it needs a model with its CNN "
            "(vgg* or resnet*), one GRU layer, and images and captions compared by cosine"
        )
    config = VseConfig(backbone, 224, joint_dim, word_dim, absolute=bool(opt.get("use_abs", False)))
    return config, dict(image_state), dict(text_state)


def _to_our_keys(state: State, ours: State) -> State:
    """The weights of an image tower under our keys; those of VGG's linear layers as the convolutions of timm."""
    renamed = {}
    for key, value in state.items():
        for pattern, replacement in _IMAGE_KEYS:
            if match := pattern.fullmatch(key):
                key = match.expand(replacement)
                break
        if key in ours and ".pre_logits." in key and value.numel() == ours[key].numel():
            value = value.reshape(ours[key].shape)
        renamed[key] = value
    return renamed


class _VocabularyUnpickler(pickle.Unpickler):
    """Finds the class of the vocabulary, under the two names it is pickled by, and nothing else.

    What it finds is made anew for every pickle, so that none can change what the next one meets.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, encoding="utf-8")
        self.stand_in: type = type("Vocabulary", (), {})

        def reconstruct(cls: object, base: object, state: object) -> object:
            """Does for our class what `copyreg._reconstructor` does in the older protocols."""
            if cls is not self.stand_in or base is not object or state is not None:
                raise _RefusedError("it makes an object that is no vocabulary")
            return self.stand_in()

        self._allowed: dict[tuple[str, str], object] = {
            ("vocab", "Vocabulary"): self.stand_in,
            ("__main__", "Vocabulary"): self.stand_in,
            ("copyreg", "_reconstructor"): reconstruct,
            ("copy_reg", "_reconstructor"): reconstruct,  # Python 2 calls it so, and builtins __builtin__
            ("builtins", "object"): object,
            ("__builtin__", "object"): object,
        }

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of an allowed name."""
        if (module, name) not in self._allowed:
            raise _RefusedError(f"it names {module}.{name}, which is no part of a vocabulary")
        return self._allowed[module, name]


def read_vocabulary(path: Path) -> Vocabulary:
    """The vocabulary of a published `vocab.pkl`, of Python 2 or 3; its words keep their ids.

    Raises:
        InputError: The file is missing, damaged, tries to run code, or is no vocabulary of VSE++.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"the vocabulary {path} can't be read: {error.strerror}") from error
    try:
        with file:
            unpickler = _VocabularyUnpickler(file)
            found = unpickler.load()
    except _RefusedError as error:
        raise InputError(
            f"the vocabulary {path} is refused: {error}, and might run code; get the file from its authors"
        ) from error
    except _DAMAGE as error:
        raise InputError(f"the vocabulary {path} is damaged ({error!r:.100}): fetch it again") from error
    ids = vars(found).get("word2idx") if type(found) is unpickler.stand_in else None
    if not isinstance(ids, dict) or not all(type(word) is str and type(i) is int for word, i in ids.items()):
        raise InputError(f"{path} is no vocabulary of VSE++: `word2idx`, words with their ids, is missing")
    words = sorted(ids, key=lambda word: ids[word])
    if [ids[word] for word in words] != list(range(len(words))) or tuple(words[:4]) != SPECIAL_WORDS:
        raise InputError(
            f"{path} is no vocabulary of VSE++: its ids should run from 0 without a gap, "
            f"{', '.join(SPECIAL_WORDS)} first, and it starts with {words[:4]}"
        )
    return Vocabulary(words[4:])
