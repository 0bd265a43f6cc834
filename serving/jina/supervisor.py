"""Starts and stops the Flows: checks the YAML, the port and the time it takes, and leaves nothing behind."""

from __future__ import annotations

import ctypes
import errno
import gc
import io
import multiprocessing
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import yaml

from crossmodal.collection.collection import Collection
from crossmodal.core.errors import StateError
from crossmodal.core.os_errors import reason
from crossmodal.core.settings import Settings
from executors.context import escaped
from serving.jina.ports import LOOPBACK, TAKEN, TRIES, addresses_of, grpc_address, held
from serving.jina.topology import check_topology

if TYPE_CHECKING:
    from jina import Flow

Kind = Literal["index", "query"]
CLOSE_S = 60.0
"""Seconds a Flow has for finishing its requests and writing its snapshots; what is acknowledged is safe without."""
CLOSE_BROKEN_S = 5.0
"""And one that has lost a part, or did not get it: there the others may wait for each other without end."""
TOLD_S = 2.0
"""Seconds in which a service that has lost a part answers 503, so that who asks is told, before it is closed."""
PR_SET_PDEATHSIG = 1
"""Of Linux: prctl(2)."""
PODS = Path(__file__).resolve().parents[2] / "pods"
FLOWS = Path(__file__).resolve().parents[2] / "flows"
WRITER = FLOWS.parent / "pods" / "kv_indexer.yml"


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keeps Python from looking for garbage, an eighth of the time of an import: in what it makes there is none."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def prepare_jina() -> None:
    """Sets what Jina reads from the environment when it is imported, and imports docarray, torch with it, and Jina.

    Call it before the first import of any of them: Jina makes folders in the home folder as it is imported, and fails
    where there is none that may be written.

    Executors are started by fork, which shares what is imported already and starts a Flow in seconds. It
    asks for one thing: this process must not have run torch, or a forked Executor hangs in its first OpenMP
    region, and the start's time limit ends it. Importing torch, as docarray does, is no harm.
    """
    os.environ.setdefault("JINA_LOG_LEVEL", "ERROR")
    os.environ.setdefault("JINA_OPTOUT_TELEMETRY", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Where Executors listen. Jina's own default is all interfaces, whatever address the gateway is given.
    os.environ.setdefault("JINA_DEFAULT_HOST", "127.0.0.1")
    # gRPC would ask the proxy of who sits behind one for its way to them.
    os.environ.setdefault("no_grpc_proxy", "127.0.0.1,localhost")
    if "jina" not in sys.modules:
        os.environ.setdefault("JINA_MP_START_METHOD", "fork")
        # All four are Jina's own doing: our start method, that it can't be set once a process was spawned, as some
        # benchmarks do (it is fork all the same), a package its hub client uses, and an Executor's module loaded by
        # path in a process that has it already.
        warnings.filterwarnings("ignore", message="multiprocessing start method is set")
        warnings.filterwarnings("ignore", message="failed to set multiprocessing start_method")
        warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
        warnings.filterwarnings("ignore", message=r"\s*\w+ shadows one of built-in Python module name")
    with _uncollected():
        import docarray  # noqa: F401

        if "jina" not in sys.modules:
            with _home_for_a_moment():
                import jina  # noqa: F401


@contextmanager
def _home_for_a_moment() -> Iterator[None]:
    """A home folder for what makes folders there that nobody needs; it is gone when the block is left.

    Raises:
        StateError: No temporary folder can be made.
    """
    before = os.environ.get("HOME")
    with _temporary_folder("home") as folder:
        os.environ["HOME"] = folder
        try:
            yield
        finally:
            del os.environ["HOME"]
            if before is not None:
                os.environ["HOME"] = before


@contextmanager
def _temporary_folder(what: str) -> Iterator[str]:
    """A folder that is gone when the block is left.

    Raises:
        StateError: It can't be made.
    """
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(TemporaryDirectory(prefix=f"crossmodal-{what}-"))
        except OSError as error:
            why = reason(error) if error.filename else error.strerror
            raise StateError(
                f"no temporary folder can be made ({why}): set TMPDIR to one that may be written"
            ) from error
        yield folder


def flow_context(collection: Collection, settings: Settings, *, read_paths: bool) -> dict[str, Any]:
    """What the `${{ CONTEXT.x }}` of a Flow's YAML stand for; the arguments are `running_flow`'s."""
    return {
        "model": collection.model.family,
        "vector_indexer": _pod(collection.model.family, "vector_indexer"),
        "ranker": _pod(collection.model.family, "ranker"),
        "collection": escaped(str(collection.root.resolve())),
        "host": settings.host,
        "port": settings.port,
        "grpc_port": settings.port + 1,
        "parallel": settings.parallel,
        "shards": settings.shards,
        "threads": settings.threads,
        "precision": settings.precision,
        "read_paths": read_paths,
        "keys": escaped(str(settings.keys.resolve())) if settings.keys else "",
        "rate_per_s": settings.rate_per_s,
        "proxies": escaped(",".join(settings.trust_proxy)),
        "hosts": escaped(",".join(settings.trust_host)),
        "origins": escaped(",".join(settings.trust_origin)),
        "also": escaped(",".join(f"{name}={url}" for name, url in settings.also)),
        "fetches": settings.allow_url_fetch,
        "writable": settings.writable,
        "timeout_ready_ms": int(settings.start_timeout_s * 1000),
    }


@contextmanager
def running_flow(kind: Kind, collection: Collection, settings: Settings, *, read_paths: bool = False) -> Iterator[Flow]:
    """A started Flow; it and all its processes are gone when the block is left.

    Args:
        kind: Which of `flows/flow-index.yml` and `flows/flow-query.yml`.
        collection: What it works on.
        settings: Host, port (gRPC is on the next one), replicas, shards, threads, precision, time limit.
        read_paths: Whether pictures may be named by path; for the indexing job's own Flow only.

    Raises:
        StateError: A port is taken, the YAML is wrong, the store can't be read, or an Executor did not start.
    """
    prepare_jina()
    with ExitStack() as ports:
        http, grpc = settings.host, grpc_address(settings.host, has_keys=settings.keys is not None)
        for host, port in ((http, settings.port), (grpc, settings.port + 1)):
            for address in _addresses(host):
                ports.enter_context(_asked_for(address, port))
        path = FLOWS / f"flow-{kind}.yml"
        context = flow_context(collection, settings, read_paths=read_paths)
        check_topology(path, context)
        writes = settings.writable or kind == "index"
        # Made where it is not there, or its Executors would race each other to it; and what is wrong with it is said
        # here in a line, by an Executor in a page.
        collection.store(writable=writes).close()
        flow = _load(path, context, ports, also_writes=writes and kind == "query")
        from jina.excepts import RuntimeFailToStart

        # All that is here by now stays till the end. Unfrozen, every collection of garbage reads it again, makes the
        # forked Executors copies of its pages, and takes most of a second as the program exits.
        gc.freeze()
        said = _Aside()
        # Where a part fails to start, Jina closes the Flow itself, and waits without end for the gateway, which waits
        # for that part.
        flow.close = partial(_close, flow, within_s=CLOSE_BROKEN_S)  # type: ignore[method-assign]
        with _signals_as_interrupt(), _locks_of_its_own():
            try:
                with redirect_stdout(said), _children_end_with_us():
                    flow.start()
                yield flow
            except RuntimeFailToStart as error:
                sys.stderr.write(said.getvalue())
                raise StateError(_start_failure(flow, settings)) from error
            finally:
                _close(flow, CLOSE_S if _is_whole(flow) else CLOSE_BROKEN_S)


@contextmanager
def _children_end_with_us() -> Iterator[None]:
    """Processes that are forked meanwhile get SIGTERM when this one has ended, also where it was killed.

    Else its Executors would go on, with the port, and with the lock of who writes.
    """
    _forking.set()
    try:
        yield
    finally:
        _forking.clear()


_forking = threading.Event()


def _end_with_parent() -> None:
    if _forking.is_set() and sys.platform == "linux":
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


_libc = ctypes.CDLL(None)  # now: a process that was just forked is no place to load anything
os.register_at_fork(after_in_child=_end_with_parent)


@contextmanager
def _locks_of_its_own() -> Iterator[None]:
    """Jina lets one Executor of a class load at a time, by a lock in the home folder: one Flow would wait for every
    other that the machine's users start.
    """
    from jina.serve.executors import decorators

    with _temporary_folder("locks") as folder:
        decorators._get_locks_root = lambda: Path(folder)
        yield


def _pod(family: str, name: str) -> str:
    """The pod of that name: the family's own, where it has one."""
    own = f"{family}/{name}"
    return own if (PODS / f"{own}.yml").is_file() else name


def _close(flow: Flow, within_s: float) -> None:
    """Ends a Flow; what has not ended by then is killed, and named."""

    def kill() -> None:
        left = multiprocessing.active_children()
        for process in left:
            process.kill()
        names = ", ".join(process.name for process in left)
        print(f"warning: {names} had not ended {within_s:g} s after being told to: killed", file=sys.stderr)

    overdue = threading.Timer(within_s, kill)
    overdue.daemon = True
    overdue.start()
    try:
        ExitStack.close(flow)
    finally:
        overdue.cancel()


class _Aside(io.StringIO):
    """Standard output while a Flow starts, which belongs to the answers: keeps Jina's banner and log to itself.

    The Executors are forked meanwhile and have it for theirs; what they write goes to standard error.
    """

    def __init__(self) -> None:
        super().__init__()
        self._starter = os.getpid()

    def write(self, text: str) -> int:
        return super().write(text) if os.getpid() == self._starter else sys.stderr.write(text)

    def flush(self) -> None:
        if os.getpid() != self._starter:
            sys.stderr.flush()


def _load(path: Path, context: dict[str, Any], ports: ExitStack, *, also_writes: bool) -> Flow:
    """The Flow of a YAML, with the Executor that writes where one is asked for; its ports are held by `ports`."""
    root = str(FLOWS.parent)
    if root not in sys.path:
        sys.path.insert(0, root)
    # What every Executor imports, once, before they are forked.
    with _uncollected():
        import filelock  # noqa: F401
        from jina import Flow

        import serving.jina.crossmodal_gateway  # noqa: F401

    for _ in range(TRIES):
        try:
            flow: Flow = Flow.load_config(str(path), context=context)
        except OSError as error:
            raise StateError(f"{path.name} could not be loaded: {reason(error)}") from error
        except (yaml.YAMLError, ValueError, TypeError) as error:
            raise StateError(f"{path.name} could not be loaded: {error}") from error
        if also_writes:
            own = {"collection": context["collection"]}
            flow = flow.add(name="kv_indexer", uses=str(WRITER), uses_with=own, needs="ranker")
        # Jina chose each Executor's port by chance.
        chosen = [port for _, executor in flow for pod in executor.all_args for port in pod.port]
        with ExitStack() as holders:
            try:
                for port in chosen:
                    holders.enter_context(held(LOOPBACK, port))
            except OSError as error:
                if error.errno not in TAKEN:
                    raise StateError(f"no port can be had for a part of the Flow: {reason(error)}") from error
                continue
            ports.push(holders.pop_all())
            return flow
    raise StateError(f"no {len(chosen)} free ports were found for the parts of the Flow: close some programs")


def _start_failure(flow: Flow, settings: Settings) -> str:
    """What to say when a Flow did not start; only Jina's own log has which Executor it was."""
    names = ", ".join(name for name in flow._deployment_nodes if name != "gateway")
    return (
        f"the Flow did not start within {settings.start_timeout_s:.0f} s, or one of its parts failed; "
        f"see the log above for which of {names} and why"
    )


def _addresses(host: str) -> list[str]:
    try:
        return addresses_of(host)
    except (OSError, UnicodeError) as error:  # the second of what can be no name
        raise StateError(
            f"--host {host}: no address of that name is known; use an address of this machine, 127.0.0.1 or ::1 for "
            "itself alone, 0.0.0.0 or :: for all of its addresses"
        ) from error


def _asked_for(host: str, port: int) -> socket.socket:
    try:
        return held(host, port, alone=False)
    except OSError as error:
        raise StateError(f"port {port} on {host} can't be used ({error.strerror}): {_what_to_do(error)}") from error


def _what_to_do(error: OSError) -> str:
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return "this machine has no such address; give one that it has with --host, or 0.0.0.0 or :: for all of them"
    if error.errno == errno.EACCES:
        return "ports below 1024 are for the administrator: choose another with --port"
    if error.errno == errno.EADDRINUSE:
        return "stop what listens there, or choose another with --port"
    return reason(error)


_stop_asked = threading.Event()


@contextmanager
def _signals_as_interrupt() -> Iterator[None]:
    """SIGTERM ends the program as Ctrl-C does; its default would leave the Flow's processes behind.

    The signal is noted as well: a KeyboardInterrupt that is raised while Python is in some object's
    finalizer, say, is lost.
    """

    def stop(*_: object) -> None:
        _stop_asked.set()
        raise KeyboardInterrupt

    _stop_asked.clear()
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def serve_until_stopped(flow: Flow | None = None) -> str:
    """Blocks until Ctrl-C or SIGTERM, or until a process of the Flow has ended by itself.

    To be called inside `running_flow`, which then cleans up.

    Returns:
        What has ended, or nothing where it was told to stop.
    """
    with suppress(KeyboardInterrupt):
        processes = multiprocessing.active_children()
        while not _stop_asked.is_set():
            wait([process.sentinel for process in processes], timeout=1.0)
            if flow and not _is_whole(flow) and not _stop_asked.wait(TOLD_S):
                ended = [f"{p.name} (exit code {p.exitcode})" for p in processes if not p.is_alive()]
                return ", ".join(ended) or "a part of the service"
    return ""


def _is_whole(flow: Flow) -> bool:
    """Whether all its processes are there; one may end in the moment between its start and ours."""
    return len(multiprocessing.active_children()) >= flow.num_pods
