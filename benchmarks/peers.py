"""Compares this program with clip-retrieval and rclip: the same weights, the same pictures, in one run.

    python benchmarks/peers.py --photographs FOLDER [--environments FOLDER] [--precision PRECISION]
        [--only index large one-shot service] [--rounds 3] [--large 100] [--markdown] [--json PATH]

The peers (both MIT) are installed from PyPI, in the versions of `peers_programs.py` and `peers_setup.py`, into virtual
environments below `--environments`, which later runs reuse, as they do the weights. That takes minutes and 3.5 GB, and
several more if pip takes a CUDA build of torch 2.13.0: PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
prevents it. If a peer can't be installed or fails, that is reported, and the other one is measured.

The model is ViT-B-32-256 with random weights, because rclip's preprocessing is made for that one: a checkpoint of
open_clip for this program and clip-retrieval, and its conversion to ONNX for rclip. Before anything is measured, each
program indexes eight photographs, and its vectors must have a cosine of more than .99 to those of this program in fp32
(`least_cosine_*`). That run is also the first use of each program, which may do more than later ones.

Programs take turns, in an order that rotates from round to round, and each round gives one ratio; a figure is the
median of its ratios, and `_low` and `_high` are the extremes. Times are of whole processes, from start to exit:

- `index`: 500 photographs as they are, and again, with nothing new. rclip has no command that only indexes: its times
  include a query. clip-retrieval's are the sum of `inference` and `index`, with batches of 32;
- `large`: photographs enlarged to twelve megapixels;
- `one-shot`: a query from the shell. `one_shot_over_rclip` is this program's time for 5,000 photographs and the bundled
  weights over rclip's for 500 and its model: lower is better. In all other ratios higher is better;
- `service`: text queries over HTTP, of one client and of 32. Clients and services share the cores.

The pictures of every index and the results of every query from the shell are counted.
"""

from __future__ import annotations

import argparse
import compileall
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from common import ROOT, write_figures
from index_throughput import copy_distinct
from load import Outcomes, new_text
from peers_model import ARCHITECTURE
from peers_programs import TOP_K, ClipRetrieval, Crossmodal, Program, Rclip, Served, names_in
from peers_results import OWN, Measured, identifier, table
from peers_service import found, queries, serving
from peers_setup import ProgramError, checkpoint, environment, large_photographs, rclip_model

PARTS = ("index", "large", "one-shot", "service")
N_SMALL, N_MANY, N_SAMPLE, LEAST_COSINE = 500, 5000, 8, 0.99
ONE_SHOTS, CLIENTS, WARM_UP_S, ONE_CLIENT_S, CLIENTS_S, LEAST_ANSWERED = 7, 32, 3.0, 4.0, 10.0, 0.99


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, required=True, help="a folder of JPEG files, searched recursively")
    parser.add_argument("--environments", type=Path, default=Path(tempfile.gettempdir()) / "crossmodal-peers")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", type=int, default=100, metavar="N", help="number of twelve-megapixel photographs")
    parser.add_argument("--precision", help="this program's --precision; the peers' is fp32")
    parser.add_argument("--markdown", action="store_true", help="also print a Markdown table")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    start = time.perf_counter()
    for package in ("crossmodal", "executors", "serving", "cli"):
        compileall.compile_dir(ROOT / package, quiet=1)  # as an installation does
    with tempfile.TemporaryDirectory(prefix="peers-") as scratch:
        comparison = Comparison(arguments, Path(scratch))
        comparison.check_vectors()
        parts = (comparison.index, comparison.large, comparison.one_shot, comparison.service)
        for name, part in zip(PARTS, parts, strict=True):
            if name in arguments.only:
                part()
    if arguments.markdown:
        print(table(comparison.rows))
    write_figures(
        arguments.json, comparison.figures | {k: v for row in comparison.rows for k, v in row.figures().items()}
    )
    print(f"{(time.perf_counter() - start) / 60:.1f} minutes")
    if comparison.failures:
        sys.exit("\n".join(map(str, comparison.failures)))


