"""The programs that `peers.py` compares: their commands, and what they have stored.

Every program keeps what it makes of a folder of pictures in one folder, its `state`. Commands run from start to exit,
as from a shell. A picture's name is its six digits: `000012` of `/some/folder/000012.jpg`.
"""

from __future__ import annotations

import json
import re
import sqlite3
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from common import ROOT
from load import new_text
from numpy.typing import NDArray
from peers_model import ARCHITECTURE, ONNX_FOLDER, VOCABULARY
from peers_results import OWN
from peers_setup import ProgramError, run

TOP_K, BATCH = 10, 32


@dataclass(frozen=True)
class Command:
    """A command, the folder in which it runs, and variables added to the environment."""

    arguments: Sequence[str]
    cwd: Path = ROOT
    variables: Mapping[str, str] = field(default_factory=dict)


class Program(ABC):
    """A program with one set of weights."""

    name: str

    @abstractmethod
    def index(self, pictures: Path, state: Path) -> list[Command]:
        """The commands that make a folder of pictures searchable."""

    @abstractmethod
    def vectors(self, state: Path) -> dict[str, NDArray[np.float32]]:
        """The stored vector (dim,) of each picture, of length 1, by the picture's name."""

    def run_index(self, pictures: Path, state: Path) -> float:
        """Seconds of indexing a folder, the sum of its commands; prints those of each if there are several."""
        spent = [self.run(command)[0] for command in self.index(pictures, state)]
        if len(spent) > 1:
            print(f"{self.name}: {' + '.join(f'{seconds:.2f}' for seconds in spent)} s", flush=True)
        return sum(spent)

    def run(self, command: Command) -> tuple[float, str]:
        """The seconds and the output of a command; see `peers_setup.run`."""
        return run(self.name, command.arguments, command.cwd, command.variables)


class Served(Program):
    """A program with a service."""

    ready_path: str
    """A path that is answered with status 200 once queries are."""

    @abstractmethod
    def serve(self, state: Path, port: int) -> Command:
        """The command that serves searches on the loopback interface."""

    @abstractmethod
    def request(self) -> tuple[str, Any]:
        """The path and body of a search for a new text."""


class Crossmodal(Served):
    """This program."""

    ready_path = "/readyz"

    def __init__(self, weights: str, precision: str | None = None, name: str = OWN) -> None:
        self.name = name
        self._weights = ["--weights", weights]
        self._precision = ["--precision", precision] if precision else []

    def index(self, pictures: Path, state: Path) -> list[Command]:
        """See `Program.index`."""
        return [self._command("index", str(pictures), "-w", str(state), *self._weights, *self._precision)]

    def search(self, text: str, pictures: Path, state: Path) -> Command:
        """The command that prints the best pictures for a text."""
        return self._command("search", text, "-w", str(state), "-k", str(TOP_K), *self._precision)

    def serve(self, state: Path, port: int) -> Command:
        """See `Served.serve`."""
        address = ("--host", "127.0.0.1", "--port", str(port))
        return self._command("serve", "-w", str(state), *address, *self._precision)

    def request(self) -> tuple[str, Any]:
        """See `Served.request`."""
        return "/search", {"data": [new_text()], "top_k": TOP_K}

    def vectors(self, state: Path) -> dict[str, NDArray[np.float32]]:
        """See `Program.vectors`."""
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / "collection.parquet"
            self.run(self._command("export", str(file), "-w", str(state)))
            table = pq.read_table(file, columns=["uri", "vector"]).to_pydict()
        return by_name(table["uri"], np.asarray(table["vector"], np.float32))

    @staticmethod
    def _command(*arguments: str) -> Command:
        return Command([sys.executable, "-m", "cli.main", *arguments], variables={"COLUMNS": "200"})


