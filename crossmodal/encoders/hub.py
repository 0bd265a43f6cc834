"""Files of named models, from the cache or from the model hub; an unreachable hub fails within seconds."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from crossmodal.core.errors import StateError
from crossmodal.encoders.torchvision_guard import prepare_torchvision

CONNECT_TIMEOUT_S = 5.0
PROBE_LIMIT_S = 10.0
"""Limit for name lookup, connection and response of the hub together."""

FILE_NAMES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
TOKENIZER_MARK = "tokenizer_config.json"
"""A file that every tokenizer on the hub has; if it is cached, the other files are beside it."""

TOKENIZER_FILES = ["tokenizer*", "special_tokens_map.json", "vocab*", "merges.txt", "*.model", "config.json"]

_ADVICE = (
    "bring the file here by other means and name it: `--weights ARCHITECTURE/FILE`, "
    "or use the bundled weights with `-m clip --weights scenes`"
)


def weights_file(name: str, config: dict[str, Any]) -> Path:
    """The file of pretrained weights, from the cache or downloaded.

    Args:
        name: Name of the weights, for messages.
        config: open_clip's entry: `hf_hub` ("org/repo/file", file optional) or `url`.

    Raises:
        StateError: It is not in the cache, and its source can't be reached. A single request decides this within
            seconds, before the hub's client would start its retries.
    """
    hub = str(config.get("hf_hub", ""))
    cached = cached_file(hub)
    if cached is not None:
        return cached
    _check_reachable(name, "" if hub else str(config["url"]))
    import httpx

    prepare_torchvision()
    from open_clip.pretrained import download_pretrained

    try:
        return Path(download_pretrained(config))
    except (OSError, RuntimeError, httpx.HTTPError) as error:
        raise StateError(f"downloading {name} failed ({error}): try again, or {_ADVICE}") from error


def repository_file(name: str, repository: str, file_names: Iterable[str]) -> Path:
    """The first of `file_names` that a repository on the hub has, from the cache or downloaded.

    Raises:
        StateError: As `weights_file`, or the repository has none of them.
    """
    file_names = tuple(file_names)
    cached = cached_file(f"{repository}/", file_names)
    if cached is not None:
        return cached
    _check_reachable(name)
    import httpx
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    for file_name in file_names:
        try:
            return Path(hf_hub_download(repository, file_name))
        except EntryNotFoundError:
            continue
        except (OSError, RuntimeError, httpx.HTTPError) as error:
            raise StateError(f"downloading {name} failed ({error}): try again, or {_ADVICE}") from error
    raise StateError(f"{name}: {repository} has none of {', '.join(file_names)}: {_ADVICE}")


def tokenizer_folder(name: str, repository: str) -> Path:
    """The folder with a tokenizer's files, from the cache or downloaded.

    Args:
        name: Name of the weights that need it, for messages.
        repository: "org/repo" on the hub.

    Raises:
        StateError: As `weights_file`.
    """
    description = f"{repository}, the tokenizer of {name},"
    cached = cached_file(f"{repository}/{TOKENIZER_MARK}")
    if cached is not None:
        return cached.parent
    _check_reachable(description)
    import httpx
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repository, allow_patterns=TOKENIZER_FILES))
    except (OSError, RuntimeError, httpx.HTTPError) as error:
        raise StateError(f"downloading {description} failed ({error}): try again, or {_ADVICE}") from error


def cached_file(hub: str, file_names: Iterable[str] = FILE_NAMES) -> Path | None:
    """The cached file of a hub entry ("org/repo/file", or "org/repo/" for any of `file_names`), or None.

    For a .bin or .pth file, the .safetensors file of the same name has priority, as in open_clip's downloads.
    """
    if not hub:
        return None
    repository, _, file_name = hub.rpartition("/")
    if file_name:
        safe = file_name[:-4] + ".safetensors"
        file_names = (safe, file_name) if file_name.endswith((".bin", ".pth")) else (file_name,)
    for candidate in file_names:
        path = _in_cache(repository, candidate)
        if path.is_file():
            return path
    return None


def _in_cache(repository: str, file_name: str) -> Path:
    """Where a file of a repository's branch "main" is if it has been downloaded.

    `huggingface_hub.try_to_load_from_cache` returns the same, but its import takes as long as encoding a query.
    """
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE, f"models--{repository.replace('/', '--')}")
    try:
        commit = (folder / "refs" / "main").read_text("utf8")
    except FileNotFoundError:
        commit = "main"
    return folder / "snapshots" / commit / file_name


def _check_reachable(name: str, url: str = "") -> None:
    """Raises at once if the source can't be reached, instead of after minutes of retries; empty `url` means the hub.

    Raises:
        StateError: The source can't be reached, or offline mode is set.
    """
    if os.environ.get("HF_HUB_OFFLINE") == "1":
        raise StateError(f"{name} is not on this machine and HF_HUB_OFFLINE is set: {_ADVICE}")
    url = url or os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    error = _probe(url)
    if error is not None:
        host = urlparse(url).hostname
        raise StateError(f"{name} is not on this machine and {host} can't be reached ({error}): {_ADVICE}") from error


def _probe(url: str) -> Exception | None:
    """The error of a request to `url`, or None if there was any response.

    Uses the same proxy and certificates as the hub's client. Runs in a thread, because name lookup has no timeout.
    """
    import httpx

    errors: list[Exception] = []

    def request() -> None:
        try:
            httpx.head(url, timeout=CONNECT_TIMEOUT_S)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            errors.append(error)

    thread = threading.Thread(target=request, daemon=True)
    thread.start()
    thread.join(PROBE_LIMIT_S)
    if thread.is_alive():
        return TimeoutError(f"no answer within {PROBE_LIMIT_S:.0f} s")
    return errors[0] if errors else None
