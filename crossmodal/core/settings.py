"""Settings of a run: read once from the command line or the environment, then passed as an argument."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from crossmodal.core.engine import AUTOMATIC, EngineRequest

if TYPE_CHECKING:
    from crossmodal.core.slices import Slice  # which imports numpy

MAX_TOP_K = 1_000
MAX_OFFSET = 10_000
MAX_MATCHES = MAX_OFFSET + MAX_TOP_K + 1
"""The most matches a search retrieves: one more than the last page shows, to tell whether there are more."""
DEFAULT_PORT = 45678

MetadataChoice = Literal["all", "without-gps", "none"]
"""The metadata of pictures that becomes tags: all, all but the location, or none."""


class OtherService(NamedTuple):
    """Another collection's service that the page links to; `url` is its address for browsers."""

    name: str
    url: str


@dataclass(frozen=True)
class Settings:
    """Settings that all tasks share. Paths are as the user typed them.

    `model_named` is False if the user did not choose `model`; a query then uses the model of its collection.
    """

    data_set: str = "toy-data"
    split: str | None = None
    columns: tuple[tuple[str, str], ...] = ()
    model: str = "clip"
    model_named: bool = True
    weights: str | None = None
    vocabulary: Path | None = None
    exclude: tuple[str, ...] = ()
    num_docs: int | None = None
    request_size: int = 64
    top_k: int = 10
    workspace: Path = Path("workspace")
    collection: str | None = None
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    parallel: int = 1
    shards: int = 1
    threads: int = 0
    engine: EngineRequest = AUTOMATIC
    start_timeout_s: float = 90.0
    keys: Path | None = None
    rate_per_s: float = 0.0
    trust_proxy: tuple[str, ...] = ()
    trust_host: tuple[str, ...] = ()
    trust_origin: tuple[str, ...] = ()
    also: tuple[OtherService, ...] = ()
    writable: bool = False
    watch: Path | None = None
    polling: bool = False
    allow_url_fetch: bool = False
    metadata: MetadataChoice = "all"
    private_location: bool = False
    max_lag_s: float = 0.0
    part: Slice | None = None
