"""Starts and stops Flows: checks the YAML and the ports, limits the start time, and ends all processes."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, redirect_stdout, suppress
from dataclasses import asdict
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml
from threadpoolctl import ThreadpoolController

from crossmodal.collection.collection import Collection
from crossmodal.core.errors import StateError
from crossmodal.core.os_errors import reason
from crossmodal.core.resources import resource_folder
from crossmodal.core.settings import Settings
from crossmodal.core.slices import WHOLE
from executors.context import escaped
from executors.shared_memory import shared_memory
from serving.config import ServiceConfig
from serving.jina.folders import temporary_folder, temporary_home
from serving.jina.ports import LOOPBACK, TAKEN, TRIES, grpc_address, held, service_ports
from serving.jina.processes import (
    CapturedOutput,
    children_end_with_us,
    close_within,
    signals_as_interrupt,
    stop_requested,
)

if TYPE_CHECKING:
    from jina import Flow

Kind = Literal["index", "query"]
CLOSE_S = 60.0
"""Seconds for a Flow to finish its requests and write its snapshots; acknowledged documents are stored already."""
CLOSE_BROKEN_S = 5.0
"""Seconds for a Flow that lost a process or did not start: its other processes may wait for each other forever."""
NOTICE_S = 2.0
"""Seconds during which a service that lost a process still answers, with status 503, before it is closed."""
PODS = resource_folder("pods")
FLOWS = resource_folder("flows")
OF_FAMILY = ("image_normalizer", "image_encoder", "text_encoder", "vector_indexer", "ranker")
"""The pods that a model family may replace by a file in its folder of `PODS`."""


@contextmanager
def _without_gc() -> Iterator[None]:
    """Disables garbage collection, which takes an eighth of the time of an import and frees nothing."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def prepare_jina() -> None:
    """Sets the environment variables that Jina reads on import, and imports docarray and Jina.

    Call it before any other import of these: Jina creates folders in the home folder on import, and fails if it
    can't.

    Executors are started by fork, which shares imported modules and starts a Flow in seconds. This process must not
    have run torch, or a forked Executor hangs in its first OpenMP region until the time limit of the start; importing
    torch is safe.
    """
    os.environ.setdefault("JINA_LOG_LEVEL", "ERROR")
    os.environ.setdefault("JINA_OPTOUT_TELEMETRY", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Otherwise gRPC prints a line for each connection that an Executor closes as the service stops.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    # The address of Executors. By default they listen on all interfaces, whatever the address of the gateway.
    os.environ.setdefault("JINA_DEFAULT_HOST", "127.0.0.1")
    # Otherwise gRPC connects to the Executors through a configured proxy.
    os.environ.setdefault("no_grpc_proxy", "127.0.0.1,localhost")
    if "jina" not in sys.modules:
        os.environ.setdefault("JINA_MP_START_METHOD", "fork")
        # All three warnings come from Jina: about the start method set above; that it can't be set after a process
        # was spawned, as some benchmarks do (it is fork anyway); and about a package of its hub client.
        warnings.filterwarnings("ignore", message="multiprocessing start method is set")
        warnings.filterwarnings("ignore", message="failed to set multiprocessing start_method")
        warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    with _without_gc():
        with _without_torch():
            import docarray  # noqa: F401

        if "jina" not in sys.modules:
            with temporary_home():
                import jina  # noqa: F401


def _products_in_one_thread() -> AbstractContextManager[object]:
    """Lets NumPy's OpenBLAS use one thread in the block, and in the processes that are forked in it.

    The parts of a Flow multiply matrices of few rows. Further threads save little, and then wait for the next product
    at full speed: 14 ms of processor time a product instead of 0.5. FAISS has its own OpenBLAS, whose threads sleep.
    The end of the block starts the threads, which takes 0.1 s of processor time: keep it open until the Flow ends.
    """
    limit: AbstractContextManager[object] = ThreadpoolController().select(threading_layer="pthreads").limit(limits=1)
    return limit


@contextmanager
def _without_torch() -> Iterator[None]:
    """Makes torch seem not to be installed, unless it is imported already.

    docarray imports torch where it is installed, for field types that are not used here, and that takes longer than
    the start of a Flow.
    """
    if "torch" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment]  # the import system raises ModuleNotFoundError for None
    try:
        yield
    finally:
        del sys.modules["torch"]


def flow_context(collection: Collection, settings: Settings, kind: Kind, *, read_paths: bool) -> dict[str, Any]:
    """The values of `${{ CONTEXT.x }}` in a Flow's YAML, with an empty `service`; arguments as for `running_flow`."""
    model = collection.model
    refuser = {} if "text" in model.modalities else {"text_encoder": "text_refuser"}
    return {
        **{name: _pod(model.family, name) for name in OF_FAMILY},
        **refuser,
        "collection": escaped(str(collection.root.resolve())),
        "port": settings.port,
        "grpc_port": settings.port + 1,
        "parallel": settings.parallel,
        "shards": settings.shards,
        "part": str(settings.part or WHOLE),
        "threads": settings.threads,
        "engine": str(settings.engine),
        "read_paths": read_paths,
        "metadata": settings.metadata,
        "timeout_ready_ms": int(settings.start_timeout_s * 1000),
        "service": "",
    }


def flow_path(kind: Kind, settings: Settings) -> Path:
    """The YAML of a Flow; a writable query Flow has a file of its own."""
    return FLOWS / f"flow-{kind}{'-writable' if kind == 'query' and settings.writable else ''}.yml"