class Comparison:
    """This program and its peers, their indexes, and what was measured."""

    def __init__(self, arguments: argparse.Namespace, scratch: Path) -> None:
        self.rows: list[Measured] = []
        self.figures: dict[str, float] = {}
        self.failures: list[ProgramError] = []
        self._photographs, self._rounds, self._n_large = arguments.photographs, arguments.rounds, arguments.large
        self._scratch, self._folder = scratch, arguments.environments.resolve()
        self._folder.mkdir(parents=True, exist_ok=True)
        weights = checkpoint(self._folder)
        self._in_fp32 = Crossmodal(f"{ARCHITECTURE}/{weights}")
        precision = arguments.precision
        self._own = Crossmodal(f"{ARCHITECTURE}/{weights}", precision) if precision else self._in_fp32
        self._peers: list[Program] = []
        for make in (
            lambda: ClipRetrieval(environment(self._folder, ClipRetrieval.name, ClipRetrieval.packages), weights),
            lambda: Rclip(environment(self._folder, Rclip.name, Rclip.packages), rclip_model(self._folder)),
        ):
            try:
                self._peers.append(make())
            except ProgramError as error:
                self._fail(error)
        copy_distinct(self._photographs, scratch / "sample", N_SAMPLE)
        copy_distinct(self._photographs, scratch / "small", N_SMALL)
        self._small, self._states, self._failed = scratch / "small", dict[Program, Path](), set[Program]()

    def check_vectors(self) -> None:
        """Drops the peers whose vectors of a few photographs differ from those of this program in fp32."""
        expected = self._in_fp32.vectors(self._index(self._in_fp32, self._scratch / "sample")[1])
        for program in self._programs():
            if program is self._in_fp32:
                continue
            try:
                vectors = program.vectors(self._index(program, self._scratch / "sample")[1])
                cosines = np.stack([vectors[name] for name in expected]) @ np.stack(list(expected.values())).T
                least = float(cosines.diagonal().min())
                self.figures[f"least_cosine_{identifier(program.name)}"] = least
                if program in self._peers and not least >= LEAST_COSINE:
                    raise ProgramError(program.name, f"its vectors differ: a cosine is {least:.4f}")
            except ProgramError as error:
                self._fail(error, program)

    def index(self) -> None:
        """Measures indexing the small photographs, and indexing them again."""

        def first(program: Program, _: int) -> float:
            spent, self._states[program] = self._index(program, self._small)
            return spent

        self._measure(Measured("index_500", f"index {N_SMALL} photographs", "s"), self._programs(), first)
        row = Measured("index_again", "index them again, with nothing new", "s")
        able = self._programs(Crossmodal, Rclip)
        self._measure(row, able, lambda program, _: program.run_index(self._small, self._states[program]))

    def large(self) -> None:
        """Measures indexing photographs of twelve megapixels."""
        pictures = large_photographs(self._photographs, self._folder, self._n_large)
        row = Measured("index_12mp", f"index {self._n_large} photographs of 12 megapixels", "s")
        self._measure(row, self._programs(), lambda program, _: self._index(program, pictures)[0])

    def one_shot(self) -> None:
        """Measures queries from the shell, also to many photographs with the bundled weights."""
        programs = self._programs(Crossmodal, Rclip)
        if len(list(self._photographs.rglob("*.jpg"))) >= N_MANY:
            copy_distinct(self._photographs, self._scratch / "many", N_MANY)
            photos = Crossmodal("photos", name="photos")
            self._states[photos] = self._index(photos, self._scratch / "many")[1]
            programs.append(photos)
        else:
            print(f"{self._photographs} has fewer than {N_MANY} photographs: one_shot_over_rclip is not measured")
        texts = [new_text() for _ in range(ONE_SHOTS)]

        def search(program: Program, number: int) -> float:
            assert isinstance(program, Crossmodal | Rclip)
            spent, output = program.run(program.search(texts[number], self._small, self._state(program)))
            if len(names_in(output)) != TOP_K:
                raise ProgramError(program.name, f"a query did not find {TOP_K} pictures", output=output)
            return spent

        row = Measured("one_shot", f"a query from the shell, {N_SMALL} photographs", "s", suffix="_time")
        self._measure(row, programs, search, ONE_SHOTS)
        of_photos = row.values.pop("photos", [])
        if of_photos and Rclip.name in row.values:
            work = f"the same, {N_MANY} photographs with the bundled weights; rclip as before"
            values = {OWN: of_photos, Rclip.name: row.values[Rclip.name]}
            self.rows.append(Measured("one_shot_photos", work, "s", values=values))
            self.figures["one_shot_over_rclip"] = 1 / statistics.median(self.rows[-1].times_better(Rclip.name))

    def service(self) -> None:
        """Measures text queries over HTTP of one client and of several."""
        ports: dict[Program, int] = {}
        with ExitStack() as services:
            for program in self._programs():
                if isinstance(program, Served):
                    try:
                        ports[program] = services.enter_context(serving(program, self._state(program)))
                        if len(found(program, ports[program])) != TOP_K:
                            raise ProgramError(program.name, f"its service did not find {TOP_K} pictures")
                        queries(program, ports[program], CLIENTS, WARM_UP_S)
                    except ProgramError as error:
                        self._fail(error, program)

            def answered(program: Program, n_clients: int, seconds: float) -> Outcomes:
                assert isinstance(program, Served)
                outcomes = queries(program, ports[program], n_clients, seconds)
                if outcomes.share(200) < LEAST_ANSWERED:
                    raise ProgramError(program.name, f"its service answered {outcomes.share(200):.0%} of the queries")
                return outcomes

            row = Measured("p50", "a text query to the service, p50", "ms")
            self._measure(row, list(ports), lambda program, _: answered(program, 1, ONE_CLIENT_S).percentile_ms(50))
            row = Measured("queries", f"text queries of {CLIENTS} clients", "/s", higher_is_better=True)
            self._measure(row, list(ports), lambda program, _: answered(program, CLIENTS, CLIENTS_S).per_s)

    def _programs(self, *kinds: type[Program]) -> list[Program]:
        """This program and the peers that have not failed, or those of some kinds."""
        programs = [self._own, *(peer for peer in self._peers if peer not in self._failed)]
        return [program for program in programs if isinstance(program, kinds or Program)]

    def _index(self, program: Program, pictures: Path) -> tuple[float, Path]:
        """The seconds of indexing a folder, and the state that was made.

        Raises:
            ProgramError: It failed, or did not index all pictures.
        """
        state = Path(tempfile.mkdtemp(dir=self._scratch))
        spent = program.run_index(pictures, state)
        try:
            n, n_indexed = len(list(pictures.iterdir())), len(program.vectors(state))
        except OSError as error:
            raise ProgramError(program.name, f"what it indexed can't be read: {error}") from error
        if n_indexed != n:
            raise ProgramError(program.name, f"it indexed {n_indexed} of {n} pictures")
        return spent, state

    def _state(self, program: Program) -> Path:
        """The program's index of the small photographs, made if it is missing."""
        if program not in self._states:
            self._states[program] = self._index(program, self._small)[1]
        return self._states[program]

    def _measure(
        self, row: Measured, programs: list[Program], measure: Callable[[Program, int], float], rounds: int = 0
    ) -> None:
        """Measures programs in rounds; a peer that fails is dropped."""
        self.rows.append(row)
        for number in range(rounds or self._rounds):
            for program in programs[number % len(programs) :] + programs[: number % len(programs)]:
                if program in self._failed:
                    continue
                try:
                    value = measure(program, number)
                except ProgramError as error:
                    self._fail(error, program)
                    row.values.pop(program.name, None)
                else:
                    row.values[program.name].append(value)
                    print(f"{row.work}: {program.name} {value:.2f} {row.unit}", flush=True)

    def _fail(self, error: ProgramError, program: Program | None = None) -> None:
        """Reports the failure of a peer, which is not measured any more; a failure of this program ends the run."""
        if isinstance(program, Crossmodal):
            raise error
        if program:
            self._failed.add(program)
        self.failures.append(error)
        print(error, flush=True)


if __name__ == "__main__":
    main()
