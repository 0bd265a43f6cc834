"""What an Executor answers to an endpoint its Flow does not serve."""

from typing import Any

from docarray import DocList
from jina import Executor, requests

from crossmodal.core.errors import InputError
from executors.schema import MediaDoc


class Refusing(Executor):
    """Base of the Executors that stand where branches join.

    Jina wants every Executor behind a join to answer every endpoint of those before it; an endpoint that
    means nothing here is refused instead of passed through as if it had been done.
    """

    @requests(on="/encode")
    def pass_on(self, docs: DocList[MediaDoc], **_: Any) -> DocList[MediaDoc]:
        """Lets through what only the encoders had work with."""
        return docs

    @requests
    def refuse(self, docs: DocList[MediaDoc], **_: Any) -> DocList[MediaDoc]:
        """Raises; Jina hands the message to the caller."""
        raise InputError("not served by this Flow: /index is for the index Flow, /search for the query Flow")