@contextmanager
def running_flow(kind: Kind, collection: Collection, settings: Settings, *, read_paths: bool = False) -> Iterator[Flow]:
    """Starts a Flow for the block, and ends it with all its processes afterwards.

    Args:
        kind: Whether the Flow indexes or answers queries.
        collection: The collection of the Flow.
        settings: Host, port (gRPC is on the next one), replicas, shards, threads, engine, time limit.
        read_paths: Whether requests may give pictures by path, and errors tell everything; only for the private Flow
            of an indexing job.

    Raises:
        StateError: A port is in use, the YAML is invalid, the store can't be read, or an Executor did not start.
    """
    prepare_jina()
    is_restricted = settings.keys is not None or settings.private_location
    with ExitStack() as resources:
        for address, port in (
            (settings.host, settings.port),
            (grpc_address(settings.host, is_restricted=is_restricted), settings.port + 1),
        ):
            service_ports(resources, address, port)
        # Creates the store if it does not exist, so that the Executors don't race to create it; and reports a store
        # that can't be read in one line instead of an Executor's traceback.
        collection.store(writable=settings.writable or kind == "index").close()
        resources.enter_context(shared_memory(collection.model.preprocessing.size_px))
        flow = _load(kind, collection, settings, resources, read_paths=read_paths)
        from jina.excepts import RuntimeFailToStart

        # The objects that exist now stay until the end. Unfrozen, every garbage collection would visit them, make the
        # forked Executors copy their pages, and take most of a second when the program exits.
        gc.freeze()
        output = CapturedOutput()
        # If a part fails to start, Jina closes the Flow itself, and would wait forever for the gateway, which waits
        # for that part.
        flow.close = partial(close_within, partial(ExitStack.close, flow), CLOSE_BROKEN_S)
        with signals_as_interrupt(), _products_in_one_thread():
            try:
                with redirect_stdout(output), children_end_with_us():
                    flow.start()
                yield flow
            except RuntimeFailToStart as error:
                sys.stderr.write(output.getvalue())
                raise StateError(_start_failure(flow, settings)) from error
            finally:
                close_within(partial(ExitStack.close, flow), CLOSE_S if _is_whole(flow) else CLOSE_BROKEN_S)


def _pod(family: str, name: str) -> str:
    """The path of a pod below `PODS`, without its ending: that of the family if there is one, else the general one."""
    of_family = f"{family}/{name}"
    return of_family if (PODS / f"{of_family}.yml").is_file() else name


def _load(kind: Kind, collection: Collection, settings: Settings, resources: ExitStack, *, read_paths: bool) -> Flow:
    """The Flow, not started; `resources` holds its ports and the folder of its locks."""
    # Modules that every Executor imports, imported once before the fork.
    with _without_gc():
        import asyncio

        import filelock  # noqa: F401
        import uvloop
        from jina import Flow

        import serving.jina.gateway  # noqa: F401
        from serving.jina.patches import apply_patches
        from serving.jina.topology import read_topology, to_plain

    path = flow_path(kind, settings)
    context = flow_context(collection, settings, kind, read_paths=read_paths)
    nodes = read_topology(path, context)
    endpoint: Literal["/search", "/index"] = "/index" if kind == "index" else "/search"
    config = ServiceConfig.of(settings, str(collection.root.resolve()), endpoint, is_private=read_paths)
    context["service"] = escaped(json.dumps({"config": asdict(config), "nodes": to_plain(nodes)}))
    apply_patches(Path(resources.enter_context(temporary_folder("locks"))))
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # Jina also sets it, but after some loops exist
    for _ in range(TRIES):
        try:
            flow: Flow = Flow.load_config(str(path), context=context)
        except OSError as error:
            raise StateError(f"{path.name} could not be loaded: {reason(error)}") from error
        except (yaml.YAMLError, ValueError, TypeError) as error:
            raise StateError(f"{path.name} could not be loaded: {error}") from error
        if _ports_are_held(flow, resources):
            return flow
    raise StateError("no free ports were found for the parts of the Flow: close programs that use many ports")


def _ports_are_held(flow: Flow, resources: ExitStack) -> bool:
    """Reserves the ports of the Executors, which Jina chose at random; False if another program uses one of them.

    Raises:
        StateError: No port can be reserved at all, for example because too many files are open.
    """
    chosen = [port for _, executor in flow for pod in executor.all_args for port in pod.port]
    with ExitStack() as holders:
        try:
            for port in chosen:
                holders.enter_context(held(LOOPBACK, port))
        except OSError as error:
            if error.errno not in TAKEN:
                raise StateError(f"a port for a part of the Flow can't be reserved: {reason(error)}") from error
            return False
        resources.push(holders.pop_all())
        return True


def _start_failure(flow: Flow, settings: Settings) -> str:
    """The message for a Flow that did not start; only Jina's log says which Executor failed."""
    names = ", ".join(name for name, _ in flow if name != "gateway")
    return (
        f"the Flow did not start within {settings.start_timeout_s:.0f} s, or one of its parts failed; "
        f"the log above has the reason (parts: {names})"
    )


def serve_until_stopped(flow: Flow | None = None) -> str:
    """Blocks until Ctrl-C or SIGTERM, or until a process of the Flow ends unexpectedly.

    Call it inside `running_flow`, which then cleans up.

    Returns:
        The names and exit codes of processes that ended unexpectedly; empty if the program was asked to stop.
    """
    with suppress(KeyboardInterrupt):
        processes = multiprocessing.active_children()
        while not stop_requested.is_set():
            wait([process.sentinel for process in processes], timeout=1.0)
            if flow and not _is_whole(flow) and not stop_requested.wait(NOTICE_S):
                ended = [f"{p.name} (exit code {p.exitcode})" for p in processes if not p.is_alive()]
                return ", ".join(ended) or "a part of the service"
    return ""


def _is_whole(flow: Flow) -> bool:
    """Whether all processes of a Flow are running."""
    return bool(len(multiprocessing.active_children()) >= flow.num_pods)
