"""The settings of a run: read once at the edge (command line, environment), then passed on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from crossmodal.core.types import Precision

MAX_TOP_K = 1_000
MAX_OFFSET = 10_000
MAX_MATCHES = MAX_OFFSET + MAX_TOP_K + 1
"""What is looked for at most: with the last page, one more than is shown."""
DEFAULT_PORT = 45678


class OtherService(NamedTuple):
    """A service of another collection that the page leads to; `url` is where a browser finds it."""

    name: str
    url: str


@dataclass(frozen=True)
class Settings:
    """What every task needs to know. Paths are as the user gave them.

    `model_named` is False where nobody asked for `model`: a query then takes the model of its collection.
    """

    data_set: str = "toy-data"
    split: str | None = None
    columns: tuple[tuple[str, str], ...] = ()
    model: str = "clip"
    model_named: bool = True
    weights: str | None = None
    vocabulary: Path | None = None
    num_docs: int | None = None
    request_size: int = 32
    top_k: int = 10
    workspace: Path = Path("workspace")
    collection: str | None = None
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    parallel: int = 1
    shards: int = 1
    threads: int = 0
    precision: Precision = "fp32"
    start_timeout_s: float = 90.0
    keys: Path | None = None
    rate_per_s: float = 0.0
    trust_proxy: tuple[str, ...] = ()
    trust_host: tuple[str, ...] = ()
    trust_origin: tuple[str, ...] = ()
    also: tuple[OtherService, ...] = ()
    writable: bool = False
    allow_url_fetch: bool = False
