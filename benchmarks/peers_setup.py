"""What `peers.py` needs before it measures: the peers' environments, the weights, the pictures.

All of it is made once below the folder of `--environments`, and reused. An environment is made anew when its packages
here change.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle, islice
from pathlib import Path

from common import ROOT
from peers_model import CHECKPOINT

ONNX = "onnx==1.17.0"  # Apache-2.0; later releases need a protobuf that this program's environment does not have
CONSTRAINTS = (  # those of PyPI's packages that decide the speed, or without which clip-retrieval does not start
    "torch==2.13.0",
    "torchvision==0.28.0",
    "open_clip_torch==2.32.0",
    "all_clip==1.3.0",
    "autofaiss==2.18.0",
    "faiss-cpu==1.15.1",
    "transformers==4.57.6",
    "setuptools<81",  # clip-anytorch imports pkg_resources
)
LARGE, LAST_LINES = (4000, 3000), 15


class ProgramError(RuntimeError):
    """A program could not be installed, failed, or did not do its work."""

    def __init__(self, program: str, reason: str, command: Sequence[str] = (), output: str = "") -> None:
        lines = [f"{program}: {reason}"]
        if command:
            lines += [f"  command: {' '.join(command)}"]
        if output.strip():
            lines += ["  its last lines:", *(f"    {line}" for line in output.strip().splitlines()[-LAST_LINES:])]
        super().__init__("\n".join(lines))


def run(
    program: str, command: Sequence[str], cwd: Path = ROOT, variables: Mapping[str, str] | None = None
) -> tuple[float, str]:
    """Runs a command of a program from start to exit.

    Returns:
        The seconds it took, and its output: stdout and stderr together.

    Raises:
        ProgramError: Its exit status is not 0.
    """
    start = time.perf_counter()
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **(variables or {})}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    spent, output = time.perf_counter() - start, done.stdout.decode(errors="replace")
    if done.returncode != 0:
        raise ProgramError(program, f"exit status {done.returncode}", command, output)
    return spent, output


def environment(folder: Path, program: str, packages: Sequence[str]) -> Path:
    """The Python of a virtual environment with these packages, made if it is missing.

    Raises:
        ProgramError: The packages can't be installed.
    """
    place = folder / program
    made, python, wanted = place / "packages.txt", place / "bin" / "python", "\n".join((*packages, *CONSTRAINTS))
    if made.is_file() and made.read_text() == wanted:
        return python
    print(f"{program}: installing {', '.join(packages)} into {place}, which takes minutes", flush=True)
    shutil.rmtree(place, ignore_errors=True)
    run(program, [sys.executable, "-m", "venv", str(place)])
    constraints = place / "constraints.txt"
    constraints.write_text("\n".join(CONSTRAINTS))
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(program, [*pip, "--constraint", str(constraints), *packages])
    made.write_text(wanted)
    return python


def checkpoint(folder: Path) -> Path:
    """The file of random weights, made if it is missing."""
    if not (folder / CHECKPOINT).is_file():
        run("weights", [sys.executable, str(ROOT / "benchmarks" / "peers_model.py"), str(folder)])
    return folder / CHECKPOINT


def rclip_model(folder: Path) -> Path:
    """The same weights in the layout of rclip's data folder, made if they are missing.

    Raises:
        ProgramError: The package onnx can't be installed, or the weights can't be exported.
    """
    target = folder / "rclip-model"
    if not (target / "complete").is_file():
        packages = folder / "onnx"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        run("rclip", [*pip, "--upgrade", "--target", str(packages), ONNX])
        command = [sys.executable, str(ROOT / "benchmarks" / "peers_model.py"), str(folder), str(target)]
        run("rclip", command, variables={"PYTHONPATH": str(packages)})
    return target


def large_photographs(photographs: Path, folder: Path, n: int) -> Path:
    """A folder of n photographs enlarged to twelve megapixels, as JPEG with quality 90; made if it is missing."""
    target = folder / f"twelve-megapixels-{n}"
    if target.is_dir():
        return target
    print(f"enlarging {n} photographs into {target}", flush=True)
    originals = islice(cycle(sorted(photographs.rglob("*.jpg"))), n)
    unfinished = folder / "unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(partial(_enlarge, unfinished), range(n), originals))
    unfinished.rename(target)
    return target


def _enlarge(folder: Path, number: int, original: Path) -> None:
    from PIL import Image

    with Image.open(original) as image, (folder / f"{number:06d}.jpg").open("wb") as file:
        image.convert("RGB").resize(LARGE, Image.Resampling.BICUBIC).save(file, "jpeg", quality=90)
        file.write(number.to_bytes(4, "big"))  # a JPEG ignores it; equal files would be indexed once
