"""Starts the command line by forking a process that has already imported the command line's modules.

Importing torch, Jina and open_clip takes six CPU seconds on a slow core, and the suite starts the program a hundred
times. A program started here runs `app.py`, another script, or code as `__main__` with its own arguments, environment,
streams, process id and exit status. It differs from a new interpreter only in that its modules are already imported and
are not finalised at exit.

    fork server --fork--> keeper --fork--> the program
         ^                  | the program's pid, then its exit status
         +-- requests -- the tests
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
MAX_REQUEST = 100_000
"""Limit on the bytes of arguments and environment."""
IMPORTED = (
    "jina",
    "open_clip",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
    "uvloop",
    "serving.jina.gateway",
    "serving.jina.patches",
    "executors.image_encoder",
    "executors.image_loader",
    "executors.image_normalizer",
    "executors.kv_indexer",
    "executors.ranker",
    "executors.text_encoder",
    "executors.vector_indexer",
    "crossmodal.encoders.clip",
    "crossmodal.encoders.vse",
    "crossmodal.engines.openvino_cpu",
    "crossmodal.lexical.indexes",
    "cli.commands.index",
    "cli.commands.search",
    "cli.commands.serve",
    "cli.index",
    "cli.main",
    "cli.query",
    "cli.serve",
    "cli.shim",
)


class Program:
    """A program that the server started; implements the part of `subprocess.Popen` that the tests use."""

    def __init__(self, keeper: socket.socket) -> None:
        self._keeper = keeper
        self.pid = int(keeper.recv(100))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status; None while the program runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, after waiting for the program to end.

        Raises:
            subprocess.TimeoutExpired: The program still runs after `timeout` seconds.
        """
        if self.returncode is None:
            self._keeper.settimeout(timeout)
            try:
                self.returncode = int(self._keeper.recv(100))
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0) from None
            self._keeper.close()
        return self.returncode

    def terminate(self) -> None:
        """Sends SIGTERM if the program still runs."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Sends SIGKILL if the program still runs."""
        self._send(signal.SIGKILL)

    def _send(self, signal_: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal_)


class ForkServer:
    """The process that forks programs; it ends when this object is closed or its owner ends."""

    def __init__(self) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, __file__, str(theirs.fileno())]
            self._process = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()])

    def start(self, argv: Sequence[str], environ: Mapping[str, str], streams: Sequence[int]) -> Program:
        """Starts `python ARGV...` in the repository's root; `streams` are its stdin, stdout and stderr.

        ARGV is a script or `-c CODE`, and arguments.
        """
        request = json.dumps({"argv": [*argv], "environ": {**environ}}).encode()
        keeper, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            socket.send_fds(self._requests, [request], [*streams, theirs.fileno()])
        return Program(keeper)

    def close(self) -> None:
        """Ends the server, but not the programs that it started."""
        self._requests.close()
        self._process.wait(10)


def _import_all() -> None:
    """Imports all modules that a serving Flow needs, in the order in which the program imports them."""
    sys.path[0] = str(ROOT)
    from crossmodal.encoders.torchvision_guard import prepare_torchvision
    from serving.jina.supervisor import prepare_jina

    prepare_jina()
    prepare_torchvision()
    for name in IMPORTED:
        import_module(name)


def _serve(requests: socket.socket) -> None:
    """Forks a program for each request, until the tests close the socket."""
    before = set(os.environ)
    atexit.register(_leave)  # registered first, so that it runs last
    _import_all()
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the tests handle Ctrl-C
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # reap keepers automatically
    while True:
        message, fds, _, _ = socket.recv_fds(requests, MAX_REQUEST, 4)
        if not message:
            return
        if os.fork() == 0:
            requests.close()
            break
        for fd in fds:
            os.close(fd)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with socket.socket(fileno=fds.pop()) as tests:
        pid = os.fork()
        if pid:
            for fd in fds:
                os.close(fd)
            tests.send(str(pid).encode())
            _, status = os.waitpid(pid, 0)
            tests.send(str(os.waitstatus_to_exitcode(status)).encode())
            os._exit(0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for place, fd in enumerate(fds):
        os.dup2(fd, place)
        os.close(fd)
    _run(**json.loads(message), before=before)


_status = 1
"""Exit status of the program; 1 if it fails before it starts."""


def _run(argv: list[str], environ: dict[str, str], before: set[str]) -> None:
    global _status
    for name in before - set(environ):
        del os.environ[name]
    os.environ.update(environ)
    sys.orig_argv = [sys.executable, *argv]
    try:
        if argv[0] == "-c":
            sys.argv = ["-c", *argv[2:]]
            main = sys.modules["__main__"] = ModuleType("__main__")
            exec(compile(argv[1], "<string>", "exec"), vars(main))
        else:
            sys.argv = argv
            sys.path.insert(0, str(Path(argv[0]).parent))
            runpy.run_path(argv[0], run_name="__main__")
        _status = 0
    except SystemExit as ended:
        _status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        raise


def _leave() -> None:
    """Skips Python's finalisation, which takes most of a second for torch and the other modules."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_status)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
