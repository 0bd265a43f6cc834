"""A gRPC client of a running Flow, for the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from jina import Client
from jina.excepts import BadServer

from crossmodal.core.errors import StateError
from crossmodal.core.settings import Settings
from executors.schema import Docs, MediaDoc

PREFETCH = 4
"""Requests in flight: enough to keep the encoder busy, few enough to limit memory."""


def call(
    settings: Settings,
    endpoint: str,
    docs: Iterable[MediaDoc],
    on_answer: Callable[[Iterable[MediaDoc]], None],
    parameters: dict[str, Any] | None = None,
) -> None:
    """Streams documents through the Flow on `settings.port + 1`; calls `on_answer` with the documents of each answer.

    Raises:
        StateError: An Executor failed or does not respond.
    """

    def answered(response: Any) -> None:
        response.document_array_cls = Docs  # Jina sets it only where there is no callback
        on_answer(response.docs)

    client = Client(host=settings.host, port=settings.port + 1, protocol="grpc")
    try:
        client.post(
            endpoint,
            inputs=docs,
            request_size=settings.request_size,
            parameters=parameters or {},
            results_in_order=True,
            prefetch=PREFETCH,  # an argument of the client's constructor has no effect
            on_done=answered,
        )
    except BadServer as error:
        status = error.args[0].status if error.args else error
        raise StateError(f"{endpoint} failed: {getattr(status, 'description', status)}") from error
    except ConnectionError as error:
        raise StateError(f"the Flow does not respond: {error}") from error


def search(
    settings: Settings, docs: list[MediaDoc], target: str = "", where: str = "", fusion: str = ""
) -> list[MediaDoc]:
    """The documents with their matches, in the order of `docs`.

    Raises:
        StateError: As `call`, or a document has no answer.
    """
    answered: dict[str | None, MediaDoc] = {}
    parameters = {"top_k": settings.top_k, "target": target, "where": where, "fusion": fusion}
    call(settings, "/search", docs, lambda answers: answered.update({d.id: d for d in answers}), parameters)
    missing = [str(doc.id) for doc in docs if doc.id not in answered]
    if missing:
        raise StateError(f"no answer for {', '.join(missing)}")
    return [answered[doc.id] for doc in docs]
