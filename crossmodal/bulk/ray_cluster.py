"""Encodes parts on the machines of a Ray cluster.

Each machine gets workers (Ray actors) for its CPUs and GPUs. A worker that ends, with its machine or alone, is replaced
if its machine is there, and its parts go to any other worker. Machines may join and leave at any time. Ray's own
restarts are not used, because a restarted actor keeps its part while it waits for a free machine.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from typing import Any

from crossmodal import __version__
from crossmodal.bulk.encoding import PartEncoder, Work
from crossmodal.bulk.parts import EncodedPart, Part
from crossmodal.bulk.run import Encode
from crossmodal.core.errors import CrossModalError, StateError
from crossmodal.encoders.engine_choice import Say

CPUS_PER_WORKER = 8
"""CPUs of a worker without a GPU: more threads decode and encode hardly faster in one process."""
PARTS_AHEAD = 2
"""Parts that a worker has at a time, so that it does not wait for the next one."""
MAX_TRIES = 3
"""Attempts at a part, and at starting a worker on a machine."""
CONNECT_S = 10.0
LOOK_EVERY_S = 2.0
WAIT_NOTE_S = 60.0

_Slot = tuple[str, int]  # the machine's id in Ray, and the number of the worker on it


@dataclass(eq=False)
class _Worker:
    """An actor on a machine, and the parts that it has; it gets parts when it is ready."""

    slot: _Slot
    address: str
    size: str
    actor: Any
    is_ready: bool = False
    parts: dict[Any, Part] = field(default_factory=dict)


def encode_on_cluster(address: str, work: Work, threads: int, say: Say) -> Encode:
    """Returns a function that encodes parts on a cluster.

    Args:
        address: HOST:PORT of the cluster's head. This machine must be part of the cluster.
        work: What the parts share. The pictures must be readable at the same paths or URLs on all machines.
        threads: Threads of an encoder; 0 for the CPUs of its worker.
        say: Called with messages for the user.

    Raises:
        StateError: Ray is not installed. The function raises it if the cluster can't be reached, a machine can't run
            the program, or no machine is left.
    """
    try:
        import ray  # noqa: F401
    except ImportError as error:
        raise StateError(f"--cluster needs Ray ({error}): pip install 'ray==2.60.0'") from error

    def encode(parts: Iterator[Part]) -> Iterator[tuple[Part, EncodedPart | str]]:
        with _connected(address):
            yield from _Cluster(work, threads, say).encode(parts)

    return encode


@contextmanager
def _connected(address: str) -> Iterator[None]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # read when Ray starts
    import ray

    try:
        host, _, port = address.rpartition(":")
        socket.create_connection((host, int(port)), CONNECT_S).close()  # Ray itself tries for minutes
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (OSError, RuntimeError, ValueError, ray.exceptions.RaySystemError) as error:
        raise StateError(
            f"the Ray cluster at {address} can't be reached: {error}: start this machine's node with "
            f"`ray start --address={address}`, with the same versions of Ray and Python"
        ) from error
    try:
        with redirect_stdout(sys.stderr):  # a thread of Ray prints messages about machines
            yield
    finally:
        ray.shutdown()


class _Cluster:
    """The workers of a run, and the parts that are not finished."""

    def __init__(self, work: Work, threads: int, say: Say) -> None:
        self._work, self._threads, self._say = work, threads, say
        self._workers: dict[_Slot, _Worker] = {}
        self._starting: dict[Any, _Worker] = {}
        self._failed_starts: Counter[_Slot] = Counter()
        self._again: deque[Part] = deque()
        self._tries: Counter[str] = Counter()
        self._given_up: list[tuple[Part, str]] = []

    def encode(self, parts: Iterator[Part]) -> Iterator[tuple[Part, EncodedPart | str]]:
        """The results of parts in the order in which they are finished."""
        import ray

        started = time.monotonic()
        while self._is_unfinished(parts):
            self._start_workers()
            self._assign(parts)
            running = [*self._starting, *(ref for worker in self._workers.values() for ref in worker.parts)]
            done, _ = ray.wait(running, timeout=LOOK_EVERY_S, fetch_local=False)
            for ref in done:
                yield from self._finish(ref)
            while self._given_up:
                yield self._given_up.pop()
            if started and time.monotonic() - started > WAIT_NOTE_S:
                if not any(worker.is_ready for worker in self._workers.values()):
                    self._say("no worker has started yet: the cluster may have no free CPUs, see `ray status`")
                started = 0

    def _is_unfinished(self, parts: Iterator[Part]) -> bool:
        if (part := self._next(parts)) is not None:
            self._again.appendleft(part)
        return part is not None or any(worker.parts for worker in self._workers.values())

    def _next(self, parts: Iterator[Part]) -> Part | None:
        return self._again.popleft() if self._again else next(parts, None)

    def _start_workers(self) -> None:
        """Starts the workers that the machines of the cluster lack, and drops those of machines that have left."""
        import ray

        alive = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
        for worker in [worker for slot, worker in self._workers.items() if slot[0] not in alive]:
            self._drop(worker, "its machine has left the cluster")
        for node_id, node in alive.items():
            sizes = worker_sizes(node["Resources"], is_cpu=self._work.engine.device == "cpu")
            for number, (cpus, gpus) in enumerate(sizes):
                if (node_id, number) not in self._workers:
                    self._start((node_id, number), node["NodeManagerAddress"], cpus, gpus)
        if not self._workers:
            raise StateError("the cluster has no machine with CPUs left: add one, and run this again to continue")

    def _start(self, slot: _Slot, address: str, cpus: int, gpus: int) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(slot[0], soft=False)
        actor_type = ray.remote(num_cpus=cpus, num_gpus=gpus, max_restarts=0, scheduling_strategy=here)(PartEncoder)
        actor = actor_type.remote(self._work, self._threads or cpus, cpus)
        self._workers[slot] = worker = _Worker(slot, address, f"{cpus} CPUs{' and a GPU' * gpus}", actor)
        self._starting[actor.load.remote(__version__)] = worker

    def _assign(self, parts: Iterator[Part]) -> None:
        """Gives parts to the workers: a second one only after each has one."""
        for n_parts in range(PARTS_AHEAD):
            for worker in self._workers.values():
                if worker.is_ready and len(worker.parts) == n_parts and (part := self._next(parts)) is not None:
                    worker.parts[worker.actor.encode.remote(part)] = part

    def _finish(self, ref: Any) -> Iterator[tuple[Part, EncodedPart | str]]:
        """Takes the result of a call: a worker is ready, or a part is finished, or the worker has ended."""
        import ray

        worker = self._starting.pop(ref, None) or next((w for w in self._workers.values() if ref in w.parts), None)
        if worker is None or self._workers.get(worker.slot) is not worker:  # it was dropped
            return
        try:
            result = ray.get(ref)
        except CrossModalError as error:
            raise StateError(f"{worker.address}: {getattr(error, 'cause', error)}") from error
        except ray.exceptions.RayTaskError:
            raise
        except ray.exceptions.RayError as error:
            self._drop(worker, str(error))
            return
        if ref in worker.parts:
            yield worker.parts.pop(ref), result
        else:
            worker.is_ready = True
            self._say(f"{worker.address}: a worker has started, with {worker.size}")

    def _drop(self, worker: _Worker, why: str) -> None:
        """Removes a worker that has ended, and queues its parts again; those that were tried too often are given up.

        Raises:
            StateError: The worker has failed to start too often.
        """
        del self._workers[worker.slot]
        reason = why.strip().partition("\n")[0]
        self._say(f"{worker.address}: a worker ended: {reason}")
        if not worker.is_ready:
            self._failed_starts[worker.slot] += 1
            if self._failed_starts[worker.slot] == MAX_TRIES:
                raise StateError(f"{worker.address} can't run the program: {why}")
        for place, part in enumerate(worker.parts.values()):
            self._tries[part.name] += place == 0  # the others were waiting
            if self._tries[part.name] < MAX_TRIES:
                self._again.append(part)
            else:
                self._given_up.append((part, f"the process that encoded it ended {MAX_TRIES} times: {reason}"))


def worker_sizes(resources: dict[str, float], *, is_cpu: bool = False) -> list[tuple[int, int]]:
    """(CPUs, GPUs) of each worker on a machine: one worker for each GPU, or one for about `CPUS_PER_WORKER` CPUs.

    >>> worker_sizes({"CPU": 64.0, "GPU": 2.0})
    [(32, 1), (32, 1)]
    >>> worker_sizes({"CPU": 20.0})
    [(10, 0), (10, 0)]
    >>> worker_sizes({"CPU": 2.0}), worker_sizes({"memory": 1e9})
    ([(2, 0)], [])
    """
    cpus, gpus = int(resources.get("CPU", 0)), 0 if is_cpu else int(resources.get("GPU", 0))
    if not cpus:
        return []
    n_workers = min(cpus, gpus) or max(1, cpus // CPUS_PER_WORKER)
    return [(cpus // n_workers, int(gpus > 0))] * n_workers
