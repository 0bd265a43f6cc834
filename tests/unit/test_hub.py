"""Weights by name: the cache, and hubs that can't be reached. Nothing here opens a connection."""

import socket
from pathlib import Path

import httpx
import huggingface_hub.constants
import pytest

from crossmodal.core.errors import StateError
from crossmodal.encoders import hub
from crossmodal.encoders.torchvision_guard import prepare_torchvision

CONFIG = {"hf_hub": "some/repository/"}
Address = tuple[str, int]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, the hub's own address, and no way out."""

    def refuse(address: Address, timeout: float | None = None, *_: object) -> socket.socket:
        raise OSError(f"no way to {address[0]}:{address[1]}")

    for name in ("HF_HUB_OFFLINE", "HF_ENDPOINT", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Open:
    """A connection that can be closed."""

    def close(self) -> None:
        pass


def test_a_hub_that_cannot_be_reached() -> None:
    with pytest.raises(StateError) as caught:
        hub.weights_file("ViT-B-32/x", CONFIG)
    for part in ("ViT-B-32/x", "huggingface.co", "--weights scenes", "--weights ARCHITECTURE/FILE"):
        assert part in str(caught.value)


def test_offline_does_not_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("tried to connect"))
    with pytest.raises(StateError, match="HF_HUB_OFFLINE is set"):
        hub.weights_file("ViT-B-32/x", CONFIG)


def test_a_url_is_tried_at_its_host() -> None:
    with pytest.raises(StateError, match=r"example\.org:8443"):
        hub.weights_file("RN50/x", {"url": "https://example.org:8443/x.pt"})


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [("https://mirror.example", "mirror.example:443"), ("http://mirror.example", "mirror.example:80"),
     ("http://mirror.example:8080", "mirror.example:8080")],
)  # fmt: skip
def test_another_endpoint_is_asked(monkeypatch: pytest.MonkeyPatch, endpoint: str, address: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(StateError, match=f"no way to {address}"):
        hub.weights_file("ViT-B-32/x", CONFIG)


def test_behind_a_proxy_it_is_the_proxy_that_must_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    with pytest.raises(StateError, match=r"proxy\.example:3128"):
        hub.weights_file("ViT-B-32/x", CONFIG)


@pytest.mark.parametrize("error", [OSError("disk full"), RuntimeError("bad checksum"), httpx.ReadTimeout("too slow")])
def test_a_download_that_fails(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    prepare_torchvision()
    import open_clip.pretrained

    def fail(_: object) -> str:
        raise error

    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: Open())
    monkeypatch.setattr(open_clip.pretrained, "download_pretrained", fail)
    with pytest.raises(StateError, match=f"downloading ViT-B-32/x failed.*{error}"):
        hub.weights_file("ViT-B-32/x", CONFIG)


def in_cache(cache: Path, name: str) -> Path:
    folder = cache / "models--some--repository"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("c0ffee")
    (folder / "snapshots" / "c0ffee").mkdir(parents=True)
    (folder / "snapshots" / "c0ffee" / name).write_bytes(b"weights")
    return folder / "snapshots" / "c0ffee" / name


@pytest.mark.parametrize("name", hub.FILE_NAMES)
def test_a_cached_file_needs_no_hub(cache: Path, name: str) -> None:
    path = in_cache(cache, name)
    assert hub.weights_file("ViT-B-32/x", CONFIG) == path


def test_a_cached_file_of_its_own_name(cache: Path) -> None:
    path = in_cache(cache, "mine.bin")
    assert hub.cached_file("some/repository/mine.bin") == path
    assert hub.cached_file("some/repository/other.bin") is None
    assert hub.cached_file("some/repository/") is None
    assert hub.cached_file("") is None
