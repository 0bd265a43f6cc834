"""Weights by name: from the cache where they are, else from the model hub, with an answer in seconds."""

from __future__ import annotations

import os
import socket
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from crossmodal.core.errors import StateError

CONNECT_TIMEOUT_S = 5.0
FILE_NAMES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


def weights_file(name: str, config: dict[str, Any]) -> Path:
    """The file of pretrained weights, from the cache or freshly downloaded.

    Args:
        name: What it is called, for messages.
        config: open_clip's entry for it: `hf_hub` ("org/repo/file", file optional) or `url`.

    Raises:
        StateError: It is not in the cache and its source can't be reached; said within seconds, since
            one connection is tried before the hub's client starts on its retries.
    """
    hub = str(config.get("hf_hub", ""))
    cached = cached_file(hub)
    if cached is not None:
        return cached
    host = urlparse(os.environ.get("HF_ENDPOINT", "https://huggingface.co")) if hub else urlparse(str(config["url"]))
    proxy = urllib.request.getproxies().get(host.scheme)
    host = urlparse(proxy) if proxy else host
    _check_reachable(name, host.hostname or "", host.port or (80 if host.scheme == "http" else 443))
    import httpx
    from open_clip.pretrained import download_pretrained

    try:
        return Path(download_pretrained(config))
    except (OSError, RuntimeError, httpx.HTTPError) as error:
        raise StateError(f"downloading {name} failed ({error}): try again, or {_ADVICE}") from error


_ADVICE = (
    "bring the file here by other means and name it: `--weights ARCHITECTURE/FILE`, "
    "or use the bundled weights with `--weights scenes`"
)


def cached_file(hub: str) -> Path | None:
    """The cached file of a hub entry, or None."""
    if not hub:
        return None
    from huggingface_hub import try_to_load_from_cache

    repository, _, file_name = hub.rpartition("/")
    for candidate in (file_name,) if file_name else FILE_NAMES:
        found = try_to_load_from_cache(repository, candidate)
        if isinstance(found, str):
            return Path(found)
    return None


def _check_reachable(name: str, host: str, port: int) -> None:
    if os.environ.get("HF_HUB_OFFLINE") == "1":
        raise StateError(f"{name} is not on this machine and HF_HUB_OFFLINE is set: {_ADVICE}")
    try:
        socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise StateError(f"{name} is not on this machine and {host} can't be reached ({error}): {_ADVICE}") from error
