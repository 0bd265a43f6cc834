"""Data URIs and files."""

import base64
import os
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from crossmodal.core.errors import PictureError, TooLargeError
from crossmodal.images import sources
from crossmodal.images.sources import from_data_uri, from_file, is_data_uri

CONTENT = bytes(range(256))
BASE64 = base64.b64encode(CONTENT).decode()


@pytest.mark.parametrize(
    "uri",
    [
        f"data:image/png;base64,{BASE64}",
        f"data:image/svg+xml;charset=utf-8;base64,{BASE64}",
        f"data:IMAGE/PNG;base64,{BASE64}",
        f"data:application/octet-stream;base64,{BASE64}",
        f"data:image/png;base64,{BASE64[:100]}\r\n {BASE64[100:]}",
        f"data:image/png,{quote(CONTENT)}",
    ],
    ids=["plain", "parameters", "upper-case type", "octets", "line breaks", "percent"],
)
def test_good_data_uris(uri: str) -> None:
    assert is_data_uri(uri)
    assert from_data_uri(uri) == CONTENT


def test_scheme_and_marker_are_read_in_any_case() -> None:
    uri = f"DATA:image/png;BASE64,{BASE64}"
    assert is_data_uri(uri)
    assert from_data_uri(uri) == CONTENT


def test_an_empty_payload_is_no_bytes() -> None:
    assert from_data_uri("data:image/png;base64,") == b""


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("data:", "not a data URI"),
        ("data:image/png;base64", "not a data URI"),
        ("data:image/png;base64;" + "x" * 400, "not a data URI"),
        ("data:,hello", "type text/plain"),
        (f"data:text/html;base64,{BASE64}", "type text/html"),
        (f"data:application/pdf;base64,{BASE64}", "type application/pdf"),
        ("data:image/png;base64,A", "base64"),
        ("data:image/png;base64,AAA*", "base64"),
        ("data:image/png;base64,AAAAé===", "base64"),
    ],
)
def test_bad_data_uris_say_what_is_wrong(uri: str, reason: str) -> None:
    assert is_data_uri(uri)
    with pytest.raises(PictureError, match=reason):
        from_data_uri(uri)


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(PictureError):
        from_data_uri("data:image/png,\ud800")


@pytest.mark.parametrize("uri", ["/data/x.jpg", "dat:", "", "file:///data:"])
def test_what_is_no_data_uri(uri: str) -> None:
    assert not is_data_uri(uri)


def test_from_file_gives_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(CONTENT)
    (tmp_path / "link.jpg").symlink_to(tmp_path / "a.jpg")
    assert from_file(tmp_path / "a.jpg") == CONTENT
    assert from_file(tmp_path / "link.jpg") == CONTENT


@pytest.mark.parametrize("url", ["http://photos.test/a.jpg", "https://photos.test/a.jpg"])
def test_a_url_is_named_as_one(url: str) -> None:
    with pytest.raises(PictureError, match="it is a URL; download the picture and give its file"):
        from_file(Path(url))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="No such file"):
        from_file(tmp_path / "none.jpg")


def test_a_link_to_a_missing_file_is_told_from_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "link.jpg").symlink_to("none.jpg")
    with pytest.raises(PictureError, match="the file that it links to does not exist"):
        from_file(tmp_path / "link.jpg")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"directory|not a regular file"):
        from_file(tmp_path)


def test_a_looping_link(tmp_path: Path) -> None:
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    with pytest.raises(PictureError, match="can't be read"):
        from_file(tmp_path / "loop.jpg")


def test_a_dangling_link(tmp_path: Path) -> None:
    (tmp_path / "link.jpg").symlink_to(tmp_path / "none.jpg")
    with pytest.raises(PictureError, match="can't be read"):
        from_file(tmp_path / "link.jpg")


def test_an_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PictureError, match="can't be read: Permission denied"):
        from_file(tmp_path / "a.jpg")


def test_a_fifo_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    """In a process of its own, so that a reader that waits is killed and does not hang the tests."""
    os.mkfifo(tmp_path / "pipe.jpg")
    script = (
        "import sys; from pathlib import Path; from crossmodal.core.errors import PictureError\n"
        "from crossmodal.images.sources import from_file\n"
        "try: from_file(Path(sys.argv[1]))\n"
        "except PictureError as error: print(error)"
    )
    found = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "pipe.jpg")],
        capture_output=True, text=True, timeout=60, check=True, cwd=Path(sources.__file__).parents[2],
    )  # fmt: skip
    assert found.stdout.strip() == "not a regular file"


def test_a_socket_and_a_device_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("s.jpg")
        with pytest.raises(PictureError):
            from_file(Path("s.jpg"))
    with pytest.raises(PictureError, match="not a regular file"):
        from_file(Path("/dev/zero"))


@pytest.mark.parametrize("name", ["a\0b.jpg", "x" * 300 + ".jpg"], ids=["NUL", "too long"])
def test_a_name_no_file_can_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(PictureError):
        from_file(tmp_path / name)


def test_a_file_over_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jpg").write_bytes(CONTENT)
    monkeypatch.setattr(sources, "MAX_BYTES", 255)
    with pytest.raises(TooLargeError, match="256 bytes; the limit is 255"):
        from_file(tmp_path / "a.jpg")
    monkeypatch.setattr(sources, "MAX_BYTES", 256)
    assert from_file(tmp_path / "a.jpg") == CONTENT


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(CONTENT)
    os.mkfifo(tmp_path / "pipe.jpg")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        from_file(tmp_path / "a.jpg")
        for path in (tmp_path, tmp_path / "pipe.jpg"):
            with pytest.raises(PictureError):
                from_file(path)
    assert len(os.listdir("/proc/self/fd")) == before