class Rclip(Program):
    """rclip: SQLite, ONNX Runtime, and no service. A command that indexes always answers a query, too."""

    name = "rclip"
    packages = ("rclip==3.3.0", "onnxruntime==1.32.0")  # both MIT

    def __init__(self, python: Path, model: Path) -> None:
        self._program, self._model = python.parent / "rclip", model

    def index(self, pictures: Path, state: Path) -> list[Command]:
        """See `Program.index`."""
        for file in (f"{ONNX_FOLDER}/visual.onnx", f"{ONNX_FOLDER}/textual.onnx", VOCABULARY):
            (state / file).parent.mkdir(parents=True, exist_ok=True)
            if not (state / file).exists():
                (state / file).symlink_to(self._model / file)
        return [self._command(pictures, state, new_text())]

    def search(self, text: str, pictures: Path, state: Path) -> Command:
        """The command that prints the best pictures for a text, without looking for new ones."""
        return self._command(pictures, state, "--no-indexing", text)

    def vectors(self, state: Path) -> dict[str, NDArray[np.float32]]:
        """See `Program.vectors`."""
        with sqlite3.connect(state / "db.sqlite3") as database:
            rows = database.execute("SELECT filepath, vector FROM images WHERE deleted IS NULL").fetchall()
        database.close()
        return by_name([path for path, _ in rows], np.stack([np.frombuffer(row[1], np.float32) for row in rows]))

    def _command(self, pictures: Path, state: Path, *arguments: str) -> Command:
        variables = {"RCLIP_DATADIR": str(state), "HF_HUB_OFFLINE": "1"}
        return Command([str(self._program), "--top", str(TOP_K), *arguments], pictures, variables)


class ClipRetrieval(Served):
    """clip-retrieval: open_clip on torch, autofaiss, and a Flask service. It has no search from the shell.

    Before it encodes, it warms up twice with a batch of pictures and of texts; its default batch of 256 would take
    longer than 500 pictures.
    """

    name, ready_path = "clip-retrieval", "/indices-list"
    packages = ("clip-retrieval==2.45.0",)  # MIT

    def __init__(self, python: Path, checkpoint: Path) -> None:
        self._program = [str(python), str(ROOT / "benchmarks" / "peers_start.py")]
        self._model = ["--clip_model", f"open_clip:{ARCHITECTURE}/{checkpoint}"]

    def index(self, pictures: Path, state: Path) -> list[Command]:
        """See `Program.index`."""
        vectors = str(state / "vectors")
        inference = ["--input_dataset", str(pictures), "--output_folder", vectors, "--enable_text", "False"]
        return [
            self._command("inference", *inference, "--batch_size", str(BATCH), *self._model),
            self._command("index", "--embeddings_folder", vectors, "--index_folder", str(state / "index")),
        ]

    def serve(self, state: Path, port: int) -> Command:
        """See `Served.serve`.

        The column of paths gets another name, so that answers have the paths, as this program's do: for a column
        `image_path` they would have the pictures instead.
        """
        for file in (state / "index" / "metadata").glob("*.parquet"):
            table = pq.read_table(file)
            pq.write_table(table.rename_columns(["caption"]), file)
        (state / "indices.json").write_text(json.dumps({"pictures": str(state / "index")}))
        downloads = ["--enable_mclip_option", "False", "--provide_aesthetic_embeddings", "False"]
        address = ["--port", str(port), "--indices_paths", str(state / "indices.json")]
        return self._command("back", *address, *downloads, *self._model)

    def request(self) -> tuple[str, Any]:
        """See `Served.request`."""
        body = {"text": new_text(), "modality": "image", "num_images": TOP_K, "indice_name": "pictures"}
        return "/knn-service", body

    def vectors(self, state: Path) -> dict[str, NDArray[np.float32]]:
        """See `Program.vectors`."""
        table = pq.read_table(state / "vectors" / "metadata" / "metadata_0.parquet").to_pydict()
        vectors = np.load(state / "vectors" / "img_emb" / "img_emb_0.npy").astype(np.float32)
        n_indexed = json.loads((state / "index" / "image.json").read_text())["nb vectors"]
        if n_indexed != len(vectors):
            raise ProgramError(self.name, f"it encoded {len(vectors)} pictures and indexed {n_indexed}")
        return by_name(table["image_path"], vectors)

    def _command(self, *arguments: str) -> Command:
        return Command([*self._program, *arguments], variables={"HF_HUB_OFFLINE": "1"})


def by_name(paths: Sequence[str], vectors: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Vectors (n, dim), scaled to length 1, by the names of their pictures."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return {Path(path).stem: vector for path, vector in zip(paths, unit, strict=True)}


def names_in(output: str) -> list[str]:
    """The names of the pictures whose files or paths are in an output, in their order, each once."""
    return list(dict.fromkeys(re.findall(r"[/\"](\d{6})\.\w+", output)))
