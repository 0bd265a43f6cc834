"""Weights by name: the cache, and hubs that can't be reached. Nothing here leaves the machine."""

import socket
import threading
from fnmatch import fnmatch
from pathlib import Path

import httpx
import huggingface_hub
import huggingface_hub.constants
import pytest
from huggingface_hub.errors import EntryNotFoundError

from crossmodal.core.errors import StateError
from crossmodal.encoders import hub
from crossmodal.encoders.torchvision_guard import prepare_torchvision

CONFIG = {"hf_hub": "some/repository/"}
Address = tuple[str, int]
CREATE_CONNECTION = socket.create_connection


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, the hub's own address, and no way out."""

    def refuse(address: Address, *_: object, **__: object) -> socket.socket:
        raise OSError(f"no way to {address[0]}:{address[1]}")

    for name in ("HF_HUB_OFFLINE", "HF_ENDPOINT", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


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

    monkeypatch.setattr(hub, "_probe", lambda _: None)
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


@pytest.mark.parametrize("state", ["whole", "without its branch", "without its file", "empty"])
def test_the_cache_is_looked_up_as_by_the_hubs_client(cache: Path, state: str) -> None:
    if state != "empty":
        path = in_cache(cache, "mine.bin")
        if state == "without its file":
            path.unlink()
        if state == "without its branch":
            (cache / "models--some--repository" / "refs" / "main").unlink()
    expected = huggingface_hub.try_to_load_from_cache("some/repository", "mine.bin", cache_dir=cache)
    assert hub.cached_file("some/repository/mine.bin") == (expected and Path(expected))
    assert (expected is not None) == (state == "whole")


def test_the_safetensors_of_a_named_file_are_taken_first(cache: Path) -> None:
    path = in_cache(cache, "pytorch_model.safetensors")
    assert hub.cached_file("some/repository/pytorch_model.bin") == path


def test_a_hub_whose_name_is_looked_up_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def look_up(*_: object, **__: object) -> socket.socket:
        over.wait(30)
        raise OSError("at last")

    monkeypatch.setattr(socket, "create_connection", look_up)
    monkeypatch.setattr(hub, "PROBE_LIMIT_S", 0.05)
    with pytest.raises(StateError, match=r"huggingface\.co can't be reached \(no answer within 0 s\)"):
        hub.weights_file("ViT-B-32/x", CONFIG)
    over.set()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_something_that_accepts_a_connection_but_is_no_web_server(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setattr(socket, "create_connection", CREATE_CONNECTION)
    with socket.create_server(("127.0.0.1", 0)) as server:
        hangs_up = threading.Thread(target=lambda: server.accept()[0].close(), daemon=True)
        hangs_up.start()
        monkeypatch.setenv("HF_ENDPOINT", f"{scheme}://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(StateError, match=r"127\.0\.0\.1 can't be reached"):
            hub.weights_file("ViT-B-32/x", CONFIG)
        hangs_up.join(5)
        assert not hangs_up.is_alive()


class FakeHub:
    """Stands in for the hub's client: has some files, and lacks others."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, *names: str) -> None:
        def download(_: str, name: str) -> str:
            if name not in names:
                raise EntryNotFoundError(f"no {name}")
            return str(folder / name)

        monkeypatch.setattr(hub, "_probe", lambda _: None)
        monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)


def test_the_first_file_a_repository_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    FakeHub(monkeypatch, tmp_path, "b", "c")
    assert hub.repository_file("x", "some/repository", ("a", "b", "c")) == tmp_path / "b"


def test_a_repository_without_any_of_the_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    FakeHub(monkeypatch, tmp_path)
    with pytest.raises(StateError, match="x: some/repository has none of a, b"):
        hub.repository_file("x", "some/repository", ("a", "b"))


def test_a_tokenizer_is_fetched_without_the_weights_beside_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: dict[str, list[str]] = {}

    def download(repository: str, allow_patterns: list[str]) -> str:
        asked[repository] = allow_patterns
        return str(tmp_path)

    monkeypatch.setattr(hub, "_probe", lambda _: None)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert hub.tokenizer_folder("ViT-B-16-SigLIP", "timm/ViT-B-16-SigLIP") == tmp_path
    patterns = asked["timm/ViT-B-16-SigLIP"]
    for name, wanted in {"tokenizer.json": True, "spiece.model": True, "open_clip_model.safetensors": False}.items():
        assert any(fnmatch(name, pattern) for pattern in patterns) == wanted
