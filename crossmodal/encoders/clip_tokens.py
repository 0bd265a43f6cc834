"""Texts to token ids, as each CLIP family wants them.

Most families use OpenAI's byte-pair vocabulary, which comes with open_clip. SigLIP, SigLIP 2, CLIPA, MetaCLIP 2
and the multilingual ones each have a vocabulary of their own on the model hub, read with the package
`transformers`; their cleaning of texts and their context length stand in open_clip's configuration.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from crossmodal.core.errors import StateError
from crossmodal.encoders.clip_names import architecture_config
from crossmodal.encoders.hub import TOKENIZER_MARK, tokenizer_folder


def hub_tokenizer(architecture: str) -> str:
    """The hub repository an architecture's tokenizer is in; empty where it comes with open_clip."""
    return str(architecture_config(architecture)["text_cfg"].get("hf_tokenizer_name") or "")


def check_tokenizer(architecture: str) -> None:
    """Makes sure that texts can be tokenized, downloading what is missing.

    Raises:
        StateError: `transformers` is not installed, or the tokenizer can't be fetched.
    """
    repository = hub_tokenizer(architecture)
    if repository:
        _need_transformers(architecture)
        tokenizer_folder(architecture, repository)


def tokenizer_for(architecture: str) -> Any:
    """open_clip's tokenizer of an architecture: texts to ids (n, context length) int64.

    It is read from the cache's folder, so that the hub is not asked again for what is here.

    Raises:
        StateError: As `check_tokenizer`.
    """
    import open_clip

    repository = hub_tokenizer(architecture)
    if not repository:
        return open_clip.get_tokenizer(architecture)
    check_tokenizer(architecture)
    return _read(tokenizer_folder(architecture, repository), architecture_config(architecture)["text_cfg"])


def tokenizer_in(folder: Path, text_config: dict[str, Any]) -> Any:
    """The tokenizer of a folder of weights: of the files in it, else the one its configuration names.

    Raises:
        StateError: As `check_tokenizer`.
    """
    from open_clip.tokenizer import DEFAULT_CONTEXT_LENGTH, SimpleTokenizer

    repository = text_config.get("hf_tokenizer_name")
    if not repository:
        length = text_config.get("context_length", DEFAULT_CONTEXT_LENGTH)
        return SimpleTokenizer(context_length=length, **text_config.get("tokenizer_kwargs", {}))
    _need_transformers(str(folder))
    here = (folder / TOKENIZER_MARK).exists()
    return _read(folder if here else tokenizer_folder(str(folder), repository), text_config)


def text_tower_options(architecture: str) -> dict[str, Any]:
    """What open_clip must be told to build a text tower of `transformers` without asking the hub.

    Raises:
        StateError: As `check_tokenizer`: the tower's configuration is beside its tokenizer.
    """
    text_config = architecture_config(architecture)["text_cfg"]
    if "hf_model_name" not in text_config:
        return {}
    check_tokenizer(architecture)
    folder = tokenizer_folder(architecture, text_config["hf_model_name"])
    return {"text_cfg": {**text_config, "hf_model_name": str(folder), "hf_model_pretrained": False}}


def _read(folder: Path, text_config: dict[str, Any]) -> Any:
    from open_clip.tokenizer import DEFAULT_CONTEXT_LENGTH, HFTokenizer

    return HFTokenizer(
        str(folder),
        context_length=text_config.get("context_length", DEFAULT_CONTEXT_LENGTH),
        tokenizer_mode=text_config.get("tokenizer_mode"),
        **text_config.get("tokenizer_kwargs", {}),
    )


def _need_transformers(name: str) -> None:
    if importlib.util.find_spec("transformers") is None:
        raise StateError(
            f"{name} has a vocabulary of its own, which is read with the package transformers, and that is not "
            "installed: run `pip install transformers -c requirements.txt`"
        )
