"""The tokenizer of each CLIP family.

Most families use OpenAI's byte-pair vocabulary, which is part of open_clip. SigLIP, SigLIP 2, CLIPA, MetaCLIP 2 and the
multilingual families have vocabularies on the model hub, read with the package `transformers`. open_clip's
configuration defines their text cleaning and context length.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from crossmodal.core.errors import StateError
from crossmodal.encoders.clip_names import architecture_config
from crossmodal.encoders.hub import TOKENIZER_MARK, tokenizer_folder


def hub_tokenizer(architecture: str) -> str:
    """The hub repository of an architecture's tokenizer; empty if it is part of open_clip."""
    return str(architecture_config(architecture)["text_cfg"].get("hf_tokenizer_name") or "")


def check_tokenizer(architecture: str) -> None:
    """Ensures that texts can be tokenized; downloads the tokenizer if missing.

    Raises:
        StateError: `transformers` is not installed, or the tokenizer can't be downloaded.
    """
    repository = hub_tokenizer(architecture)
    if repository:
        _need_transformers(architecture)
        tokenizer_folder(architecture, repository)


def tokenizer_for(architecture: str) -> Any:
    """open_clip's tokenizer of an architecture: texts to ids (n, context length) int64.

    It is read from the folder in the cache, so that `transformers` does not query the hub.

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
    """The tokenizer of a folder of weights: from its files, or the one that its configuration names.

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
    """Options for open_clip that build a text tower of `transformers` without querying the hub.

    Raises:
        StateError: As `check_tokenizer`; the tower's configuration is cached beside its tokenizer.
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
            f"the tokenizer of {name} needs the package transformers, which is not installed: "
            "run `pip install transformers -c requirements.txt`"
        )
