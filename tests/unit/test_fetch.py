"""Fetching by URL, against real servers on this machine and every trick to get past the checks."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from crossmodal.core.errors import PictureError
from crossmodal.images.fetch import FetchRules, fetch_picture, is_public, resolve

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4
HOST = "pictures.test"
NOT_PUBLIC = "is not a public address"

Page = Callable[[socket.socket], None]


def fetch(url: str, rules: FetchRules) -> bytes:
    return asyncio.run(fetch_picture(url, rules))


@dataclass
class Site:
    """A server that answers each path as it is told to, down to the bytes, and keeps what it was asked."""

    port: int = 0
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def url(self, path: str, host: str = HOST, scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def says(self, path: str, *parts: bytes, status: str = "200 OK", **headers: str) -> str:
        """Lets a path answer with these bytes; `content_type="..."` becomes the header Content-Type."""
        lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
        head = "\r\n".join(lines).encode() + b"\r\n\r\n"
        self.pages[path] = lambda connection: connection.sendall(head + b"".join(parts))
        return self.url(path)

    def shows(self, path: str = "/a.png", **headers: str) -> str:
        """Lets a path answer with the picture, as it should be."""
        told = {"content_type": "image/png", "content_length": str(len(PICTURE)), **headers}
        return self.says(path, PICTURE, **told)

    def sends_on(self, path: str, location: str, status: str = "302 Found") -> str:
        return self.says(path, status=status, location=location, content_length="0")


def serve(site: Site, tls: ssl.SSLContext | None = None) -> socketserver.ThreadingTCPServer:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with self.request as connection:
                try:
                    secured = tls.wrap_socket(connection, server_side=True) if tls else connection
                    self._answer(secured)
                    secured.close()
                except OSError:  # the other side has had enough
                    pass

        def _answer(self, connection: socket.socket) -> None:
            head = b""
            while b"\r\n\r\n" not in head:
                received = connection.recv(4096)
                if not received:
                    return
                head += received
            first, *lines = head.decode().split("\r\n\r\n")[0].split("\r\n")
            path = first.split()[1]
            site.asked.append((path, {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}))
            site.pages[path](connection)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, site.port = True, server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    server = serve(site)
    yield site
    server.shutdown()
    server.server_close()


class Names:
    """A resolver that answers from a table and counts; the last answer for a name is given again."""

    def __init__(self, **table: list[list[str]]) -> None:
        self.answers = {name.replace("_", "."): iter(answers) for name, answers in table.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        if host not in self.answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return next(self.answers[host])


def always(*addresses: str) -> Iterator[list[str]]:
    return itertools.repeat(list(addresses))


@pytest.fixture
def rules(site: Site) -> FetchRules:
    """Rules under which 127.0.0.1 stands for the public internet, and pictures.test lies there."""
    return FetchRules(
        timeout_s=5,
        ports=frozenset({site.port}),
        is_allowed=lambda address: str(address) == "127.0.0.1",
        resolve=Names(pictures_test=always("127.0.0.1"), inner_test=always("127.0.0.2")),
    )


def refusal(url: str, rules: FetchRules) -> str:
    with pytest.raises(PictureError) as refused:
        fetch(url, rules)
    return str(refused.value)


def test_a_picture(site: Site, rules: FetchRules) -> None:
    assert fetch(site.shows(), rules) == PICTURE
    [(path, headers)] = site.asked
    assert path == "/a.png"
    assert headers["host"] == f"{HOST}:{site.port}"
    assert headers["accept-encoding"] == "identity"
    assert not {"cookie", "authorization", "referer"} & set(headers)


def test_query_goes_along_and_fragment_stays(site: Site, rules: FetchRules) -> None:
    assert fetch(site.shows("/a.png?size=2&q=%20") + "#part", rules) == PICTURE


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "ftp://pictures.test/a.png", "gopher://pictures.test/", "data:image/png;base64,AA==",
        "//pictures.test/a.png", "/etc/passwd", "pictures.test/a.png", "", "http://", "http:///a.png", "http://:80/",
        "jar:http://pictures.test/", "HTTP+UNIX://%2Ftmp%2Fs/a.png",
    ],
)  # fmt: skip
def test_other_schemes_and_no_host(url: str, rules: FetchRules) -> None:
    refusal(url, rules)
    assert rules.resolve.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "http://user@pictures.test/", "http://user:word@pictures.test/", "http://127.0.0.1:80@pictures.test/",
        "http://pictures.test\\@127.0.0.1/", "http://pictures.test /a", "http://pictures.test/\r\nX: y",
        "http://pictures.test/a\tb", "\x00http://pictures.test/", " http://pictures.test/", "http://a" + "a" * 9000,
        "http://[::1", "http://[pictures.test]/", "http://pictures.test:99999/", "http://pictures.test:-1/",
        "http://pictures.test:8o/", "http://[v1.a]/",
    ],
)  # fmt: skip
def test_credentials_and_malformed(url: str, rules: FetchRules) -> None:
    refusal(url, rules)
    assert rules.resolve.asked == []


@pytest.mark.parametrize(
    "host",
    [
        "2130706433", "0x7f000001", "0x7f.0.0.1", "0x7f.1", "0177.0.0.1", "017700000001", "127.1", "127.0.1", "0",
        "127.0.0.1.", "localhost.", "pictures.test.", "127.0.0.01", "1.2.3.4.5", "256.256.256.256", "127.0.0.0x1",
        "pictures.0x", "pictures.1", "%31%32%37.0.0.1", "127.0.0.%31", "%6c%6f%63%61lhost", "a..b", ".a", "-a.test",
        "a_.-", "１２７.0.0.1", "①②⑦.0.0.1", "ｌocalhost", "127｡0｡0｡1.", "localhost%00.test", "a" * 64 + ".test",
        ".".join(["a" * 60] * 5), "pictures.test%2f@127.0.0.1", "[::1%25lo]", "[fe80::1%25eth0]",
    ],
)  # fmt: skip
def test_odd_spellings_of_a_host(host: str, site: Site, rules: FetchRules) -> None:
    refusal(site.url("/a.png", host), rules)
    assert rules.resolve.asked == []
    assert site.asked == []


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "0.1.2.3", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254",
        "168.63.129.16", "169.254.1.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.192",
        "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1",
        "239.255.255.250", "240.0.0.1", "255.255.255.255",
        "::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "fd20:ce::254", "ff02::1",
        "ff0e::1", "100::1", "2001:db8::1", "3fff::1", "2001::1", "2001:20::1", "5f00::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "::8.8.8.8",
        "2002:7f00:1::1", "2002:a9fe:a9fe::", "2002:808:808::1", "2001:0:7f00:1::80ff:fffe",
        "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::a00:1", "64:ff9b:1::808:808",
        "2606:4700:4700::1111%eth0",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "192.169.0.0", "223.1.1.1",
     "169.253.1.1", "2606:4700:4700::1111", "2a00:1450:4001::1", "64:ff9b::808:808"],
)  # fmt: skip
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:7f00:1]", "[::ffff:127.0.0.1]", "127。0。0。1"])
def test_an_address_in_the_url_is_checked_like_any(host: str, site: Site, rules: FetchRules) -> None:
    site.shows()
    assert refusal(site.url("/a.png", host), replace(rules, is_allowed=is_public)).endswith(NOT_PUBLIC)
    assert site.asked == []


def test_localhost_by_the_system_s_resolver(site: Site) -> None:
    url = site.shows().replace(HOST, "LocalHost")
    assert refusal(url, FetchRules(ports=frozenset({site.port}))) == f"localhost {NOT_PUBLIC}"
    assert set(asyncio.run(resolve("localhost", 80))) <= {"127.0.0.1", "::1"}
    assert site.asked == []


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.2"], ["127.0.0.1", "10.0.0.1"], ["10.0.0.1", "127.0.0.1"], ["127.0.0.1", "::1"], [], ["nonsense"]],
)
def test_every_address_of_a_name_is_checked(addresses: list[str], site: Site, rules: FetchRules) -> None:
    names = Names(pictures_test=always(*addresses))
    assert refusal(site.shows(), replace(rules, resolve=names)) == f"{HOST} {NOT_PUBLIC}"
    assert site.asked == []


def test_the_refusal_does_not_tell_what_is_inside(site: Site, rules: FetchRules) -> None:
    """Somebody listens, nobody listens, nobody answers, no such name: one and the same message."""
    site.shows()
    with socket.socket() as deaf, socket.socket() as closed:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(1)
        closed.bind(("127.0.0.1", 0))
        ports = [site.port, deaf.getsockname()[1], closed.getsockname()[1]]
        strict = replace(rules, ports=frozenset(ports), is_allowed=is_public)
        told = {refusal(f"http://{HOST}:{port}/a.png", strict) for port in ports}
    strict = replace(strict, resolve=Names())
    told.add(refusal(f"http://{HOST}:{site.port}/a.png", strict))
    assert told == {f"{HOST} {NOT_PUBLIC}"}
    assert site.asked == []


def test_a_name_that_changes_its_address_is_asked_for_it_once(site: Site, rules: FetchRules) -> None:
    names = Names(pictures_test=[["127.0.0.1"], ["127.0.0.2"]])
    assert fetch(site.shows(), replace(rules, resolve=names)) == PICTURE
    assert names.asked == [HOST]


def test_a_name_that_changes_its_address_between_redirects(site: Site, rules: FetchRules) -> None:
    site.shows()
    names = Names(pictures_test=[["127.0.0.1"], ["169.254.169.254"]])
    assert refusal(site.sends_on("/on", "/a.png"), replace(rules, resolve=names)).endswith(NOT_PUBLIC)
    assert [path for path, _ in site.asked] == ["/on"]


def test_the_next_address_is_tried(site: Site, rules: FetchRules) -> None:
    names = Names(pictures_test=always("127.0.0.3", "127.0.0.1"))  # nobody listens on the first
    loose = replace(rules, resolve=names, is_allowed=lambda address: address.is_loopback)
    assert fetch(site.shows(), loose) == PICTURE


def test_nobody_listens(rules: FetchRules) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        told = refusal(f"http://{HOST}:{port}/", replace(rules, ports=frozenset({port})))
    assert told == f"no connection to {HOST}"


@pytest.mark.parametrize("port", [22, 0, 6379, 8080, 65535])
def test_other_ports(port: int) -> None:
    assert f"port {port} is not allowed, only 80, 443" in refusal(f"http://{HOST}:{port}/", FetchRules())


def test_redirects_are_followed_and_checked_one_by_one(site: Site, rules: FetchRules) -> None:
    site.shows()
    site.sends_on("/3", "/a.png", status="308 Permanent Redirect")
    site.sends_on("/2", f"//{HOST}:{site.port}/3", status="303 See Other")
    assert fetch(site.sends_on("/1", site.url("/2"), status="301 Moved Permanently"), rules) == PICTURE
    assert rules.resolve.asked == [HOST] * 4
    assert "more than 3 redirects" in refusal(site.sends_on("/0", "/1"), rules)
    assert "more than 0 redirects" in refusal(site.url("/1"), replace(rules, max_redirects=0))


@pytest.mark.parametrize(
    "location",
    ["http://inner.test:{port}/a.png", "http://127.0.0.2:{port}/a.png", "//127.0.0.2:{port}/", "file:///etc/passwd",
     "http://2130706434:{port}/", "http://127.2:{port}/", "http://user@pictures.test:{port}/a.png",
     "http://pictures.test:22/", "http://unknown.test:{port}/", "http://[::1]:{port}/", "http://[", "",
     "ftp://pictures.test/", "http://pictures.test:{port}@inner.test/"],
)  # fmt: skip
def test_where_a_redirect_may_not_lead(location: str, site: Site, rules: FetchRules) -> None:
    site.shows()
    told = refusal(site.sends_on("/on", location.format(port=site.port)), rules)
    assert {path for path, _ in site.asked} == {"/on"}
    assert "inner.test" not in told or told == f"inner.test {NOT_PUBLIC}" or "user name" in told


def test_cookies_are_not_kept(site: Site, rules: FetchRules) -> None:
    site.shows()
    url = site.says("/on", status="302 Found", location="/a.png", set_cookie="a=b; Path=/", content_length="0")
    assert fetch(url, rules) == PICTURE
    assert "cookie" not in site.asked[-1][1]


def test_proxies_of_the_environment_are_not_used(
    site: Site, rules: FetchRules, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert fetch(site.shows(), rules) == PICTURE


@pytest.mark.parametrize("status", ["404 Not Found", "401 Unauthorized", "500 Oops", "204 No Content", "304 No"])
def test_other_statuses(status: str, site: Site, rules: FetchRules) -> None:
    assert f"status {status[:3]}" in refusal(site.says("/", status=status, content_length="0"), rules)


@pytest.mark.parametrize(
    "content_type",
    ["text/html", "application/octet-stream", "image/svg+xml", "IMAGE/SVG+XML; charset=utf-8", "", "images/png", "x"],
)
def test_other_contents(content_type: str, site: Site, rules: FetchRules) -> None:
    assert "content of type" in refusal(site.shows(content_type=content_type), rules)


def test_a_content_without_a_type(site: Site, rules: FetchRules) -> None:
    assert "no type" in refusal(site.says("/", PICTURE, content_length=str(len(PICTURE))), rules)
    assert fetch(site.shows(content_type="Image/JPEG; q=1"), rules) == PICTURE


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip", "deflate", "x"])
def test_compressed_bodies(encoding: str, site: Site, rules: FetchRules) -> None:
    assert "encoding" in refusal(site.shows(content_encoding=encoding), rules)
    assert fetch(site.shows(content_encoding="Identity"), rules) == PICTURE


def test_a_declared_length_over_the_limit(site: Site, rules: FetchRules) -> None:
    tight = replace(rules, max_bytes=len(PICTURE))
    assert fetch(site.shows(), tight) == PICTURE
    tight = replace(rules, max_bytes=len(PICTURE) - 1)
    assert refusal(site.shows(), tight) == f"{len(PICTURE):,} bytes; the limit is {len(PICTURE) - 1:,}"


def endless(connection: socket.socket, head: bytes, chunk: bytes, sent: list[int]) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\n" + head + b"\r\n")
    for _ in range(2_000):  # 128 MB and more, unless somebody hangs up
        connection.sendall(chunk)
        sent[0] += len(chunk)


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "until the connection closes"])
def test_a_body_without_an_end(chunked: bool, site: Site, rules: FetchRules) -> None:
    sent, part = [0], b"x" * 65_536
    head, chunk = (b"transfer-encoding: chunked\r\n", b"10000\r\n" + part + b"\r\n") if chunked else (b"", part)
    site.pages["/"] = lambda connection: endless(connection, head, chunk, sent)
    assert "limit of 100,000" in refusal(site.url("/"), replace(rules, max_bytes=100_000))
    assert sent[0] < 64_000_000


def test_lengths_that_lie(site: Site, rules: FetchRules) -> None:
    assert fetch(site.shows(content_length="5"), rules) == PICTURE[:5]
    assert "closed the connection early" in refusal(site.shows(content_length=str(len(PICTURE) + 1)), rules)
    for length in ("-5", "5, 6", "five", "9" * 5_000):
        refusal(site.shows(content_length=length), rules)
    both = site.shows(transfer_encoding="chunked")
    assert "closed the connection early" in refusal(both, rules)
    assert "closed the connection early" in refusal(site.shows(transfer_encoding="gzip, chunked"), rules)


def test_an_empty_body(site: Site, rules: FetchRules) -> None:
    assert "empty" in refusal(site.says("/", content_type="image/png", content_length="0"), rules)


@pytest.mark.parametrize(
    "answer",
    [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"+OK ready\r\n", b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 300_000, b"\0" * 99],
)
def test_what_is_not_http(answer: bytes, site: Site, rules: FetchRules) -> None:
    site.pages["/"] = lambda connection: connection.sendall(answer)
    assert "closed the connection early or sent invalid HTTP" in refusal(site.url("/"), rules)


def drip(connection: socket.socket, head: bytes, drops: bytes) -> None:
    connection.sendall(head)
    for drop in itertools.cycle(drops):
        connection.sendall(bytes([drop]))
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("head", "drops"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["body", "headers", "interim answers"],
)
def test_a_slow_drip_ends(head: bytes, drops: bytes, site: Site, rules: FetchRules) -> None:
    site.pages["/"] = lambda connection: drip(connection, head, drops)
    start = time.monotonic()
    assert "did not arrive within 0.4 s" in refusal(site.url("/"), replace(rules, timeout_s=0.4))
    assert time.monotonic() - start < 30


def test_the_time_limit_is_for_all_redirects_together(site: Site, rules: FetchRules) -> None:
    def slowly(connection: socket.socket) -> None:
        time.sleep(0.25)
        connection.sendall(b"HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n")

    site.pages["/"] = slowly
    assert "did not arrive" in refusal(site.url("/"), replace(rules, timeout_s=0.6, max_redirects=9))


def test_a_resolver_that_hangs(site: Site, rules: FetchRules) -> None:
    async def hang(host: str, port: int) -> list[str]:
        await asyncio.sleep(30)
        return []

    assert "did not arrive" in refusal(site.shows(), replace(rules, resolve=hang, timeout_s=0.2))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for pictures.test with its key, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate, and it is not installed")
    file = tmp_path_factory.mktemp("tls") / "pictures.test.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    subject = ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"]
    subprocess.run([*command, *subject, "-keyout", file, "-out", f"{file}.crt"], check=True, capture_output=True)
    file.write_text(file.read_text() + Path(f"{file}.crt").read_text())
    return file


@pytest.fixture
def secure_site(certificate: Path) -> Iterator[Site]:
    site, context = Site(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda connection, name, _: site.names.append(name)
    server = serve(site, context)
    yield site
    server.shutdown()
    server.server_close()


def test_https_is_verified_against_the_name(secure_site: Site, certificate: Path, rules: FetchRules) -> None:
    secure_site.shows()
    trusting = replace(
        rules,
        ports=frozenset({secure_site.port}),
        tls=ssl.create_default_context(cafile=certificate),
        resolve=Names(pictures_test=always("127.0.0.1"), other_test=always("127.0.0.1")),
    )
    assert fetch(secure_site.url("/a.png", scheme="https"), trusting) == PICTURE
    assert secure_site.names == [HOST]
    assert secure_site.asked[0][1]["host"] == f"{HOST}:{secure_site.port}"
    for host in ("other.test", "127.0.0.1"):  # the certificate is of neither
        assert "no connection to" in refusal(secure_site.url("/a.png", host, "https"), trusting)
    unknown_authority = replace(trusting, tls=None)
    assert "no connection to" in refusal(secure_site.url("/a.png", scheme="https"), unknown_authority)
    assert len(secure_site.asked) == 1


def test_ports_of_the_scheme_need_no_number(rules: FetchRules) -> None:
    """80 and 443 are what the default rules allow; that nothing is asked here is the resolver's doing."""
    for url in ("http://inner.test/", "https://inner.test/", "http://inner.test:80/", "https://inner.test:443/"):
        assert refusal(url, replace(FetchRules(), resolve=rules.resolve)) == f"inner.test {NOT_PUBLIC}"
