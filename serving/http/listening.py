"""How an application listens."""

from __future__ import annotations

import logging

import uvicorn
from fastapi import FastAPI

from serving.config import ServiceConfig


def uvicorn_config(app: FastAPI, config: ServiceConfig, port: int) -> uvicorn.Config:
    """The configuration of the server of an application on the port, at the host of `config`."""
    # It warns of each malformed form, whose client gets 400 with the same words.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    return uvicorn.Config(
        app,
        # "::" means all addresses of both families, for which asyncio expects None.
        host=None if config.host == "::" else config.host,  # type: ignore[arg-type]
        port=port,
        log_level="error",
        access_log=False,
        proxy_headers=bool(config.trust_proxy),
        forwarded_allow_ips=",".join(config.trust_proxy),
        server_header=False,
    )
