"""A typed Python client of the service's HTTP API, synchronous and asynchronous.

    with Client("http://127.0.0.1:45678") as client:
        for hit in client.search("two hearts -red", top_k=5).results:
            print(hit.score, hit.filename, hit.captions)
        client.search(image=Path("photo.jpg")).captions

    async with AsyncClient("http://127.0.0.1:45678") as client:
        found = await client.search("a red ring", image=Path("photo.jpg"), mix=0.3)

`calls` builds requests, `responses` parses answers, and `clients` sends them. Both clients share the functions of
`calls`, so each signature is written once.
"""

from crossmodal.client.calls import NewItem, Picture, Target
from crossmodal.client.clients import DEFAULT_TIMEOUT_S, DEFAULT_URL, AsyncClient, Client, RefusedError, ServiceError
from crossmodal.client.responses import Found, Hit, Indexed, Removed, Status, StoredCaption, StoredDocument, Word

__all__ = [
    "DEFAULT_TIMEOUT_S", "DEFAULT_URL", "AsyncClient", "Client", "Found", "Hit", "Indexed", "NewItem", "Picture",
    "RefusedError", "Removed", "ServiceError", "Status", "StoredCaption", "StoredDocument", "Target", "Word",
]  # fmt: skip
