"""The part of the settings that is sent to the gateway's process as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from crossmodal.core.engine import AUTOMATIC
from crossmodal.core.settings import OtherService, Settings


@dataclass(frozen=True)
class ServiceConfig:
    """The configuration of the gateway. The fields from `host` on have the names and meanings of `Settings`, but
    `engine` is the text of an `EngineRequest`.

    `collection` is the folder that is served, `endpoint` is the main endpoint of the Flow, and `writable` says whether
    the Flow can write to the collection. `part` is the slice of this node, empty if it has all vectors. `watch` is the
    folder with which a process beside the Flow keeps the collection in step, empty if there is none. `is_private` says
    whether only the command that started the Flow calls it, which may see whole errors.
    """

    collection: str = ""
    endpoint: Literal["/search", "/index"] = "/search"
    writable: bool = False
    host: str = "127.0.0.1"
    keys: str = ""
    rate_per_s: float = 0.0
    trust_proxy: tuple[str, ...] = ()
    trust_host: tuple[str, ...] = ()
    trust_origin: tuple[str, ...] = ()
    also: tuple[OtherService, ...] = ()
    allow_url_fetch: bool = False
    private_location: bool = False
    engine: str = str(AUTOMATIC)
    max_lag_s: float = 0.0
    part: str = ""
    watch: str = ""
    is_private: bool = False

    @classmethod
    def of(
        cls, settings: Settings, collection: str, endpoint: Literal["/search", "/index"], *, is_private: bool = False
    ) -> ServiceConfig:
        """The configuration of a service with these settings."""
        return cls(
            collection=collection,
            endpoint=endpoint,
            writable=settings.writable or endpoint == "/index",
            host=settings.host,
            keys=str(settings.keys.resolve()) if settings.keys else "",
            rate_per_s=settings.rate_per_s,
            trust_proxy=settings.trust_proxy,
            trust_host=settings.trust_host,
            trust_origin=settings.trust_origin,
            also=settings.also,
            allow_url_fetch=settings.allow_url_fetch,
            private_location=settings.private_location,
            engine=str(settings.engine),
            max_lag_s=settings.max_lag_s,
            part=str(settings.part or ""),
            watch=str(settings.watch or ""),
            is_private=is_private,
        )

    @property
    def endpoints(self) -> frozenset[str]:
        """The endpoints of the Flow that clients may request."""
        reads = {"/search"} if self.endpoint == "/search" else {"/snapshot"}
        writes = {"/index", "/update", "/delete"} if self.writable else set()
        return frozenset({"/encode", "/health"} | reads | writes)

    @property
    def treats_clients_alike(self) -> bool:
        """Whether there are neither keys nor a rate limit nor private locations. Only then is WebSocket offered."""
        return not (self.keys or self.rate_per_s or self.private_location)

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> ServiceConfig:
        """The configuration from the JSON form of its `dataclasses.asdict`."""
        lists = {name: tuple(values[name]) for name in ("trust_proxy", "trust_host", "trust_origin")}
        return cls(**{**values, **lists, "also": tuple(OtherService(*pair) for pair in values["also"])})
